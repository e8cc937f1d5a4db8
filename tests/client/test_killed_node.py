# SPDX-License-Identifier: Apache-2.0
"""A node process dies by kill -9 while a client awaits and watches through it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nervenet import Client
from nervenet.config import Config
from nervenet.dev.servers import free_port, tied
from tests.services.world import approve, waits

APP = Path(__file__).parents[1] / "services" / "world.py"


@asynccontextmanager
async def node_process(address: str, environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    command = tied([sys.executable, "-m", "nervenet", "node", str(APP), "--listen", address])
    root = str(Path(__file__).parents[2])
    env = {**os.environ, **environment, "PYTHONPATH": root}
    process = await asyncio.create_subprocess_exec(*command, env=env, cwd=root, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_results_and_watches_outlive_the_node_they_came_through(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    environment = {"NERVENET_REDIS": redis_url, "NERVENET_ETCD": etcd_url, "NERVENET_NAMESPACE": namespace}
    config = Config.load(environ={}, namespace=namespace)
    async with (
        asyncio.timeout(60),
        node_process(addresses[0], environment) as first,
        node_process(addresses[1], environment),
        Client(addresses[0], config=config) as one,
        Client(addresses[1], config=config) as two,
        Client(",".join(addresses), config=config) as client,
    ):
        for each in (one, two):
            await served(each)
        runs = await client.start_many(waits, {f"w-{i}": None for i in range(20)})
        results = asyncio.gather(*(run.result() for run in runs.values()))
        names = asyncio.create_task(watched(runs["w-0"].id, client))
        await asyncio.sleep(0)
        first.kill()
        for run in runs.values():
            await run.signal(approve, run.id)
        assert await results == [f"w-{i}" for i in range(20)]
        assert [name.partition(":")[0] for name in await names] == ["start", "signal", "close"]


async def served(client: Client) -> None:
    """Once it has answered; a node takes a second to come up."""
    while True:
        try:
            async for _ in client.list(limit=1):
                break
            return
        except ConnectionError:
            await asyncio.sleep(0.1)


async def watched(workflow_id: str, client: Client) -> list[str]:
    return [event.name async for event in client.handle(workflow_id).watch()]
