# SPDX-License-Identifier: Apache-2.0
"""A round: who is put in comes up in its time, unless it was cancelled; and what is over takes no room."""

from __future__ import annotations

from nervenet.clock import Clock
from nervenet.node.timers import MeshClock, Round


class Standing(Clock):
    """Stands until it is moved."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_things_come_up_in_their_time_unless_cancelled() -> None:
    clock = Standing()
    watched = Round[str](MeshClock(clock), 5_000)
    places = [watched.put(name) for name in "abc"]
    clock.seconds = 1.0
    watched.put("d")
    places[1].cancel()
    assert watched.due(10) == []
    clock.seconds = 5.5
    assert watched.due(10) == ["a", "c"]
    clock.seconds = 6.5
    assert watched.due(10) == ["d"]


def test_what_is_over_takes_no_room() -> None:
    watched = Round[int](MeshClock(Standing()), 5_000)
    for n in range(1_000):
        watched.put(n).cancel()
    assert len(watched) == 1
