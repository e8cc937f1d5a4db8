# SPDX-License-Identifier: Apache-2.0
"""Detects a handler that blocks the agent's event loop, and logs its line.

An `async def` handler shares one thread with all other parts of its process. If it blocks (a sleep, a slow parser, a
synchronous client), nothing is read, renewed or answered: the agent is alive, but its tasks count as lost. So a thread
checks whether the loop still runs, and if not, which line it executes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import TYPE_CHECKING, Self

from nervenet.durable.lines import site_of
from nervenet.timing import AGENT_LAG_BEAT, AGENT_LAG_LIMIT

if TYPE_CHECKING:
    from nervenet.clock import Clock


_log = logging.getLogger("nervenet.agent")


class LoopLag:
    """Enter it in the loop that it watches. `longest` is the longest time that the loop was blocked, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.longest = 0.0
        self._thread_id = 0
        self._last_beat = 0.0
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._beat()
        threading.Thread(target=self._watch, name="nervenet-lag", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._next.cancel()

    def _beat(self) -> None:
        self._last_beat = self._clock.monotonic()
        self._next = self._loop.call_later(AGENT_LAG_BEAT, self._beat)

    def _watch(self) -> None:
        stood = 0.0
        while not self._stop.wait(AGENT_LAG_BEAT):
            late = self._clock.monotonic() - self._last_beat - AGENT_LAG_BEAT
            if late > AGENT_LAG_LIMIT and not stood:
                self._tell(late)
            elif late <= AGENT_LAG_LIMIT and stood:
                _log.warning("the event loop runs again, after about %.1f s", stood)
            stood = late if late > AGENT_LAG_LIMIT else 0.0
            self.longest = max(self.longest, stood)

    def _tell(self, late: float) -> None:
        site = site_of(sys._current_frames().get(self._thread_id))  # noqa: SLF001  # there is no other way to its frame
        _log.error(
            "the event loop has been blocked for %.1f s%s: the claims of this process are not renewed, and after 6 s its "
            'tasks count as lost. Make a handler that blocks a plain `def` (it gets a thread), or use run="process"',
            late,
            f" at {site}" if site is not None else ", in no handler: the process was suspended, or gets no CPU time",
        )
