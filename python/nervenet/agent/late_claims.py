# SPDX-License-Identifier: Apache-2.0
"""Claims attempts that began without a claim, once they have run for a tenth of a second (docs/decisions/0064).

Most attempts of short tasks have ended by then, and need no claim at all. One timer for all of them. What has begun is remembered for as
long as a copy of it might begin, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from nervenet.timing import BEGUN_UNCLAIMED_WITHIN_MS, CLAIM_LATER

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.agent.running import Running
    from nervenet.streams.tasks.attempt import AttemptKey


class LateClaims:
    """`claim` asks for the claim of an attempt that runs, and stops the attempt if another process has it."""

    def __init__(self, claim: Callable[[Running], None]) -> None:
        self._claim = claim
        self._loop = asyncio.get_running_loop()
        self._begun: deque[tuple[float, Running]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._lately: set[AttemptKey] = set()
        self._before: set[AttemptKey] = set()
        self._turn_at = self._loop.time()

    def began_lately(self, running: Running) -> bool:
        """Whether another copy of this attempt began here in the last second."""
        return running.key in self._lately or running.key in self._before

    def began(self, running: Running) -> None:
        """It begins now, without a claim."""
        now = self._loop.time()
        if now >= self._turn_at:
            self._turn_at = now + BEGUN_UNCLAIMED_WITHIN_MS / 1000
            self._before, self._lately = self._lately, set()
        self._lately.add(running.key)
        due = now + CLAIM_LATER
        self._begun.append((due, running))
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look)

    def close(self) -> None:
        """Claim no more."""
        self._begun.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer, begun, now = None, self._begun, self._loop.time()
        while begun:
            due, running = begun[0]
            if not running.ended:
                if due > now:
                    self._timer = self._loop.call_at(due, self._look)
                    return
                self._claim(running)
            begun.popleft()
