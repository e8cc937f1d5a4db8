# SPDX-License-Identifier: Apache-2.0
"""A model as an agent of a real mesh: a node and two agents as processes, and the stand-in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from nervenet import Client, WorkflowFailed
from nervenet.errors import WorkflowCanceled
from nervenet.integrations.llm import ChatRequest
from tests.frameworks.llm import app
from tests.frameworks.llm.values import Forecast
from tests.frameworks.llm_server import Rule, StandIn, ToolCall
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

APP = str(Path(__file__).with_name("app.py"))
WRONG_KEY = "sk-wrong-5f0c2b7719"


@pytest.fixture
def desk(host: ProcessMesh, llm: StandIn) -> ProcessMesh:
    host.app = APP
    host.env |= llm.environment
    host.start(1, 2)
    return host


async def test_text_usage_and_structured_output(desk: ProcessMesh, llm: StandIn) -> None:
    llm.script(Rule("sky", reply="It is blue."), Rule("forecast", json={"city": "Oslo", "degrees": 7}))
    async with desk.client() as client:
        assert await client.run(app.answer, "Why the sky?") == "It is blue."
        assert await client.run(app.spent, "Why the sky?") == [3, 3]
        assert await client.run(app.structured, "Oslo") == Forecast(city="Oslo", degrees=7)
        reply = await client.call(app.llm, ChatRequest.ask("sky"), request_id="once")
        assert reply.text == "It is blue."


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_endpoint_is_asked_again_after_the_seconds_that_it_names(
    desk: ProcessMesh, llm: StandIn, status: int
) -> None:
    llm.script(Rule(status=status, retry_after="2", times=1), Rule(reply="now"))
    async with desk.client() as client:
        assert await client.run(app.answer, "hello") == "now"
    first, second = llm.requests()
    assert (first.outcome, second.outcome) == ("refused", "complete")
    assert 1.9 < second.began - first.ended < 10.0  # without Retry-After it is 20 ms


async def test_a_busy_endpoint_is_asked_again_at_the_time_that_it_names(desk: ProcessMesh, llm: StandIn) -> None:
    """An HTTP date has whole seconds."""
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
    llm.script(Rule(status=503, retry_after=format_datetime(then, usegmt=True), times=1), Rule(reply="now"))
    async with desk.client() as client:
        assert await client.run(app.answer, "hello") == "now"
    first, second = llm.requests()
    assert first.ended < then.timestamp() - 1, "the first request came in time for this test"
    assert then.timestamp() - 0.1 < second.began < then.timestamp() + 8


async def test_a_cancelled_workflow_closes_the_stream(desk: ProcessMesh, llm: StandIn) -> None:
    llm.script(Rule(reply="a b c d", hold_after=2))
    async with desk.client() as client:
        run = await client.start(app.answer, "hold")
        await until(lambda: llm.requests() and len(llm.requests()[0].sent) == 2, "the model is in its middle")
        assert llm.requests()[0].outcome == "running"
        began = time.monotonic()
        await run.cancel("no longer needed")
        await until(lambda: llm.requests()[0].outcome == "gone", "the stand-in sees that the client left", of=desk)
        assert time.monotonic() - began < 5
        with pytest.raises(WorkflowCanceled):
            await run.result(timeout=20)
    assert len(llm.requests()) == 1


@pytest.mark.parametrize(
    ("rule", "kind", "cure"),
    [
        (Rule(status=400, code="context_length_exceeded"), "ContextTooLong", "send fewer or shorter ones"),
        (Rule(status=429, code="insufficient_quota"), "QuotaExceeded", "add credit"),
        (Rule(status=422, message="bad tool"), "RequestRefused", "bad tool"),
    ],
)
async def test_what_cannot_help_is_not_tried_again(
    desk: ProcessMesh, llm: StandIn, rule: Rule, kind: str, cure: str
) -> None:
    llm.script(rule)
    async with desk.client() as client:
        with pytest.raises(WorkflowFailed, match=cure) as failed:
            await client.run(app.answer, "hello")
    chain = [failed.value.failure]
    while chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    assert kind in [one.type for one in chain]
    assert len(llm.requests()) == 1


async def test_a_loop_with_parallel_tools_pays_for_no_finished_call_again(desk: ProcessMesh, llm: StandIn) -> None:
    """The agent process is killed in the middle of the second turn: only that call is made again."""
    turn = [
        ToolCall("forecast", {"city": "Oslo"}),
        ToolCall("search", {"text": "umbrella"}),
        ToolCall("forecast", {"city": "Rome"}),
    ]
    last = "Rain in both, take an umbrella."
    llm.script(
        Rule("trip", role="user", tools=turn),
        Rule("Rome", role="tool", reply=last, hold_after=2, times=1),
        Rule("Rome", role="tool", reply=last),
    )
    async with desk.client() as client:
        run = await client.start(app.research, "plan a trip", id="trip")
        await until(lambda: llm.requests("Rome") and llm.requests("Rome")[0].sent, "the second turn runs")
        actors = set[str]()
        async for event in run.watch(partials=True):
            if event.kind == "partial":
                actors.add(event.actor)
                break
        (killed,) = (one for one in desk.processes if one.kind == "agent" and one.id in actors)
        killed.kill()
        assert await run.result(timeout=30) == last
    assert not llm.paid_twice()
    assert llm.paid() == {"plan a trip": 1, "rain in Rome": 1}
    assert llm.asked() == {"plan a trip": 1, "rain in Rome": 2}
    messages = llm.requests("Rome")[1].body["messages"]
    assert [one["content"] for one in messages if one["role"] == "tool"] == [
        "rain in Oslo",
        "8 results",
        "rain in Rome",
    ]


async def test_an_agent_without_a_key_does_not_start_and_says_what_to_set(host: ProcessMesh) -> None:
    host.app = APP
    host.env.pop("OPENAI_API_KEY", None)
    host.up(host.node())
    agent = host.agent()
    assert agent.wait(60) != 0
    assert "llm_agent 'llm' has no API key: set OPENAI_API_KEY" in agent.log
    assert "Traceback" not in agent.log


async def test_a_wrong_key_is_in_no_log_no_failure_and_no_trace_back(host: ProcessMesh, llm: StandIn) -> None:
    """The stand-in repeats the whole key in its refusal, as a careless server does."""
    host.app = APP
    host.env |= llm.environment | {"OPENAI_API_KEY": WRONG_KEY, "NERVENET_LOG_LEVEL": "debug", "OPENAI_LOG": "debug"}
    host.start(1, 1)
    async with host.client() as client:
        with pytest.raises(WorkflowFailed, match="set OPENAI_API_KEY to a valid key") as failed:
            await client.run(app.answer, "hello", id="refused")
        shown = await journal(client, "refused")
    assert "KeyRefused" in shown
    for place in (shown, str(failed.value.failure), host.run("show", "refused").stdout, host.logs(), *logs(host)):
        assert WRONG_KEY not in place


async def journal(client: Client, workflow_id: str) -> str:
    return "\n".join([str(event.message) async for event in client.handle(workflow_id).watch()])


def logs(host: ProcessMesh) -> list[str]:
    return [process.log for process in host.processes]
