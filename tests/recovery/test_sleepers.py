# SPDX-License-Identifier: Apache-2.0
"""Workflows that have left the memory of their node, on real processes: the node is killed, and Redis is killed under them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from nervenet.dev.servers import valkey
from tests.recovery import sleepers_app
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

APP = "tests/recovery/sleepers_node.py"
METRICS = {"NERVENET_METRICS": "127.0.0.1:0"}


def unloaded(node: NervenetProcess) -> int:
    """How many workflows have left its memory."""
    with urlopen(f"http://{node.metrics}/metrics", timeout=10) as page:
        families = text_string_to_metric_families(page.read().decode())
        samples = [one for family in families for one in family.samples]
    return sum(
        int(one.value)
        for one in samples
        if one.name == "nervenet_workflow_hosted" and one.labels["memory"] == "unloaded"
    )


async def test_their_node_is_killed(tmp_path: Path, redis_url: str, etcd_url: str) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=APP, **METRICS) as mesh:
        first, second = mesh.up(mesh.node(), mesh.node())
        async with mesh.client() as client:
            waiting = await client.start_many(sleepers_app.waits, {f"waits-{n}": n for n in range(20)})
            sleeping = await client.start_many(sleepers_app.sleeps, {f"sleeps-{n}": 12.0 for n in range(20)})
            victim = await owner_of(waiting["waits-0"], [first, second])
            heir = second if victim is first else first
            await until(lambda: unloaded(first) + unloaded(second) == 40, "all have left memory", 30, mesh)
            victim.kill()
            await until(
                lambda: unloaded(heir) >= 20, "they are the other node's, and have left its memory too", 40, mesh
            )
            await asyncio.gather(*(run.signal(sleepers_app.go, 1) for run in waiting.values()))
            assert [await run.result(timeout=60) for run in waiting.values()] == [n + 1 for n in range(20)]
            assert {await run.result(timeout=60) for run in sleeping.values()} == {"rested"}


async def test_redis_is_killed_and_comes_back_with_what_it_had(tmp_path: Path, etcd_url: str) -> None:
    async with valkey(data=tmp_path / "data") as server:
        with ProcessMesh(tmp_path, server.url, etcd_url, app=APP, **METRICS) as mesh:
            (node,) = mesh.up(mesh.node())
            async with mesh.client() as client:
                runs = await client.start_many(sleepers_app.waits, {f"waits-{n}": n for n in range(20)})
                await until(lambda: unloaded(node) == 20, "all have left memory", 30, mesh)
                server.kill()
                await server.restart()
                await asyncio.gather(*(run.signal(sleepers_app.go, 1) for run in runs.values()))
                assert [await run.result(timeout=60) for run in runs.values()] == [n + 1 for n in range(20)]
