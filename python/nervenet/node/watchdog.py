# SPDX-License-Identifier: Apache-2.0
"""Breaks into workflow code that does not give the node its thread back.

Workflow code runs in the node's event loop, between two entries, for microseconds. Code that loops or blocks there
would take every other workflow of the node with it; so a thread looks at what is being applied and interrupts it after
two seconds. The run is then BLOCKED with the line that it stood at, and nothing else has happened.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from nervenet.clock import Clock
    from nervenet.durable import Machine

_log = logging.getLogger(__name__)

LIMIT = 2.0
LOOK_EVERY = 0.25


class Watchdog:
    """`enter` and `leave` around every `apply`; cheap, since they are on the hot path."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._applying: tuple[Machine, float] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nervenet-watchdog", daemon=True)

    def enter(self, machine: Machine) -> None:
        self._applying = (machine, self._clock.monotonic())

    def leave(self) -> None:
        self._applying = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            applying = self._applying
            if applying is not None and self._clock.monotonic() - applying[1] > LIMIT:
                machine = applying[0]
                if machine.interrupt():
                    _log.error(
                        "%s ran for more than %g s without waiting and was interrupted", machine.workflow_id, LIMIT
                    )
