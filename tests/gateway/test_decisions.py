# SPDX-License-Identifier: Apache-2.0
"""What the gateway decides without doing it: addresses, outcomes, seats, limits."""

from __future__ import annotations

from typing import Any

import pytest

from nervenet.node.gateway.agent_monitor import overdue
from nervenet.node.gateway.connected_agent import ConnectedAgent, GatewayTask, Outbox, Stage
from nervenet.node.gateway.hello import address_of
from nervenet.node.gateway.membership import is_news, load_json
from nervenet.node.gateway.outcome import outcome_of, same_result, stop_outcome
from nervenet.node.gateway.task_reader import QueueAssignment
from nervenet.records import Attempt, Failure, FailureCode, Outcome, Payload
from nervenet.registry.codec import decode_load
from nervenet.streams.queues import QueueRequirement, parse_requirement
from nervenet.streams.tasks.attempt import StopReason
from nervenet.streams.tasks.claims import ClaimRenewer
from nervenet.timing import GATEWAY_RENEW_EVERY
from nervenet.v1 import agent_pb2, common_pb2, task_pb2
from nervenet.wire import decode_entry

LIMIT = 1_000


def task(**more: Any) -> task_pb2.TaskEnvelope:
    given = {"task_id": "w/work", "workflow_id": "w", "step": "work", "run": 1, "attempt": 2, "capability": "work"}
    return task_pb2.TaskEnvelope(**(given | {"input_digest": b"digest", "enqueue_time": {"seconds": 7}} | more))


def agent(name: str, credit: int, taken: int = 0, **capability: Any) -> ConnectedAgent:
    able = agent_pb2.Capability(name="work", **capability)
    found = ConnectedAgent(name, 1, agent_pb2.AgentRecord(name=name, capabilities=[able], labels={"zone": "a"}), credit)
    found.outbox = Outbox()
    for n in range(taken):
        found.take(GatewayTask(task(task_id=f"{name}/{n}"), found))
    return found


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("w/work", ("w", 1, "work")),
        ("a/b/work.2", ("a/b", 1, "work.2")),
        ("w~3/work", ("w", 3, "work")),
        ("a/b~12/work", ("a/b", 12, "work")),
    ],
)
def test_a_task_id_names_workflow_run_and_step(text: str, address: tuple[str, int, str]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "work", "/work", "w/", "w~/work", "w~x/work", " w/work"])
def test_what_is_no_task_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"task id|workflow id"):
        address_of(text)


def said(outcome: dict[str, Any], stop: StopReason | None = None) -> Any:
    """The entry that such a result comes to, read back."""
    about = GatewayTask(task(), agent("go-abcdefgh", 1))
    about.started_ms = 5_000
    verdict = outcome_of(about, task_pb2.TaskResult(attempt=2, **outcome), stop, LIMIT, 9_000)
    if verdict is None:
        return None
    assert same_result(verdict.entry, "go-abcdefgh", 2) and not same_result(verdict.entry, "go-zzzzzzzz", 2)
    entry = decode_entry(verdict.name, verdict.entry, 1, 1)
    assert entry.actor == "go-abcdefgh" and entry.name == verdict.name
    return entry


def test_a_value_is_the_outcome_of_its_step_with_all_that_the_envelope_knows() -> None:
    entry = said({"output": {"value": {"number_value": 1}}, "usage": [{"model": "m", "input_tokens": 3}]})
    body = entry.body
    assert isinstance(body, Outcome) and entry.name == "task:work"
    assert body.output == Payload("json", b"1"), "what people write is stored as JSON"
    assert (body.capability, body.digest, body.attempt, body.agent_id) == ("work", b"digest", 2, "go-abcdefgh")
    assert (body.started_ms, body.ended_ms, body.scheduled_ms, body.usage[0].input_tokens) == (5_000, 9_000, 7_000, 3)


