# SPDX-License-Identifier: Apache-2.0
"""`GET /metrics`: the page for Prometheus, and nothing else.

    async with Door.open("127.0.0.1:9464") as door:
        door.show(registry)
        door.address                                 # port 0 has become a number

It runs in the event loop of a node or agent, so it must not be a way to disturb them: a request is one short header, read
within five seconds and answered once; there are at most eight connections; a page is made at most once a second, however
often it is asked for. It takes no body, no other method and no other path. It has no token, and needs none: a page names
definitions, capabilities and models, never an id, an input or a result.

Rejected: the server of prometheus_client (a thread for each request, without limits) and a web framework, which would be
a dependency for one page.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self, cast

from nervenet.clock import SYSTEM, Clock
from nervenet.config import split_host_port
from nervenet.errors import ConfigError
from nervenet.metrics import exposition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from nervenet.metrics.registry import Registry

__all__ = ["Door"]

MOST_CONNECTIONS: Final = 8
LONGEST_REQUEST: Final = 8 * 1024
REQUEST_WITHIN: Final = 5.0
"""Seconds in which a request must be complete, and the same again for its answer to be read."""
FRESH_FOR: Final = 1.0
"""Seconds for which a page is shown again."""
PATH: Final = "/metrics"

_REQUEST: Final = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,1000}) HTTP/1\.[01]")
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_BODY: Final = re.compile(rb"(?mi)^(?:content-length:(?!\s*0\s*$)|transfer-encoding:)")
_log = logging.getLogger(__name__)

_WORDS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Door:
    """See the module. Made by `open`."""

    def __init__(self, clock: Clock = SYSTEM, gather: Callable[[], Awaitable[bytes]] | None = None) -> None:
        self.address = ""
        self._gather = gather
        self._gathering: asyncio.Task[bytes] | None = None
        self.connections: set[_Visit] = set()
        self._clock = clock
        self._registries: list[Registry] = []
        self._page = b""
        self._made_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Door at {self.address}, {len(self.connections)} connections>"

    @classmethod
    @asynccontextmanager
    async def open(
        cls, where: str, clock: Clock = SYSTEM, gather: Callable[[], Awaitable[bytes]] | None = None
    ) -> AsyncIterator[Self]:
        """Serve at `host:port`. `gather` makes the page in place of registries. Raises ConfigError if that address cannot be bound."""
        door, loop = cls(clock, gather), asyncio.get_running_loop()
        host, port = split_host_port(where)
        try:
            server = await loop.create_server(lambda: _Visit(door), host, port, backlog=MOST_CONNECTIONS)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ConfigError(f"metrics {where}: {why} (NERVENET_METRICS sets another; port 0 takes any)") from None
        bound = server.sockets[0].getsockname()[1]
        door.address = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        try:
            yield door
        finally:
            server.close()
            for visit in tuple(door.connections):
                visit.end()

    def show(self, registry: Registry) -> None:
        """Put a registry on the page."""
        registry.exported = True
        self._registries.append(registry)
        self._made_at = float("-inf")

    def hide(self, registry: Registry) -> None:
        """Take a registry off the page."""
        self._registries.remove(registry)
        self._made_at = float("-inf")

    async def page(self) -> bytes:
        """The page, at most `FRESH_FOR` seconds old."""
        now = self._clock.monotonic()
        if self._gather is not None:
            if self._gathering is None or now - self._made_at >= FRESH_FOR:
                self._gathering, self._made_at = asyncio.ensure_future(self._gather()), now
            return await asyncio.shield(self._gathering)
        if now - self._made_at >= FRESH_FOR:
            self._page, self._made_at = exposition.text(self._registries), now
        return self._page


class _Visit(asyncio.Protocol):
    """One connection: one request, one answer, closed."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._got = b""
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(REQUEST_WITHIN, self._too_late)
        crowded = len(self._door.connections) >= MOST_CONNECTIONS
        self._door.connections.add(self)
        if crowded:
            self._answer(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._door.connections.discard(self)

    def eof_received(self) -> bool:
        return self._answered  # half closed: the answer may still be read

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        self._got += data
        head, end, rest = self._got.partition(b"\r\n\r\n")
        if len(self._got) > LONGEST_REQUEST:
            self._answer(431)
        elif end:
            self._answer(400 if rest else _judge(head))

    def _too_late(self) -> None:
        if self._answered:
            self.end()
        else:
            self._answer(408)

    def end(self) -> None:
        """Close it now."""
        self._transport.abort()

    def _answer(self, status: int) -> None:
        self._answered = True
        if status == 200:
            self._making = asyncio.ensure_future(self._door.page())
            self._making.add_done_callback(self._made)
        else:
            self._send(status, f"{status} {_WORDS[status]}\n".encode())

    def _made(self, making: asyncio.Future[bytes]) -> None:
        if making.cancelled() or self._transport.is_closing():
            return
        if (error := making.exception()) is not None:
            _log.error("the page of metrics cannot be made", exc_info=error)
            self._send(500, b"500 Internal Server Error\n")
        else:
            self._send(200, making.result())

    def _send(self, status: int, body: bytes) -> None:
        kind = exposition.CONTENT_TYPE if status == 200 else "text/plain; charset=utf-8"
        allow = "Allow: GET\r\n" if status == 405 else ""
        head = (
            f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"{allow}Connection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n"
        )
        self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(REQUEST_WITHIN, self.end)
        self._transport.write(head.encode() + body)
        self._transport.close()  # when all is written


def _judge(head: bytes) -> int:
    """The status for a request's head."""
    first, _, fields = head.partition(b"\r\n")
    asked = _REQUEST.fullmatch(first)
    lines = fields.split(b"\r\n") if fields else []
    if asked is None or not all(map(_FIELD.fullmatch, lines)) or _BODY.search(b"\n".join(lines)):
        return 400
    if asked[2].partition(b"?")[0] != PATH.encode():
        return 404
    return 200 if asked[1] == b"GET" else 405
