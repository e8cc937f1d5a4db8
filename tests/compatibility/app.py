# SPDX-License-Identifier: Apache-2.0
"""What both releases run: one workflow that stops at every kind of wait, so that a test can exchange the processes below it there.

It uses nothing that the older release does not have.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from nervenet import Context, Mesh, Signal, Task
from tests.support.story import SOON, passed, record

mesh = Mesh("both")
go = Signal[str]("go", str)
STAGES = ("task", "signal", "question", "child", "timer")
"""Where `long_way` waits, in this order."""


@mesh.agent(slots=50)
async def note(task: Task, words: str) -> str:
    record(task.workflow_id, words)
    return words


@mesh.agent(slots=50)
async def gated(task: Task, gate: str) -> str:
    """Waits at the gate."""
    record(task.workflow_id, f"gated #{task.attempt}")
    await passed(gate)
    return gate


@mesh.agent(slots=4)
async def which(_: int) -> str:
    """The release of the agent."""
    await asyncio.sleep(0.05)
    return version("nervenet")


@mesh.workflow
async def which_agents(ctx: Context, tasks: int) -> list[str]:
    return sorted(set(await ctx.map(which, list(range(tasks)))))


@mesh.workflow
async def wait_for_word(ctx: Context, _: str) -> str:
    return await ctx.receive(go)


@mesh.workflow
async def long_way(ctx: Context, name: str) -> list[str]:
    words = [await ctx.call(note, "begins")]
    words += await ctx.map(note, ["two", "three"])
    words.append(await ctx.call(gated, name, options=SOON))
    if ctx.patched("a-word-more"):
        words.append(await ctx.call(note, "more"))
    words.append(await ctx.receive(go))
    words.append(str((await ctx.ask("Publish?", choices=["yes", "no"])).value))
    child = await ctx.start(wait_for_word, name, id=f"{name}-child")
    words.append(await child.result())
    ctx.publish({"at": "timer"})
    await asyncio.sleep(1.5)
    words.append(await ctx.call(note, "ends"))
    return words
