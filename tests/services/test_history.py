# SPDX-License-Identifier: Apache-2.0
"""What a step's time went into, by its journal alone; and how long it takes to tell thousands of steps."""

from __future__ import annotations

import time

import pytest

from nervenet.cli.render import timeline
from nervenet.cli.render.text import View
from nervenet.node.services.history import History, Span
from nervenet.node.services.step_messages import tell_task
from nervenet.records import (
    Action,
    Attempt,
    Body,
    ChildStarted,
    Decided,
    Entry,
    Escalated,
    Failure,
    FailureCode,
    Outcome,
    Payload,
    Question,
    Start,
)
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import task_pb2, workflow_pb2
from nervenet.wire import decode_entry, encode_entry

T = 1_700_000_000_000
VALUE = Payload("json", b"1")
BAD = Failure(FailureCode.APPLICATION, "429", "RateLimited")


def history(*entries: tuple[str, int, Body]) -> History:
    return History(Entry(name, body, n, T + at) for n, (name, at, body) in enumerate(entries, 1))


def outcome(sent: int, began: int, ended: int) -> Outcome:
    return Outcome(VALUE, None, "fetch", b"", 1, "a-1", T + began, T + ended, scheduled_ms=T + sent)


def attempt(sent: int, began: int, ended: int, question: Question | None = None) -> Attempt:
    failure = None if question is not None else BAD
    times = {"started_ms": T + began, "ended_ms": T + ended, "scheduled_ms": T + sent}
    return Attempt(failure, question, "fetch", b"", "a-1", **times)  # type: ignore[arg-type]


def spans(found: History, step: str) -> list[tuple[str, int, int]]:
    return [(phase, start - T, end - T) for phase, start, end in found.steps[step].spans]


def test_a_step_waits_in_a_queue_runs_fails_waits_and_runs_again() -> None:
    found = history(("attempt:fetch#1", 30, attempt(0, 10, 30)), ("task:fetch", 100, outcome(80, 85, 100)))
    assert spans(found, "fetch") == [
        ("QUEUED", 0, 10),
        ("RUNNING", 10, 30),
        ("RETRY", 30, 80),
        ("QUEUED", 80, 85),
        ("RUNNING", 85, 100),
    ]


def test_an_attempt_that_nobody_claimed_was_queued_to_its_end() -> None:
    lost = Attempt(BAD, None, "fetch", scheduled_ms=T)
    assert spans(history(("attempt:fetch#1", 50, lost)), "fetch") == [("QUEUED", 0, 50)]


def test_a_question_of_the_code_is_human_time_alone() -> None:
    question = Question("Send it?", "workflow", ("yes",))
    found = history(
        ("escalated:ask#1", 5, Escalated(question)),
        ("decided:ask#1", 65, Decided(Action.COMPLETE, VALUE, resolver="ana")),
        ("task:ask", 65, Outcome(VALUE, None)),
    )
    assert spans(found, "ask") == [("HUMAN", 5, 65)]


def test_an_agent_that_asks_and_is_tried_again() -> None:
    question = Question("Sure?", "agent")
    found = history(
        ("attempt:fetch#1", 20, attempt(0, 0, 20, question)),
        ("escalated:fetch#1", 21, Escalated(question)),
        ("decided:fetch#1", 61, Decided(Action.RETRY, attempts=1)),
        ("task:fetch", 90, outcome(61, 70, 90)),
    )
    assert spans(found, "fetch") == [("RUNNING", 0, 20), ("HUMAN", 21, 61), ("QUEUED", 61, 70), ("RUNNING", 70, 90)]


def test_an_agent_whose_clock_is_ahead_gives_no_time_twice() -> None:
    found = history(("attempt:fetch#1", 30, attempt(0, 10, 40)), ("task:fetch", 50, outcome(35, 38, 50)))
    assert spans(found, "fetch") == [("QUEUED", 0, 10), ("RUNNING", 10, 40), ("RUNNING", 40, 50)]


def test_a_child_runs_from_its_start_to_its_end() -> None:
    child = ChildStarted("w/audit", "audit")
    running = history(("child:audit", 5, child))
    assert (running.steps["audit"].state, running.steps["audit"].child) == ("RUNNING", "w/audit")
    over = history(("child:audit", 5, child), ("task:audit", 45, Outcome(VALUE, None, "audit")))
    assert spans(over, "audit") == [("RUNNING", 5, 45)] and over.steps["audit"].state == "SUCCEEDED"
    refused = history(("child:audit", 5, ChildStarted("w/audit", "audit", BAD)))
    assert refused.steps["audit"].state == "FAILED"


def test_the_sums_count_also_what_is_too_much_to_be_told_one_by_one() -> None:
    entries = [(f"attempt:fetch#{n}", 100 * n + 20, attempt(100 * n, 100 * n + 10, 100 * n + 20)) for n in range(1, 31)]
    step = history(*entries).steps["fetch"]
    told = task_pb2.Task()
    tell_task(told, "w", 1, step, pb.GetWorkflowRequest(), lambda size: True)
    assert len(step.spans) == 89 and len(told.spans) == 24
    assert told.run_duration.ToMilliseconds() == told.queued_duration.ToMilliseconds() == 300
    assert told.retry_duration.ToMilliseconds() == 29 * 80


@pytest.mark.parametrize("number", [5_000])
def test_thousands_of_steps_are_told_and_drawn_within_a_second(number: int) -> None:
    """Of processor time, for all that `nervenet show` needs beside the processes: about a third of a second is usual."""
    start = encode_entry(Start("fan", 1, "3.11", Payload("json", b"5000"), b"0" * 16), "n-1")
    raw = [("start", start, 1, T)]
    for n in range(number):
        data = encode_entry(outcome(n, n + 5, n + 60), "a-1")
        raw.append((f"task:fetch.{n + 2}", data, n + 2, T + n + 60))
    began = time.process_time()
    found = History(decode_entry(*each) for each in raw)
    workflow = workflow_pb2.Workflow(workflow_id="w", state=workflow_pb2.WORKFLOW_STATE_SUCCEEDED)
    for step in found.steps.values():
        tell_task(workflow.tasks.add(), "w", 1, step, pb.GetWorkflowRequest(), lambda size: True)
    sent = workflow_pb2.Workflow.FromString(workflow.SerializeToString())
    sent.start_time.FromMilliseconds(T)
    lines = timeline.shown(sent, View(True, 100, T + 60_000))
    assert time.process_time() - began < 1
    assert "fetch ×5000: 5000 ✓" in lines[1].plain and sent.tasks[-1].spans[-1].phase == 2
    assert found.steps["fetch.5001"].spans[-1] == Span("RUNNING", T + 5_004, T + 5_059)
