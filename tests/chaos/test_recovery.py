# SPDX-License-Identifier: Apache-2.0
"""What counts as having gone on, by kind of fault."""

from __future__ import annotations

from nervenet.v1 import workflow_pb2
from tests.chaos.checker import Entry, Evidence
from tests.chaos.recovery import Hit, figures, samples


def evidence(*journal: tuple[int, str], executions: tuple[tuple[str, int, int], ...] = ()) -> Evidence:
    entries = [Entry(ms, n, name, workflow_pb2.JournalEntry()) for n, (ms, name) in enumerate(journal, 1)]
    return Evidence({}, {"w": entries}, [], list(executions))


def values(found: dict[str, list[tuple[int, bool, str, int]]]) -> dict[str, int]:
    return {name: rows[0][0] for name, rows in found.items()}


def test_an_outcome_that_was_under_way_is_no_sign_of_a_new_owner() -> None:
    seen = evidence((900, "start"), (1100, "task:a"), (1900, "task:b"), executions=(("w/a", 1, 950), ("w/b", 1, 1400)))
    hit = Hit("node-kill", 1000, {"w": []}, until_ms=1500)
    assert values(samples([hit], seen)) == {"node-kill first": 100, "node-kill owner": 400}


def test_a_step_of_a_dead_agent_counts_from_when_another_began_it() -> None:
    seen = evidence((900, "start"), (1030, "attempt:a#1"), executions=(("w/a", 1, 950), ("w/a", 2, 1045)))
    hit = Hit("agent-kill", 1000, {"w": ["a"]}, until_ms=1500)
    assert values(samples([hit], seen)) == {"agent-kill again": 45, "agent-kill first": 30}


def test_faults_that_came_alone_are_told_apart() -> None:
    seen = evidence((1100, "task:a"), (9100, "task:b"))
    first, other = Hit("redis-kill", 1000, {"w": []}, 1050), Hit("delay", 900, {}, 1010)
    alone = Hit("redis-kill", 9000, {"w": []}, 9050)
    row = figures(samples([first, other, alone], seen))["redis-kill first"]
    assert (row["workflows"], row["max"], row["alone"]["workflows"]) == (2, 100, 1)
    assert row["slowest"][0] == (100, True, "w", 9000)
