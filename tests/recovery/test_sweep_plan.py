# SPDX-License-Identifier: Apache-2.0
"""What a sweep does with the ids of one page, decided from their heads without a server."""

from __future__ import annotations

import pytest

from nervenet.node.recovery.sweep_plan import (
    HeadlessIds,
    Restart,
    judge_restart,
    sort_dead_set,
    sort_own_set,
    sort_running,
)
from nervenet.streams.heads import Head
from nervenet.timing import START_GRACE_MS

GRACE = START_GRACE_MS / 1000


def head(owner: str, *, closed_ms: int = 0) -> Head:
    return Head(owner=owner, closed_ms=closed_ms)


def test_of_the_own_set_a_node_loads_what_its_heads_call_its_own() -> None:
    plan = sort_own_set([("a", head("n-1")), ("b", head("n-2")), ("c", None)], "n-1")
    assert plan == (["a"], ["b"], ["c"])


def test_of_a_dead_nodes_set_it_adopts_its_share_and_removes_what_moved() -> None:
    closed, share, rest = head("n-dead", closed_ms=7), head("n-dead"), head("n-dead")
    page = [("moved", head("n-2")), ("closed", closed), ("mine", share), ("rest", rest), ("starting", None)]
    plan = sort_dead_set(page, "n-dead", lambda workflow_id, _: workflow_id == "mine")
    assert plan.anothers == ["moved"]
    assert plan.closed == [("closed", closed)]
    assert plan.orphans == [("mine", share)]


def test_every_running_workflow_has_an_owner_that_knows_of_it_or_gets_one() -> None:
    closed, orphan = head("n-dead", closed_ms=7), head("n-dead")
    heads = [
        ("known", head("n-1")),
        ("too", head("n-1")),
        ("orphan", orphan),
        ("closed", closed),
        ("young", None),
        ("old", None),
    ]
    now = 10 * START_GRACE_MS
    scores = dict.fromkeys(("known", "too", "orphan", "closed"), 0) | {"young": now - START_GRACE_MS, "old": 0}
    plan = sort_running(heads, scores, now, lambda node_id: node_id == "n-1")
    assert plan.by_owner == {"n-1": ["known", "too"]}
    assert plan.orphans == [("orphan", orphan)]
    assert plan.closed == [("closed", closed)], "its owner does not matter"
    assert plan.never_started == ["old"], "a start may take as long as its grace period"


@pytest.mark.parametrize(
    ("there", "age_ms", "meaning"),
    [
        (head("n-1"), 0, Restart.BEGUN),
        (head("n-1"), 2 * START_GRACE_MS, Restart.BEGUN),
        (head("n-1", closed_ms=7), 0, Restart.UNDER_WAY),
        (head("n-1", closed_ms=7), START_GRACE_MS, Restart.GIVEN_UP),
        (None, 0, Restart.UNDER_WAY),
        (None, START_GRACE_MS, Restart.GIVEN_UP),
    ],
)
def test_the_mark_of_a_restart_stays_until_it_has_begun_or_never_will(
    there: Head | None, age_ms: int, meaning: Restart
) -> None:
    assert judge_restart(there, 1_000, 1_000 + age_ms) is meaning


def test_an_id_without_a_head_is_removed_after_one_grace_period_of_looking() -> None:
    headless = HeadlessIds()
    assert headless.never_started(["a"], 0) == []
    assert headless.never_started(["a", "b"], GRACE) == []
    assert headless.never_started(["a", "b"], GRACE + 1) == ["a"]
    assert headless.never_started(["b"], 2 * GRACE + 1) == ["b"]


def test_an_id_that_comes_back_much_later_counts_as_new() -> None:
    headless = HeadlessIds()
    assert headless.never_started(["a"], 0) == []
    assert headless.never_started(["a"], 3 * GRACE) == []
