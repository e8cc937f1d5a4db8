# SPDX-License-Identifier: Apache-2.0
"""What the meshes of these tests run while Redis fails: a bit of everything, with results that can be foretold."""

from __future__ import annotations

import asyncio

from nervenet import Context, Mesh, Signal, Task
from tests.support.story import SOON, record

mesh = Mesh("redis-app")
go = Signal[int]("go", int)


@mesh.agent(slots=100)
async def add(task: Task, numbers: list[int]) -> int:
    """Takes 10 to 60 ms."""
    await asyncio.sleep(0.01 + sum(task.id.encode()) % 6 / 100)
    record(task.workflow_id, f"{task.id}#{task.attempt}")
    return sum(numbers)


@mesh.agent(slots=100)
async def think(task: Task, seconds: float) -> str:
    """Long, and says when it begins and ends."""
    record(task.workflow_id, f"begins#{task.attempt}")
    await asyncio.sleep(seconds)
    record(task.workflow_id, f"ends#{task.attempt}")
    return "thought"


@mesh.workflow
async def part(ctx: Context, n: int) -> int:
    return await ctx.call(add, [n, 1], options=SOON)


@mesh.workflow
async def mixed(ctx: Context, n: int) -> int:
    """Two steps, four at once, a timer, a child, a signal, a step: 12 n + 16 and what the signal says."""
    one = await ctx.call(add, [n, 1], options=SOON)
    two = await ctx.call(add, [one, n], options=SOON)
    four = await ctx.map(add, [[n, k] for k in range(4)], options=SOON)
    await asyncio.sleep(0.05)
    child = await (await ctx.start(part, n)).result()
    told = await ctx.receive(go)
    return await ctx.call(add, [one, two, *four, child, told, 4 * n, 7], options=SOON)


@mesh.workflow
async def long(ctx: Context, seconds: float) -> str:
    return await ctx.call(think, seconds, options=SOON)


@mesh.workflow
async def waits(ctx: Context, n: int) -> int:
    """Sleeps in `receive`; nothing about it moves until it is told."""
    first = await ctx.call(add, [n, 1], options=SOON)
    return first + await ctx.receive(go)


@mesh.workflow
async def asks(ctx: Context, n: int) -> str:
    answer = await ctx.ask(f"Question {n}?", choices=["yes", "no"])
    return f"{n}: {answer.value}"


@mesh.workflow
async def listens(ctx: Context, n: int) -> int:
    """Needs no agent: it sums what it is told until it is told zero."""
    while told := await ctx.receive(go):
        n += told
    return n
