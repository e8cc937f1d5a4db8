# SPDX-License-Identifier: Apache-2.0
"""A TCP cable between two processes, for the driver to break: cut, stalled, slow, or lying.

    cable = Cable(6379)
    await cable.lay()          # clients come to cable.port
    cable.cut()                # connections are reset, new ones refused
    cable.stall()              # nothing passes, nothing breaks: what a lost route looks like
    cable.lag = 0.2            # seconds in each direction
    await cable.mend()

Bytes that were held back arrive late and in order, as TCP brings them after retransmission. A cut cable *refuses*, which
is proof of death where it stands for a process; so cables in front of living processes are stalled, never cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import cast

Alter = Callable[[bytes], bytes]
Tamper = Callable[[bool], Alter]
"""Called for each direction of each connection (True = towards the server); gives what rewrites its bytes."""


class Cable:
    """Listens on `port`, leads to `target`."""

    def __init__(self, target: int, tamper: Tamper | None = None) -> None:
        self.target, self.tamper, self.port = target, tamper, 0
        self.lag = 0.0
        self.stalled = False
        self.ends = set[_End]()
        self._server: asyncio.Server | None = None
        self._dialling = set[asyncio.Task[None]]()

    async def lay(self) -> None:
        """Listen; the port stays the same once it is known."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _End(self, None), "127.0.0.1", self.port, reuse_port=False)
            self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._dialling:
            task.cancel()
        for end in tuple(self.ends):
            end.abort()

    def stall(self) -> None:
        self.stalled = True
        for end in self.ends:
            end.hold()

    async def mend(self) -> None:
        self.lag, self.stalled = 0.0, False
        for end in tuple(self.ends):
            end.resume_writing()
        await self.lay()

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
        near.peer = far
        far.resume_writing()


class _End(asyncio.Protocol):
    """One of the two connections of a passage; what it receives goes to `peer`."""

    def __init__(self, cable: Cable, peer: _End | None) -> None:
        self._cable, self.peer = cable, peer
        self._alter: Alter | None = cable.tamper(peer is None) if cable.tamper else None
        self._late: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._cable.ends.add(self)
        if self.peer is None:
            self._cable.dial(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cable.ends.discard(self)
        if self.peer is not None:
            self.peer.abort()

    def data_received(self, data: bytes) -> None:
        if self._alter is not None:
            data = self._alter(data)
        if self._cable.lag or self._late:
            self._late.append(data)
            asyncio.get_running_loop().call_later(self._cable.lag, self._deliver)
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
        if self.peer is not None and self.peer._transport is not None and not self._cable.stalled:
            with contextlib.suppress(RuntimeError):
                self.peer._transport.resume_reading()

    def hold(self) -> None:
        if self._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._transport.pause_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
