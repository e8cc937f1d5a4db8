# SPDX-License-Identifier: Apache-2.0
"""What is refused, each with a sentence that names the line and the cure."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent, FunctionToolset
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.toolsets import DynamicToolset

from nervenet import CallOptions, Context, Mesh, WorkflowFailed
from nervenet.integrations.pydantic_ai import NotSupported, UnsupportedVersion, durable_agent
from nervenet.integrations.pydantic_ai.faults import to_agent_error
from nervenet.integrations.pydantic_ai.refusals import PYDANTIC_AI
from tests.frameworks.pydantic_ai.agents import says, scripted
from tests.frameworks.pydantic_ai.kit import handled
from tests.support.environment import ROOT

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


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (None, "nervenet.integrations.pydantic_ai needs Pydantic AI. Install it: pip install 'nervenet[pydantic-ai]'"),
        ("1.0.0", "supports Pydantic AI 2.68 and later, below 3; 1.0.0 is installed"),
    ],
)
def test_an_import_without_a_version_that_fits(version: str | None, sentence: str, tmp_path: Path) -> None:
    """The import system sees nervenet, and Pydantic AI as far as this test installs it; nothing of this environment."""
    if version is not None:
        about = tmp_path / f"pydantic_ai_slim-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pydantic-ai-slim\nVersion: {version}\n")
        (tmp_path / "pydantic_ai").mkdir()
        (tmp_path / "pydantic_ai/__init__.py").write_text("class Agent: ...")
    path = os.pathsep.join([str(tmp_path), str(ROOT / "python")])
    code = "from nervenet.integrations.pydantic_ai import durable_agent"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "UnsupportedVersion" in done.stderr and sentence in done.stderr


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


def test_the_name_of_a_tool_that_is_listed_later() -> None:
    agent = Agent(MODEL, toolsets=[DynamicToolset(lambda _: None, id="dyn")])
    with pytest.raises(
        NotSupported, match=r"names 'look'.*The tools of dyn are known only when agents run.*of the toolset"
    ):
        durable_agent(Mesh("m"), agent, name="a", options={"look": CallOptions()})
    with pytest.raises(NotSupported, match=r"local= names 'look'.*no name of a single one can be given here$"):
        durable_agent(Mesh("m"), agent, name="b", local={"look"})
    durable_agent(Mesh("m"), agent, name="c", options={"dyn": CallOptions()})


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
    raised = to_agent_error(ModelHTTPError(status, "gpt", None, headers={"Retry-After": "7"}))
    assert raised is not None and raised.retryable is retried
    assert raised.retry_after is not None and raised.retry_after.total_seconds() == 7
