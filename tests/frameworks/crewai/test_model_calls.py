# SPDX-License-Identifier: Apache-2.0
"""Calls of models as tasks of their own, on a mesh in this process: what travels, what is counted, and how failures are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nervenet.integrations.crewai import DurableCrew, NotSupported, durable_crew  # isort: skip
from crewai import LLM, Agent, Crew, Process, Task  # isort: skip
from crewai.hooks import register_before_llm_call_hook, unregister_before_llm_call_hook  # isort: skip
from crewai.tools import tool  # isort: skip
from crewai.utilities.agent_utils import is_context_length_exceeded  # isort: skip
from crewai.utilities.exceptions.context_window_exceeding_exception import LLMContextLengthExceededError  # isort: skip
from pydantic import BaseModel, field_validator

import nervenet.dev
from nervenet import AgentError, CallFailed, CallOptions, Context, Mesh, RetryPolicy, WorkflowFailed
from nervenet.integrations.crewai.model_faults import as_crewai_expects, translated
from nervenet.integrations.crewai.model_values import (
    decode,
    encode,
    encode_answer,
    schema_class,
    schema_of,
    with_stable_ids,
)
from nervenet.integrations.llm import ContextTooLong
from nervenet.records import Failure, FailureCode
from tests.frameworks.crewai.app import MODEL
from tests.frameworks.llm_server import KEY, Rule, StandIn, ToolCall

pytestmark = pytest.mark.timeout(300)
SOON = RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=20))
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(autouse=True)
def model(llm: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**llm.environment, "STORY_FOLDER": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)


@tool("look_up")
def look_up(what: str) -> str:
    """Look something up."""
    return f"{what}: found"


def worker(**options: Any) -> Agent:
    given = {"llm": LLM(MODEL, max_retries=0), "tools": [look_up], **options}
    return Agent(role="Worker", goal="Work", backstory="A worker.", **given)


def durable(by: Agent, model: CallOptions | None = None, own: CallOptions | None = None, **task: Any) -> DurableCrew:
    """A crew of one agent and one task, whose calls of models are tasks."""
    options = {"model": model or CallOptions(retry=SOON), "Worker": own or CallOptions(retry=ONCE)}
    one = Task(name="it", description="do it", expected_output="Text.", agent=by, **task)
    return durable_crew(Mesh("m"), Crew(agents=[by], tasks=[one]), name="c", options=options, model_calls=True)


async def run(crew: DurableCrew) -> dict[str, Any]:
    """What the crew returns, on a mesh of its own."""
    workflow = crew.workflow()
    async with nervenet.dev.running(crew._mesh) as client:
        result: dict[str, Any] = await client.run(workflow, {}, id="c")
    return result


async def failure(crew: DurableCrew) -> WorkflowFailed:
    with pytest.raises(WorkflowFailed) as caught:
        await run(crew)
    return caught.value


TOOL = (Rule("do it", tools=[ToolCall("look_up", {"what": "legs"})]), Rule("legs: found", reply="six"))


async def test_each_call_is_a_task_and_its_tokens_are_counted_once(llm: StandIn) -> None:
    llm.script(*TOOL)
    crew = durable(worker())
    mesh = crew._mesh

    @mesh.workflow
    async def counted(ctx: Context) -> list[int]:
        output = await crew.kickoff(ctx)
        return [ctx.usage.total, output.token_usage.total_tokens, output.token_usage.successful_requests]

    async with nervenet.dev.running(mesh) as client:
        used, tokens, requests = await client.run(counted, id="c")
        made = [info async for info in client.list(definition="nervenet.task")]
    assert used == tokens > 0 and requests == 2
    assert [info.labels["task"] for info in made] == ["c/c-worker"] * 2
    assert all(info.id.startswith("task/c/") and info.labels["crew"] == "c" for info in made)
    assert sum(llm.paid().values()) == 2


async def test_a_failure_that_may_pass_is_tried_again_by_the_mesh(llm: StandIn) -> None:
    llm.script(
        Rule("legs: found", status=429, retry_after="1", times=1), Rule("legs: found", status=503, times=1), *TOOL
    )
    assert (await run(durable(worker())))["raw"] == "six"
    second, third = llm.requests("legs: found")[:2]
    assert third.began - second.ended > 0.9
    assert len(llm.requests("do it")) == 1 and sum(llm.paid().values()) == 2


async def test_a_failure_for_good_ends_the_task_at_once_and_has_no_key(llm: StandIn) -> None:
    llm.script(TOOL[0], Rule("legs: found", status=401, message=f"Incorrect API key: {KEY}"))
    error = await failure(durable(worker(), own=CallOptions(retry=SOON)))
    assert "KeyRefused" in str(error) and KEY not in repr(error.failure)
    assert len(llm.requests("do it")) == len(llm.requests("legs: found")) == 1


async def test_the_next_attempt_pays_only_the_call_that_failed(llm: StandIn) -> None:
    llm.script(TOOL[0], Rule("legs: found", status=500, times=1), TOOL[1])
    assert (await run(durable(worker(), CallOptions(retry=ONCE), CallOptions(retry=SOON))))["raw"] == "six"
    assert llm.asked()["do it"] == 0 and len(llm.requests("do it")) == 1
    assert len(llm.requests("legs: found")) == 2 and sum(llm.paid().values()) == 2


async def test_an_attempt_that_failed_by_itself_is_not_repeated_word_by_word(llm: StandIn) -> None:
    llm.script(Rule("do it", reply="bad", times=1), Rule("do it", reply="good"))
    good = lambda output: (output.raw == "good", output.raw)  # noqa: E731  # CrewAI reads annotations of a function
    crew = durable(worker(tools=[]), own=CallOptions(retry=SOON), guardrail=good, guardrail_max_retries=0)
    assert (await run(crew))["raw"] == "good"
    assert sum(llm.paid().values()) == 2


class Count(BaseModel):
    """How many there are."""

    legs: int

    @field_validator("legs")
    @classmethod
    def even(cls, legs: int) -> int:
        assert legs % 2 == 0, "an odd number of legs"
        return legs


async def test_structured_output_is_checked_where_the_class_is(llm: StandIn) -> None:
    llm.script(Rule("do it", json={"legs": 5}, times=1), Rule("", json={"legs": 6}))
    result = await run(durable(worker(tools=[]), output_pydantic=Count))
    assert result["pydantic"] == {"legs": 6}
    formats = [one.body["response_format"]["json_schema"] for one in llm.requests() if "response_format" in one.body]
    assert formats and all(one["name"] == "Count" for one in formats)
    assert formats[0]["schema"]["properties"]["legs"]["type"] == "integer"


async def test_stop_words_streams_and_hooks(llm: StandIn) -> None:
    llm.script(TOOL[0], Rule("legs: found", reply="six END seven"))
    seen: list[int] = []

    def hook(context: Any) -> None:
        seen.append(len(context.messages))

    register_before_llm_call_hook(hook)
    try:
        result = await run(durable(worker(llm=LLM(MODEL, stream=True, stop=["END"], temperature=0.5))))
    finally:
        unregister_before_llm_call_hook(hook)
    assert result["raw"] == "six" and result["token_usage"]["successful_requests"] == 2
    assert all(one.stream and one.body["temperature"] == 0.5 for one in llm.requests())
    assert seen == [2, 4]  # once for each call


async def test_a_person_reviews_an_answer(llm: StandIn) -> None:
    from nervenet import Resolution

    llm.script(Rule("do it", reply="a long letter"), Rule("shorter", reply="a letter"))
    crew = durable(worker(tools=[]), human_input=True)
    workflow = crew.workflow()
    async with nervenet.dev.running(crew._mesh) as client:
        going = await client.start(workflow, {}, id="c")
        answers = ["shorter", ""]
        while answers:
            async for question in client.escalations():
                await client.resolve(question.id, Resolution.complete(answers.pop(0)))
        assert (await going.result())["raw"] == "a letter"
    assert sum(llm.paid().values()) == 2


async def test_without_a_node_at_the_address_the_failure_says_so(llm: StandIn) -> None:
    from nervenet.testing import AgentTest

    crew = durable(worker())
    attempt = await AgentTest().run(crew.agents["Worker"], {"task": "it", "inputs": {}, "context": ""})
    assert isinstance(attempt.error, AgentError) and attempt.error.retryable
    assert "could not be made a task of the mesh" in str(attempt.error) and not llm.requests()


async def test_a_cancelled_attempt_stops_waiting(llm: StandIn) -> None:
    llm.script(Rule("do it", hold_after=0, reply="late"))
    crew = durable(worker(), own=CallOptions(retry=ONCE, timeouts=nervenet.Timeouts(attempt=timedelta(seconds=2))))
    with pytest.raises(WorkflowFailed) as caught:
        await run(crew)
    assert "TIMEOUT" in repr(caught.value.failure) or isinstance(caught.value.__cause__, CallFailed)


# ── what travels ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tool_calls_become_objects_of_their_library_again() -> None:
    from openai.types.chat import ChatCompletionMessageToolCall

    call = ChatCompletionMessageToolCall.model_validate(
        {"id": "call_a", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    )
    answer = encode_answer([call])
    assert decode(answer["list"]) == [call] and type(decode(answer["list"])[0]) is type(call)
    assert decode({"$class": "os:system", "data": 1}) == {
        "$class": "os:system",
        "data": 1,
    }  # not a library of a provider


def test_what_cannot_travel_is_refused_with_its_path() -> None:
    with pytest.raises(
        AgentError, match=r"messages\.0\.files\.0 is a builtins\.object, which cannot travel.*model_calls"
    ) as caught:
        encode([{"role": "user", "content": "", "files": [object()]}], "messages")
    assert not caught.value.retryable


def test_a_class_from_a_schema_has_its_name_and_takes_any_object() -> None:
    made = schema_class(schema_of(Count))
    assert made.__name__ == "Count" and made.model_json_schema() == Count.model_json_schema()
    assert made.model_validate_json('{"legs": 5}').model_dump() == {"legs": 5}


def test_crewai_hears_that_a_conversation_is_too_long_as_before() -> None:
    raised = LLMContextLengthExceededError(f"maximum context length is 8 tokens, key {KEY}")
    ours = translated(raised, LLM(MODEL, api_key=KEY), datetime.now(UTC))
    assert isinstance(ours, ContextTooLong) and not ours.retryable and KEY not in str(ours)
    back = as_crewai_expects(CallFailed(Failure(FailureCode.APPLICATION, ours.message, ours.type)))
    assert isinstance(back, LLMContextLengthExceededError) and is_context_length_exceeded(back)


def test_ids_that_crewai_makes_of_addresses_are_the_same_in_every_attempt() -> None:
    def messages(id: str) -> list[dict[str, Any]]:
        return [
            {"role": "assistant", "content": None, "tool_calls": [{"id": id, "function": {"name": "f"}}]},
            {"role": "tool", "tool_call_id": id, "content": id},
        ]

    assert with_stable_ids(messages("call_140223344")) == with_stable_ids(messages("call_139887766"))
    assert with_stable_ids(messages("call_a1"))[1]["tool_call_id"] == "call_a1"


def test_refusals() -> None:
    def refused(match: str, make: Callable[[], object]) -> None:
        with pytest.raises(NotSupported, match=match) as caught:
            make()
        assert str(caught.value).startswith("test_model_calls.py:")

    chained = worker(llm=LLM(MODEL, api="responses", auto_chain=True))
    refused("auto_chain=True.*leave out auto_chain, or model_calls", lambda: durable(chained))
    one = worker()
    model = Agent(role="Model", goal="Work", backstory="A worker.", llm=MODEL)
    tasks = [Task(name=each.role, description="do", expected_output="Text.", agent=each) for each in (one, model)]
    refused(
        "'c-model', which is the agent with the role 'Model'",
        lambda: durable_crew(Mesh("m"), Crew(agents=[one, model], tasks=tasks), name="c", model_calls=True),
    )
    boss = Agent(role="Boss", goal="Lead", backstory="A boss.", llm=MODEL, tools=[look_up])
    led = Crew(agents=[one], tasks=tasks[:1], process=Process.hierarchical, manager_agent=boss)
    refused("manager_agent with tools", lambda: durable_crew(Mesh("m"), led, name="c"))
