# SPDX-License-Identifier: Apache-2.0
"""A round: who is put in comes up in its time, unless it was cancelled; and what is over takes no room."""

from __future__ import annotations

import asyncio

from nervenet.clock import Clock
from nervenet.node.timers import LEAST_CROWDED, MeshClock, Round, Timers


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


async def test_dates_that_were_cancelled_take_no_room_until_their_time() -> None:
    fired: list[str] = []
    timers = Timers(MeshClock(Standing()), asyncio.get_running_loop())
    far = timers.clock.now_ms() + 86_400_000
    timers.at(timers.clock.now_ms(), fired.append, "now")
    for _ in range(5 * LEAST_CROWDED):
        timers.at(far, fired.append, "never").cancel()
    kept = timers.at(far, fired.append, "later")
    assert len(timers) <= LEAST_CROWDED + 1
    await asyncio.sleep(0.01)
    assert fired == ["now"] and not kept.is_cancelled
    timers.close()
