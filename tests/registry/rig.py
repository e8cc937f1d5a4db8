# SPDX-License-Identifier: Apache-2.0
"""What the registry's tests need beside a server: a cable to cut, a cluster, etcdctl, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

from nervenet.dev.binaries import find_etcd
from nervenet.dev.servers import Server, etcd, free_port


async def until(condition: Callable[[], object], what: str, within: float = 15.0) -> None:
    """Look every few milliseconds; for conditions that nothing announces."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while not condition():
                await asyncio.sleep(0.005)
    assert condition(), f"{what} did not happen within {within} s"


def etcdctl(url: str, *arguments: str, input: str | None = None) -> str:
    """etcd's own tool, for what our client leaves out (compaction, switching authentication on)."""
    program = Path(find_etcd()).with_name("etcdctl")
    if not program.exists():
        program = Path(sys.executable).with_name("etcdctl")
    command = [str(program), f"--endpoints={url}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=input, timeout=20).stdout


class Cable:
    """A TCP connection to a server that can be cut, and can lose what the server answers."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.deaf = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def target(self, url: str) -> None:
        """From the next connection on, this server is at the other end."""
        self._target = urlsplit(url)

    async def cut(self) -> None:
        """Every connection breaks, and new ones are refused."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def mend(self) -> None:
        self.deaf = False
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            self._writers |= {writer, there_writer}
            await asyncio.gather(
                self._pump(reader, there_writer, to_client=False), self._pump(there_reader, writer, to_client=True)
            )

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                if not (to_client and self.deaf):
                    writer.write(data)
        writer.transport.abort()


@contextlib.asynccontextmanager
async def cable(target: str) -> AsyncIterator[Cable]:
    plugged = Cable(target)
    await plugged.mend()
    try:
        yield plugged
    finally:
        await plugged.cut()


@contextlib.asynccontextmanager
async def cluster(size: int = 3) -> AsyncIterator[list[Server]]:
    """Members of one etcd cluster, each a process."""
    peers = [f"http://127.0.0.1:{free_port()}" for _ in range(size)]
    names = [f"m{i}" for i in range(size)]
    members = [
        etcd(
            options={
                "name": name,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": ",".join(f"{n}={p}" for n, p in zip(names, peers, strict=True)),
                "heartbeat-interval": "100",
                "election-timeout": "1000",
            }
        )
        for name, peer in zip(names, peers, strict=True)
    ]
    async with contextlib.AsyncExitStack() as stack:
        answers = await asyncio.gather(*map(stack.enter_async_context, members), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        yield members
