# SPDX-License-Identifier: Apache-2.0
"""What the tortured nodes and agents run. Each task does an effect under its idempotency key, in a SQLite file.

The environment tells where: CHAOS_EFFECTS. CHAOS_SKEW (seconds) shifts the clock that the product reads, CHAOS_FORGET
makes the effects forget their keys (a sabotage of the driver's: the checker must notice).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from datetime import timedelta
from typing import Any

from nervenet import AgentError, CallOptions, Context, Mesh, RetryPolicy, Signal, Task, clock

SKEW = float(os.environ.get("CHAOS_SKEW", "0"))


class SkewedTime:
    """`time` as a machine with a wrong clock gives it. Only the product's own door to time gets it: grpc reckons its
    deadlines half in Python and half in C, which on a real machine read the same clock."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time_ns(self) -> int:
        return time.time_ns() + int(SKEW * 1e9)


if SKEW:
    clock.time = SkewedTime()  # type: ignore[assignment,attr-defined]  # a stand-in for a module

Job = dict[str, Any]
"""`v` a number to mix, `ms` how long it takes, `fails` how many attempts fail first, `grant` it needs a human's hint."""

RETRY = RetryPolicy(
    max_attempts=5,
    initial_interval=timedelta(milliseconds=50),
    max_interval=timedelta(seconds=1),
    on_exhausted="escalate",
)
mesh = Mesh("chaos", defaults=CallOptions(retry=RETRY))
go = Signal[int]("go", int)
_effects: sqlite3.Connection | None = None


def effects() -> sqlite3.Connection:
    """The world outside: what was done, and who tried. Opened by the first task: nodes need none."""
    global _effects
    if _effects is None:
        _effects = sqlite3.connect(
            os.environ["CHAOS_EFFECTS"], timeout=30, isolation_level=None, check_same_thread=False
        )
        _effects.execute("PRAGMA synchronous=OFF")
    return _effects


def now_ms() -> int:
    return int(time.time() * 1000)


def begin(task: Task) -> None:
    row = (task.idempotency_key, task.workflow_id, task.attempt, os.getpid(), now_ms())
    effects().execute("INSERT INTO executions VALUES (?, ?, ?, ?, ?)", row)


def finish(task: Task, job: Job) -> int:
    if task.attempt <= job.get("fails", 0):
        raise AgentError(f"attempt {task.attempt} fails as it should")
    if job.get("grant") and not task.hint:
        raise AgentError("only a human can grant this")
    value = int((job["v"] * 48271 + 11) % 2147483647)
    key = "" if os.environ.get("CHAOS_FORGET") else task.idempotency_key
    effects().execute(
        "INSERT INTO effects SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM effects WHERE key = ?)",
        (task.idempotency_key, task.workflow_id, value, now_ms(), key),
    )
    return value


@mesh.agent(slots=24)
async def work(task: Task, job: Job) -> int:
    """Says how far it is, and goes on from its last checkpoint: nothing of that may be left behind afterwards."""
    begin(task)
    parts = max(1, job["ms"] // 500)
    for part in range(task.restore(int) or 0, parts):
        await asyncio.sleep(job["ms"] / parts / 1000)
        if parts > 1:
            task.checkpoint(part + 1)
            task.progress((part + 1) / parts, f"part {part + 1}")
            task.emit(part)
    return finish(task, job)


@mesh.workflow
async def chain(ctx: Context, plan: Job) -> int:
    v: int = plan["v"]
    for job in plan["jobs"]:
        v = await ctx.call(work, {**job, "v": v})
        if plan.get("tells"):
            ctx.publish({"v": v})
    return v


@mesh.workflow
async def fan(ctx: Context, plan: Job) -> int:
    return sum(await ctx.map(work, plan["jobs"])) % 2147483647


@mesh.workflow
async def nap(ctx: Context, plan: Job) -> int:
    v = await ctx.call(work, {"v": plan["v"], "ms": plan["ms"]})
    await asyncio.sleep(plan["sleep_ms"] / 1000)
    return await ctx.call(work, {"v": v, "ms": plan["ms"]})


@mesh.workflow
async def listen(ctx: Context, plan: Job) -> int:
    v = await ctx.call(work, {"v": plan["v"], "ms": plan["ms"]})
    return await ctx.call(work, {"v": v + await ctx.receive(go), "ms": plan["ms"]})


@mesh.workflow
async def family(ctx: Context, plan: Job) -> int:
    children = [await ctx.start(chain, part) for part in plan["parts"]]
    return sum([await child.result() for child in children]) % 2147483647


@mesh.workflow
async def plea(ctx: Context, plan: Job) -> int:
    """Its second attempt fails too; then a human grants a third one."""
    options = CallOptions(retry=RETRY.merge(RetryPolicy(max_attempts=2)))
    return await ctx.call(work, {"v": plan["v"], "ms": plan["ms"], "grant": True}, options=options)


@mesh.workflow
async def again(ctx: Context, plan: Job) -> int:
    v = await ctx.call(work, {"v": plan["v"], "ms": plan["ms"]})
    if plan["left"]:
        ctx.continue_as_new(again, {**plan, "v": v, "left": plan["left"] - 1})
    return v
