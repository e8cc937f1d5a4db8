# SPDX-License-Identifier: Apache-2.0
"""While somebody attacks a node's ports, its good clients go on, and afterwards it has closed what they opened."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nervenet import Client
from nervenet.config import split_host_port
from nervenet.dev.servers import Server
from tests.hostile.attacks import GRPC, HTTP, Attack, Connection
from tests.mesh.stories import greet
from tests.support.environment import resident_bytes
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

MOST_GROWTH_MB = 450
"""How much more memory a node may have after two attacks."""
CLOSES_WITHIN = 90.0
"""Seconds in which a node closes connections that have sent nothing of use."""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with ProcessMesh(folder, shared_valkey.url, shared_etcd.url, NERVENET_HTTP="127.0.0.1:0") as found:
        found.up(found.node())
        found.up(found.agent())
        yield found


@asynccontextmanager
async def good_clients(mesh: ProcessMesh) -> AsyncIterator[list[float]]:
    """Clients that run one workflow after the other on connections of their own. Each of them must succeed.

    The value is the list of what each took, in seconds.
    """
    took: list[float] = []
    ending = asyncio.Event()

    async def client(number: int) -> None:
        async with Client(mesh.addresses, namespace=mesh.namespace) as one:
            while not ending.is_set():
                began = time.monotonic()
                assert await asyncio.wait_for(one.run(greet, [f"{number}"]), 30) == [f"{number}!"]
                took.append(time.monotonic() - began)
                await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(client(number))
        await until(lambda: len(took) >= 3, "the good clients work")
        yield took
        ending.set()


async def attacked(mesh: ProcessMesh, node: NervenetProcess, address: str, attack: Attack) -> list[Connection]:
    """Attack twice, with good clients beside it that get through during each attack and after it; the connections of the second.

    What a connection has under way costs memory as long as it lasts: 15 KB for a call, 16 MB at most for headers without end (six
    such attacks in a row ended at 341 MB). gRPC gives it back to itself, not to the system.
    """
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    host, port = split_host_port(address)
    opened, sizes = list[Connection](), [resident_bytes(node.pid) >> 20]
    for _ in range(2):
        for _, writer in opened:
            writer.close()
        async with good_clients(mesh) as took:
            opened = await attack(host, port, random.Random(seed))
            so_far = len(took)
            await until(lambda: len(took) >= so_far + 3, "the good clients go on", of=mesh)  # noqa: B023  # awaited here
        assert node.alive, mesh.logs()
        sizes.append(resident_bytes(node.pid) >> 20)
    print(f"the node has {sizes} MB")
    assert sizes[-1] - sizes[0] < MOST_GROWTH_MB, "it keeps what it was sent"
    assert "Traceback" not in node.log
    return opened


async def closed_by(node: NervenetProcess, opened: list[Connection]) -> None:
    """Wait until the node has closed these connections."""

    async def at_its_end(reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(1 << 16):
                pass
        except OSError:
            pass

    try:
        async with asyncio.timeout(CLOSES_WITHIN):
            await asyncio.gather(*(at_its_end(reader) for reader, _ in opened))
    finally:
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("attack", GRPC, ids=lambda attack: attack.__name__)
async def test_good_clients_go_on_while_the_grpc_port_is_attacked(mesh: ProcessMesh, attack: Attack) -> None:
    (node,) = mesh.nodes
    opened = await attacked(mesh, node, node.address, attack)
    for _, writer in opened:
        writer.close()


@pytest.mark.parametrize("attack", HTTP, ids=lambda attack: attack.__name__)
async def test_good_clients_go_on_while_the_http_port_is_attacked(mesh: ProcessMesh, attack: Attack) -> None:
    (node,) = mesh.nodes
    opened = await attacked(mesh, node, node.http, attack)
    await closed_by(node, opened)


async def test_a_node_closes_connections_that_never_speak(mesh: ProcessMesh) -> None:
    """Of gRPC: after its limit for the first frames."""
    (node,) = mesh.nodes
    host, port = split_host_port(node.address)
    opened = [await asyncio.open_connection(host, port) for _ in range(20)]
    await closed_by(node, opened)
