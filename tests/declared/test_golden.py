# SPDX-License-Identifier: Apache-2.0
"""A journal of a workflow as data, recorded once: every version, on every Python, asks for what it asked then."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nervenet import Agent, AgentError
from nervenet.testing import Journal, WorkflowTest, declared, replay
from tests.support.transcript import transcript

GOLDEN = Path(__file__).parents[1] / "replay"
x, y = Agent.remote("x", Any, Any), Agent.remote("y", Any, Any)

EVERYTHING = declared(
    {
        "name": "everything",
        "version": 1,
        "retry": {"max_attempts": 2},
        "steps": [
            {"name": "read", "call": {"capability": "x", "input": "input"}, "publish": "{'at': 'read'}"},
            {
                "name": "each",
                "depends_on": ["read"],
                "for_each": {"items": "steps.read.map(k, k)", "concurrency": 2},
                "call": {"capability": "y", "input": "{'key': item, 'at': index}"},
                "recover": "{'error': error.type, 'key': item}",
            },
            {"name": "nap", "depends_on": ["read"], "sleep": "90s"},
            {
                "name": "say",
                "depends_on": ["each", "nap"],
                "condition": "size(steps.each) > 1",
                "ask": {"question": "'Go on with ' + string(size(steps.each)) + '?'", "choices": ["yes", "no"]},
            },
            {
                "name": "never",
                "depends_on": ["say"],
                "condition": "steps.say.value == 'no'",
                "call": {"capability": "x"},
            },
            {
                "name": "last",
                "depends_on": ["never", "each"],
                "call": {"capability": "x", "input": "{'each': steps.each, 'never': steps.never, 'of': workflow.id}"},
            },
        ],
        "output": "steps.last",
    }
)


def scripted() -> WorkflowTest:
    test = WorkflowTest(seed=11)
    test.stub(x, lambda value: value, takes=timedelta(seconds=2))

    def answer(value: Any) -> Any:
        if value["key"] == "b":
            raise AgentError("never this one", type="Odd")
        return value["at"]

    test.stub(y, answer, takes=timedelta(seconds=1))
    test.answer("Go on with 3?", "yes", after=timedelta(minutes=5))
    return test


def test_a_run_of_today_is_the_recorded_one() -> None:
    run = scripted().run(EVERYTHING, {"c": 1, "a": {"z": 2, "y": 3}, "b": 2})
    assert run.result["each"] == [0, {"error": "Odd", "key": "b"}, 2]
    (path,) = sorted(GOLDEN.glob("declared-*.json"))[-1:]
    recorded = Journal.load(path)
    assert run.journal.names == recorded.names
    assert _asked(run.journal) == _asked(recorded)


def _asked(journal: Journal) -> list[str]:
    """Without the traces of failures, which name the folder and the lines of this file."""
    lines = transcript(EVERYTHING, "everything-test-11", journal.entries)
    return [re.sub(r"stack_trace='.*?', details=", "details=", line) for line in lines]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("declared-*.json")), ids=lambda path: path.stem)
def test_recorded_journals_still_replay(path: Path) -> None:
    replay(EVERYTHING, Journal.load(path))