@pytest.mark.parametrize(
    ("outcome", "code", "kind", "retryable"),
    [
        ({"failure": {"message": "no"}}, FailureCode.APPLICATION, "", None),
        ({"failure": {"message": "no", "type": "Mine", "retryable": False}}, FailureCode.APPLICATION, "Mine", False),
        ({"failure": {"code": common_pb2.FAILURE_CODE_RATE_LIMITED}}, FailureCode.RATE_LIMITED, "", None),
        ({"output": {"json": "{"}}, FailureCode.APPLICATION, "InvalidResult", False),
        ({"output": {"json": '"' + "x" * LIMIT + '"'}}, FailureCode.PAYLOAD_TOO_LARGE, "PayloadTooLarge", False),
        ({}, FailureCode.APPLICATION, "InvalidResult", False),
        ({"question": {}}, FailureCode.APPLICATION, "InvalidResult", False),
        ({"question": {"text": "?", "answer_schema": "{"}}, FailureCode.APPLICATION, "InvalidResult", False),
        ({"question": {"text": "?", "answer_schema": '{"type": 7}'}}, FailureCode.APPLICATION, "InvalidResult", False),
        ({"failure": {"code": 99, "message": "of a newer version"}}, FailureCode.APPLICATION, "", None),
        ({"failure": {"retry_after": {"seconds": -1 << 63}}}, FailureCode.APPLICATION, "", None),
    ],
)
def test_everything_else_is_a_failed_attempt(
    outcome: Any, code: FailureCode, kind: str, retryable: bool | None
) -> None:
    entry = said(outcome)
    assert isinstance(entry.body, Attempt) and entry.name == "attempt:work#2"
    failure = entry.body.failure
    assert isinstance(failure, Failure)
    assert (failure.code, failure.type, failure.retryable) == (code, kind, retryable)
    assert (failure.attempt, failure.agent_id) == (2, "go-abcdefgh")


def test_a_question_whose_schema_is_none_says_what_is_wrong_with_it() -> None:
    failure = said({"question": {"text": "?", "answer_schema": '{"type": "strnig"}'}}).body.failure
    assert failure.message == (
        "work: answer_schema of the question is no JSON Schema: type: 'strnig' is not valid under any of the given schemas"
    )


def test_details_above_the_limit_are_left_out() -> None:
    failure = said({"failure": {"message": "no", "details": {"text": "x" * 2_000}}}).body.failure
    assert failure.details is None and "left out" in failure.message


def test_a_question_is_the_agents_own() -> None:
    question = said({"question": {"text": "really?", "choices": ["yes"], "context": {"json": "[1]"}}}).body.question
    assert (question.text, question.source, question.choices) == ("really?", "agent", ("yes",))


@pytest.mark.parametrize("stop", list(StopReason))
def test_a_good_value_counts_however_late_it_is(stop: StopReason) -> None:
    assert isinstance(said({"output": {"json": "1"}}, stop).body, Outcome)


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        (StopReason.GONE, None),
        (StopReason.TIMEOUT, FailureCode.TIMEOUT),
        (StopReason.SILENT, FailureCode.TIMEOUT),
        (StopReason.DRAINED, FailureCode.AGENT_DRAINED),
        (StopReason.LEFT, FailureCode.AGENT_DRAINED),
    ],
)
def test_what_was_told_to_stop_ends_for_that_reason(stop: StopReason, code: FailureCode | None) -> None:
    told = said({"failure": {"message": "cancelled", "code": common_pb2.FAILURE_CODE_CANCELED}}, stop)
    alone = stop_outcome(GatewayTask(task(), agent("go-abcdefgh", 1)), stop, 2)
    if code is None:
        assert told is None and alone is None
    else:
        assert alone is not None
        assert told.body.failure.code == decode_entry(alone.name, alone.entry, 1, 1).body.failure.code == code  # type: ignore[union-attr]


