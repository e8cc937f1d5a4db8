# SPDX-License-Identifier: Apache-2.0
"""As much of HTTP/1.1 as the stand-in needs, on asyncio's streams: keep-alive, JSON bodies, server-sent events.

Written here, so that the stand-in runs in each environment of `make frameworks`, whatever is installed there, and so that
it sees at once when a client goes away.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MAX_BODY = 64 << 20


class ClientGone(Exception):
    """The client closed the connection."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body or b"null")


class Connection:
    """One connection of a client: read a request, then send its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._early = b""  # of the next request, read while we watched whether the client is there

    async def request(self) -> Request | None:
        """The next request. None: the client closed the connection."""
        try:
            head = self._early + await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self._early = b""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        length = int(headers.get("content-length", 0))
        if length > MAX_BODY:
            return None
        return Request(method, path, headers, await self._reader.readexactly(length))

    async def wait_until_gone(self) -> None:
        """Return when the client closes the connection."""
        try:
            self._early += await self._reader.read(1)
        except ConnectionError:
            return
        if self._early:
            await asyncio.get_running_loop().create_future()  # it sent its next request: it is there

    async def answer(self, status: int, body: Any, **headers: str) -> None:
        """Send a whole answer as JSON."""
        data = json.dumps(body).encode()
        self._write(
            _head(status, {"content-type": "application/json", "content-length": str(len(data)), **headers}) + data
        )
        await self._drain()

    async def half_an_answer(self, body: Any) -> None:
        """Send the head of a whole answer and the half of its body."""
        data = json.dumps(body).encode()
        self._write(
            _head(200, {"content-type": "application/json", "content-length": str(len(data))}) + data[: len(data) // 2]
        )
        await self._drain()

    def begin_events(self, **headers: str) -> None:
        self._write(
            _head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked", **headers})
        )

    async def event(self, data: Any, name: str = "") -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        event = (f"event: {name}\n" if name else "") + f"data: {text}\n\n"
        self._write(b"%x\r\n%s\r\n" % (len(event.encode()), event.encode()))
        await self._drain()

    async def end_events(self) -> None:
        self._write(b"0\r\n\r\n")
        await self._drain()

    def cut(self) -> None:
        """Reset the connection, as a proxy that fails."""
        self._writer.transport.abort()

    def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ClientGone
        self._writer.write(data)

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            raise ClientGone from None


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
