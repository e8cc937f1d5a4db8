# SPDX-License-Identifier: Apache-2.0
"""How many bodies of calls may be on their way to a server at once, so that large ones of many callers do not fill its memory.

    bodies = Bodies(receive_limit(payload_limit))
    body = bodies.begin()            # None: all places are taken
    body = await bodies.room(10.0)   # wait for one. Raises Overloaded
    body.arrived()

gRPC takes a whole message before it tells anybody how large it is. So what can be bounded is the number of calls whose message
gRPC is taking: `MOST_BYTES` divided by the size of the largest message. Calls beyond it wait, and gRPC takes no more of their
messages than its window. A small message arrives with its call, so a place is free again after a moment.

A caller that begins a message and stops would keep its place. So while others wait, calls whose message is not there after
`BODY_WITHIN` are ended.

Rejected: `maximum_concurrent_rpcs` of gRPC, which counts calls that only wait too, and refuses all of them from strangers'
calls on; a resource quota, which gRPC for Python cannot make.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from contextvars import ContextVar
from typing import Final

from nervenet.clock import SYSTEM
from nervenet.errors import Overloaded
from nervenet.timing import BODY_WITHIN

__all__ = ["ARRIVING", "MOST_BYTES", "Bodies", "Body"]

MOST_BYTES: Final = 256 << 20
"""Memory for bodies on their way, if all of them are as large as they may be."""
LEAST: Final = 8
"""Places, however large a message may be."""
_LOOK_EVERY: Final = 0.5


class Body:
    """The place of one call. It is free when the message has arrived, and when the call ends without one."""

    __slots__ = ("__weakref__", "_bodies", "since", "task")

    def __init__(self, bodies: Bodies, task: asyncio.Task[object] | None) -> None:
        self._bodies: Bodies | None = bodies
        self.since = SYSTEM.monotonic()
        self.task = None if task is None else weakref.ref(task)

    def arrived(self) -> None:
        """The message is there, or will not come. A second time changes nothing."""
        bodies, self._bodies = self._bodies, None
        if bodies is not None:
            bodies.end(self)

    def __del__(self) -> None:
        """gRPC tells nobody that a caller left before its message came: the task of the call ends, and this with it."""
        self.arrived()


ARRIVING: ContextVar[Body | None] = ContextVar("nervenet_arriving", default=None)
"""The place of the call that this task serves."""


class Bodies:
    """One for each server. `largest`: the largest message that the server takes, in bytes."""

    def __init__(self, largest: int, most_bytes: int = MOST_BYTES) -> None:
        self.most = max(LEAST, most_bytes // largest)
        self._taken: dict[int, weakref.ref[Body]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Bodies {len(self._taken)} of {self.most} on their way, {len(self._waiting)} wait>"

    def begin(self) -> Body | None:
        """A place for the call of this task. None: all are taken, or others wait."""
        if len(self._taken) >= self.most or self._waiting:
            return None
        return self._take()

    async def room(self, within: float) -> Body:
        """Wait for a place.

        Args:
            within: Seconds to wait, at most `BODY_WITHIN` twice.

        Raises:
            Overloaded: None was free in time. Send the call again, or to another node.
        """
        ends = SYSTEM.monotonic() + min(within, 2 * BODY_WITHIN)
        while len(self._taken) >= self.most:
            left = ends - SYSTEM.monotonic()
            if left <= 0:
                raise Overloaded(
                    f"{self.most} calls are being received, and this process takes no more at once: send it again, or to another one",
                    code="RESOURCE_EXHAUSTED",
                    reason="MEMORY_FULL",
                )
            self._end_the_late()
            await self._free(min(left, _LOOK_EVERY))
        return self._take()

    def end(self, body: Body) -> None:
        """A place is free."""
        self._taken.pop(id(body), None)
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(None)
                break

    def _take(self) -> Body:
        body = Body(self, asyncio.current_task())
        self._taken[id(body)] = weakref.ref(body)
        return body

    async def _free(self, within: float) -> None:
        """Wait for the next free place, or this long."""
        free = asyncio.get_running_loop().create_future()
        self._waiting.append(free)
        try:
            await asyncio.wait((free,), timeout=within)
        finally:
            if not free.done():
                free.cancel()
                self._waiting.remove(free)

    def _end_the_late(self) -> None:
        """End the calls whose message should be there by now."""
        late = SYSTEM.monotonic() - BODY_WITHIN
        for reference in tuple(self._taken.values()):
            body = reference()
            if body is not None and body.since < late and body.task is not None and (task := body.task()) is not None:
                task.cancel()
                body.arrived()
