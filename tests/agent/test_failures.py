# SPDX-License-Identifier: Apache-2.0
"""What handlers raise, and what becomes of input and results that do not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from nervenet.definitions import define_agent
from nervenet.errors import AgentError, Escalate
from nervenet.payloads import ANY
from nervenet.records import Failure, FailureCode
from tests.agent.world import World
from tests.support.waiting import until

calls: list[Any] = []


@dataclass
class Turn:
    role: str
    text: str


async def chat(turns: list[Turn]) -> str:
    calls.append(turns)
    return turns[-1].text


class CardDeclined(AgentError):
    pass


async def pay(how: str) -> str:
    if how == "declined":
        raise CardDeclined("no funds", retryable=False, details={"cents": 5})
    if how == "busy":
        raise AgentError("later", retry_after=timedelta(seconds=3))
    if how == "chain":
        try:
            raise CardDeclined("no funds", retryable=False)
        except CardDeclined as error:
            raise RuntimeError("payment") from error
    if how == "exit":
        raise SystemExit(3)
    if how == "large":
        return "x" * 3000
    if how == "wrong":
        return object()  # type: ignore[return-value]
    raise ValueError(f"never heard of {how}")


def pay_in_thread(how: str) -> str:
    raise KeyError(how)


@dataclass
class Licence:
    spdx: str


async def identify(text: str) -> Licence:
    raise Escalate(
        "Is this BSD?",
        suggestion=Licence("BSD-3-Clause"),
        context={"confidence": 0.41},
        choices=["BSD", "MIT"],
        deadline=timedelta(hours=1),
    )


async def failure_of(world: World, how: str) -> Failure:
    async with world.agent(define_agent(pay), payload_limit=2048) as agent:
        attempt = await world.owner.failed(await world.owner.ask(agent, "pay", how), "pay")
        assert attempt.failure is not None
        assert attempt.failure.agent_id == attempt.agent_id == agent.agent_id
        await until(lambda: agent.slots.taken == 0, "the slot is free")
        return attempt.failure


async def test_any_exception_is_a_failure_under_its_class_name_with_the_users_lines(world: World) -> None:
    failure = await failure_of(world, "gold")
    assert (failure.code, failure.type, failure.retryable) == (FailureCode.APPLICATION, "ValueError", None)
    assert failure.message == "never heard of gold"
    assert "test_failures.py" in failure.stack_trace
    assert "nervenet/agent" not in failure.stack_trace


async def test_agent_errors_keep_type_retryability_details_and_pause(world: World) -> None:
    failure = await failure_of(world, "declined")
    assert (failure.type, failure.retryable) == ("CardDeclined", False)
    assert failure.details is not None
    assert ANY.decode(failure.details) == {"cents": 5}
    assert (await failure_of(world, "busy")).retry_after_ms == 3000


async def test_the_chain_of_causes_travels_and_decides_about_retries(world: World) -> None:
    failure = await failure_of(world, "chain")
    assert (failure.type, failure.retryable) == ("RuntimeError", False)
    assert failure.cause is not None
    assert failure.cause.type == "CardDeclined"


async def test_a_handler_that_wants_to_exit_only_fails(world: World) -> None:
    assert (await failure_of(world, "exit")).type == "SystemExit"


async def test_results_that_are_too_large_or_of_a_wrong_type(world: World) -> None:
    large = await failure_of(world, "large")
    assert (large.code, large.retryable) == (FailureCode.PAYLOAD_TOO_LARGE, False)
    assert "pay: result is 2.9 KiB, limit 2 KiB" in large.message
    wrong = await failure_of(world, "wrong")
    assert (wrong.code, wrong.type, wrong.retryable) == (FailureCode.APPLICATION, "InvalidResult", False)


async def test_threads_fail_like_coroutines(world: World) -> None:
    async with world.agent(define_agent(pay_in_thread)) as agent:
        attempt = await world.owner.failed(await world.owner.ask(agent, "pay_in_thread", "x"), "pay_in_thread")
        assert attempt.failure is not None
        assert attempt.failure.type == "KeyError"


@pytest.mark.parametrize("turns", [[{"role": "user"}], "text", None])
async def test_input_that_does_not_fit_never_reaches_the_handler(world: World, turns: Any) -> None:
    calls.clear()
    async with world.agent(define_agent(chat)) as agent:
        attempt = await world.owner.failed(await world.owner.ask(agent, "chat", turns), "chat")
    assert attempt.failure is not None
    assert (attempt.failure.code, attempt.failure.retryable) == (FailureCode.INVALID_INPUT, False)
    assert attempt.failure.message.startswith("turns")
    assert calls == []


async def test_escalate_asks_a_human_instead_of_answering(world: World) -> None:
    async with world.agent(define_agent(identify)) as agent:
        attempt = await world.owner.failed(await world.owner.ask(agent, "identify", "…"), "identify")
    assert attempt.failure is None
    question = attempt.question
    assert question is not None
    assert (question.text, question.source, question.choices) == ("Is this BSD?", "agent", ("BSD", "MIT"))
    assert question.suggestion.data == b'{"spdx":"BSD-3-Clause"}'
    assert json.loads(question.schema)["properties"]["spdx"]["type"] == "string"
    assert question.deadline_ms is not None
