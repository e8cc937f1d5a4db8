# SPDX-License-Identifier: Apache-2.0
"""Another world for the replay check: another chance, another clock, another environment, for the workflow's code alone.

    with another_world(seed):
        machine = rebuild(workflow, …)          # time.time() is 19 days on, os.environ says what it never says

Code that looks there asks for something else in it than it asked before, and is found out by that. Only a read by a file
of the user's, in this thread, sees it; the standard library, installed packages and nervenet see the truth, so nothing
around the workflow breaks. Rejected: tracing every read and refusing it at once, which would also block code that reads
a variable for its log and asks the same whatever it says.
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
    """For as long as the block runs. `seed` is of the module `random`, whose state is put back."""
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
    """Whether a file of the user's asks, itself or through `os.getenv` and `environ.get`."""
    while frame is not None and frame.f_code.co_filename in _GOING_BETWEEN:
        frame = frame.f_back
    return frame is not None and not is_machinery(frame.f_code.co_filename)
