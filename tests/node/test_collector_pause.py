# SPDX-License-Identifier: Apache-2.0
"""The garbage collector keeps out of the turn of the event loop in which workflow code runs, and comes back in the next one."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from nervenet.node.guards.collector import CollectorPause
from tests.support.waiting import until


class Knot:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.enable()
    gc.set_threshold(100, 1, 1)
    yield
    gc.set_threshold(*before)
    gc.enable()


async def test_garbage_is_collected_in_the_turn_after_and_not_before() -> None:
    with CollectorPause() as pause:
        pause.hold()
        pause.hold()
        knot = weakref.ref(Knot())
        made = [Knot() for _ in range(1_000)]
        assert knot() is not None and not gc.isenabled()
        await asyncio.sleep(0)
        assert gc.isenabled() and not pause.held
        made.append(Knot())
        await until(lambda: [Knot() for _ in range(200)] and knot() is None)


async def test_the_end_of_a_node_ends_the_pause_too() -> None:
    with CollectorPause() as pause:
        pause.hold()
        assert not gc.isenabled()
    assert gc.isenabled()


async def test_a_program_that_has_switched_the_collector_off_keeps_it_off() -> None:
    gc.disable()
    with CollectorPause() as pause:
        pause.hold()
        await asyncio.sleep(0)
        assert not pause.held and not gc.isenabled()
