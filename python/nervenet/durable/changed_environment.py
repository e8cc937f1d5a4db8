# SPDX-License-Identifier: Apache-2.0
"""A changed environment for the replay check, for workflow code only: other random numbers, another time, other variables.

    with changed_environment(seed):
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
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from nervenet.durable.lines import is_machinery

CLOCK_OFFSET_S: Final = 1_700_000  # seconds: enough for another day, another hour and another minute
_CLOCKS: Final = ("time", "monotonic", "perf_counter")
_ENVIRON_FILES: Final = ("<frozen os>", "<frozen _collections_abc>", os.__file__)


@contextmanager
def changed_environment(seed: int) -> Iterator[None]:
    """Change the environment for the block. `seed` is for the module `random`, whose state is restored."""
    chance, thread = random.getstate(), threading.get_ident()
    true_clocks = {name: getattr(time, name) for clock in _CLOCKS for name in (clock, f"{clock}_ns")}
    environments: list[Any] = [os.environ, os.environb]
    true_variables = os.environ._data  # type: ignore[attr-defined]  # both hold this dict

    random.seed(seed)
    for name, clock in true_clocks.items():
        setattr(
            time,
            name,
            _shifted(clock, CLOCK_OFFSET_S * 1_000_000_000 if name.endswith("_ns") else CLOCK_OFFSET_S, thread),
        )
    for environment in environments:
        environment._data = _OtherVariables(true_variables, thread)
    try:
        yield
    finally:
        for environment in environments:
            environment._data = true_variables
        for name, clock in true_clocks.items():
            setattr(time, name, clock)
        random.setstate(chance)


class _OtherVariables(MutableMapping[bytes, bytes]):
    """The variables behind `os.environ`: for workflow code those that are set are not, and all others are.

    An object in the place of the dict, and not another `__getitem__` on the class of `os.environ`: Python 3.13 gives a
    class a thousand versions, and calls a method that was replaced after them by what it had cached.
    """

    def __init__(self, variables: MutableMapping[bytes, bytes], thread: int) -> None:
        self._variables, self._thread = variables, thread

    def _is_read_by_user(self) -> bool:
        return threading.get_ident() == self._thread and _is_users(sys._getframe(2))

    def __getitem__(self, key: bytes) -> bytes:
        if not self._is_read_by_user():
            return self._variables[key]
        if key in self._variables:
            raise KeyError(key)
        return b"another environment"

    def __contains__(self, key: object) -> bool:
        return (key in self._variables) != self._is_read_by_user()

    def __iter__(self) -> Iterator[bytes]:
        return iter(()) if self._is_read_by_user() else iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._variables[key] = value

    def __delitem__(self, key: bytes) -> None:
        del self._variables[key]


def _shifted(clock: Callable[[], Any], by: int, thread: int) -> Callable[[], Any]:
    def read() -> Any:
        shifted = threading.get_ident() == thread and _is_users(sys._getframe(1))
        return clock() + by if shifted else clock()

    return read


def _is_users(frame: FrameType | None) -> bool:
    """Whether a user's file reads, directly or with `os.getenv` and `environ.get`."""
    while frame is not None and frame.f_code.co_filename in _ENVIRON_FILES:
        frame = frame.f_back
    return frame is not None and not is_machinery(frame.f_code.co_filename)
