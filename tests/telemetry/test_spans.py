# SPDX-License-Identifier: Apache-2.0
"""Journal entries in, spans out: the story of a workflow as its trace tells it."""

from __future__ import annotations

from typing import Any

import pytest

from nervenet.node.workflows.tracing import Story, workflow_spans
from nervenet.records import (
    NOTHING,
    Attempt,
    Body,
    Cancel,
    Close,
    Entry,
    Failure,
    FailureCode,
    Outcome,
    Payload,
    Question,
    Start,
    State,
    Trace,
    Usage,
)
from nervenet.telemetry import Span, process_span_id, send_span_id, task_span_id

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = Trace(CALLER, "vendor=1", "")
OWN = bytes.fromhex("1112131415161718")
MS = 1_000_000
FINE = Payload("json", b"1")
BROKE = Failure(FailureCode.APPLICATION, "the model is asleep", "ModelAsleep")
LOST = Failure(FailureCode.AGENT_LOST, "its claim ran out", "AgentLost")


def start(trace: Trace = TRACE, span_id: bytes = OWN) -> Start:
    return Start("review", 1, "3.11", NOTHING, b"s" * 16, trace=trace, span_id=span_id)


def done(attempt: int = 1, began: int = 0, agent: str = "a-1", usage: tuple[Usage, ...] = ()) -> Outcome:
    return Outcome(FINE, None, "extract", b"", attempt, agent, began, 0, usage)


def broke(began: int, agent: str = "a-1", failure: Failure = BROKE) -> Attempt:
    return Attempt(failure, None, "extract", b"", agent, began)


def told(*facts: tuple[str, Body, int], sent: dict[tuple[str, int], int] | None = None) -> list[Span]:
    """The spans of a run with these entries; `sent`: when this node sent which attempt of which step."""
    story = Story()
    for (step, attempt), at_ms in (sent or {}).items():
        story.sent(step, attempt, step, at_ms)
    for n, (name, body, ms) in enumerate(facts, 1):
        story.add(Entry(name, body, n, ms))
    return list(workflow_spans("wf", 1, story, node_id="n-1"))


def named(spans: list[Span], name: str, **attributes: Any) -> Span:
    wanted = {key.replace("__", "."): value for key, value in attributes.items()}
    (found,) = (s for s in spans if s.name == name and wanted.items() <= s.attributes.items())
    return found


def test_a_plain_workflow_is_three_spans_a_task() -> None:
    spans = told(
        ("start", start(), 1000),
        ("task:extract", done(began=1004), 1010),
        ("close", Close(State.SUCCEEDED, FINE), 1011),
    )
    workflow, task, send = spans
    assert (workflow.name, workflow.kind, workflow.span_id) == ("invoke_workflow review", "internal", OWN)
    assert workflow.parent_id.hex() == CALLER[36:52], "below the call that started it"
    assert (workflow.start_ns, workflow.end_ns) == (1000 * MS, 1011 * MS + 999_999)
    assert (task.name, task.kind, task.parent_id) == ("invoke_agent extract", "client", OWN)
    assert task.span_id == task_span_id(TRACE, "wf/extract")
    assert (send.name, send.kind, send.parent_id) == ("send queue:extract", "producer", task.span_id)
    assert send.span_id == send_span_id(TRACE, "wf/extract", 1)
    assert (task.start_ns, task.end_ns) == (1000 * MS, 1010 * MS + 999_999), "sent when start was folded"
    assert (send.start_ns, send.end_ns) == (1000 * MS, 1004 * MS + 999_999), "until the agent had it"
    assert [span.error for span in spans] == [None, None, None]


def test_a_retried_error_is_not_the_operations_and_the_second_send_links_to_the_failed_handler() -> None:
    spans = told(
        ("start", start(), 1000),
        ("attempt:extract#1", broke(1002), 1005),
        ("task:extract", done(2, 1505, "a-2"), 1510),
        ("close", Close(State.SUCCEEDED, FINE), 1511),
        sent={("extract", 1): 1000, ("extract", 2): 1504},
    )
    first = named(spans, "send queue:extract", nervenet__task__attempt=1)
    second = named(spans, "send queue:extract", nervenet__task__attempt=2)
    assert first.attributes["nervenet.task.outcome"] == "APPLICATION"
    assert (first.links, first.error) == ((), None)
    assert second.links == (process_span_id(TRACE, "wf/extract", 1, "a-1"),)
    assert second.start_ns == 1504 * MS, "the owner remembers when the backoff was over"
    task = named(spans, "invoke_agent extract")
    assert (task.error, task.attributes["nervenet.task.attempt"]) == (None, 2)
    assert task.attributes["gen_ai.agent.id"] == "a-2"


def test_what_a_former_owner_sent_is_dated_by_the_journal() -> None:
    spans = told(
        ("start", start(), 1000),
        ("task:classify", Outcome(FINE, None, "classify", b"", 1, "a-1", 1002), 1010),
        ("task:extract", done(began=1012), 1020),
        ("close", Close(State.SUCCEEDED, FINE), 1021),
    )
    assert named(spans, "invoke_agent extract").start_ns == 1010 * MS, "the last entry before its handler began"


