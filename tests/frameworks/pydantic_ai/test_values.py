# SPDX-License-Identifier: Apache-2.0
"""The user's values arrive as they were: results with their defaults, dependencies and arguments as the same class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from nervenet import Context, Mesh
from nervenet.integrations.pydantic_ai import DurableAgent, durable_agent
from nervenet.integrations.pydantic_ai.encoding import plain
from tests.frameworks.pydantic_ai.agents import call, says, scripted
from tests.frameworks.pydantic_ai.kit import handled


class Weather(BaseModel):
    rain: bool = False
    wind: int = 0


@dataclass
class Stock:
    left: int = 0


class Cat(BaseModel):
    type: Literal["cat"] = "cat"
    name: str = "n"


class Dog(BaseModel):
    type: Literal["dog"] = "dog"
    name: str = "n"


@dataclass
class Tagged:
    who: Annotated[Cat | Dog, Field(discriminator="type")]
    note: str = ""


@dataclass
class Untagged:
    who: Cat | Dog
    note: str = ""


@dataclass
class Plain:
    name: str
    note: str = ""
    tags: set[str] = field(default_factory=set[str])


def test_a_model_reads_the_defaults_of_a_result() -> None:
    read: list[list[str]] = []

    def answer(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        if not any(isinstance(one, ModelResponse) for one in messages):
            return says(call("weather"), call("stock"), call("forecast"))
        read.append([part.model_response_str() for part in messages[-1].parts if isinstance(part, ToolReturnPart)])
        return says("done")

    agent = Agent(FunctionModel(answer))

    @agent.tool_plain
    async def weather() -> Weather:
        return Weather()

    @agent.tool_plain
    async def stock() -> Stock:
        return Stock()

    @agent.tool_plain
    async def forecast() -> list[Weather]:
        return [Weather(wind=3)]

    agent.run_sync("hi")
    mesh = Mesh("m")
    for name, local in (("far", set[str]()), ("near", {"weather", "stock", "forecast"})):
        durable = durable_agent(mesh, agent, name=name, stream=False, local=local)
        assert handled(durable).run(durable.workflow(), "hi").result == "done"
    assert read[0] == ['{"rain":false,"wind":0}', '{"left":0}', '[{"rain":false,"wind":3}]']
    assert read == [read[0]] * 3


def deps_in_a_tool(deps_type: Any, deps: Any) -> tuple[Any, Any]:
    """What a tool gets as deps, and how they travel."""
    got: list[Any] = []
    sent: list[Any] = []
    agent: Agent[Any, str] = Agent(scripted(says(call("look")), says("done")), deps_type=deps_type)

    @agent.tool
    async def look(ctx: RunContext[Any]) -> str:
        got.append(ctx.deps)
        return "ok"

    mesh = Mesh("m")
    durable: DurableAgent[Any, str] = durable_agent(mesh, agent, name="d")

    @mesh.workflow
    async def run(ctx: Context, question: str) -> str:
        return (await durable.run(ctx, question, deps=deps)).output

    assert handled(durable, seen=sent).run(run, "hi").result == "done "
    return got[0], sent[0]["deps"]


@pytest.mark.parametrize("deps", [Tagged(Dog(name="rex")), Tagged(Dog()), Untagged(Dog(name="rex")), Untagged(Dog())])
def test_deps_keep_their_class(deps: Any) -> None:
    assert deps_in_a_tool(type(deps), deps)[0] == deps


def test_deps_travel_without_defaults_where_that_is_the_same() -> None:
    assert deps_in_a_tool(Plain, Plain("Bees")) == (Plain("Bees"), {"name": "Bees"})
    bees = Plain("Bees", tags={"b", "a", "d", "c"})
    assert deps_in_a_tool(Plain, bees) == (bees, {"name": "Bees", "tags": ["a", "b", "c", "d"]})


def test_arguments_keep_their_class() -> None:
    got: list[Any] = []
    rex = {"type": "dog", "name": "rex"}
    agent = Agent(scripted(says(call("one", pet=rex), call("other", pet=rex), call("only", dog={})), says("done")))

    @agent.tool_plain
    async def one(pet: Annotated[Cat | Dog, Field(discriminator="type")]) -> str:
        got.append(pet)
        return "ok"

    @agent.tool_plain
    async def other(pet: Cat | Dog) -> str:
        got.append(pet)
        return "ok"

    @agent.tool_plain
    async def only(dog: Dog) -> str:
        got.append(dog)
        return "ok"

    sent: list[Any] = []
    durable = durable_agent(Mesh("m"), agent, name="d")
    assert handled(durable, seen=sent).run(durable.workflow(), "hi").result == "done "
    assert got == [Dog(name="rex"), Dog(name="rex"), Dog()]
    assert [one["args"] for one in sent if one["op"] == "call"][2] == {"dog": {}} or len(sent) == 5


def test_sets_of_sets_have_one_order() -> None:
    assert plain([{frozenset({"b", "a"}), frozenset({"d", "c"})}], "it") == [[["a", "b"], ["c", "d"]]]
