# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy between a client and a server, for a test to break: cut, stalled, slow, deaf, or lying.

    async with tcp_proxy(server.url) as proxy:
        proxy.url                  # clients come here
        proxy.cut()                # connections are reset, new ones refused
        proxy.stall()              # nothing passes, nothing breaks: what a lost route looks like
        proxy.silence()            # the same for the connections of this moment only
        proxy.lag = 0.2            # seconds in each direction
        proxy.deaf = True          # what the server answers is lost
        await proxy.mend()

Bytes that were held back arrive late and in order, as TCP brings them after retransmission. A cut proxy *refuses*, and
nodes take that as proof that a process is dead; so a proxy in front of a living process is stalled, never cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

from tests.support.waiting import until

Alter = Callable[[bytes], bytes]
Tamper = Callable[[bool], Alter]
"""Called for each direction of each connection (True = towards the server); returns what rewrites its bytes."""


class TcpProxy:
    """Listens on `port`, leads to `target`, which is a URL or a port of this machine.

    `uploads` are the chunks that clients sent, in order, if it is told to `record`: a single small write of a client is a
    single chunk.
    """

    def __init__(
        self,
        target: str | int,
        *,
        tamper: Tamper | None = None,
        tls: ssl.SSLContext | None = None,
        record: bool = False,
    ) -> None:
        self.scheme, self.target = "tcp", 0
        self.aim(target)
        self.tamper, self.port = tamper, 0
        self.lag = 0.0
        self.stalled = self.deaf = False
        self.record, self.uploads, self.connections = record, list[bytes](), 0
        self.ends = set[_End]()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._dialling = set[asyncio.Task[None]]()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def aim(self, target: str | int) -> None:
        """From the next connection on, this server is at the other end."""
        if isinstance(target, int):
            self.target = target
        else:
            parts = urlsplit(target)
            self.scheme, self.target = parts.scheme, cast(int, parts.port)

    async def listen(self) -> None:
        """The port stays the same once it is known."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _End(self, None), "127.0.0.1", self.port, reuse_port=False, ssl=self._tls
            )
            self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset every connection, refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._dialling:
            task.cancel()
        for end in tuple(self.ends):
            end.abort()

    def cut_half(self, chance: random.Random) -> None:
        """Half of the connections break now, wherever they are in a message; new ones are let in."""
        for end in tuple(self.ends):
            if chance.random() < 0.5:
                end.abort()

    def stall(self) -> None:
        self.stalled = True
        for end in self.ends:
            end.hold()

    def silence(self) -> None:
        """The connections of this moment stay open, but nothing comes through them any more, not even their end."""
        for end in self.ends:
            end.silenced = True

    async def mend(self) -> None:
        """Let everything pass again, and listen if it was cut."""
        self.lag, self.stalled, self.deaf = 0.0, False, False
        for end in tuple(self.ends):
            end.resume_writing()
        await self.listen()

    async def connected(self, times: int) -> None:
        """Wait until somebody has connected for the n-th time."""
        await until(lambda: self.connections >= times, f"{times} connections")

    def dial(self, near: _End) -> None:
        task = asyncio.create_task(self._dial(near))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, near: _End) -> None:
        near.hold()
        while self.stalled:
            await asyncio.sleep(0.05)
        try:
            _, far = await asyncio.get_running_loop().create_connection(
                lambda: _End(self, near), "127.0.0.1", self.target
            )
        except OSError:
            near.abort()
            return
        self.connections += 1
        near.peer = far
        far.resume_writing()


class _End(asyncio.Protocol):
    """One of the two connections of a passage; what it receives goes to `peer`."""

    def __init__(self, proxy: TcpProxy, peer: _End | None) -> None:
        self._proxy, self.peer, self._from_client = proxy, peer, peer is None
        self._alter: Alter | None = proxy.tamper(self._from_client) if proxy.tamper else None
        self._late: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None
        self.silenced = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._proxy.ends.add(self)
        if self.peer is None:
            self._proxy.dial(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.ends.discard(self)
        if self.peer is not None and not self.silenced:
            self.peer.close()

    def data_received(self, data: bytes) -> None:
        if self._from_client and self._proxy.record:
            self._proxy.uploads.append(data)
        if self.silenced or (self._proxy.deaf and not self._from_client):
            return
        if self._alter is not None:
            data = self._alter(data)
        if self._proxy.lag or self._late:
            self._late.append(data)
            asyncio.get_running_loop().call_later(self._proxy.lag, self._deliver)
        else:
            self._write(data)

    def _deliver(self) -> None:
        self._write(self._late.popleft())

    def _write(self, data: bytes) -> None:
        if self.peer is not None and self.peer._transport is not None:
            self.peer._transport.write(data)

    def eof_received(self) -> bool:
        return False

    # ── back pressure: who cannot write makes its peer read no more ─────────────────────────────────────────────────

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.hold()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer._transport is not None and not self._proxy.stalled:
            with contextlib.suppress(RuntimeError):
                self.peer._transport.resume_reading()

    def hold(self) -> None:
        if self._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._transport.pause_reading()

    def close(self) -> None:
        """When what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()


@asynccontextmanager
async def tcp_proxy(
    target: str | int, *, tls: ssl.SSLContext | None = None, record: bool = False
) -> AsyncIterator[TcpProxy]:
    """A proxy in front of `target`; with `tls` its clients speak TLS to it."""
    proxy = TcpProxy(target, tls=tls, record=record)
    await proxy.listen()
    try:
        yield proxy
    finally:
        proxy.cut()
        await asyncio.sleep(0)  # until the connections know that they are closed
