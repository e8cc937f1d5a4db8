# SPDX-License-Identifier: Apache-2.0
"""Workflows that no node should have to stand, and the good ones beside them. The lines at fault are marked."""

from __future__ import annotations

import asyncio
import os
import time

from nervenet import Context, Mesh
from tests.support.story import SOON

mesh = Mesh("misbehaving")


@mesh.agent(slots=200)
async def double(n: int) -> int:
    """Takes 20 to 270 ms."""
    await asyncio.sleep(0.02 + n % 6 / 20)
    return 2 * n


@mesh.workflow
async def good(ctx: Context, n: int) -> int:
    """A step, four at once, a timer, a step: 22 n."""
    once = await ctx.call(double, n, options=SOON)
    four = await ctx.map(double, [once] * 4, options=SOON)
    await asyncio.sleep(0.2)
    return sum(four) + await ctx.call(double, 3 * n, options=SOON)


@mesh.workflow
async def loops(ctx: Context, n: int) -> int:
    await ctx.call(double, n, options=SOON)
    while True:  # it loops here
        n += 1  # it loops here


@mesh.workflow
async def stalls(ctx: Context, n: int) -> int:
    await ctx.call(double, n, options=SOON)
    time.sleep(float(os.environ["STALL"]))  # it stalls here
    return n


@mesh.workflow
async def exits(ctx: Context, n: int) -> int:
    await ctx.call(double, n, options=SOON)
    os._exit(3)  # it exits here
