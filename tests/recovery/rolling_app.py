# SPDX-License-Identifier: Apache-2.0
"""What the meshes of `rolling` run: steps of known length, so that what is slow is the mesh's fault and can be told."""

from __future__ import annotations

import asyncio
import os

from nervenet import Context, Mesh, Task
from tests.support.story import SOON, record

mesh = Mesh("rolling-app")

BEAT = float(os.environ.get("ROLLING_BEAT", "0.5"))
BEATS = 5
"""So many of them `round_trip` lasts where nothing takes time but its steps."""


@mesh.agent(slots=400)
async def work(task: Task, n: int) -> int:
    """One beat; says when it is through."""
    await asyncio.sleep(BEAT)
    record(task.workflow_id, f"{task.id}#{task.attempt}")
    return n + 1


@mesh.workflow
async def one(ctx: Context, n: int) -> int:
    return await ctx.call(work, n, options=SOON)


@mesh.workflow
async def round_trip(ctx: Context, n: int) -> int:
    """A step, three at once, a timer, a child, a step: n + 6 and three times n + 1."""
    first = await ctx.call(work, n, options=SOON)
    three = await ctx.map(work, [n, n, n], options=SOON)
    await asyncio.sleep(BEAT)
    child = await (await ctx.start(one, first)).result()
    return sum(three) + await ctx.call(work, child, options=SOON) + 3
