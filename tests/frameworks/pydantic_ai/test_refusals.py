# SPDX-License-Identifier: Apache-2.0
"""What is refused, each with a sentence that names the line and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic_ai import Agent, FunctionToolset
from pydantic_ai.exceptions import ModelHTTPError

from nervenet import CallOptions, Context, Mesh, WorkflowFailed
from nervenet.integrations.pydantic_ai import NotSupported, UnsupportedVersion, durable_agent
from nervenet.integrations.pydantic_ai.faults import to_agent_error
from nervenet.integrations.pydantic_ai.refusals import PYDANTIC_AI
from tests.frameworks.pydantic_ai.agents import says, scripted
from tests.frameworks.pydantic_ai.kit import handled

MODEL = scripted(says("hi"))


class Connection:
    """No value."""


@dataclass
class Bag:
    thing: Any


def test_a_version_outside_of_the_range() -> None:
    sentence = (
        r"test_refusals.py:\d+: .* supports Pydantic AI 2.68 and later, below 3; 2.67.1 is installed.*pip install"
    )
    with pytest.raises(UnsupportedVersion, match=sentence):
        PYDANTIC_AI.require("2.67.1")
    with pytest.raises(UnsupportedVersion, match=r"3\.0\.0 is installed"):
        PYDANTIC_AI.require("3.0.0")
    PYDANTIC_AI.require("2.99.3")


def test_a_toolset_without_an_id() -> None:
    agent = Agent(MODEL, toolsets=[FunctionToolset([lambda: "x"])])
    with pytest.raises(NotSupported, match=r"test_refusals.py:\d+: a toolset has no id.*id='files'"):
        durable_agent(Mesh("m"), agent, name="desk")


def test_a_toolset_with_a_name_of_ours() -> None:
    agent = Agent(MODEL, toolsets=[FunctionToolset([lambda: "x"], id="model")])
    with pytest.raises(NotSupported, match="a toolset has the id 'model', which nervenet needs"):
        durable_agent(Mesh("m"), agent, name="desk")


def test_an_agent_without_a_model() -> None:
    with pytest.raises(NotSupported, match=r"test_refusals.py:\d+: .*`model`"):
        durable_agent(Mesh("m"), Agent(), name="desk")


def test_a_capability_whose_name_is_taken() -> None:
    mesh = Mesh("m")

    async def model(text: str) -> str:
        return text

    mesh.agent(name="desk-model")(model)
    with pytest.raises(NotSupported, match=r"'desk-model', which is the agent at .*give the toolset another id"):
        durable_agent(mesh, Agent(MODEL), name="desk")


def test_deps_that_are_no_value() -> None:
    with pytest.raises(NotSupported, match=r"test_refusals.py:\d+: deps of type 'Connection' cannot travel.*dataclass"):
        durable_agent(Mesh("m"), Agent(MODEL, deps_type=Connection), name="desk")


def test_names_that_are_not_there() -> None:
    agent = Agent(MODEL)
    with pytest.raises(NotSupported, match="local= names 'ad', but there are only"):
        durable_agent(Mesh("m"), agent, name="a", local={"ad"})
    with pytest.raises(NotSupported, match="options= names 'tool', but there are only"):
        durable_agent(Mesh("m"), agent, name="b", options={"tool": CallOptions()})


def test_a_value_in_deps_that_cannot_travel() -> None:
    mesh = Mesh("m")
    desk = durable_agent(mesh, Agent(MODEL, deps_type=Bag), name="desk")

    @mesh.workflow
    async def reply(ctx: Context, question: str) -> str:
        return (await desk.run(ctx, question, deps=Bag(Connection()))).output

    with pytest.raises(WorkflowFailed, match=r"deps cannot travel to an agent.*make deps a dataclass"):
        assert handled(desk).run(reply, "hi").result


def test_tools_that_come_with_a_run() -> None:
    mesh = Mesh("m")
    agent = Agent(MODEL)
    desk = durable_agent(mesh, agent, name="desk")

    @mesh.workflow
    async def reply(ctx: Context, question: str) -> str:
        with agent.override(toolsets=[FunctionToolset([lambda: "x"], id="late")]):
            return (await desk.run(ctx, question)).output

    with pytest.raises(WorkflowFailed, match="cannot be added at runtime"):
        assert handled(desk).run(reply, "hi").result


@pytest.mark.parametrize(
    ("status", "retried"),
    [(429, True), (500, True), (503, True), (408, True), (400, False), (401, False), (404, False)],
)
def test_which_errors_of_a_model_are_retried(status: int, retried: bool) -> None:
    told = to_agent_error(ModelHTTPError(status, "gpt", None, headers={"Retry-After": "7"}))
    assert told is not None and told.retryable is retried
    assert told.retry_after is not None and told.retry_after.total_seconds() == 7
