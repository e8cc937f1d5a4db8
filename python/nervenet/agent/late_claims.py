# SPDX-License-Identifier: Apache-2.0
"""Claims attempts that began without a claim, once they have run for a tenth of a second (docs/decisions/0064).

Most attempts of short tasks have ended by then, and need no claim at all. One timer for all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from nervenet.timing import CLAIM_LATER

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.agent.running import Running


class LateClaims:
    """`claim` asks for the claim of an attempt that runs, and stops the attempt if another process has it."""

    def __init__(self, claim: Callable[[Running], None]) -> None:
        self._claim = claim
        self._loop = asyncio.get_running_loop()
        self._begun: deque[tuple[float, Running]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, running: Running) -> None:
        """It begins now, without a claim."""
        due = self._loop.time() + CLAIM_LATER
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
