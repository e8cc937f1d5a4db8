# SPDX-License-Identifier: Apache-2.0
"""How many bodies are received at once: places, turns, callers who leave, callers who stop in the middle."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from nervenet.errors import Overloaded
from nervenet.rpc import bodies as module
from nervenet.rpc.bodies import ARRIVING, LEAST, Bodies


def test_there_are_as_many_places_as_largest_messages_fit() -> None:
    assert Bodies(6 << 20).most == 42
    assert Bodies(1 << 30).most == LEAST


async def test_a_place_is_free_when_the_message_is_there() -> None:
    bodies = Bodies(1 << 30)
    taken = [bodies.begin() for _ in range(LEAST)]
    assert None not in taken and bodies.begin() is None
    waiting = asyncio.create_task(bodies.room(10))
    await asyncio.sleep(0)
    for _ in range(2):
        assert taken[0] is not None
        taken[0].arrived()  # the second time is nothing
    assert (await waiting).task is not None
    assert bodies.begin() is None, repr(bodies)


async def test_who_leaves_before_the_message_gives_the_place_back() -> None:
    bodies = Bodies(1 << 30)

    async def call() -> None:
        ARRIVING.set(bodies.begin())

    for _ in range(3 * LEAST):
        await asyncio.create_task(call())
    gc.collect()
    assert bodies.begin() is not None


async def test_who_waits_too_long_is_told_to_come_again() -> None:
    bodies = Bodies(1 << 30)
    taken = [bodies.begin() for _ in range(LEAST)]
    with pytest.raises(Overloaded, match="8 calls are being received") as refused:
        await bodies.room(0.05)
    assert refused.value.reason == "MEMORY_FULL"
    assert len(taken) == LEAST


async def test_while_others_wait_a_call_whose_message_does_not_come_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_WITHIN", 0.1)
    bodies = Bodies(1 << 30)

    async def stops() -> None:
        ARRIVING.set(bodies.begin())
        await asyncio.Event().wait()

    late: list[asyncio.Task[Any]] = [asyncio.create_task(stops()) for _ in range(LEAST)]
    await asyncio.sleep(0.15)
    assert not any(task.done() for task in late), "nobody waits"
    late_or_not = [await bodies.room(10) for _ in range(LEAST)]
    assert all(task.cancelled() for task in late) and len(late_or_not) == LEAST
