# SPDX-License-Identifier: Apache-2.0
"""What the meshes of `freezes` run: a workflow of short steps, and a longer one now and then, about two seconds long."""

from __future__ import annotations

import asyncio

from nervenet import Context, Mesh
from tests.support.story import SOON

mesh = Mesh("freezes-app")

STEP = 0.15
LONG = 1.2
"""Of every fourth workflow, one step; it may be in the middle of it when everything stands still."""


@mesh.agent(slots=100)
async def work(n: int) -> int:
    await asyncio.sleep(STEP)
    return n + 1


@mesh.agent(slots=100)
async def dig(n: int) -> int:
    await asyncio.sleep(LONG)
    return n + 1


@mesh.workflow
async def walk(ctx: Context, n: int) -> int:
    """Steps in a row, three at once, a timer, steps again: n + 6 and three times n + 3."""
    for i in range(2):
        n = await ctx.call(dig if n % 4 == 3 and i == 0 else work, n, options=SOON)
    three = await ctx.map(work, [n, n, n], options=SOON)
    await asyncio.sleep(2 * STEP)
    for _ in range(4):
        n = await ctx.call(work, n, options=SOON)
    return n + sum(three)


def expected(n: int) -> int:
    return (n + 6) + 3 * (n + 3)
