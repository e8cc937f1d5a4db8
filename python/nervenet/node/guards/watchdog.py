# SPDX-License-Identifier: Apache-2.0
"""Interrupts workflow code that does not give the event loop back to the node.

Workflow code runs in the node's event loop, between two entries, for microseconds. Code that loops or blocks there would
stop every other workflow of the node. So a thread checks what is being applied, and interrupts it after two seconds. The
run is then BLOCKED with the line at which it was, and nothing else has happened.

Two seconds are about eight checks, not the difference of two clock readings: a process that was stopped (SIGSTOP, a
machine that sleeps or has no CPU left) stops as a whole, and its workflow did not cause that.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from nervenet.timing import BLOCKED_LOOP_LIMIT, WATCHDOG_LOOK_EVERY

if TYPE_CHECKING:
    from nervenet.clock import Clock
    from nervenet.durable import Machine

_log = logging.getLogger(__name__)

MOST_A_LOOK = 1.2 * WATCHDOG_LOOK_EVERY
"""What one look can add, in seconds, however long ago the one before was."""


class Watchdog:
    """`enter` and `leave` around every `apply`. The hottest path sets `applying` itself, as they do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.applying: tuple[Machine] | None = None
        self._seen: tuple[Machine] | None = None
        self._ran = 0.0
        self._looked = clock.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nervenet-watchdog", daemon=True)

    def enter(self, machine: Machine) -> None:
        self.applying = (machine,)  # another tuple each time: that is how one `apply` differs from the next

    def leave(self) -> None:
        self.applying = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def look(self) -> Machine | None:
        """Whose code to interrupt now: what was running at each look for the last two seconds."""
        now, applying = self._clock.monotonic(), self.applying
        if applying is not self._seen:
            self._seen, self._ran = applying, 0.0
        elif applying is not None:
            self._ran += min(now - self._looked, MOST_A_LOOK)
        self._looked = now
        return applying[0] if applying is not None and self._ran > BLOCKED_LOOP_LIMIT else None

    def _run(self) -> None:
        while not self._stop.wait(WATCHDOG_LOOK_EVERY):
            machine = self.look()
            if machine is None:
                continue
            if machine.interrupt():
                _log.error(
                    "%s ran for more than %g s without waiting and was interrupted",
                    machine.workflow_id,
                    BLOCKED_LOOP_LIMIT,
                )
            else:
                self._ran = 0.0  # a debugger or an import of ours took the time: the code gets all of its own
