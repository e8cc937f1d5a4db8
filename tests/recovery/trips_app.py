# SPDX-License-Identifier: Apache-2.0
"""What `freezes` and `rolling` run: steps of known length, so that what is slow is the mesh's fault and can be told."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from nervenet import Context, Mesh, Task
from tests.support.story import SOON, record

mesh = Mesh("trips")
BEATS = 5
"""So many of them `round_trip` lasts where nothing takes time but its steps."""


class Trip(NamedTuple):
    """A number to count on from, how long a beat is, and how long the first step takes, in seconds."""

    n: int
    beat: float
    first: float

    @property
    def result(self) -> int:
        """What `round_trip` gives."""
        return 4 * self.n + 9


@mesh.agent(slots=400)
async def work(task: Task, job: tuple[int, float]) -> int:
    """Takes this many seconds, and records when it is through."""
    n, seconds = job
    await asyncio.sleep(seconds)
    record(task.workflow_id, f"{task.id}#{task.attempt}")
    return n + 1


@mesh.workflow
async def one(ctx: Context, job: tuple[int, float]) -> int:
    return await ctx.call(work, job, options=SOON)


@mesh.workflow
async def round_trip(ctx: Context, trip: Trip) -> int:
    """A step, three at once, a timer, a child, a step."""
    n, beat, first = trip
    second = await ctx.call(work, (n, first), options=SOON)
    three = await ctx.map(work, [(n, beat)] * 3, options=SOON)
    await asyncio.sleep(beat)
    child = await (await ctx.start(one, (second, beat))).result()
    return sum(three) + await ctx.call(work, (child, beat), options=SOON) + 3