def test_who_has_most_room_gets_the_next_task_of_a_queue() -> None:
    small, large, full = agent("small", 2), agent("large", 8, taken=2), agent("full", 1, taken=1)
    assignment = QueueAssignment([small, large, full], "work")
    assert assignment.room == 2 + 6
    given = [assignment.assign(task()) for _ in range(9)]
    assert given[:2] == [small, large] and given[8] is None
    assert (given.count(small), given.count(large), given.count(full)) == (2, 6, 0)


def test_who_is_to_be_avoided_gets_it_only_when_nobody_else_is_there() -> None:
    bad, good = agent("bad", 4), agent("good", 1)
    assignment = QueueAssignment([bad, good], "work")
    assert assignment.assign(task(avoid_agents=["bad"])) is good
    assert assignment.assign(task(avoid_agents=["bad"])) is bad


def requirement(text: bytes) -> QueueRequirement:
    found = parse_requirement(text)
    assert found is not None
    return found


def test_an_agent_serves_the_queues_that_it_meets() -> None:
    able = agent("able", 1, version="2", labels={"gpu": "yes"})
    assert able.meets("work", requirement(b""))
    assert able.meets("work", requirement(b'{"match":{"gpu":"yes","zone":"a"},"version":"2"}'))
    assert not able.meets("work", requirement(b'{"match":{"gpu":"no"},"version":null}'))
    assert not able.meets("work", requirement(b'{"match":{},"version":"3"}'))
    assert not able.meets("other", requirement(b""))


def test_limits_are_counted_from_the_beginning_and_from_the_last_sign_of_life() -> None:
    held = GatewayTask(task(timeouts={"attempt": {"seconds": 10}, "heartbeat": {"seconds": 3}}), agent("g", 1))
    held.begin(1, 100.0)
    assert overdue(held, 102.9) is None
    assert overdue(held, 103.0) is StopReason.SILENT
    held.beat = 109.0
    assert overdue(held, 109.9) is None
    assert overdue(held, 110.0) is StopReason.TIMEOUT
    held.stage = Stage.RECORDING
    assert overdue(held, 200.0) is None
    assert overdue(GatewayTask(task(), agent("g", 1)), 1e9) is None


def test_a_claim_is_renewed_in_time_and_a_checkpoint_kept_sooner() -> None:
    renewer: Any = ClaimRenewer(Any, float, GATEWAY_RENEW_EVERY, print)  # type: ignore[arg-type]
    is_due = renewer.is_due
    held = GatewayTask(task(), agent("g", 1))
    assert not is_due(held, 1e9), "nothing is claimed yet"
    held.begin(1, 100.0)
    assert not is_due(held, 100.7) and is_due(held, 100.8)
    held.renewed_at, held.saved_at, held.checkpoint_due = 100.5, 100.0, True
    assert is_due(held, 100.8)
    held.stop = StopReason.GONE
    assert not is_due(held, 200.0)


@pytest.mark.parametrize(
    ("now", "told", "age", "worth"),
    [
        ((0, 0, 20), None, 0.0, True),
        ((1, 0, 20), (0, 0, 20), 0.3, False),
        ((2, 0, 20), (0, 0, 20), 0.3, True),
        ((1, 0, 4), (0, 0, 4), 0.3, True),
        ((20, 0, 20), (19, 0, 20), 0.3, True),
        ((0, 0, 5), (0, 0, 4), 0.3, True),
        ((1, 0, 20), (0, 0, 20), 10.0, True),
    ],
)
def test_which_loads_are_news(now: Any, told: Any, age: float, worth: bool) -> None:
    assert is_news(now, told, age) is worth


def test_the_load_that_is_written_is_the_load_that_is_read() -> None:
    busy = agent("busy", 4, taken=3)
    busy.cpu, busy.average_ms, busy.error_rate = 0.5, 1_250.0, 0.25
    view = decode_load("busy", load_json(busy, 1_700_000_000_123))
    assert (view.active, view.slots, view.sample_ms, view.average_ms) == (3, 4, 1_700_000_000_123, 1_250)
    assert view.active_by_capability == {"work": 3} and view.error_rate == 0.25
