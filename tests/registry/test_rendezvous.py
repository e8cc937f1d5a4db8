# SPDX-License-Identifier: Apache-2.0
"""Everybody names the same owner, shares are even, and only a leaver's keys move."""

from __future__ import annotations

from collections import Counter

from nervenet.registry.rendezvous import rendezvous, spread, unit

NODES = [f"n-{i:08x}" for i in range(7)]
KEYS = [f"workflow-{i}" for i in range(7_000)]


def test_the_numbers_are_those_of_the_protocol() -> None:
    # `printf n-aaaaaaaa | b2sum -l 64` and so on; a release that changes one disagrees with its peers about owners.
    assert unit("n-aaaaaaaa") == (0xD2FFAF1DBEBB3DB2 >> 11) / 2**53
    assert spread("review-118") == 2**20 + (0xBC3F1825F74F21E9 >> 11) / 2**25
    assert [rendezvous(key, NODES) for key in KEYS[:4]] == ["n-00000004", "n-00000003", "n-00000006", "n-00000001"]


def test_the_order_in_which_members_are_known_does_not_matter() -> None:
    assert all(rendezvous(key, NODES) == rendezvous(key, reversed(NODES)) for key in KEYS[:200])


def test_shares_are_even() -> None:
    counts = Counter(rendezvous(key, NODES) for key in KEYS)
    assert len(counts) == 7
    assert all(850 < count < 1_150 for count in counts.values()), counts


def test_only_the_keys_of_a_leaver_move_and_they_spread_over_all_others() -> None:
    left = NODES[:3] + NODES[4:]
    moved: Counter[str | None] = Counter()
    for key in KEYS:
        before, after = rendezvous(key, NODES), rendezvous(key, left)
        if before != NODES[3]:
            assert after == before
        else:
            moved[after] += 1
    assert set(moved) == set(left)
    assert max(moved.values()) < 2 * min(moved.values()), moved


def test_without_members_there_is_no_owner() -> None:
    assert rendezvous("a", []) is None
