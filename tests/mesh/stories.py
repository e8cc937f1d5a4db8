# SPDX-License-Identifier: Apache-2.0
"""What the processes of these tests run: handlers that write down what they did, and wait where a test wants them to.

A line of the effects file is `KEY words`; a gate is a file that the test makes when the handler may go on.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta

from nervenet import CallOptions, Context, Mesh, RetryPolicy, Selection, Signal, Task
from tests.support.story import passed, record

mesh = Mesh("stories")
go = Signal[str]("go", str)

ZONE = os.environ.get("STORY_ZONE", "")
AT_ONCE = CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=20)))


# ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@mesh.agent(slots=20)
async def note(task: Task, words: str) -> str:
    record(task.workflow_id, words)
    return f"{words}!"


@mesh.agent(slots=20)
async def say(task: Task, name: str) -> str:
    """Says three words, waits at the gate, and says the last one."""
    for word in ("once", "upon", "a"):
        task.emit(word)
    record(name, f"said #{task.attempt} pid {os.getpid()} at {time.time()}")
    await passed(name)
    task.emit("time")
    record(name, f"done #{task.attempt}")
    return f"{name}: once upon a time"


@mesh.agent(slots=4, labels={"zone": ZONE} if ZONE else {})
async def where(task: Task, _: int) -> str:
    await asyncio.sleep(0.02)
    return ZONE or "nowhere"


@mesh.agent(slots=4)
async def coroutine(key: str) -> str:
    record(key, "running")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        record(key, f"stopped {time.time()}")
        raise
    return "too late"


def _busy(task: Task, key: str) -> str:
    record(key, "running")
    try:
        while True:
            time.sleep(0.02)
            task.check()
    except asyncio.CancelledError:
        record(key, f"stopped {time.time()}")
        raise


@mesh.agent(slots=4)
def thread(task: Task, key: str) -> str:
    return _busy(task, key)


@mesh.agent(slots=1, run="process")
def process(task: Task, key: str) -> str:
    return _busy(task, key)


# ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────────


@mesh.workflow
async def greet(ctx: Context, names: list[str]) -> list[str]:
    return await ctx.map(note, names)


@mesh.workflow
async def talk(ctx: Context, name: str) -> str:
    """A handler's words, a signal, a human."""
    told = await ctx.call(say, name)
    more = await ctx.receive(go)
    answer = await ctx.ask("Publish?", choices=["yes", "no"])
    return f"{told}, {more}: {answer.value}"


@mesh.workflow
async def errand(ctx: Context, name: str) -> list[str]:
    """Three steps; the second one waits at the gate."""
    return [
        await ctx.call(note, "first"),
        await ctx.call(say, name, options=AT_ONCE),
        await ctx.call(note, "last"),
    ]


@mesh.workflow
async def three_kinds(ctx: Context, key: str) -> None:
    await asyncio.gather(
        ctx.call(coroutine, f"{key}-coroutine"),
        ctx.call(thread, f"{key}-thread"),
        ctx.call(process, f"{key}-process"),
    )


@mesh.workflow
async def everywhere(ctx: Context, zone: str) -> list[str]:
    """Twenty tasks to the inboxes of agents and twenty to the shared queue, all for agents of that zone."""
    straight = CallOptions(selection=Selection("least_loaded", match={"zone": zone}))
    queued = CallOptions(selection=Selection("queue", match={"zone": zone}))
    both = await asyncio.gather(
        ctx.map(where, list(range(20)), options=straight), ctx.map(where, list(range(20)), options=queued)
    )
    return both[0] + both[1]


@mesh.workflow
async def orphan(ctx: Context, _: str) -> str:
    """Needs an agent that nobody runs."""
    return str(await ctx.call("nobody_serves_this", "x"))
