# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that writes down what passes and can fall silent the way a cut network does."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """`uploads` are the chunks that clients sent, in order: a client's single write is a single chunk (when small)."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._silenced: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrivals = asyncio.Condition()
        self.uploads: list[bytes] = []
        self.connections = 0

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def silence(self) -> None:
        """The connections of this moment stay open, but nothing comes through them any more, not even their end."""
        self._silenced |= self._writers

    def cut(self, chance: random.Random) -> None:
        """Half of the connections break now, wherever they are in a message."""
        for writer in tuple(self._writers):
            if chance.random() < 0.5 and not writer.is_closing():
                writer.transport.abort()

    async def connected(self, times: int) -> None:
        """Wait until somebody has connected for the n-th time."""
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: self.connections >= times)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there_reader, there_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, there_writer}
        async with self._arrivals:
            self.connections += 1
            self._arrivals.notify_all()
        with suppress(asyncio.CancelledError):  # else asyncio logs how its handler ended
            await asyncio.gather(self._pump(reader, there_writer, self.uploads), self._pump(there_reader, writer, None))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: list[bytes] | None) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                if log is not None:
                    log.append(data)
                if writer not in self._silenced:
                    writer.write(data)
        if writer not in self._silenced:
            writer.close()


@asynccontextmanager
async def proxied(target: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy in front of `target`; with `tls` its clients speak TLS to it."""
    proxy = Proxy(target)
    proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield proxy
    finally:
        proxy._server.close()
        for writer in proxy._writers:
            if not writer.is_closing():  # CPython 3.11.2 cannot abort a TLS transport that is gone
                writer.transport.abort()
        for task in proxy._tasks:
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
