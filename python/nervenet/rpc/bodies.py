# SPDX-License-Identifier: Apache-2.0
"""How many bodies of calls may be on their way to a server at once, so that large ones of many callers do not fill its memory.

    bodies = Bodies(receive_limit(payload_limit))
    body = bodies.begin()            # None: all places are taken
    body = await bodies.room(10.0)   # wait for one. Raises Overloaded
    body.arrived()

gRPC takes a whole message before it tells anybody how large it is. So what can be bounded is the number of calls whose message
gRPC is taking: `MOST_BYTES` divided by the size of the largest message. Calls beyond it wait, and gRPC takes no more of their
messages than its window. A small message arrives with its call, so a place is free again after a moment.

Callers may begin calls and send nothing. They must not lock others out, and they cost little, so further calls get a place as
long as the process does not grow: some at each look, the newest first. On a busy machine a message takes a while to arrive, so
each of these counts for `SEEN_WITHIN` as large as it may become. Once the process has grown by `MOST_GROWTH`, the oldest calls
whose message is not there after `BODY_WITHIN` are ended instead, as many as others wait.

Rejected: `maximum_concurrent_rpcs` of gRPC, which counts calls that only wait too, and refuses all of them from strangers'
calls on; a resource quota, which gRPC for Python cannot make.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from nervenet.clock import SYSTEM
from nervenet.errors import Overloaded
from nervenet.heap import memory_in_use
from nervenet.timing import BODY_MEMORY, BODY_TURN, BODY_WITHIN

__all__ = ["ARRIVING", "MOST_BYTES", "Bodies", "Body"]

MOST_BYTES: Final = 192 << 20
"""Memory for bodies on their way, if all of them are as large as they may be."""
MOST_GROWTH: Final = 128 << 20
"""How much a process may grow while calls wait, before no further call gets a place."""
LEAST: Final = 8
"""Places, however large a message may be."""
FURTHER: Final = 10
"""Calls that get a place at a look, beyond all places."""
SEEN_WITHIN: Final = 1.0
"""Seconds after which a call that got a place beyond all places counts for what it has made the process grow."""
_LOOK_EVERY: Final = 0.05


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

    def give_up(self) -> None:
        """End the call."""
        if self.task is not None and (task := self.task()) is not None:
            task.cancel()
        self.arrived()

    def __del__(self) -> None:
        """gRPC tells nobody that a caller left before its message came: the task of the call ends, and this with it."""
        self.arrived()


ARRIVING: ContextVar[Body | None] = ContextVar("nervenet_arriving", default=None)
"""The place of the call that this task serves."""


class Bodies:
    """One for each server. `largest`: the largest message that the server takes, in bytes."""

    def __init__(
        self, largest: int, most_bytes: int = MOST_BYTES, resident: Callable[[], int] = lambda: memory_in_use()[1]
    ) -> None:
        self.most = max(LEAST, most_bytes // largest)
        self._largest = largest
        self._resident = resident
        self._before = 0
        """Bytes of the process when the first of those that wait came; kept for `BODY_MEMORY`, so that floods do not add up."""
        self._looked = -BODY_MEMORY
        self._taken: dict[int, weakref.ref[Body]] = {}
        self._further: dict[int, float] = {}
        """Since when calls have a place beyond all places, by the id of their `Body`."""
        self._promised = 0
        """Places of calls whose turn it is and that have not gone on yet."""
        self._waiting: list[asyncio.Future[bool]] = []
        """The result: whether the place is beyond all places."""
        self._looks: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Bodies {len(self._taken)} of {self.most} on their way, {len(self._waiting)} wait>"

    @property
    def _is_full(self) -> bool:
        return len(self._taken) + self._promised >= self.most

    def begin(self) -> Body | None:
        """A place for the call of this task. None: all are taken."""
        return None if self._is_full else self._take()

    async def room(self, within: float) -> Body:
        """Wait for a place.

        Args:
            within: Seconds to wait, at most `BODY_TURN`.

        Raises:
            Overloaded: None was free in time. Send the call again, or to another node.
        """
        further = self._is_full and await self._turn(SYSTEM.monotonic() + min(within, BODY_TURN))
        body = self._take()
        if further:
            self._further[id(body)] = body.since
        return body

    def end(self, body: Body) -> None:
        """A place is free."""
        self._taken.pop(id(body), None)
        self._further.pop(id(body), None)
        self._promise()

    def _take(self) -> Body:
        body = Body(self, asyncio.current_task())
        self._taken[id(body)] = weakref.ref(body)
        return body

    def _promise(self, further: int = 0) -> None:
        """The newest of those that wait get the places that are free, and further ones."""
        while self._waiting and (further > 0 or not self._is_full):
            newest = self._waiting.pop()
            if not newest.done():  # else its call has just ended
                beyond = self._is_full
                further -= beyond
                self._promised += 1
                newest.set_result(beyond)

    async def _turn(self, ends: float) -> bool:
        loop = asyncio.get_running_loop()
        if self._looks is None:
            resident, remembered = self._resident(), SYSTEM.monotonic() - self._looked < BODY_MEMORY
            self._before = min(self._before, resident) if remembered else resident
            self._looks = loop.call_later(_LOOK_EVERY, self._look)
        turn = loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(max(ends - SYSTEM.monotonic(), 0)):
                beyond: bool = await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._promised -= 1
                self._promise()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise Overloaded(
                    f"{self.most} calls are being received, and this process takes no more at once: send it again, or to another one",
                    code="RESOURCE_EXHAUSTED",
                    reason="MEMORY_FULL",
                ) from None
            raise
        self._promised -= 1
        return beyond

    def _look(self) -> None:
        """Let some go on, or make room for them, until nobody waits."""
        self._looked = SYSTEM.monotonic()
        left = MOST_GROWTH - (self._resident() - self._before)
        if left > 0:
            unseen = sum(self._looked - since < SEEN_WITHIN for since in self._further.values())
            self._promise(min(FURTHER, max(1, left // self._largest) - unseen))
        else:
            self._end_the_oldest()
        self._looks = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look) if self._waiting else None

    def _end_the_oldest(self) -> None:
        """End calls whose message should be there by now."""
        late = SYSTEM.monotonic() - BODY_WITHIN
        for reference in tuple(self._taken.values()):  # the oldest first
            body = reference()
            if not self._waiting or (body is not None and body.since >= late):
                break
            if body is not None:
                body.give_up()
