# SPDX-License-Identifier: Apache-2.0
"""Whose fault it is that the node stands still: the workflow's that runs, or nobody's."""

from __future__ import annotations

from typing import Any

from nervenet.node.guards.watchdog import Watchdog
from nervenet.timing import BLOCKED_LOOP_LIMIT, WATCHDOG_LOOK_EVERY


class Hands:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


CODE: Any = object()
"""Stands for a machine: the watchdog only hands it back."""


def looks(watchdog: Watchdog, hands: Hands, count: int, every: float = WATCHDOG_LOOK_EVERY) -> list[Any]:
    found = []
    for _ in range(count):
        hands.now += every
        found.append(watchdog.look())
    return found


def test_code_that_runs_at_each_look_for_two_seconds_is_interrupted() -> None:
    hands: Any = Hands()
    watchdog = Watchdog(hands)
    watchdog.enter(CODE)
    enough = int(BLOCKED_LOOP_LIMIT / WATCHDOG_LOOK_EVERY) + 2
    found = looks(watchdog, hands, enough)
    assert found[:-1] == [None] * (enough - 1) and found[-1] is CODE


def test_many_short_runs_of_the_same_workflow_are_not_one_long_one() -> None:
    hands: Any = Hands()
    watchdog = Watchdog(hands)
    for _ in range(100):
        watchdog.enter(CODE)
        assert looks(watchdog, hands, 3) == [None] * 3
        watchdog.leave()


def test_a_process_that_was_stopped_for_a_minute_blames_nobody() -> None:
    hands: Any = Hands()
    watchdog = Watchdog(hands)
    watchdog.enter(CODE)
    assert looks(watchdog, hands, 2) == [None, None]
    assert looks(watchdog, hands, 1, every=60.0) == [None]
    assert looks(watchdog, hands, 2) == [None, None]
