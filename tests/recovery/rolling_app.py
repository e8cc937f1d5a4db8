# SPDX-License-Identifier: Apache-2.0
"""What the meshes of `rolling` run: steps of known length, so that what is slow is the mesh's fault and can be told."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from nervenet import CallOptions, Context, Mesh, RetryPolicy, Task

mesh = Mesh("rolling-app")

EFFECTS = Path(os.environ.get("STORY_FOLDER", ".")) / "effects"
SOON = CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=50)))
BEAT = float(os.environ.get("ROLLING_BEAT", "0.5"))
BEATS = 5
"""So many of them `round_trip` lasts where nothing takes time but its steps."""


@mesh.agent(slots=400)
async def work(task: Task, n: int) -> int:
    """One beat; says when it is through."""
    await asyncio.sleep(BEAT)
    with EFFECTS.open("a", buffering=1) as file:
        file.write(f"{task.workflow_id} {task.id}#{task.attempt}\n")
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
