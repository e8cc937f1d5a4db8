# SPDX-License-Identifier: Apache-2.0
"""Agents that are alive and do no good, tasks that kill their agents, and tasks that take long.

The environment makes an agent bad: DEAF=1 never reads a task (its heartbeat goes on), BROKEN=1 fails every one.
"""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from typing import Any

from nervenet import AgentError, CallOptions, Context, Mesh, RetryPolicy, Selection, Task, Timeouts
from nervenet.agent.task_reader import TaskReader
from tests.support.story import record

mesh = Mesh("stuck")
BROKEN = bool(os.environ.get("BROKEN"))
SOON = RetryPolicy(
    max_attempts=20, initial_interval=timedelta(milliseconds=20), max_interval=timedelta(milliseconds=100)
)
QUICK = CallOptions(retry=SOON, timeouts=Timeouts(accept=timedelta(seconds=1)))
ELSEWHERE = QUICK.merge(CallOptions(retry=RetryPolicy(avoid_failed_agents=True), selection=Selection("queue")))
ONCE = CallOptions(retry=RetryPolicy(max_attempts=1, on_agent_loss="fail"))


async def never(self: TaskReader, reader: Any) -> None:
    """A reader that hangs, as one does that waits for something which never comes."""
    await asyncio.Event().wait()


if os.environ.get("DEAF"):
    TaskReader._read_once = never  # type: ignore[method-assign]  # what a bug of ours would do


@mesh.agent(slots=50)
async def work(task: Task, n: int) -> str:
    record(task.workflow_id, f"{'broken' if BROKEN else 'fine'} #{task.attempt}")
    if BROKEN:
        raise AgentError("its model is gone")
    await asyncio.sleep(0.02)
    return f"{n} by {os.getpid()}"


@mesh.agent(slots=5)
async def poison(task: Task, how: str) -> str:
    record(task.workflow_id, f"killed {os.getpid()} #{task.attempt}")
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)
    return how


@mesh.agent(slots=5)
async def slow(task: Task, seconds: float) -> int:
    record(task.workflow_id, f"began #{task.attempt}")
    await asyncio.sleep(seconds)
    record(task.workflow_id, f"ended #{task.attempt}")
    return task.attempt


@mesh.workflow
async def one(ctx: Context, n: int) -> str:
    return await ctx.call(work, n, options=QUICK)


@mesh.workflow
async def elsewhere(ctx: Context, n: int) -> str:
    """By the shared queue only; who failed it does not get it again."""
    return await ctx.call(work, n, options=ELSEWHERE)


@mesh.workflow
async def dies(ctx: Context, how: str) -> str:
    return await ctx.call(poison, how, options=ONCE)


@mesh.workflow
async def poisoned(ctx: Context, how: str) -> str:
    """With the default policy, as `busy` beside it."""
    return await ctx.call(poison, how)


@mesh.workflow
async def busy(ctx: Context, steps: int) -> int:
    """One task after the other, of 10 ms to 2 s, most of them short; how many attempts it took beyond the first ones."""
    return sum([await ctx.call(slow, round(0.01 * 200 ** ctx.random.random(), 3)) - 1 for _ in range(steps)])


@mesh.workflow
async def long(ctx: Context, seconds: float) -> int:
    return await ctx.call(slow, seconds)
