# SPDX-License-Identifier: Apache-2.0
"""How many bodies are received at once: places, turns, callers who leave, callers who stop in the middle."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest

from nervenet.errors import Overloaded
from nervenet.rpc import bodies as module
from nervenet.rpc.bodies import ARRIVING, LEAST, MOST_GROWTH, Bodies


def growing() -> Callable[[], int]:
    """The memory of a process that grows by a gigabyte at each look."""
    return partial(next, count(0, 1 << 30))


def test_there_are_as_many_places_as_largest_messages_fit() -> None:
    assert Bodies(6 << 20).most == 32
    assert Bodies(1 << 30).most == LEAST


async def test_a_place_is_free_when_the_message_is_there() -> None:
    bodies = Bodies(1 << 30, resident=growing())
    taken = [bodies.begin() for _ in range(LEAST)]
    assert None not in taken and bodies.begin() is None
    waiting = asyncio.create_task(bodies.room(10))
    await asyncio.sleep(0)
    for _ in range(2):
        assert taken[0] is not None
        taken[0].arrived()  # the second time is nothing
    assert (await waiting).task is not None
    assert bodies.begin() is None, repr(bodies)


async def test_the_newest_of_those_that_wait_comes_first() -> None:
    """A flood of calls that wait is old by the time that an honest one comes."""
    bodies, came = Bodies(1 << 30, resident=growing()), list[str]()
    taken = [bodies.begin() for _ in range(LEAST)]

    async def call(name: str) -> None:
        await bodies.room(10)
        came.append(name)

    waiting = [asyncio.create_task(call(name)) for name in ("flood 1", "flood 2", "honest")]
    await asyncio.sleep(0)
    assert taken[0] is not None
    taken[0].arrived()
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert came[0] == "honest"
    for task in waiting:
        task.cancel()


async def test_who_leaves_while_it_waits_takes_no_place() -> None:
    """Its call ends in the same moment in which a place becomes free."""
    bodies = Bodies(1 << 30, resident=growing())
    for _ in range(3 * LEAST):
        taken = [bodies.begin() for _ in range(LEAST)]
        waiting = [asyncio.create_task(bodies.room(10)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[2].cancel()
        for body in taken:
            assert body is not None
            body.arrived()
        waiting[1].cancel()
        (await waiting[0]).arrived()
        await asyncio.wait(waiting)


async def test_who_leaves_before_the_message_gives_the_place_back() -> None:
    bodies = Bodies(1 << 30, resident=growing())

    async def call() -> None:
        ARRIVING.set(bodies.begin())

    for _ in range(3 * LEAST):
        await asyncio.create_task(call())
    gc.collect()
    assert bodies.begin() is not None


async def test_who_waits_too_long_is_told_to_come_again() -> None:
    bodies = Bodies(1 << 30, resident=growing())
    taken = [bodies.begin() for _ in range(LEAST)]
    with pytest.raises(Overloaded, match="8 calls are being received") as refused:
        await bodies.room(0.05)
    assert refused.value.reason == "MEMORY_FULL"
    assert len(taken) == LEAST


async def test_calls_that_send_nothing_do_not_lock_others_out() -> None:
    """They cost next to nothing, so the process does not grow, and what comes gets a place beyond them."""
    bodies = Bodies(1 << 30, resident=lambda: 100 << 20)
    silent = [bodies.begin() for _ in range(LEAST)]
    for _ in range(3):
        (await asyncio.wait_for(bodies.room(10), 5)).arrived()
    assert len(silent) == LEAST and bodies.begin() is None


async def test_when_memory_is_short_a_call_whose_message_does_not_come_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BODY_WITHIN", 0.1)
    bodies = Bodies(1 << 30, resident=growing())

    async def stops() -> None:
        ARRIVING.set(bodies.begin())
        await asyncio.Event().wait()

    late: list[asyncio.Task[Any]] = [asyncio.create_task(stops()) for _ in range(LEAST)]
    await asyncio.sleep(0.15)
    assert not any(task.done() for task in late), "nobody waits"
    places = [await bodies.room(10) for _ in range(LEAST)]
    await asyncio.wait(late)
    assert all(task.cancelled() for task in late) and len(places) == LEAST


async def test_a_second_flood_does_not_add_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first has left in memory is growth still, so calls whose message does not come are ended, and none get further places."""
    monkeypatch.setattr(module, "BODY_WITHIN", 0.1)
    megabytes = 100
    bodies = Bodies(1 << 30, resident=lambda: megabytes << 20)

    async def stops() -> None:
        ARRIVING.set(bodies.begin())
        await asyncio.Event().wait()

    first = [bodies.begin() for _ in range(LEAST)]
    (await bodies.room(10)).arrived()  # the process is small, so this is a further place
    del first
    gc.collect()
    megabytes = 500
    late = [asyncio.create_task(stops()) for _ in range(LEAST)]
    await asyncio.sleep(0)
    places = [await bodies.room(10) for _ in range(LEAST)]
    await asyncio.wait(late, timeout=10)
    assert all(task.cancelled() for task in late) and len(places) == LEAST


async def test_calls_beyond_all_places_count_as_large_as_they_may_become(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they send may be on its way still: as many get a place as the process may grow, and more when their messages are there."""
    monkeypatch.setattr(module, "SEEN_WITHIN", 60.0)
    bodies = Bodies(MOST_GROWTH // 2, resident=lambda: 100 << 20)
    silent = [bodies.begin() for _ in range(LEAST)]
    first, second = await bodies.room(10), await bodies.room(10)
    with pytest.raises(Overloaded):
        await bodies.room(0.3)
    first.arrived()
    third = await bodies.room(10)
    assert len(silent) == LEAST and second is not third
