# SPDX-License-Identifier: Apache-2.0
"""Wait for something that nobody announces: look again until it holds, and fail with a helpful message after a deadline.

    await until(lambda: agent.running == 3, "three tasks run")
    entry = await until(lambda: journal.find("close"), "the workflow ends", within=5)
    wait_until(log.exists, "the log is there")

The condition may be a function or a coroutine function; both forms return the first value that is true.
"""

from __future__ import annotations

import asyncio
import inspect
import linecache
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from nervenet.errors import RequestError

DEADLINE = 20.0
"""Seconds that anything may take on a busy machine. A test that is about speed states its own limit."""
LOOK_EVERY = 0.01
T = TypeVar("T")


class HasLogs(Protocol):
    """Whatever can tell more about a failure: a mesh of processes, one process."""

    def logs(self) -> str: ...


async def until(
    condition: Callable[[], Any | Awaitable[Any]],
    what: str = "",
    within: float = DEADLINE,
    of: HasLogs | None = None,
    *,
    ignore: tuple[type[Exception], ...] = (),
    in_thread: bool = False,
) -> Any:
    """Wait until the condition holds; what it returned then.

    Args:
        condition: Looked at every 10 ms; may be async. A TimeoutError of the condition means "not yet".
        what: What is awaited, for the message. Without it the message shows the line of the condition.
        within: Seconds until the wait fails.
        of: Whose logs stand below the message.
        ignore: Errors of the condition that mean "not yet".
        in_thread: Run the condition beside the event loop, because it blocks.

    Raises:
        AssertionError: the condition did not hold in time, or the condition itself failed an assertion.
    """
    end = time.monotonic() + within
    while True:
        error = None
        try:
            found = await asyncio.to_thread(condition) if in_thread else condition()
            if inspect.isawaitable(found):
                found = await asyncio.wait_for(found, max(end - time.monotonic(), 0.1))
        except TimeoutError:
            found = None
        except ignore as failed:
            found, error = None, failed
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(_message(condition, what, within, of, error))
        await asyncio.sleep(LOOK_EVERY)


def wait_until(
    condition: Callable[[], Any], what: str = "", within: float = DEADLINE, of: HasLogs | None = None
) -> Any:
    """The same as `until`, for code without an event loop."""
    end = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(_message(condition, what, within, of, None))
        time.sleep(LOOK_EVERY)
    return found


async def keep_asking(
    ask: Callable[[], Awaitable[T]],
    within: float,
    *,
    ignore: tuple[type[Exception], ...] = (RequestError, TimeoutError),
    codes: tuple[str, ...] = (),
    every: float = 0.1,
) -> T:
    """Ask again while the mesh does not answer, as a careful caller does; the answer.

    Args:
        ask: Makes one call.
        within: Seconds until TimeoutError.
        ignore: Errors that are no answer.
        codes: If given, only a RequestError with one of these codes is no answer.
        every: Seconds between two calls.
    """
    async with asyncio.timeout(within):
        while True:
            try:
                return await ask()
            except ignore as error:
                if codes and isinstance(error, RequestError) and error.code not in codes:
                    raise
            await asyncio.sleep(every)


def _message(
    condition: Callable[[], Any], what: str, within: float, of: HasLogs | None, error: Exception | None
) -> str:
    lines = [f"not within {within:g} s: {what or _source(condition)}"]
    if error is not None:
        lines.append(f"the last look failed: {error!r}")
    if of is not None:
        with suppress(OSError):
            lines.append(of.logs())
    return "\n".join(lines)


def _source(condition: Callable[[], Any]) -> str:
    """The line where the condition is written."""
    code = getattr(condition, "__code__", None)
    return linecache.getline(code.co_filename, code.co_firstlineno).strip() if code else repr(condition)
