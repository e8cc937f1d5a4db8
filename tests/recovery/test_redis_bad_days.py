# SPDX-License-Identifier: Apache-2.0
"""A Redis that is full, read-only, loading, busy, paused or behind a cut line: meshes wait, and lose nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nervenet.dev.servers import valkey
from tests.recovery.redis_world import RedisMesh, broken_mesh
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

BUSY = "local till = redis.call('TIME')[1] + 2 while redis.call('TIME')[1] - till < 0 do end return 1"


async def full(mesh: RedisMesh) -> None:
    await mesh.link.call("CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(1.5)  # as long as the fault is to last
    await mesh.link.call("CONFIG", "SET", "maxmemory", "0")


async def read_only(mesh: RedisMesh) -> None:
    """It becomes a replica of nobody who answers, and a master again."""
    link = await asyncio.open_unix_connection(str(mesh.folder / "redis.sock"))
    await said(link, b"REPLICAOF 127.0.0.1 1\r\n")
    await asyncio.sleep(1.5)
    await said(link, b"REPLICAOF NO ONE\r\n")
    link[1].close()


async def said(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], line: bytes) -> None:
    """Over a connection that takes a replica for what it is."""
    stream[1].write(line)
    assert await stream[0].readline() == b"+OK\r\n"


async def busy(mesh: RedisMesh) -> None:
    await mesh.link.call("CONFIG", "SET", "lua-time-limit", "100")
    await mesh.link.call("EVAL", BUSY, 0)


async def paused(mesh: RedisMesh) -> None:
    await mesh.link.call("CLIENT", "PAUSE", "1500", "WRITE")


async def paused_altogether(mesh: RedisMesh) -> None:
    """Longer than a connection's patience: all of them are given up and made again."""
    await mesh.link.call("CLIENT", "PAUSE", "5000", "ALL")


async def loading(mesh: RedisMesh) -> None:
    """It reads its file slowly (`key-load-delay` of the options), and answers LOADING to everything meanwhile."""
    await mesh.server.restart()


FAULTS = (full, read_only, busy, paused, paused_altogether, loading)


@pytest.mark.long
async def test_work_waits_and_nothing_is_lost(tmp_path: Path, etcd_url: str) -> None:
    """One mesh through all of it, new work each time."""
    options = {"unixsocket": str(tmp_path / "redis.sock"), "key-load-delay": "1000"}
    async with broken_mesh(tmp_path, etcd_url, options=options) as mesh:
        for turn, fault in enumerate(FAULTS):
            print(fault.__name__)
            load = await mesh.load(16, first=100 * turn)
            await mesh.under_way(16 * 8 * turn + 20)
            await fault(mesh)
            await load.right()


@asynccontextmanager
async def behind_a_proxy(folder: Path, etcd: str) -> AsyncIterator[tuple[RedisMesh, TcpProxy]]:
    async with (
        valkey(folder / "valkey") as server,
        tcp_proxy(server.url) as proxy,
        broken_mesh(folder, etcd, over=server, via=proxy.url) as mesh,
    ):
        yield mesh, proxy


@pytest.mark.long
async def test_connections_cut_in_mid_pipeline_and_connections_that_are_half_open(
    tmp_path: Path, etcd_url: str
) -> None:
    seed = random.randrange(1 << 16)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with behind_a_proxy(tmp_path, etcd_url) as (mesh, proxy):
        load = await mesh.load(40)
        for _ in range(12):
            await asyncio.sleep(chance.uniform(0.02, 0.25))
            proxy.cut_half(chance)
        await load.right()

        load = await mesh.load(24, first=1000)
        await mesh.under_way(40 * 8 + 30)
        proxy.silence()
        await load.right()
