# SPDX-License-Identifier: Apache-2.0
"""What runs while agents die: tasks of 10 ms to 2 s with the default policy, and one that ends its own process."""

from __future__ import annotations

import os
import signal
from asyncio import sleep

from nervenet import Context, Mesh, Task
from tests.support.story import record

mesh = Mesh("storm")
SHORTEST, LONGEST = 0.01, 2.0


@mesh.agent(slots=5)
async def work(task: Task, seconds: float) -> int:
    await sleep(seconds)
    return task.attempt


@mesh.agent(slots=5)
async def poison(task: Task, how: str) -> str:
    record(task.workflow_id, f"{how} ends {os.getpid()}, attempt {task.attempt}")
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)
    return how


@mesh.workflow
async def busy(ctx: Context, steps: int) -> int:
    """One task after the other, most of them short; answers how many attempts it took beyond the first ones."""
    more = 0
    for _ in range(steps):
        seconds = SHORTEST * (LONGEST / SHORTEST) ** ctx.random.random()
        more += await ctx.call(work, round(seconds, 3)) - 1
    return more


@mesh.workflow
async def poisoned(ctx: Context, how: str) -> str:
    return await ctx.call(poison, how)
