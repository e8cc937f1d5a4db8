# SPDX-License-Identifier: Apache-2.0
"""Another world for the replay check: other random numbers, another time, another environment, only for workflow code.

    with another_world(seed):
        machine = rebuild(workflow, …)          # time.time() is 19 days later, os.environ has other values

Code that depends on them asks for other steps than before, and is found by that. Only a read in a user's file, in this
thread, gets other values; the standard library, installed packages and nervenet get the real ones, so nothing else
breaks. Rejected: to trace and refuse each read. That would also block code that reads a variable for its log, and asks
for the same steps with any value.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from nervenet.durable.lines import is_machinery

LATER: Final = 1_700_000  # seconds: enough for another day, another hour and another minute
_CLOCKS: Final = ("time", "monotonic", "perf_counter")
_GOING_BETWEEN: Final = ("<frozen os>", "<frozen _collections_abc>", os.__file__)


@contextmanager
def another_world(seed: int) -> Iterator[None]:
    """Enter another world for the block. `seed` is for the module `random`, whose state is restored."""
    chance, thread = random.getstate(), threading.get_ident()
    true_clocks = {name: getattr(time, name) for clock in _CLOCKS for name in (clock, f"{clock}_ns")}
    environ: Any = type(os.environ)
    true_read = environ.__getitem__

    def read(self: Any, key: str) -> str:
        if threading.get_ident() != thread or not _is_users(sys._getframe(1)):
            return str(true_read(self, key))
        if key in self._data or self.encodekey(key) in self._data:
            raise KeyError(key)
        return "another environment"

    random.seed(seed)
    for name, clock in true_clocks.items():
        setattr(time, name, _later(clock, LATER * 1_000_000_000 if name.endswith("_ns") else LATER, thread))
    environ.__getitem__ = read
    try:
        yield
    finally:
        environ.__getitem__ = true_read
        for name, clock in true_clocks.items():
            setattr(time, name, clock)
        random.setstate(chance)


def _later(clock: Callable[[], Any], by: int, thread: int) -> Callable[[], Any]:
    def read() -> Any:
        shifted = threading.get_ident() == thread and _is_users(sys._getframe(1))
        return clock() + by if shifted else clock()

    return read


def _is_users(frame: FrameType | None) -> bool:
    """Whether a user's file reads, directly or with `os.getenv` and `environ.get`."""
    while frame is not None and frame.f_code.co_filename in _GOING_BETWEEN:
        frame = frame.f_back
    return frame is not None and not is_machinery(frame.f_code.co_filename)