def test_a_lost_agent_exported_nothing_to_link_to() -> None:
    spans = told(
        ("start", start(), 1000),
        ("attempt:extract#1", broke(1002, failure=LOST), 7000),
        ("task:extract", done(2, 7001), 7010),
        ("close", Close(State.SUCCEEDED, FINE), 7011),
    )
    assert named(spans, "send queue:extract", nervenet__task__attempt=2).links == ()
    assert named(spans, "send queue:extract", nervenet__task__attempt=1).attributes["nervenet.task.outcome"] == (
        "AGENT_LOST"
    )


def test_a_task_that_failed_for_good_is_an_error_and_so_is_its_workflow() -> None:
    spans = told(
        ("start", start(), 1000),
        ("attempt:extract#1", broke(1002), 1005),
        ("task:extract", Outcome(None, BROKE, "extract", b"", 1, "a-1"), 1006),
        ("close", Close(State.FAILED, None, BROKE), 1007),
    )
    task, workflow = named(spans, "invoke_agent extract"), named(spans, "invoke_workflow review")
    assert (task.error, task.attributes["error.type"]) == ("the model is asleep", "ModelAsleep")
    assert (workflow.error, workflow.attributes["nervenet.workflow.state"]) == ("the model is asleep", "FAILED")
    assert len(spans) == 3, "the outcome repeats the attempt, it is no second one"


@pytest.mark.parametrize(
    ("close", "error"),
    [
        (Close(State.SUCCEEDED, FINE), None),
        (Close(State.CANCELED), None),
        (Close(State.TIMED_OUT), "TIMED_OUT"),
        (Close(State.FAILED, None, BROKE), "the model is asleep"),
    ],
    ids=lambda case: str(getattr(case, "state", "")),
)
def test_status_of_a_workflow(close: Close, error: str | None) -> None:
    (workflow,) = told(("start", start(), 1000), ("close", close, 1001))
    assert workflow.error == error


def test_a_cancelled_task_is_no_error() -> None:
    canceled = Failure(FailureCode.CANCELED, "the workflow gave it up", "Canceled")
    spans = told(
        ("start", start(), 1000),
        ("cancel", Cancel("enough"), 1003),
        ("task:extract", Outcome(None, canceled, "extract", b"", 1), 1004),
        ("close", Close(State.CANCELED), 1005),
    )
    assert named(spans, "invoke_agent extract").error is None
    assert named(spans, "send queue:extract").attributes["nervenet.task.outcome"] == "CANCELED"


def test_what_still_ran_at_the_close_is_told_as_abandoned() -> None:
    spans = told(
        ("start", start(), 1000),
        ("close", Close(State.SUCCEEDED, FINE), 1011),
        sent={("extract", 1): 1001},
    )
    task, send = named(spans, "invoke_agent extract"), named(spans, "send queue:extract")
    assert task.attributes["nervenet.task.outcome"] == send.attributes["nervenet.task.outcome"] == "ABANDONED"
    assert task.end_ns == 1011 * MS + 999_999


def test_an_attempt_that_asked_a_human_is_no_error_and_a_question_of_the_workflow_is_no_task() -> None:
    spans = told(
        ("start", start(), 1000),
        ("attempt:extract#1", Attempt(None, Question("BSD?", "agent"), "extract", b"", "a-1", 1002), 1005),
        ("task:extract", Outcome(FINE, None), 9000),
        ("task:ask", Outcome(FINE, None), 9500),
        ("close", Close(State.SUCCEEDED, FINE), 9501),
    )
    assert [span.name for span in spans] == ["invoke_workflow review", "invoke_agent extract", "send queue:extract"]
    assert spans[1].end_ns == 9000 * MS + 999_999, "the task lasts until the human has answered"
    assert spans[2].attributes["nervenet.task.outcome"] == "ASKED"


def test_tokens_of_all_attempts_stand_on_the_task() -> None:
    failed = Attempt(BROKE, None, "extract", b"", "a-1", 1002, 0, (Usage("large", 10, 1),))
    spans = told(
        ("start", start(), 1000),
        ("attempt:extract#1", failed, 1005),
        ("task:extract", done(2, 1506, usage=(Usage("large", 20, 5),)), 1510),
        ("close", Close(State.SUCCEEDED, FINE), 1511),
    )
    task = named(spans, "invoke_agent extract").attributes
    assert (task["gen_ai.usage.input_tokens"], task["gen_ai.usage.output_tokens"]) == (30, 6)
    assert task["gen_ai.response.model"] == "large"


def test_an_agents_clock_that_runs_ahead_makes_no_span_that_ends_before_it_begins() -> None:
    for began in (1, 999_999_999):
        spans = told(
            ("start", start(), 1000),
            ("task:extract", done(began=began), 1010),
            ("close", Close(State.SUCCEEDED, FINE), 1011),
            sent={("extract", 1): 1001},
        )
        assert all(span.start_ns <= span.end_ns for span in spans)
        assert all(span.start_ns >= 1000 * MS and span.end_ns <= 1012 * MS for span in spans)


def test_nothing_is_told_of_a_run_that_is_open_or_not_traced() -> None:
    assert told(("start", start(), 1000)) == []
    assert told(("start", start(span_id=b""), 1000), ("close", Close(State.SUCCEEDED), 1001)) == []
