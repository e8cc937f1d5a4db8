# SPDX-License-Identifier: Apache-2.0
"""The end of calls that nobody waits for any more: the caller has left, or the node stops.

answer = await unless_left(request, method(message, call))   # cancelled when the caller closes its connection

async with streams.open():                                   # Unavailable after half an hour, or when the node stops
    ...
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from nervenet.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from typing import Any

    from starlette.requests import Request

__all__ = ["READ_WITHIN", "CallerLeft", "OpenStreams", "unless_left"]

T = TypeVar("T")

LONGEST_STREAM: Final = 30 * 60.0
"""Seconds after which a stream ends, so that it moves to newer nodes and its token is checked again."""
STREAM_GRACE: Final = 0.5
"""Seconds that a stream of the contract has for its own end when the node stops."""

READ_WITHIN: Final = 60.0
"""Seconds in which a caller must take what it is sent."""


class CallerLeft(Exception):  # named as what happened: it is nobody's error
    """Nobody reads the answer."""


async def unless_left(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and cancel it when the caller has left: CallerLeft. The body must have been read before."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise CallerLeft
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class OpenStreams:
    """The long streams of one server."""

    def __init__(self) -> None:
        self._scopes: dict[asyncio.Timeout, float] = {}
        self._stopping = False

    def __len__(self) -> int:
        return len(self._scopes)

    @asynccontextmanager
    async def open(self, grace: float = STREAM_GRACE) -> AsyncIterator[None]:
        """Raises Unavailable where the block must end. `grace`: seconds that it has when the node stops."""
        if self._stopping:
            raise _ended()
        scope = asyncio.timeout(LONGEST_STREAM)
        try:
            async with scope:
                self._scopes[scope] = grace
                yield
        except TimeoutError:
            if scope.expired():
                raise _ended() from None
            raise
        finally:
            self._scopes.pop(scope, None)

    def end(self) -> None:
        """End all of them, soon."""
        self._stopping = True
        now = asyncio.get_running_loop().time()
        for scope, grace in self._scopes.items():
            scope.reschedule(now + grace)


def _ended() -> Unavailable:
    return Unavailable("this node ends the stream: open it again, at any node", code="UNAVAILABLE")
