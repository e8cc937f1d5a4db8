# SPDX-License-Identifier: Apache-2.0
"""What the mesh runs while its keys are damaged."""

from __future__ import annotations

from nervenet import CallOptions, Context, Mesh, Selection, Signal, Task
from tests.support.story import passed

mesh = Mesh("damage")
go = Signal[str]("go", str)
QUEUED = CallOptions(selection=Selection("queue"))


@mesh.agent(slots=20)
async def note(task: Task, words: str) -> str:
    task.checkpoint(words)
    return f"{words}!"


@mesh.agent(slots=20)
async def gated(task: Task, words: str) -> str:
    """Waits for a file, in its first attempt."""
    if task.attempt == 1:
        await passed(words)
    return f"{words} {task.attempt}"


@mesh.workflow
async def waits(ctx: Context, words: str) -> str:
    return await ctx.call(gated, words)


@mesh.workflow
async def good(ctx: Context, words: str) -> str:
    """One task to an agent's inbox, one to the shared queue."""
    return await ctx.call(note, await ctx.call(note, words), options=QUEUED)


@mesh.workflow
async def victim(ctx: Context, words: str) -> str:
    """Every kind of key: a task, a view, a question in a list, a signal to wait for."""
    first = await ctx.call(note, words)
    ctx.publish({"words": first})
    return await ctx.call(note, await ctx.receive(go), options=QUEUED)
