# SPDX-License-Identifier: Apache-2.0
"""One clock and one heap for everything that a node does later: durable timers, retries, deadlines, rounds.

It hides that there is a single handle in the event loop, however many workflows wait: no workflow has a timer task. Times
are milliseconds of Redis' clock. `MeshClock` estimates it as local monotonic time plus an offset, so neither a skewed nor
a stepped wall clock moves a timer.

There are two structures, because most waits are of one kind: a heap for dates, and `Round` for "again in five seconds",
which is a queue in order of time and costs an append.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from nervenet.clock import Clock
    from nervenet.redis_link.link import Link

T = TypeVar("T")
_log = logging.getLogger(__name__)

LEAST_CROWDED = 1_000
"""Timers from which cancelled ones are removed before their time, each time that their number has doubled."""


class MeshClock:
    """Redis' time, estimated."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._clock = clock
        self._offset = clock.now_ms() - clock.monotonic() * 1000
        self.seen_ms = 0  # the last time that Redis reported: never ahead of Redis

    def now_ms(self) -> int:
        return int(self._monotonic() * 1000 + self._offset)

    async def learn(self, link: Link) -> None:
        """Ask Redis; the answer is taken to be from the middle of the round trip."""
        before = self._clock.monotonic()
        seconds, micros = await link.call("TIME")
        middle = (before + self._clock.monotonic()) / 2
        self.seen_ms = int(seconds) * 1000
        self._offset = self.seen_ms + int(micros) / 1000 - middle * 1000


class Timer:
    """One date; `cancel` makes it nothing."""

    __slots__ = ("_args", "_call", "_timers", "due_ms")

    def __init__(self, due_ms: int, call: Callable[..., object], args: tuple[Any, ...], timers: Timers) -> None:
        self.due_ms = due_ms
        self._timers = timers
        self._call: Callable[..., object] | None = call
        self._args = args

    def cancel(self) -> None:
        if self._call is not None:
            self._call = None
            self._args = ()
            self._timers.count_cancelled()

    @property
    def is_cancelled(self) -> bool:
        return self._call is None

    def fire(self) -> None:
        if self._call is not None:
            self._call(*self._args)


class Timers:
    """The heap. Everything fires in the event loop's thread, late by at most the loop's own lag."""

    LONGEST_MS = 60_000  # an estimate of the clock may change, so a far date is looked at again

    def __init__(self, clock: MeshClock, loop: asyncio.AbstractEventLoop) -> None:
        self.clock = clock
        self._loop = loop
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = itertools.count()
        self._handle: asyncio.TimerHandle | None = None
        self._closed = False
        self._cancelled = 0  # since the heap was tidied; those that are over by now are counted too

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, due_ms: int, call: Callable[..., object], *args: Any) -> Timer:
        timer = Timer(due_ms, call, args, self)
        heapq.heappush(self._heap, (due_ms, next(self._count), timer))
        if self._heap[0][2] is timer:
            self._arm()
        return timer

    def count_cancelled(self) -> None:
        """One of them was. A cancelled timer would stay until its time, which may be in a year, so all are removed when they are half
        of the heap."""
        self._cancelled += 1
        if self._cancelled > max(LEAST_CROWDED, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if not entry[2].is_cancelled]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def close(self) -> None:
        self._closed = True
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._heap and not self._closed:
            wait = min(self._heap[0][0] - self.clock.now_ms(), self.LONGEST_MS)
            self._handle = self._loop.call_later(max(wait, 0) / 1000, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = self.clock.now_ms()
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            try:
                timer.fire()
            except Exception:  # noqa: BLE001 - one timer's bug must not stop the others
                _log.exception("a timer failed")
        self._arm()


class RoundItem(Generic[T]):
    """A thing in a round. `cancel` releases the thing; the item itself is removed when it is the first."""

    __slots__ = ("due_ms", "thing")

    def __init__(self, due_ms: int, thing: T) -> None:
        self.due_ms = due_ms
        self.thing: T | None = thing

    def cancel(self) -> None:
        self.thing = None


class Round(Generic[T]):
    """Things that are all due the same time after they were put in; `due` hands out those whose time has come."""

    __slots__ = ("_queue", "clock", "delay_ms")

    def __init__(self, clock: MeshClock, delay_ms: int) -> None:
        self.clock = clock
        self.delay_ms = delay_ms
        self._queue: deque[RoundItem[T]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, thing: T, now_ms: int | None = None) -> RoundItem[T]:
        """`now_ms`: for a caller who has just asked the clock."""
        queue, place = (
            self._queue,
            RoundItem((self.clock.now_ms() if now_ms is None else now_ms) + self.delay_ms, thing),
        )
        while queue and queue[0].thing is None:  # most of what is watched is over long before its time
            queue.popleft()
        queue.append(place)
        return place

    def due(self, most: int) -> list[T]:
        """At most `most` things that are due; those that were cancelled do not count."""
        now = self.clock.now_ms()
        queue, found = self._queue, list[T]()
        while queue and queue[0].due_ms <= now and len(found) < most:
            thing = queue.popleft().thing
            if thing is not None:
                found.append(thing)
        return found
