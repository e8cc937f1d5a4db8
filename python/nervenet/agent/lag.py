# SPDX-License-Identifier: Apache-2.0
"""Finds the handler that blocks the agent's event loop, and says its line.

An `async def` handler shares one thread with everything else of its process. One that blocks there (a sleep, a slow parser, a
synchronous client) stops reading, renewing and answering: the agent lives, and its tasks are taken for lost. So a thread
looks whether the loop still turns, and if it does not, where it stands.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import TYPE_CHECKING, Final, Self

from nervenet.durable.lines import site_of

if TYPE_CHECKING:
    from nervenet.clock import Clock

LIMIT: Final = 1.0
"""Seconds that nobody minds; claims are renewed every two."""
BEAT: Final = 0.25

_log = logging.getLogger("nervenet.agent")


class Lag:
    """Entered in the loop that it watches; `longest` is the longest standstill seen, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.longest = 0.0
        self._thread_id = 0
        self._beaten = 0.0
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
        self._beaten = self._clock.monotonic()
        self._next = self._loop.call_later(BEAT, self._beat)

    def _watch(self) -> None:
        stood = 0.0
        while not self._stop.wait(BEAT):
            late = self._clock.monotonic() - self._beaten - BEAT
            if late > LIMIT and not stood:
                self._tell(late)
            elif late <= LIMIT and stood:
                _log.warning("the event loop turns again, after some %.1f s", stood)
            stood = late if late > LIMIT else 0.0
            self.longest = max(self.longest, stood)

    def _tell(self, late: float) -> None:
        site = site_of(sys._current_frames().get(self._thread_id))  # noqa: SLF001  # there is no other way to its frame
        _log.error(
            "the event loop has stood still for %.1f s%s: no task of this process is renewed meanwhile, and after 6 s they "
            'are taken for lost. A handler that blocks is a plain `def` (it gets a thread) or run="process"',
            late,
            f" at {site}" if site is not None else ", in no handler: the process was stopped, or starves",
        )
