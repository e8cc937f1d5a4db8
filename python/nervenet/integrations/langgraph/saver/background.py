# SPDX-License-Identifier: Apache-2.0
"""An event loop in a thread of its own, which owns the link to Redis and serves all threads and loops of the process.

LangGraph calls a checkpointer from threads without a loop, from its executor's threads, and from any event loop, of
which a program may have several one after another. A link to Redis belongs to one loop. So it gets a loop of its own,
which starts at the first use; a call passes its work to it and waits, in a thread or in an event loop.

The thread ends with `close`, with the last saver that uses it, and with the process. A process made by `fork` has no
copy of the thread and starts one of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, TypeVar

from nervenet.errors import NervenetError
from nervenet.integrations.langgraph.saver.script import NAMES, script
from nervenet.integrations.langgraph.saver.store import CheckpointStore, StoreOptions
from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.opening import open_link

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

__all__ = ["BackgroundStore", "CheckpointsUnavailable"]

T = TypeVar("T")


class CheckpointsUnavailable(NervenetError):
    """Redis did not store or return checkpoints. The message has Redis' reason and the cure. Nothing was stored in part:
    invoke the graph again with the same thread_id and it continues from its last checkpoint."""


class BackgroundStore:
    """A `CheckpointStore` that any thread and any event loop may use."""

    def __init__(self, url: str, options: StoreOptions, *, wait: float, patience: float) -> None:
        self.url = url
        self._options = options
        self._wait, self._patience = wait, patience
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._closed = False

    def wait(self, work: Callable[[CheckpointStore], Coroutine[None, None, T]]) -> T:
        """Do this with the store, and block this thread until it is done."""
        future = self._submit(work)
        try:
            return future.result()
        except CancelledError:
            raise self._closed_meanwhile() from None
        except BaseException:
            future.cancel()
            raise

    async def run(self, work: Callable[[CheckpointStore], Coroutine[None, None, T]]) -> T:
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

    def _submit(self, work: Callable[[CheckpointStore], Coroutine[None, None, T]]) -> Future[T]:
        with self._lock:
            if self._closed:
                raise CheckpointsUnavailable("This NervenetSaver is closed. Use it inside its `with` block.")
            if self._running is None or self._running.pid != os.getpid():
                self._running = _Running(self.url, self._options, self._wait, self._patience)
                weakref.finalize(self, self._running.stop)
            return asyncio.run_coroutine_threadsafe(self._running.work(work), self._running.loop)

    def _closed_meanwhile(self) -> CheckpointsUnavailable:
        return CheckpointsUnavailable("This NervenetSaver was closed while it waited for Redis.")


class _Running:
    """The loop, its thread, and the store on it, in one process. It knows nothing of the `BackgroundStore`, so that
    this one can be collected while the thread runs."""

    def __init__(self, url: str, options: StoreOptions, wait: float, patience: float) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._url, self._options = url, options
        self._wait, self._patience = wait, patience
        self._opening = asyncio.Lock()
        self._store: CheckpointStore | None = None
        self.thread = threading.Thread(target=self._main, name="nervenet-checkpoints", daemon=True)
        self.thread.start()

    async def work(self, work: Callable[[CheckpointStore], Coroutine[None, None, T]]) -> T:
        try:
            return await work(await self._opened())
        except LinkError as error:
            raise self._translated(error) from error

    def stop(self) -> None:
        if self.pid == os.getpid() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)

    async def _opened(self) -> CheckpointStore:
        async with self._opening:
            if self._store is None:
                scripts = [script(name) for name in NAMES]
                link = await open_link(
                    self._url, name="nervenet-saver", scripts=scripts, wait=self._wait, patience=self._patience
                )
                self._store = CheckpointStore(link, self._options)
            return self._store

    def _translated(self, error: LinkError) -> CheckpointsUnavailable:
        reason = str(error)
        if error.retry:
            reason += (
                ". Is the server up, and is this its address? The saver tries to connect for "
                f"{self._wait:g} s at its first use, and repeats a command for {self._patience:g} s."
            )
        return CheckpointsUnavailable(f"Redis does not serve checkpoints: {reason}")

    def _main(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self._end())
            self.loop.close()

    async def _end(self) -> None:
        own = asyncio.current_task()
        if self._store is not None:
            await self._store.link.close()
        others = [task for task in asyncio.all_tasks() if task is not own]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
