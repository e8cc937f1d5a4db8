# SPDX-License-Identifier: Apache-2.0
"""The checker can fail: each crime, committed on paper, is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nervenet.v1 import workflow_pb2
from tests.chaos.checker import Entry, Evidence, check
from tests.chaos.shapes import Case, cases, mixed

CASE = Case("w", "chain", {}, mixed(1))
KEY = "w/work"


def honest() -> Evidence:
    done, closed = workflow_pb2.JournalEntry(), workflow_pb2.JournalEntry()
    done.task.capability, done.task.output.json = "work", str(mixed(1))
    closed.close.state = workflow_pb2.WORKFLOW_STATE_SUCCEEDED
    closed.close.output.json = str(mixed(1))
    journal = [
        Entry(5, 1, "start", workflow_pb2.JournalEntry()),
        Entry(6, 2, "task:work", done),
        Entry(6, 3, "close", closed),
    ]
    head = {"run": "1", "state": "SUCCEEDED", "owner": "n", "closed": "6", "last": "6-3"}
    marks = {f"e:{entry.name}": f"{entry.ms}-{entry.n}" for entry in journal}
    return Evidence({"w": head | marks}, {"w": journal}, [(KEY, "w", mixed(1))], [(KEY, 1, 5)])


def lost(evidence: Evidence) -> Evidence:
    return evidence._replace(heads={}, journals={})


def never_ended(evidence: Evidence) -> Evidence:
    head = {name: value for name, value in evidence.heads["w"].items() if name != "closed"}
    return evidence._replace(heads={"w": head})


def recorded_twice(evidence: Evidence) -> Evidence:
    start, done, close = evidence.journals["w"]
    return evidence._replace(journals={"w": [start, done, done._replace(n=3), close._replace(n=4)]})


def hole(evidence: Evidence) -> Evidence:
    start, done, close = evidence.journals["w"]
    return evidence._replace(journals={"w": [start, done, close._replace(n=4)]})


def applied_twice(evidence: Evidence) -> Evidence:
    return evidence._replace(effects=evidence.effects * 2)


def never_done(evidence: Evidence) -> Evidence:
    return evidence._replace(effects=[])


def forgotten_mark(evidence: Evidence) -> Evidence:
    head = {name: value for name, value in evidence.heads["w"].items() if name != "e:task:work"}
    return evidence._replace(heads={"w": head})


def test_an_honest_run_is_clean() -> None:
    assert check(honest(), {"w": CASE}) == []


@pytest.mark.parametrize(
    ("crime", "law"),
    [
        (lost, "lost"),
        (never_ended, "open"),
        (recorded_twice, "double"),
        (hole, "gap"),
        (applied_twice, "twice"),
        (never_done, "effect"),
        (forgotten_mark, "marks"),
    ],
)
def test_every_crime_is_named(crime: Callable[[Evidence], Evidence], law: str) -> None:
    assert law in {law for law, _, _ in check(crime(honest()), {"w": CASE})}


def test_who_shall_wait_for_a_human_must_wait_and_be_asked() -> None:
    parked = Case("w", "plea", {}, 0, parked=True)
    asked = honest()
    head = {name: value for name, value in asked.heads["w"].items() if name != "closed"} | {"e:escalated:work#1": "7-4"}
    entry = Entry(7, 4, "escalated:work#1", workflow_pb2.JournalEntry())
    waits = asked._replace(heads={"w": {**head, "last": "7-4"}}, journals={"w": [*asked.journals["w"], entry]})
    assert check(waits, {"w": parked}) == []
    assert [law for law, _, _ in check(honest(), {"w": parked})] == ["outcome"]
    decided = waits._replace(heads={"w": {**head, "e:decided:work#1": "8-5"}})
    assert "outcome" in {law for law, _, _ in check(decided, {"w": parked})}


def test_who_is_open_and_nobody_s_is_named() -> None:
    assert "open" in {law for law, _, _ in check(never_ended(honest()), {})}


def test_a_wrong_result_is_named() -> None:
    wrong = Case("w", "chain", {}, mixed(1) + 1)
    assert [law for law, _, _ in check(honest(), {"w": wrong})] == ["outcome"]


def test_a_seed_repeats_its_workflows() -> None:
    assert cases("7", 50) == cases("7", 50) != cases("8", 50)
