# SPDX-License-Identifier: Apache-2.0
"""The deadlines of all attempts of an agent, on one heap with one timer of the event loop."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING

from nervenet.streams.tasks.attempt import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from nervenet.agent.running import Running
    from nervenet.clock import Clock


class Deadlines:
    """`running` are the attempts of the agent: their number decides when the heap is cleaned."""

    def __init__(self, clock: Clock, running: Collection[Running]) -> None:
        self._clock = clock
        self._running = running
        self._heap: list[tuple[float, int, Callable[[Running], None], Running]] = []
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def watch(self, running: Running, stop: Callable[[Running, StopReason], None]) -> None:
        """Enforce the timeouts of an attempt that begins now."""
        envelope, now = running.envelope, self._clock.monotonic()
        running.beat = running.renewed_at = now
        if envelope.attempt_timeout_ms:
            self.at(now + envelope.attempt_timeout_ms / 1000, lambda late: stop(late, StopReason.TIMEOUT), running)
        if envelope.heartbeat_timeout_ms:
            self._expect_beats(running, envelope.heartbeat_timeout_ms / 1000, stop)

    def at(self, due: float, call: Callable[[Running], None], running: Running) -> None:
        """Call at that time, unless the handler is over by then."""
        if len(self._heap) > 1_000 + 4 * len(self._running):  # deadlines of attempts that are long over
            self._heap = [item for item in self._heap if not item[3].ended]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (due, next(self._count), call, running))
        if self._heap[0][3] is running:
            self._arm()

    def close(self) -> None:
        """Forget all of them."""
        self._heap.clear()
        self._arm()

    def _expect_beats(self, running: Running, timeout: float, stop: Callable[[Running, StopReason], None]) -> None:
        def check(running: Running) -> None:
            if running.beat + timeout <= self._clock.monotonic():
                stop(running, StopReason.SILENT)
            else:
                self.at(running.beat + timeout, check, running)

        self.at(running.beat + timeout, check, running)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = self._loop.call_later(max(0.0, self._heap[0][0] - self._clock.monotonic()), self._fire)

    def _fire(self) -> None:
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            _, _, call, running = heapq.heappop(self._heap)
            if not running.ended:
                call(running)
        self._arm()
