# SPDX-License-Identifier: Apache-2.0
"""Stopping: the first SIGTERM or SIGINT drains, a second one stops at once, a third one skips the clean-up too.

A signal that comes before the process serves stops it at once: there is nothing to drain. The main coroutine is run on
uvloop where it is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

_log = logging.getLogger("nervenet.process")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ShutdownSignals:
    """What signals ask for. Made by `run`."""

    def __init__(self, main: asyncio.Task[Any]) -> None:
        self._main = main
        self._asked = asyncio.Event()
        self._serving = False
        self._signals = 0
        self.last = 0

    async def asked(
        self,
        drain: Callable[[], Awaitable[None]] | None = None,
        grace: float | None = None,
        *,
        broken: Coroutine[Any, Any, None] | None = None,
    ) -> None:
        """Serve until a signal asks to stop, then drain for at most `grace` seconds. `broken` raises when the role has
        failed.
        """
        self._serving = True
        waiting = asyncio.ensure_future(self._asked.wait())
        failing = asyncio.ensure_future(broken) if broken is not None else None
        try:
            await asyncio.wait([waiting, *([failing] if failing else [])], return_when=asyncio.FIRST_COMPLETED)
            if failing is not None and failing.done():
                failing.result()
            if drain is not None:
                await _within(drain, grace)
        finally:
            waiting.cancel()
            if failing is not None:
                failing.cancel()

    def signal(self, signum: int) -> None:
        self._signals += 1
        self.last = signum
        if self._signals > 2:
            os._exit(128 + signum)
        if self._serving and not self._asked.is_set():
            _log.info("%s: draining; a second signal stops at once", signal.Signals(signum).name)
            self._asked.set()
        else:
            self._main.cancel()


async def _within(drain: Callable[[], Awaitable[None]], grace: float | None) -> None:
    try:
        async with asyncio.timeout(grace):
            await drain()
    except TimeoutError:
        _log.warning("not drained after %.0f s: other processes continue the rest", grace or 0)


def run(main: Callable[[ShutdownSignals], Coroutine[Any, Any, None]]) -> int:
    """Run `main` until it ends. Returns 0, or 128 + the number of the signal that interrupted it."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_supervised(main))


async def _supervised(main: Callable[[ShutdownSignals], Coroutine[Any, Any, None]]) -> int:
    loop = asyncio.get_running_loop()
    made: asyncio.Future[ShutdownSignals] = loop.create_future()

    async def begin() -> None:
        await main(await made)

    task = asyncio.ensure_future(begin())
    stop = ShutdownSignals(task)
    made.set_result(stop)
    for signum in SIGNALS:
        loop.add_signal_handler(signum, stop.signal, signum)
    try:
        await task
    except asyncio.CancelledError:
        if not stop.last:
            raise
        return 128 + stop.last
    finally:
        for signum in SIGNALS:
            with contextlib.suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(signum)
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return None
    return uvloop.new_event_loop
