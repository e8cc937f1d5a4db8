# SPDX-License-Identifier: Apache-2.0
"""A node process dies by kill -9 while a client awaits and watches through it."""

from __future__ import annotations

import asyncio

from nervenet import Client
from tests.services.world import approve, waits
from tests.support.mesh import ProcessMesh

APP = "tests/services/world.py"


async def test_results_and_watches_outlive_the_node_they_came_through(host: ProcessMesh) -> None:
    first, _ = host.up(host.node(APP), host.node(APP))
    async with asyncio.timeout(60), host.client() as client:
        runs = await client.start_many(waits, {f"w-{i}": None for i in range(20)})
        results = asyncio.gather(*(run.result() for run in runs.values()))
        names = asyncio.create_task(watched(runs["w-0"].id, client))
        await asyncio.sleep(0)
        first.kill()
        for run in runs.values():
            await run.signal(approve, run.id)
        assert await results == [f"w-{i}" for i in range(20)]
        assert [name.partition(":")[0] for name in await names] == ["start", "signal", "close"]


async def watched(workflow_id: str, client: Client) -> list[str]:
    return [event.name async for event in client.handle(workflow_id).watch()]
