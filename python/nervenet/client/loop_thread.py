# SPDX-License-Identifier: Apache-2.0
"""An event loop in a thread of its own, for which the threads of a `SyncClient` wait.

It hides the thread: it starts at the first call, is refused inside a running loop and after a fork, and ends with `close`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError
from typing import Any

from typing_extensions import TypeVar

__all__ = ["LoopThread", "refuse_in_a_loop"]

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own, for which other threads wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._closed = False

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it there and return its result. An interrupt here cancels it there. Context variables are copied by
        asyncio.
        """
        try:
            refuse_in_a_loop()
            future = asyncio.run_coroutine_threadsafe(work, self._running())
        except RuntimeError:
            work.close()
            raise
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("this SyncClient was closed while it waited") from None
        except BaseException:
            future.cancel()
            raise

    def each(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items one by one: the next one is fetched when the caller asks for it."""
        try:
            while True:
                try:
                    item = self.wait(_next(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self._leave(items)

    def close(self, last: Any) -> None:
        """Run `last`, then end the thread. A second call does nothing."""
        refuse_in_a_loop()
        with self._lock:
            started, was_closed, self._closed = self._loop, self._closed, True
        if was_closed or started is None or self._thread is None or not self._thread.is_alive():
            return
        try:
            asyncio.run_coroutine_threadsafe(last(), started).result()
        finally:
            assert self._stop is not None
            started.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _leave(self, items: AsyncIterator[Any]) -> None:
        """Close the stream: the caller wants no more. Does not wait, because this may run in the garbage collector, on
        any thread.
        """
        loop, close = self._loop, getattr(items, "aclose", None)
        if loop is not None and close is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(close(), loop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise RuntimeError("this SyncClient is closed")
            if self._thread is None:
                ready = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(ready,), name="nervenet client", daemon=True)
                self._thread.start()
                ready.wait()
            if not self._thread.is_alive():
                raise RuntimeError("this SyncClient was used before this process forked: make one in each process")
            assert self._loop is not None
            return self._loop

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            ready.set()
            await self._stop.wait()

        asyncio.run(serve())


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


def refuse_in_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("SyncClient would block the event loop of this thread: use Client here (async with Client() …)")
