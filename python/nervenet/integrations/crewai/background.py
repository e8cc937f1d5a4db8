# SPDX-License-Identifier: Apache-2.0
"""An event loop in a thread of its own, which owns the link to Redis and serves all threads of the process.

CrewAI calls a persistence without `await`: from threads, and from inside event loops, of which a program may have several
one after another. A link to Redis belongs to one loop. So it gets a loop of its own, which starts at the first command. A
process made by `fork` has no copy of the thread and starts one of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from nervenet.errors import NervenetError
from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.opening import open_link

if TYPE_CHECKING:
    from nervenet.redis_link.link import Link

__all__ = ["FlowStateUnavailable", "RedisCommands"]


class FlowStateUnavailable(NervenetError):
    """Redis did not store or return the state of a flow. The message has Redis' reason and the cure. Kick the flow off
    again with the same id: it continues from its last state."""


class RedisCommands:
    """Redis commands that block the thread which gives them.

    Args:
        url: URL of Redis, as in nervenet's setting `redis`.
        wait: Seconds for which the first connection is tried.
        patience: Seconds for which a command is repeated while its error may pass.
    """

    def __init__(self, url: str, *, wait: float, patience: float) -> None:
        self._url, self._wait, self._patience = url, wait, patience
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._closed = False

    def call(self, *words: str | bytes | int) -> Any:
        """Send one command and return its reply.

        Raises:
            FlowStateUnavailable: Redis refused it, or did not answer in time.
        """
        with self._lock:
            if self._closed:
                raise FlowStateUnavailable("This NervenetFlowPersistence is closed. Make another one.")
            if self._running is None or self._running.pid != os.getpid():
                self._running = _Running(self._url, self._wait, self._patience)
                weakref.finalize(self, self._running.stop)
            running = self._running
        try:
            return asyncio.run_coroutine_threadsafe(running.call(*words), running.loop).result()
        except LinkError as error:
            raise FlowStateUnavailable(self._sentence(error)) from error

    def close(self) -> None:
        """Close the link and end the thread. A second call does nothing."""
        with self._lock:
            running, self._running, self._closed = self._running, None, True
        if running is not None and running.pid == os.getpid():
            running.stop()
            running.thread.join()

    def _sentence(self, error: LinkError) -> str:
        reason = f"Redis does not serve the state of flows: {error}"
        if not error.retry:
            return reason
        return (
            f"{reason}. Is the server up, and is this its address? The first connection is tried for {self._wait:g} s, "
            f"and a command is repeated for {self._patience:g} s."
        )


class _Running:
    """The loop, its thread, and the link on it, in one process. It knows nothing of `RedisCommands`, so that this one can
    be collected while the thread runs."""

    def __init__(self, url: str, wait: float, patience: float) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._url, self._wait, self._patience = url, wait, patience
        self._opening = asyncio.Lock()
        self._link: Link | None = None
        self.thread = threading.Thread(target=self._main, name="nervenet-flows", daemon=True)
        self.thread.start()

    async def call(self, *words: str | bytes | int) -> Any:
        async with self._opening:
            if self._link is None:
                self._link = await open_link(self._url, name="nervenet-flows", wait=self._wait, patience=self._patience)
        return await self._link.call(*words)

    def stop(self) -> None:
        if self.pid == os.getpid() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)

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
