# SPDX-License-Identifier: Apache-2.0
"""What a client sees of a question whose answer has a type, and where the parts of a step end."""

from __future__ import annotations

import asyncio
import enum
from typing import Any, Literal

import pytest

from nervenet import Client, Context, Mesh, Resolution, Signal, Task
from tests.support.waiting import until

mesh = Mesh("parts")
done = Signal("done", None)
heard = {"first": asyncio.Event(), "second": asyncio.Event()}


class Verdict(enum.Enum):
    YES = "yes"
    NO = "no"


@mesh.agent
async def say(task: Task, words: str) -> str:
    for word in words.split():
        task.emit(word)
    await heard[words.split()[0]].wait()
    return words


@mesh.workflow
async def talks(ctx: Context) -> None:
    await ctx.call(say, "first a b")
    await ctx.call(say, "second c")
    await ctx.receive(done)


@mesh.workflow
async def judges(ctx: Context, kind: str) -> str:
    if kind == "enum":
        return (await ctx.ask("Release?", answer=Verdict)).value.name
    if kind == "literal":
        return str((await ctx.ask("How many?", answer=Literal[1, 2])).value)
    if kind == "bool":
        return str((await ctx.ask("Sure?", answer=bool)).value)
    return (await ctx.ask("In your own words?", answer=str)).value


@pytest.mark.parametrize(
    ("kind", "choices", "result"),
    [("enum", ("yes", "no"), "YES"), ("literal", (1, 2), "1"), ("bool", (True, False), "True"), ("words", (), "hm")],
)
async def test_the_choices_are_what_the_type_of_the_answer_leaves(
    mesh_client: Client, kind: str, choices: tuple[object, ...], result: str
) -> None:
    run = await mesh_client.start(judges, kind, id=kind)

    async def questions() -> list[Any]:
        return [e async for e in mesh_client.escalations()]

    asked = await until(questions, "it asks", 30)
    assert asked[0].choices == choices
    await mesh_client.resolve(asked[0].id, Resolution.complete(choices[0] if choices else "hm"))
    assert await run.result(timeout=30) == result


async def test_the_parts_of_a_step_end_with_it_those_of_an_agent_with_the_workflow(mesh_client: Client) -> None:
    for event in heard.values():
        event.clear()
    run = await mesh_client.start(talks, id="t")
    async with asyncio.timeout(30):
        parts = []
        async for part in run.partials("say", str):
            parts.append(part.value)
            if part.value == "b":
                heard["first"].set()
        assert parts == ["first", "a", "b"]
        assert (await run.info()).state == "RUNNING"
        assert [part async for part in run.partials("say", str)] == [], "a step that is over says no more"
        async for part in run.partials(say, str):
            parts.append(part.value)
            if part.value == "c":
                heard["second"].set()
                await run.signal(done)
        assert parts == ["first", "a", "b", "second", "c"]
        await run.result()
