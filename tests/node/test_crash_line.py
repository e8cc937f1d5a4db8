# SPDX-License-Identifier: Apache-2.0
"""Where a run was that took its nodes with it: told by a child process that it takes with it once more."""

from __future__ import annotations

import pytest

from nervenet import Workflow
from nervenet.durable import PYTHON, Dispatch, Machine
from nervenet.node.guards.crash_line import last_line
from nervenet.records import Entry, Outcome, Payload, Start
from tests.recovery import misbehaving_app as app
from tests.recovery.misbehaving import lines_of


def journal(workflow: Workflow[int, int]) -> list[Entry]:
    """Up to the outcome of the first step, behind which it goes wrong."""
    start = Entry("start", Start(workflow.name, 1, PYTHON, Payload("json", b"1"), bytes(16)), 1, 1000, "n")
    (dispatch,) = Machine(workflow, "w", 1).apply(start)
    assert isinstance(dispatch, Dispatch)
    outcome = Outcome(Payload("json", b"2"), None, "double", dispatch.digest, 1, "a", 1, 2)
    return [start, Entry("task:double", outcome, 2, 1001, "a")]


@pytest.mark.parametrize(
    ("workflow", "mark"),
    [(app.stalls, "it stalls here"), (app.exits, "it exits here"), (app.loops, "it loops here")],
    ids=["stalls", "exits", "loops"],
)
def test_the_line_that_took_the_process_or_its_time(
    workflow: Workflow[int, int], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STALL", "10")
    assert last_line(workflow, "w", 1, journal(workflow)) in lines_of(mark)


def test_code_that_comes_through_has_no_last_line() -> None:
    assert last_line(app.good, "w", 1, journal(app.good)) == ""
