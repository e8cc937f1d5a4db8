# SPDX-License-Identifier: Apache-2.0
"""Long-lived parts of a process that must not end unseen: each is run by `supervise`, which reports and repeats.

A part is a function that returns a coroutine that must run without end. When it raises, or returns, or is cancelled from
inside, that is logged and it is run again after a pause. Only the cancellation of the supervising task ends it.

    task = asyncio.create_task(supervise("the table of nodes", table.follow, on_change=health.report))

`on_change` hears the error of each failure, and None when the part has then run for `STABLE` seconds.
Rejected: `TaskGroup`, which ends every part when one fails; here the others must go on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

__all__ = ["STABLE", "Ended", "supervise"]

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 5.0
STABLE: Final = 10.0
"""Seconds after which a part that failed counts as healthy again, and its next failure as a first one."""

_log = logging.getLogger(__name__)


class Ended(Exception):
    """A part that must run without end has returned, or something that it awaited was cancelled."""


async def supervise(
    name: str,
    part: Callable[[], Awaitable[object]],
    *,
    on_change: Callable[[Exception | None], None] | None = None,
    fatal: tuple[type[Exception], ...] = (),
    stable: float = STABLE,
    chance: random.Random | None = None,
) -> None:
    """Run a part for ever; repeat it with pauses that double from 50 ms to 5 s.

    Args:
        name: What the log calls it.
        part: Makes the coroutine; called again for each try.
        on_change: Called with the error when the part fails, with None when it is well again. It must not raise.
        fatal: Errors that no repetition cures: they are raised.
        stable: Seconds that a try must last for the part to be well again.
        chance: Spreads the pauses, so that many processes do not try as one.
    """
    chance = chance or random.Random()
    loop = asyncio.get_running_loop()
    failures, known = 0, ""
    while True:
        began = loop.time()
        well = loop.call_later(stable, on_change, None) if failures and on_change is not None else None
        try:
            error = await _once(part, fatal)
        finally:
            if well is not None:
                well.cancel()
        failures = 1 if loop.time() - began >= stable else failures + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 16)) * chance.uniform(0.5, 1.0)
        is_new, known = repr(error) != known, repr(error)
        _log.error(
            "%s failed %d times in a row, it is tried again in %.2f s: %r",
            name,
            failures,
            pause,
            error,
            exc_info=error if is_new else None,  # the same error again: one line is enough
        )
        if on_change is not None:
            on_change(error)
        await asyncio.sleep(pause)


async def _once(part: Callable[[], Awaitable[object]], fatal: tuple[type[Exception], ...]) -> Exception:
    """One try: how it ended."""
    task = asyncio.current_task()
    try:
        await part()
    except fatal:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its owner decides what follows
        return error
    except asyncio.CancelledError:
        if task is None or task.cancelling():
            raise
        return Ended("something that it awaited was cancelled")
    return Ended("it returned, but it must run without end")
