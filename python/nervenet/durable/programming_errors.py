# SPDX-License-Identifier: Apache-2.0
"""Which exceptions of workflow code are programming errors: they block the run instead of failing it (decision 0035).

A failed run is over. A programming error says nothing about the work, only that the code is wrong: the run waits for
code that is right, and continues from its journal. So the set has the classes that Python itself raises where code does
not fit its objects, and that people rarely raise to report something.

Only these classes count, not their subclasses: who defines a class and raises it does so on purpose. ValueError,
RuntimeError and OSError are not in the set, because people raise them on purpose, and because they describe data and the
outside world more often than code.
"""

from __future__ import annotations

from typing import Final

from nervenet.errors import NotDurable

PROGRAMMING_ERRORS: Final[frozenset[type[BaseException]]] = frozenset({
    NameError, UnboundLocalError, AttributeError,  # a name that is not there
    TypeError,  # a call or an operation that the object does not have
    KeyError, IndexError,  # a place that is not there
    AssertionError, NotImplementedError,  # code that checks itself, or is not written yet
    ZeroDivisionError, RecursionError, MemoryError,  # a computation that cannot end well
    ImportError, ModuleNotFoundError, SyntaxError, IndentationError, TabError,  # code that cannot be loaded
    NotDurable,  # a thread, a socket or another event loop in a workflow
})  # fmt: skip


def programming_error(error: BaseException) -> BaseException | None:
    """The programming error that this exception is, or that is in its group. None: it was raised on purpose.

    Causes do not count: `raise OrderRejected(…) from key_error` is on purpose.
    """
    if isinstance(error, BaseExceptionGroup):
        return next((found for part in error.exceptions if (found := programming_error(part)) is not None), None)
    if type(error) is RuntimeError and isinstance(error.__cause__, StopIteration):
        return error.__cause__  # `next(…)` without a next one: in a coroutine Python makes a RuntimeError of it
    return error if type(error) in PROGRAMMING_ERRORS else None
