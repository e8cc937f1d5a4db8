# SPDX-License-Identifier: Apache-2.0
"""How late the event loop is: a timer that should come four times a second, and by how much it comes later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from nervenet.metrics import catalog

if TYPE_CHECKING:
    from nervenet.clock import Clock
    from nervenet.metrics.registry import Registry

__all__ = ["LoopLagMeter"]

EVERY: Final = 0.25


class LoopLagMeter:
    """Enter it in the loop that it measures."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._lag = registry.histograms(catalog.LOOP_LAG).child()
        self._clock = clock
        self._due = 0.0

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._plan()
        return self

    def __exit__(self, *_: object) -> None:
        self._next.cancel()

    def _plan(self) -> None:
        self._due = self._clock.monotonic() + EVERY
        self._next = self._loop.call_later(EVERY, self._look)

    def _look(self) -> None:
        self._lag.observe(max(0.0, self._clock.monotonic() - self._due))
        self._plan()
