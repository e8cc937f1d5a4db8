# SPDX-License-Identifier: Apache-2.0
"""Workflows with large values in every place that has values: inputs, results, signals, children, runs that follow."""

from __future__ import annotations

from dataclasses import dataclass

from nervenet import CallFailed, CallOptions, Context, Mesh, RetryPolicy, Signal, Task
from tests.support.story import SOON, passed, record

mesh = Mesh("large")
more = Signal[str]("more", str)
ONCE = CallOptions(retry=RetryPolicy(max_attempts=1))


def text(size: int, letter: str = "x") -> str:
    """A JSON text of exactly this number of bytes, quotes included."""
    return letter * (size - 2)


@mesh.agent(slots=8)
async def grow(size: int) -> str:
    return text(size, "g")


@mesh.agent(slots=8)
async def measure(words: str) -> int:
    return len(words)


@mesh.agent(run="process", slots=1)
def double(words: str) -> str:
    return words * 2


@mesh.agent(slots=8)
async def shout(task: Task, words: str) -> str:
    """Waits for the test between its two halves."""
    record(task.workflow_id, "has its input")
    await passed(task.workflow_id)
    return words.upper()


@mesh.workflow
async def echo(ctx: Context, words: str) -> str:
    return words


@mesh.workflow
async def there_and_back(ctx: Context, size: int) -> dict[str, int | str]:
    """A large result becomes a large input of the next step."""
    words = await ctx.call(grow, size, options=SOON)
    length = await ctx.call(measure, words, options=SOON)
    return {"length": length, "words": words}


@mesh.workflow
async def doubled(ctx: Context, words: str) -> str:
    return await ctx.call(double, words)


@mesh.workflow
async def shouted(ctx: Context, words: str) -> str:
    loud = await ctx.call(shout, words, options=SOON)
    return f"{loud}!"


@mesh.workflow
async def waits(ctx: Context, words: str) -> str:
    return words + await ctx.receive(more)


@mesh.workflow
async def collects(ctx: Context, count: int) -> int:
    return sum([len(await ctx.receive(more)) for _ in range(count)])


@mesh.workflow
async def parent(ctx: Context, size: int) -> int:
    found = await ctx.call(there_and_back, size)
    return len(str(found["words"]))


@mesh.workflow
async def forwards(ctx: Context, words: str) -> str:
    await ctx.signal("receiver", more, words)
    return "sent"


@dataclass
class Lap:
    left: int
    words: str


@mesh.workflow
async def laps(ctx: Context, lap: Lap) -> str:
    """Each run has a large input, calls an agent with it, and hands it to the next run."""
    length = await ctx.call(measure, lap.words)
    if lap.left:
        ctx.continue_as_new(laps, Lap(lap.left - 1, lap.words))
    return f"{length} {await ctx.receive(more)}"


@mesh.workflow
async def careful(ctx: Context, words: str) -> str:
    try:
        return str(await ctx.call(measure, words, options=ONCE))
    except CallFailed as error:
        return f"{error.failure.type}: {error.failure.message}"
