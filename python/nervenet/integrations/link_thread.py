# SPDX-License-Identifier: Apache-2.0
"""A link to Redis on an event loop in a thread of its own, which serves all threads and loops of the process.

Frameworks call a store from threads without a loop, from their executors' threads, and from any event loop, of which a
program may have several one after another. A link to Redis belongs to one loop. So it gets a loop of its own, which starts
at the first use; a call passes its work to it and waits, in a thread or in an event loop.

The thread ends with `close`, with the last owner that uses it, and with the process. A process made by `fork` has no copy
of the thread and starts one of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.opening import open_link

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from concurrent.futures import Future

    from nervenet.errors import NervenetError
    from nervenet.redis_link.link import Link
    from nervenet.redis_link.script import LuaScript

__all__ = ["LinkThread", "StoreSettings"]

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What a store needs from Redis, and its names for messages.

    Attributes:
        url: URL of Redis, as in nervenet's setting `redis`.
        name: Name of the connection and of the thread: "nervenet-saver".
        owner: Class that the user closes: "NervenetSaver".
        data: What it stores: "checkpoints".
        unavailable: Raised, with a sentence, if Redis does not answer in time or refuses, and once it is closed.
        wait: Seconds for which the first connection is tried.
        patience: Seconds for which a command is repeated while its error may pass.
        scripts: Loaded into each server.
    """

    url: str
    name: str
    owner: str
    data: str
    unavailable: type[NervenetError]
    wait: float
    patience: float
    scripts: Sequence[LuaScript] = ()


class LinkThread(Generic[S]):
    """A store that any thread and any event loop may use.

    Args:
        settings: See `StoreSettings`.
        store: Makes the store on an open link.
    """

    def __init__(self, settings: StoreSettings, store: Callable[[Link], S]) -> None:
        self._settings, self._make = settings, store
        self._lock = threading.Lock()
        self._running: _Running[S] | None = None
        self._closed = False

    def wait(self, work: Callable[[S], Coroutine[None, None, T]]) -> T:
        """Do this with the store, and block this thread until it is done."""
        future = self._submit(work)
        try:
            return future.result()
        except CancelledError:
            raise self._closed_meanwhile() from None
        except BaseException:
            future.cancel()
            raise

    async def run(self, work: Callable[[S], Coroutine[None, None, T]]) -> T:
        """Do this with the store, and let this event loop do other things until it is done."""
        future = self._submit(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._closed:
                raise self._closed_meanwhile() from None
            raise

    def close(self) -> None:
        """Close the link and end the thread. Work that is not done fails. A second call does nothing."""
        with self._lock:
            running, self._running, self._closed = self._running, None, True
        if running is not None and running.pid == os.getpid():
            running.stop()
            running.thread.join()

    async def aclose(self) -> None:
        """`close` in another thread, so that this event loop can do other things."""
        await asyncio.to_thread(self.close)

    def _submit(self, work: Callable[[S], Coroutine[None, None, T]]) -> Future[T]:
        with self._lock:
            if self._closed:
                raise self._settings.unavailable(f"This {self._settings.owner} is closed. Make another one.")
            if self._running is None or self._running.pid != os.getpid():
                self._running = _Running(self._settings, self._make)
                weakref.finalize(self, self._running.stop)
            return asyncio.run_coroutine_threadsafe(self._running.work(work), self._running.loop)

    def _closed_meanwhile(self) -> NervenetError:
        return self._settings.unavailable(f"This {self._settings.owner} was closed while it waited for Redis.")


class _Running(Generic[S]):
    """The loop, its thread, and the store on it, in one process. It knows nothing of the `LinkThread`, so that this one
    can be collected while the thread runs."""

    def __init__(self, settings: StoreSettings, store: Callable[[Link], S]) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._settings, self._make = settings, store
        self._opening: asyncio.Task[S] | None = None
        self._link: Link | None = None
        self._store: S | None = None
        self.thread = threading.Thread(target=self._main, name=settings.name, daemon=True)
        self.thread.start()

    async def work(self, work: Callable[[S], Coroutine[None, None, T]]) -> T:
        try:
            return await work(await self._opened())
        except LinkError as error:
            raise self._translated(error) from error

    def stop(self) -> None:
        if self.pid == os.getpid() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)

    async def _opened(self) -> S:
        """The store. Calls that come while the link is opened wait for the same attempt, and fail with it."""
        if self._store is not None:
            return self._store
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._has_opened)
        return await asyncio.shield(self._opening)  # a call that is canceled leaves the attempt to the others

    async def _open(self) -> S:
        given = self._settings
        self._link = await open_link(
            given.url, name=given.name, scripts=given.scripts, wait=given.wait, patience=given.patience
        )
        self._store = self._make(self._link)
        return self._store

    def _has_opened(self, opening: asyncio.Task[S]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # or asyncio logs it, if every call was canceled

    def _translated(self, error: LinkError) -> NervenetError:
        given = self._settings
        reason = f"Redis does not serve {given.data}: {error}"
        if error.retry:
            reason += (
                f". Is the server up, and is this its address? The first connection is tried for {given.wait:g} s, and a "
                f"command is repeated for {given.patience:g} s."
            )
        return given.unavailable(reason)

    def _main(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self._end())
            self.loop.close()

    async def _end(self) -> None:
        own = asyncio.current_task()
        if self._link is not None:
            await self._link.close()
        others = [task for task in asyncio.all_tasks() if task is not own]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
