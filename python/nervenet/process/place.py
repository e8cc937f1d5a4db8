# SPDX-License-Identifier: Apache-2.0
"""What a supervisor tells each of its processes: its number, and the addresses that all of them share.

    place = own_place()                       # None: this process has no supervisor
    config = place.settings(config)

It is passed in an environment variable, which the process removes, so that programs that it starts do not read it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from nervenet.config import Config

__all__ = ["Place", "end_with_supervisor", "own_place"]

VARIABLE: Final = "_NERVENET_PLACE"
LEAVE_WITHIN: Final = 5.0
"""Seconds beyond the drain after which a process whose supervisor died ends at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One of several processes.

    Attributes:
        number: From 1.
        count: How many there are.
        ready_file: Where it reports that it serves.
        shared: Settings whose addresses all processes of the supervisor have in common.
    """

    number: int
    count: int
    ready_file: str
    shared: dict[str, str | None]

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Self:
        return cls(**json.loads(text))

    def settings(self, config: Config) -> Config:
        """The settings of this process."""
        changed: dict[str, Any] = {**self.shared, "process": self.number, "processes": self.count}
        return replace(config, **changed)


def own_place(environ: MutableMapping[str, str] = os.environ) -> Place | None:
    """The place of this process. The variable is gone afterwards."""
    text = environ.pop(VARIABLE, None)
    return None if text is None else Place.decode(text)


def end_with_supervisor(drain: float) -> None:
    """Drain when the supervisor has died, and end at once if that takes longer than `drain` seconds and a few more.

    Standard input is a pipe whose other end only the supervisor has: the system closes it, however the supervisor ends. A
    thread waits for it, so that a blocked event loop ends too.
    """
    threading.Thread(target=_wait_for_end, args=(sys.stdin.fileno(), drain), name="supervisor", daemon=True).start()


def _wait_for_end(pipe: int, drain: float) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(drain + LEAVE_WITHIN)
    os._exit(128 + signal.SIGTERM)
