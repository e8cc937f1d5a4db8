# SPDX-License-Identifier: Apache-2.0
"""Runs that began before an upgrade of Pydantic AI or a change of prompts and tools go on after it: their requests are the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic_ai
import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel

from nervenet import Context, Mesh
from nervenet.integrations.pydantic_ai import DurableAgent, durable_agent
from nervenet.testing import replay
from tests.frameworks.pydantic_ai.agents import call, says, scripted
from tests.frameworks.pydantic_ai.kit import handled
from tests.frameworks.pydantic_ai.test_agents import run
from tests.support.environment import ROOT

FIELDS = "\n    upgraded: str | None = None\n    upgraded_list: list[str] = field(default_factory=list[str])\n"
PLACES = {
    "messages.py": [
        "    kind: Literal['request'] = 'request'\n",
        "    kind: Literal['response'] = 'response'\n",
        "    part_kind: Literal['user-prompt'] = 'user-prompt'\n",
        "    part_kind: Literal['tool-call'] = 'tool-call'\n",
        "    part_kind: Literal['text'] = 'text'\n",
    ],
    "tools.py": ["    toolset_id: str | None = None\n"],
}


def upgraded_library(folder: Path) -> None:
    """A copy of Pydantic AI whose messages and tools have two more fields, with defaults."""
    assert pydantic_ai.__file__ is not None
    copy = folder / "pydantic_ai"
    shutil.copytree(Path(pydantic_ai.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, places in PLACES.items():
        text = (copy / name).read_text()
        for place in places:
            assert place in text, place
            text = text.replace(place, place + FIELDS, 1)
        (copy / name).write_text(text)


@pytest.mark.timeout(300)
def test_more_fields_with_defaults_in_messages_and_tools(tmp_path: Path) -> None:
    run("decide").journal.dump(tmp_path / "decide.json")
    upgraded_library(tmp_path / "library")
    code = (
        "from pydantic_ai.messages import ModelRequest, ToolCallPart\n"
        "assert ModelRequest([]).upgraded is None and ToolCallPart('x').upgraded_list == []\n"
        "from nervenet.testing import Journal, replay\n"
        "from tests.frameworks.pydantic_ai import agents\n"
        f"replay(agents.decide, Journal.load({str(tmp_path / 'decide.json')!r}))\n"
        "print('replayed')"
    )
    path = os.pathsep.join([str(tmp_path / "library"), str(ROOT), str(ROOT / "python")])
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ran.stdout == "replayed\n", ran.stderr


def sums(prompt: str, words: str) -> tuple[Any, DurableAgent[None, str]]:
    """The workflow of an agent with this prompt, whose tool has these words."""
    mesh = Mesh("sums")
    agent = Agent(scripted(says(call("add", a=1, b=2)), says("three")), instructions=prompt, system_prompt=f"{prompt}!")

    async def add(a: int, b: int) -> int:
        return a + b

    add.__doc__ = words
    agent.tool_plain(add)
    durable = durable_agent(mesh, agent, name="sums")

    @mesh.workflow
    async def total(ctx: Context, question: str) -> str:
        return (await durable.run(ctx, question)).output

    return total, durable


def test_another_prompt_and_another_docstring() -> None:
    (old, old_agent), (new, _) = sums("Be brief.", "Add."), sums("Be as long as you like.", "Add two numbers.")
    sent: list[Any] = []
    journal = handled(old_agent, seen=sent).run(old, "1 + 2").journal
    assert "Be brief" not in str(sent) and "Add." not in str(sent)
    replay(new, journal)


def test_a_model_gets_the_words_of_the_agent_process() -> None:
    heard: list[Any] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        heard.append((messages[0], info.instructions))
        return says("hi")

    mesh = Mesh("m")
    agent = Agent(FunctionModel(answer), instructions="Be brief.", system_prompt="You sell honey.")
    agent.instructions(lambda: "The sun shines.")
    durable = durable_agent(mesh, agent, name="seller", stream=False)

    @mesh.workflow
    async def sell(ctx: Context, question: str) -> str:
        return (await durable.run(ctx, question)).output

    assert handled(durable).run(sell, "hello").result == "hi"
    ((request, instructions),) = heard
    assert [part.content for part in request.parts] == ["You sell honey.", "hello"]
    assert instructions == request.instructions == "Be brief.\n\nThe sun shines."
