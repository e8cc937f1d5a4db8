# SPDX-License-Identifier: Apache-2.0
"""An etcd cluster, and etcd's own command line for what our client leaves out."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from nervenet.dev.binaries import find_etcd
from nervenet.dev.servers import Server, etcd, free_port


def etcdctl(url: str, *arguments: str, input: str | None = None) -> str:
    """etcd's own tool, for what our client leaves out (compaction, switching authentication on)."""
    program = Path(find_etcd()).with_name("etcdctl")
    if not program.exists():
        program = Path(sys.executable).with_name("etcdctl")
    command = [str(program), f"--endpoints={url}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=input, timeout=20).stdout


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
