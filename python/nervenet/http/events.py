# SPDX-License-Identifier: Apache-2.0
"""Server-sent events, as WHATWG's HTML has them: `event:`, `id:`, `data:`, an empty line.

An `EventStream` sends the events of a generator until it ends or the reader leaves. A reader that takes nothing for
`READ_WITHIN` seconds is left.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from nervenet.http.ending import READ_WITHIN, CallerLeft, unless_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

__all__ = ["KEEP_ALIVE", "EventStream", "event"]

KEEP_ALIVE: Final = b": .\n\n"
"""A comment: proxies close a connection that is silent."""


def event(data: str, *, name: str = "", id: str = "") -> bytes:
    """One event. `data` is one line."""
    head = (f"event: {name}\n" if name else "") + (f"id: {id}\n" if id else "")
    return f"{head}data: {data}\n\n".encode()


class EventStream(Response):
    """The answer that carries a stream of events.

    Args:
        request: Whose reader it is.
        events: What is sent.
        close: Ends what makes the events, whether they were sent or not.
    """

    def __init__(
        self, request: Request, events: AsyncGenerator[bytes, None], close: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request = request
        self._events = events
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_left(self._request, self._send(send))
        except (CallerLeft, TimeoutError):
            pass
        finally:
            await self._events.aclose()
            if self._close is not None:
                await self._close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if self._request.method != "HEAD":
            await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
            async for sent in self._events:
                async with asyncio.timeout(READ_WITHIN):
                    await send({"type": "http.response.body", "body": sent, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
