# SPDX-License-Identifier: Apache-2.0
"""What runs while a backup is made: drafts that wait for a signal, a question, a long task, something that is over."""

from __future__ import annotations

from nervenet import Context, Mesh, Signal, Task
from tests.support.story import passed, record

mesh = Mesh("backup")
approve = Signal[str]("approve", str)


@mesh.agent(slots=20)
async def draft(task: Task, name: str) -> str:
    record(name, f"drafted {task.idempotency_key}")
    return f"draft of {name}"


@mesh.agent(slots=20)
async def send(task: Task, name: str) -> str:
    record(name, f"sent {task.idempotency_key}")
    return "sent"


@mesh.agent(slots=4)
async def copy(task: Task, name: str) -> str:
    record(name, f"copying #{task.attempt}")
    await passed(name)
    return f"copied in attempt {task.attempt}"


@mesh.workflow
async def letter(ctx: Context, name: str) -> str:
    text: str = await ctx.call(draft, name)
    who = await ctx.receive(approve)
    return f"{text}, {await ctx.call(send, name)}, approved by {who}"


@mesh.workflow
async def question(ctx: Context, name: str) -> str:
    await ctx.call(draft, name)
    return f"{(await ctx.ask(f'Send {name}?', choices=['yes', 'no'])).value}"


@mesh.workflow
async def long(ctx: Context, name: str) -> str:
    return str(await ctx.call(copy, name))


@mesh.workflow
async def short(ctx: Context, name: str) -> str:
    return str(await ctx.call(draft, name))
