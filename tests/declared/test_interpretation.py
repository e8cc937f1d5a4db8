# SPDX-License-Identifier: Apache-2.0
"""Workflows as data in the machine: what they ask for and when. After each entry the machine is dropped and made anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from nervenet import Agent, AgentError, Workflow, WorkflowFailed
from nervenet.durable import Dispatch, Machine
from nervenet.durable.check import blocked_text, rebuild
from nervenet.records import Entry, Payload, Start
from nervenet.testing import Run, WorkflowTest, declared
from tests.support.transcript import transcript

x = Agent.remote("x", Any, Any)
y = Agent.remote("y", Any, Any)


def flow(*steps: dict[str, Any], **more: Any) -> Workflow[Any, Any]:
    return declared({"name": "flow", "version": 1, "steps": list(steps), **more})


def call(name: str, capability: str = "x", input: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "call": {"capability": capability, "input": input}, **more}


@pytest.fixture
def t() -> WorkflowTest:
    return WorkflowTest(seed=5)


def test_steps_begin_when_what_they_depend_on_is_over_and_not_before(t: WorkflowTest) -> None:
    diamond = flow(
        call("join", "x", "[steps.left, steps.right]", depends_on=["left", "right"]),
        call("left", "x", "steps.first + 1", depends_on=["first"]),
        call("right", "y", "steps.first * 10", depends_on=["first"]),
        call("first", "x", "input"),
        output="steps.join",
    )
    t.stub(x, lambda value: value, takes=timedelta(seconds=3))
    t.stub(y, lambda value: value, takes=timedelta(seconds=1))
    run = t.run(diamond, 2)
    assert run.result == [3, 20]
    assert run.journal.names == ["start", "task:first", "task:right", "task:left", "task:join", "close"]
    assert run.elapsed == timedelta(seconds=9)


def test_what_no_condition_lets_in_is_null_and_what_depends_on_it_goes_on(t: WorkflowTest) -> None:
    review = flow(
        call("check", input="input"),
        {
            "name": "say",
            "depends_on": ["check"],
            "condition": "steps.check != 'fine'",
            "ask": {"question": "'Accept ' + steps.check + '?'", "choices": ["yes", "no"], "context": "input"},
        },
        {"name": "end", "depends_on": ["say"], "value": "steps.say == null ? 'fine' : steps.say.value"},
        output="steps.end",
    )
    t.stub(x, lambda value: value)
    t.answer("Accept odd?", "no")
    assert t.run(review, "fine").journal.names == ["start", "task:check", "close"]
    run = t.run(review, "odd")
    assert run.result == "no"
    assert run.journal.names == ["start", "task:check", "escalated:say#1", "decided:say#1", "task:say", "close"]


def test_for_each_keeps_its_limit_and_the_order_of_the_list(t: WorkflowTest) -> None:
    many = flow(
        call("one", input="{'page': item, 'at': index}", for_each={"items": "input", "concurrency": 2}),
        output="steps.one.map(p, p.page)",
    )
    t.stub(x, lambda value: value, takes=timedelta(seconds=1))
    run = t.run(many, list("abcde"))
    assert run.result == list("abcde")
    assert run.elapsed == timedelta(seconds=3)
    assert run.calls(x)[:2] == [{"at": 0, "page": "a"}, {"at": 1, "page": "b"}]
    assert t.run(many, []).result == []


def test_a_failure_ends_the_run_and_recover_stands_in_for_it(t: WorkflowTest) -> None:
    t.stub(x, lambda value: value)
    t.stub(y, AgentError("no such page", retryable=False, details={"page": 7}))
    plain = flow(call("a", "x"), call("b", "y"), call("c", "x", depends_on=["b"]))
    with pytest.raises(WorkflowFailed, match="no such page"):
        _ = t.run(plain, None).result
    kind = flow(
        call("b", "y", "item", for_each={"items": "[1, 2]"}, recover="{'bad': item, 'page': error.details.page}"),
        output="steps.b",
    )
    assert t.run(kind, None).result == [{"bad": 1, "page": 7}, {"bad": 2, "page": 7}]


def test_retries_and_timeouts_are_the_definitions_then_the_steps(t: WorkflowTest) -> None:
    patient = flow(
        call("a", retry={"max_attempts": 3}),
        retry={"max_attempts": 1, "initial_interval": "10s", "jitter": 0.01, "backoff_multiplier": 1.0},
        output="steps.a",
    )
    t.stub(x, [AgentError("busy"), AgentError("busy"), "done"])
    run = t.run(patient, None)
    assert run.result == "done" and abs(run.elapsed - timedelta(seconds=20)) < timedelta(seconds=1)
    assert run.journal.names == ["start", "attempt:a#1", "attempt:a#2", "task:a", "close"]


def test_a_question_that_nobody_answers_takes_its_default_or_fails(t: WorkflowTest) -> None:
    ask = {"question": "'Still there?'", "choices": ["yes", "no"], "deadline": "7d"}
    silent = flow({"name": "q", "ask": {**ask, "default_answer": "no"}}, output="steps.q")
    run = t.run(silent, None)
    assert run.result == {"value": "no", "resolver": "deadline", "comment": "", "expired": True}
    assert run.elapsed == timedelta(days=7)
    with pytest.raises(WorkflowFailed, match="nobody answered in time: Still"):
        _ = t.run(flow({"name": "q", "ask": ask}), None).result
    soft = flow({"name": "q", "ask": ask, "recover": "error.code"}, output="steps.q")
    assert t.run(soft, None).result == "TIMEOUT"


def test_children_sleep_and_views(t: WorkflowTest) -> None:
    child = Workflow.remote("audit", Any, Any)
    whole = flow(
        {"name": "nap", "sleep": "1h", "publish": "{'at': 'nap'}"},
        {
            "name": "each",
            "depends_on": ["nap"],
            "for_each": {"items": "input"},
            "workflow": {"definition": "audit", "input": "{'name': item}"},
            "publish": "{'at': 'each', 'of': workflow.id}",
        },
        output="steps.each",
    )
    t.stub(child, lambda value: value["name"].upper())
    run = t.run(whole, ["a", "b"])
    assert run.result == ["A", "B"] and run.elapsed == timedelta(hours=1)
    assert run.view == {"at": "each", "of": "flow-test-5"}
    assert run.journal.names == ["start", "timer:1", "child:each", "task:each", "child:each.2", "task:each.2", "close"]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (call("a", input="input.doc.text"), 'steps[0].call.input: Key not found in the map: "doc"'),
        (call("a", condition="input.name"), 'steps[0].condition: gives "ada", true or false is needed'),
        (call("a", for_each={"items": "input"}), 'steps[0].for_each.items: gives {"name": "ada"}, a list is needed'),
        ({"name": "a", "ask": {"question": "input"}}, 'steps[0].ask.question: gives {"name": "ada"}, a text is needed'),
    ],
)
def test_an_expression_that_fails_on_values_fails_the_run_with_its_path(
    t: WorkflowTest, step: dict[str, Any], words: str
) -> None:
    t.stub(x, lambda value: value)
    run = t.run(flow(step), {"name": "ada"})
    with pytest.raises(WorkflowFailed) as failed:
        _ = run.result
    assert (failed.value.failure.type, failed.value.failure.message) == ("ExpressionFailed", words)
    assert failed.value.failure.stack_trace == ""


def test_integers_of_any_size_and_odd_values_survive(t: WorkflowTest) -> None:
    t.stub(x, lambda value: value)
    same = flow(call("a", input="input"), output="steps.a")
    for value in (2**53 + 1, 10**30, None, "", [], {"ü": [None, True, 1.5]}):
        assert t.run(same, value).result == value


def test_options_of_definition_and_step_reach_the_dispatch() -> None:
    whole = flow(
        call(
            "a",
            for_each={"items": "input"},
            selection={"policy": "sticky", "match_labels": {"model": "large"}, "sticky_key": "'customer-' + item"},
            timeouts={"attempt": "5s"},
            retry={"on_exhausted": "escalate"},
            labels={"team": "legal"},
        ),
        timeouts={"attempt": "1h", "total": "2h"},
        retry={"max_attempts": 7},
    )
    machine = Machine(whole, "w-1")
    start = Start("flow", 1, "declared-1", Payload("json", b'["x","y"]'), bytes(16))
    first, second = machine.apply(Entry("start", start, 1, 1_000))
    assert isinstance(first, Dispatch) and isinstance(second, Dispatch)
    assert (first.step, second.step) == ("a", "a.2")
    options = first.options
    assert (options.policy, options.sticky_key, dict(options.match)) == ("sticky", "customer-x", {"model": "large"})
    assert second.options.sticky_key == "customer-y"
    assert (options.attempt_ms, options.total_ms, options.max_attempts, options.escalate) == (5_000, 7_200_000, 7, True)
    assert dict(options.labels) == {"team": "legal"}


def run_of(t: WorkflowTest, *names: str) -> tuple[Workflow[Any, Any], Run[Any]]:
    t.stub(x, lambda value: value)
    whole = flow(*(call(name, input=f"'{name}'") for name in names))
    return whole, t.run(whole, None)


def test_other_content_is_blocked_with_the_step_that_differs(t: WorkflowTest) -> None:
    _, run = run_of(t, "a", "b")
    other = flow(call("a", input="'a'"), call("c", input="'b'"))
    machine = rebuild(other, run.journal.workflow_id, 1, run.journal.entries)
    assert machine.blocked is not None
    assert (machine.blocked.expected, machine.blocked.found) == ("task:b", "task:c")
    assert machine.blocked.where == "steps[1] 'c'"
    assert "(flow v1, steps[1] 'c')" in blocked_text(machine, machine.blocked)


def test_the_same_journal_gives_the_same_commands_each_time(t: WorkflowTest) -> None:
    whole, run = run_of(t, "a", "b", "c")
    first = transcript(whole, run.journal.workflow_id, run.journal.entries)
    assert first == transcript(whole, run.journal.workflow_id, run.journal.entries)
    assert run.journal.entries[0].body.runtime == "declared-1"  # type: ignore[union-attr]


def test_a_cancel_reaches_every_step(t: WorkflowTest) -> None:
    t.stub(x, lambda value: value, takes=timedelta(days=1))
    t.after(timedelta(hours=1)).cancel()
    run = t.run(flow(call("a", for_each={"items": "[1, 2, 3]"}), call("b")), None)
    assert run.state == "CANCELED" and run.elapsed == timedelta(hours=1)
