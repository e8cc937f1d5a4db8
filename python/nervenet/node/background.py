# SPDX-License-Identifier: Apache-2.0
"""The tasks of a node that nobody awaits: their errors are logged, and a node that stops waits for them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from nervenet.redis_link.faults import LinkError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from nervenet.node.status import NodeStatus

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class BackgroundTasks:
    """See the module. One for each node."""

    def __init__(self, status: NodeStatus) -> None:
        self._status = status
        self._tasks: set[asyncio.Future[Any]] = set()
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<BackgroundTasks {len(self._tasks)} running>"

    def spawn(self, work: Awaitable[object]) -> None:
        """Run something beside everything else. Its error is logged."""
        task = asyncio.ensure_future(work, loop=self._loop)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def run_to_end(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await work that writes for a caller. The work continues when the caller is cancelled.

        gRPC cancels a handler whose caller has gone away, at any of its awaits. Nobody would know what the handler has
        written by then. So work that writes more than one thing, or that must tell somebody, runs in a task of the node.
        """
        task = self._loop.create_task(work)
        self._tasks.add(task)
        try:
            return await asyncio.shield(task)
        finally:
            if task.done():
                self._tasks.discard(task)
            else:
                task.add_done_callback(self._ended)  # nobody else receives its error

    async def settle(self) -> None:
        """Wait until no task is running."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, LinkError):
                _log.warning("%s: failed for now, the next check repeats it: %s", self._status.node_id, error)
            else:
                _log.error("%s: %r", self._status.node_id, error, exc_info=error)
