# SPDX-License-Identifier: Apache-2.0
"""How much a lost agent says about the task that it ran, as tables."""

from __future__ import annotations

import pytest

from nervenet.node.tasks.blame import ProcessEnd, is_end_of_host, weigh
from nervenet.records import Attempt, Failure, FailureCode
from nervenet.timing import BLAME_TOGETHER_MS
from nervenet.wire import decode_entry, encode_entry


@pytest.mark.parametrize(
    ("proven", "peers", "dead", "alive", "percent"),
    [
        (True, 1, 0, 3, 100),
        (True, 1, 0, 0, 100),  # the only agent, once more
        (False, 1, 0, 3, 50),
        (True, 4, 0, 3, 25),
        (True, 1, 1, 3, 50),  # one of four
        (True, 1, 4, 3, 20),  # as many as there are
        (True, 1, 15, 3, 6),  # one a second, over four agents
        (True, 1, 3, 1000, 99),  # a few in a large mesh say little
        (False, 8, 15, 3, 1),  # never nothing: that is for those that were told to end
        (True, 1, 2, 0, 11),
    ],
)
def test_what_explains_a_loss_lowers_the_blame(proven: bool, peers: int, dead: int, alive: int, percent: int) -> None:
    assert weigh(proven=proven, peers=peers, dead=dead, alive=alive) == percent


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (ProcessEnd(1_000, "10.0.0.1"), True),
        (ProcessEnd(1_000, "10.0.0.1", node=True), True),
        (ProcessEnd(1_000 + BLAME_TOGETHER_MS, "10.0.0.1"), True),
        (ProcessEnd(1_001 + BLAME_TOGETHER_MS, "10.0.0.1"), False),
        (ProcessEnd(1_000, "10.0.0.2"), False),
        (ProcessEnd(1_000, "10.0.0.1", ordered=True), False),
    ],
)
def test_processes_of_one_host_that_end_together_ended_with_it(other: ProcessEnd, expected: bool) -> None:
    mine = ProcessEnd(1_000, "10.0.0.1")
    assert is_end_of_host("a-1", mine, {"a-1": mine, "x-2": other}, {"a-1"}) is expected
    assert not is_end_of_host("a-1", mine, {"a-1": mine, "x-2": other}, {"a-1", "x-2"}), "it had the task as well"


def test_agents_whose_host_is_unknown_share_none() -> None:
    mine = ProcessEnd(1_000)
    assert not is_end_of_host("a-1", mine, {"a-1": mine, "x-2": ProcessEnd(1_000)}, {"a-1"})


@pytest.mark.parametrize("blame", [None, 0, 7, 100])
def test_blame_is_kept_in_the_journal_and_unset_is_not_zero(blame: int | None) -> None:
    lost = Attempt(Failure(FailureCode.AGENT_LOST, "agent a-1 died"), agent_id="a-1", blame_percent=blame)
    assert decode_entry("attempt:work#1", encode_entry(lost, "n-1"), 1, 1).body == lost
