# SPDX-License-Identifier: Apache-2.0
"""Who is left out, decided without a mesh; and the claim that is left to others. On real processes: tests/recovery/test_stuck.py."""

from __future__ import annotations

from nervenet.node.tasks.outlier_ejection import IN_A_ROW, FailureStreak, for_how_long
from nervenet.timing import EJECTION_BASE_MS, EJECTION_LONGEST_MS


def test_a_row_is_an_outlier_only_where_another_succeeds_meanwhile() -> None:
    assert FailureStreak(IN_A_ROW, since_ms=100).outlier(good_ms=100)
    assert not FailureStreak(IN_A_ROW - 1, since_ms=100).outlier(good_ms=200)
    assert not FailureStreak(50, since_ms=100).outlier(good_ms=99), (
        "nobody succeeds any more: it is not the agent's fault"
    )


def test_each_time_it_is_out_for_twice_as_long_up_to_five_minutes() -> None:
    assert [for_how_long(times) for times in (1, 2, 3)] == [
        EJECTION_BASE_MS,
        2 * EJECTION_BASE_MS,
        4 * EJECTION_BASE_MS,
    ]
    assert for_how_long(1_000) == EJECTION_LONGEST_MS
