# SPDX-License-Identifier: Apache-2.0
"""Every mistake in a workflow as data: its path and its words, as its author reads them."""

from __future__ import annotations

from typing import Any

import pytest

from nervenet.wire import declaration_from_json

CALL = {"capability": "extract"}


def flow(*steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": "flow", "version": 1, "steps": list(steps), **changes}


def problems(data: Any) -> list[str]:
    return [str(problem) for problem in declaration_from_json(data)[1]]


A, B = {"name": "a", "call": CALL}, {"name": "b", "call": CALL, "depends_on": ["a"]}

SOUND = [
    flow(A, B, output="[steps.a, steps.b]"),
    flow(B, A),
    flow({"name": "a", "call": {**CALL, "input": "item + index"}, "for_each": {"items": "input", "concurrency": 3}}),
    flow({"name": "a", "value": "input.list.map(item, item + 1).exists(error, error > 1)"}),
    flow({"name": "a", "call": CALL, "recover": "error.message + workflow.id"}),
    flow({"name": "a", "ask": {"question": "'Go?'", "choices": ["yes"], "deadline": "7d", "default_answer": "yes"}}),
    flow({"name": "a", "ask": {"question": "'Go?'", "answer_schema": {"type": "integer", "maximum": 9}}}),
    flow({"name": "ask", "ask": {"question": "'Go?'"}}),
    flow({"name": "a", "sleep": "1h30m"}, {"name": "b", "workflow": {"definition": "other", "input": "{}"}}),
    flow({"name": "a", "call": CALL, "retry": {"max_attempts": -1, "on_exhausted": "escalate"}}),
    flow(
        {"name": "a", "call": CALL, "retry": {"onExhausted": "ON_EXHAUSTED_ESCALATE"}, "timeouts": {"attempt": "90s"}}
    ),
    flow({"name": "a", "call": CALL, "selection": {"policy": "sticky", "sticky_key": "input.customer"}}),
    flow({"name": "a", "call": CALL, "selection": {"match_labels": {"model": "large"}}, "labels": {"team": "legal"}}),
]


@pytest.mark.parametrize("data", SOUND)
def test_nothing_is_wrong(data: dict[str, Any]) -> None:
    assert problems(data) == []


NAME = "is not a name: letters, digits, '_' and '-', a letter first, at most 63"

WRONG: list[tuple[Any, list[str]]] = [
    # names and numbers
    (flow(A, name="9 lives"), [f"name: '9 lives' {NAME}"]),
    (flow(A, version=0), ["version: 0: a whole number, at least 1"]),
    (flow(), ["steps: none: a workflow has at least one step"]),
    (flow(A, A), ["steps[1].name: 'a' is the name of steps[0] too"]),
    (
        flow({"name": "a-b", "value": "1"}),
        ["steps[0].name: 'a-b' is not a name: a letter, then letters, digits and '_', at most 63 (expressions say it)"],
    ),
    (flow({"name": "for", "value": "1"}), ["steps[0].name: 'for' is taken: expressions or the journal use the word"]),
    (flow({"name": "ask", "value": "1"}), ["steps[0].name: 'ask' is taken: expressions or the journal use the word"]),
    (flow({"name": "a"}), ["steps[0]: does nothing: give one of call, ask, workflow, value, sleep"]),
    (flow({"name": "a", "call": {"capability": "x y"}}), [f"steps[0].call.capability: 'x y' {NAME}"]),
    (flow({"name": "a", "workflow": {"definition": ""}}), [f"steps[0].workflow.definition: '' {NAME}"]),
    (flow(A, timeout="0s"), ["timeout: longer than zero, or left out"]),
    (flow({"name": "a", "sleep": "0s"}), ["steps[0].sleep: longer than zero"]),
    # options
    (
        flow({"name": "a", "call": CALL, "retry": {"max_attempts": -3}}),
        ["steps[0].retry.max_attempts: -3: a whole number, at least 1"],
    ),
    (
        flow(A, retry={"backoff_multiplier": 0.1}, timeouts={"attempt": "0s"}),
        ["retry.backoff_multiplier: 0.1: a number, at least 1", "timeouts.attempt: datetime.timedelta(0): longer than zero"],
    ),
    (
        flow({"name": "a", "call": CALL, "selection": {"policy": "sticky"}}),
        ['steps[0].selection.sticky_key: unset: policy "sticky" needs one, e.g. sticky_key=customer_id'],
    ),
    (flow({"name": "a", "value": "1", "retry": {}, "labels": {"k": "v"}}), ["steps[0].retry: only with call", "steps[0].labels: only with call"]),
    (
        flow({"name": "a", "value": "1", "for_each": {"items": "input"}}),
        [
            "steps[0].for_each: only with call, ask or workflow, not with value; an expression can map a list: "
            "items.map(x, …)"
        ],
    ),
    (
        flow({"name": "a", "call": CALL, "for_each": {"items": "input", "concurrency": 5000}}),
        ["steps[0].for_each.concurrency: 5000: from 1 to 1000"],
    ),
    (flow({"name": "a", "sleep": "1s", "recover": "1"}), ["steps[0].recover: only with call, ask or workflow: nothing else fails on its own"]),
    # questions
    (
        flow({"name": "a", "ask": {"question": "'?'", "choices": ["yes", "yes"], "answer_schema": {}}}),
        ["steps[0].ask.answer_schema: either choices or a schema of the answer", "steps[0].ask.choices: 'yes' is listed twice"],
    ),
    (
        flow({"name": "a", "ask": {"question": "'?'", "choices": ["yes"], "default_answer": "no"}}),
        [
            "steps[0].ask.default_answer: stands when the deadline passes: give a deadline too",
            "steps[0].ask.default_answer: 'no' is not one of the choices ['yes']",
        ],
    ),
    (
        flow({"name": "a", "ask": {"question": "'?'", "answer_schema": {"type": "int"}}}),
        ["steps[0].ask.answer_schema.type: no JSON Schema: 'int' is not valid under any of the given schemas"],
    ),
    (
        flow({"name": "a", "ask": {"question": "'?'", "answer_schema": {"type": "integer"}, "deadline": "1d", "default_answer": "x"}}),
        ["steps[0].ask.default_answer: does not fit the schema: 'x' is not of type 'integer'"],
    ),
    # what depends on what
    (
        flow({"name": "extract", "call": CALL}, {"name": "b", "value": "1", "depends_on": ["extrct"]}),
        ["steps[1].depends_on[0]: no step 'extrct'; did you mean 'extract'?"],
    ),
    (flow({"name": "a", "value": "1", "depends_on": ["a"]}), ["steps[0].depends_on[0]: step 'a' depends on itself"]),
    (flow(A, {"name": "b", "value": "1", "depends_on": ["a", "a"]}), ["steps[1].depends_on[1]: 'a' is listed twice"]),
    (
        flow(A, {**B, "depends_on": ["a", "d"]}, {**A, "name": "c", "depends_on": ["b"]}, {**A, "name": "d", "depends_on": ["c"]}),
        ["steps[1].depends_on[1]: a cycle: b → d → c → b"],
    ),
    # expressions
    (flow({"name": "a", "value": ""}), ["steps[0].value: an expression is needed"]),
    (
        flow({"name": "a", "call": {**CALL, "input": "{'doc': input.doc,,}"}}),
        ["steps[0].call.input: line 1, column 19: extraneous input ','"],
    ),
    (
        flow(A, {"name": "b", "call": {**CALL, "input": "[\n  steps.a\n]"}}),
        ["steps[1].call.input: line 2, column 3: 'steps.a' is not over when this step begins: add 'a' to depends_on"],
    ),
    (flow(A, B, output="steps.aa + step.b + 1"), [
        "output: line 1, column 1: no step 'aa'; did you mean 'a'?",
        "output: line 1, column 12: nothing is called 'step.b'; did you mean 'steps'?",
    ]),
    (flow(A, output="steps"), ["output: line 1, column 1: 'steps' alone is no value: steps.<name> is that of a step"]),
    (flow({**A, "condition": "1 + 1"}), ["steps[0].condition: gives an int, true or false is needed"]),
    (flow({**A, "condition": "item"}), ["steps[0].condition: line 1, column 1: 'item' is known only in what for_each repeats"]),
    (flow({**A, "publish": "error.code"}), ["steps[0].publish: line 1, column 1: 'error' is known in recover only"]),
    (flow({**A, "for_each": {"items": "'abc'"}}), ["steps[0].for_each.items: gives a text, a list is needed"]),
    (flow({"name": "a", "ask": {"question": "42"}}), ["steps[0].ask.question: gives an int, a text is needed"]),
    (flow({"name": "a", "value": "'a' + 1"}), ["steps[0].value: line 1, column 5: found no matching overload for '_+_' applied to '(string, int)'"]),
    # the form
    ([], [": this is a list, an object (names and values) is needed"]),
    (flow(A, stepz=1), ["stepz: no field 'stepz'; did you mean 'steps'?"]),
    (flow({**A, "depend_on": []}), ["steps[0].depend_on: no field 'depend_on'; did you mean 'depends_on'?"]),
    (flow(A, version="1"), ["version: this is '1', a whole number is needed"]),
    (flow(A, version=True), ["version: this is true, a whole number is needed"]),
    (flow(A, version=1 << 40), ["version: 1099511627776 is too large"]),
    (flow({**A, "labels": {"k": 3}}), ["steps[0].labels.k: this is 3, a text is needed; put it in quotes"]),
    (
        flow({"name": "a", "call": {**CALL, "input": {"text": "input.text"}}}),
        [
            "steps[0].call.input: this is an object, a text is needed; in YAML, quote a text with braces or brackets, "
            "or write it as a block below |"
        ],
    ),
    (flow({**A, "depends_on": "a"}), ["steps[0].depends_on: this is 'a', a list is needed"]),
    (
        flow({**A, "timeouts": {"attempt": "5 minutes"}}),
        ["steps[0].timeouts.attempt: this is '5 minutes', a duration, e.g. \"30s\", \"5m\", \"7d\", is needed"],
    ),
    (
        flow({**A, "retry": {"on_exhausted": "ask"}}),
        ["steps[0].retry.on_exhausted: this is 'ask', one of fail, escalate is needed"],
    ),
    (flow({**A, "value": "1"}), ["steps[0].value: call is given too: one of them"]),
    (flow(A, depends_on=[], dependsOn=[]), ["depends_on: no field 'depends_on'; there are name, version, description, steps, output, retry, timeouts, timeout, create_time, retention", "dependsOn: no field 'dependsOn'; there are name, version, description, steps, output, retry, timeouts, timeout, create_time, retention"]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "said"), WRONG, ids=[said[0][:60] for _, said in WRONG])
def test_what_is_wrong_is_said_with_its_path(data: Any, said: list[str]) -> None:
    assert problems(data) == said


def test_all_problems_are_told_at_once() -> None:
    """What cannot be read, numbers, options, names, references, a cycle, schemas and expressions: none hides another."""
    wrong = flow(
        {"name": "extract", "call": {"capability": "x y", "input": "input.lis["}, "labels": {"k": 7}},
        {"name": "b", "depends_on": ["extrct"], "value": "steps.extract + steps.extrakt"},
        {"name": "c", "depends_on": ["d"], "call": {"capability": "k", "input": "nonsense"}, "bogus": 1},
        {
            "name": "d",
            "depends_on": ["c"],
            "ask": {"question": "'?'", "answer_schema": {"type": "int", "required": "n"}},
        },
        {"name": "f", "sleep": 7},
        version=0,
        retry={"max_attempts": -3, "backoff_multiplier": 0.1, "initial_interval": "soon"},
        output="steps.g",
    )
    assert [problem.path for problem in declaration_from_json(wrong)[1]] == [
        "steps[0].labels.k",
        "steps[2].bogus",
        "steps[4].sleep",
        "retry.initial_interval",
        "retry.max_attempts",
        "retry.backoff_multiplier",
        "version",
        "steps[0].call.capability",
        "steps[3].ask.answer_schema.required",
        "steps[3].ask.answer_schema.type",
        "steps[1].depends_on[0]",
        "steps[2].depends_on[0]",
        "steps[0].call.input",
        "steps[1].value",
        "steps[2].call.input",
        "output",
    ]


@pytest.mark.parametrize(
    ("data", "only"),
    [
        (flow({"name": "a", "cal": CALL}), ["steps[0].cal"]),
        (flow({"name": 7, "value": "1"}, {"name": "b", "value": "1", "depends_on": ["a"]}), ["steps[0].name"]),
        (flow(A, {"name": "b", "depends_on": [7], "value": "steps.a"}), ["steps[1].depends_on[0]"]),
        ({"nmae": "flow", "version": 1, "steps": [A]}, ["nmae"]),
        (flow(steps=7), ["steps"]),
        (7, [""]),
    ],
)
def test_what_only_follows_from_what_cannot_be_read_is_not_told(data: Any, only: list[str]) -> None:
    assert [problem.path for problem in declaration_from_json(data)[1]] == only
