# SPDX-License-Identifier: Apache-2.0
"""What the how-to promises beside tools and approvals: other models, events, deferred calls, toolsets of a run, outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, FunctionToolset, RunContext
from pydantic_ai.exceptions import CallDeferred
from pydantic_ai.external_events import wait_for_external_event
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.toolsets import DynamicToolset

from nervenet import CallOptions, Context, Mesh, RetryPolicy, WorkflowFailed
from nervenet.dev import running
from nervenet.integrations.pydantic_ai import durable_agent
from tests.frameworks.pydantic_ai.agents import call, says, scripted
from tests.frameworks.pydantic_ai.kit import handled
from tests.support.environment import ROOT

# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(120)
async def test_a_run_chooses_another_model_on_a_mesh() -> None:
    mesh = Mesh("m")
    desk = durable_agent(mesh, Agent(scripted(says("big"))), name="d", models={"small": scripted(says("small"))})

    @mesh.workflow
    async def both(ctx: Context, question: str) -> list[str]:
        return [(await desk.run(ctx, question)).output, (await desk.run(ctx, question, model="small")).output]

    async with running(mesh) as client:
        assert await client.run(both, "hi") == ["big ", "small "]


# ── what comes from outside ──────────────────────────────────────────────────────────────────────────────────────────


def delivery(deadline: timedelta | None, timeout: timedelta | None, answer_after: timedelta) -> tuple[str, timedelta]:
    """What the model reads of an event that comes after this time, and how long the run took."""
    agent = Agent(scripted(says(call("wait")), says("done")))

    @agent.tool_plain
    async def wait() -> str:
        async def ask(_: str) -> None:
            raise AssertionError("people see the list of questions")

        try:
            return f"got {await wait_for_external_event('delivery', ask=ask, timeout=timeout)}"
        except Exception as error:  # noqa: BLE001  # the model reads what happened
            return f"{type(error).__name__}: {error}"

    mesh = Mesh("m")
    desk = durable_agent(mesh, agent, name="d", local={"wait"}, approval_deadline=deadline)

    @mesh.workflow
    async def run(ctx: Context, question: str) -> str:
        result = await desk.run(ctx, question)
        return str(result.all_messages()[2].parts[0].content)  # pyright: ignore[reportAttributeAccessIssue]

    test = handled(desk)
    test.answer("delivery", "parcel", after=answer_after)
    found = test.run(run, "hi")
    return found.result, found.elapsed


def test_an_external_event_is_a_question_to_people() -> None:
    read, took = delivery(None, None, timedelta(days=3))
    assert read == "got parcel" and took > timedelta(days=2)


@pytest.mark.parametrize(("deadline", "timeout"), [(1, None), (1, 5), (None, 1), (5, 1)])
def test_the_shorter_limit_ends_the_wait_for_an_event(deadline: int | None, timeout: int | None) -> None:
    hours = [None if one is None else timedelta(hours=one) for one in (deadline, timeout)]
    read, took = delivery(hours[0], hours[1], timedelta(days=3))
    assert read == "ExternalEventError: Nobody answered in time."
    assert timedelta(minutes=50) < took < timedelta(hours=2)


def test_an_approval_that_nobody_gives_counts_as_denied() -> None:
    agent = Agent(scripted(says(call("pay")), says("done")))

    @agent.tool_plain(requires_approval=True)
    async def pay() -> str:
        return "paid"

    mesh = Mesh("m")
    desk = durable_agent(mesh, agent, name="d", approval_deadline=timedelta(hours=1))

    @mesh.workflow
    async def run(ctx: Context, question: str) -> list[Any]:
        return desk.dump((await desk.run(ctx, question)).all_messages())

    found = handled(desk).run(run, "hi")
    assert found.result[2]["parts"][0]["content"] == "Nobody answered in time."
    assert timedelta(minutes=50) < found.elapsed < timedelta(hours=2)


def test_without_approvals_a_run_ends_with_its_requests() -> None:
    agent = Agent(scripted(says(call("pay"))), output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    async def pay() -> str:
        return "paid"

    mesh = Mesh("m")
    desk = durable_agent(mesh, agent, name="d", approvals=False)

    @mesh.workflow
    async def run(ctx: Context, question: str) -> list[str]:
        output = (await desk.run(ctx, question)).output
        assert isinstance(output, DeferredToolRequests)
        return [one.tool_name for one in output.approvals]

    assert handled(desk).run(run, "hi").result == ["pay"]


def test_a_deferred_call_is_a_question_for_its_result() -> None:
    agent = Agent(scripted(says(call("slow")), says("done")))

    @agent.tool_plain
    async def slow() -> int:
        raise CallDeferred(metadata={"queue": "night"})

    mesh = Mesh("m")
    desk = durable_agent(mesh, agent, name="d")

    @mesh.workflow
    async def run(ctx: Context, question: str) -> list[Any]:
        return desk.dump((await desk.run(ctx, question)).all_messages())

    test = handled(desk)
    test.answer("What is slow()?", 7, after=timedelta(days=1))
    assert test.run(run, "hi").result[2]["parts"][0]["content"] == 7


# ── toolsets of a run, what watchers see ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(120)
async def test_a_dynamic_toolset_and_what_watchers_see_of_it() -> None:
    def tools(ctx: RunContext[str]) -> FunctionToolset[str]:
        made: FunctionToolset[str] = FunctionToolset(id="made")

        @made.tool_plain
        async def greet() -> dict[str, str]:
            return {"hello": ctx.deps}

        return made

    agent = Agent(
        scripted(says(call("greet")), says("done")), deps_type=str, toolsets=[DynamicToolset(tools, id="dyn")]
    )
    mesh = Mesh("m")
    desk = durable_agent(mesh, agent, name="d")
    run = desk.workflow()
    async with running(mesh) as client:
        handle = await client.start(run, desk.encode("hi", deps="ana"), id="x")
        seen = [data async for kind, data in desk.astream(handle) if kind == "tool"]
        assert await handle.result() == "done "
    (one,) = seen
    assert {**one, "step": ""} == {"toolset": "dyn", "tool": "greet", "step": "", "result": {"hello": "ana"}}


# ── options and local= by each name of a tool ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["read", "files_read"])
def test_options_and_local_know_a_tool_by_each_of_its_names(name: str) -> None:
    ran: list[str] = []

    async def read(path: str) -> str:
        ran.append(path)
        raise OSError("gone")

    files: FunctionToolset[None] = FunctionToolset([read], id="files")
    agent = Agent(scripted(says(call("files_read", path="p")), says("done")), toolsets=[files.prefixed("files")])
    mesh = Mesh("m")
    twice = CallOptions(retry=RetryPolicy(max_attempts=2))
    desk = durable_agent(mesh, agent, name="d", options={name: twice})
    with pytest.raises(WorkflowFailed, match="gone"):
        assert handled(desk).run(desk.workflow(), "hi").result
    assert ran == ["p", "p"]
    here = durable_agent(mesh, agent, name="here", local={name})
    found = handled(here).run(here.workflow(), "hi")
    with pytest.raises(WorkflowFailed, match="gone"):
        assert found.result
    assert len(ran) > 2 and not any("files" in one for one in found.journal.names), "no agent runs it"


# ── outputs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Out(BaseModel):
    tags: set[str]
    note: str = ""


outputs = Mesh("outputs")
_tags = says(call("final_result", tags=["a", "b", "c", "dd", "ee"]))
tagger = durable_agent(outputs, Agent(scripted(_tags), output_type=Out), name="tagger")
tag = tagger.workflow()


@pytest.mark.timeout(300)
def test_an_output_is_the_same_with_every_hash_seed_and_without_defaults(tmp_path: Path) -> None:
    found = handled(tagger).run(tag, "hi")
    assert found.result == {"tags": ["a", "b", "c", "dd", "ee"]}
    assert tagger.decode(found.result) == Out(tags={"a", "b", "c", "dd", "ee"})
    found.journal.dump(tmp_path / "tag.json")
    code = (
        "from nervenet.testing import Journal, replay\n"
        "from tests.frameworks.pydantic_ai.test_promises import tag\n"
        f"replay(tag, Journal.load({str(tmp_path / 'tag.json')!r}))\nprint('same')"
    )
    for seed in ("1", "2"):
        path = os.pathsep.join([str(ROOT), str(ROOT / "python")])
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert done.stdout == "same\n", done.stderr


# ── fixed instructions ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fixed", "made"),
    [(["Be brief.", "instructions"], "The instructions say: Be brief."), (["a", "0"], "text a0"), (["x "], "x")],
)
def test_short_instructions_change_no_other_text(fixed: list[str], made: str) -> None:
    got: list[Any] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        got.append((getattr(messages[-1], "instructions", None), info.instructions))
        return says("done")

    agent = Agent(FunctionModel(answer), instructions=fixed, system_prompt=("a", "banana"))
    agent.instructions(lambda: made)
    desk = durable_agent(Mesh("m"), agent, name="d", stream=False)
    assert handled(desk).run(desk.workflow(), "hi").result == "done"
    agent.run_sync("hi")
    assert got[0] == got[1]
