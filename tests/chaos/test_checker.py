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


def test_a_wrong_result_is_named() -> None:
    wrong = Case("w", "chain", {}, mixed(1) + 1)
    assert [law for law, _, _ in check(honest(), {"w": wrong})] == ["outcome"]


def test_a_seed_repeats_its_workflows() -> None:
    assert cases(7, 50) == cases(7, 50) != cases(8, 50)
