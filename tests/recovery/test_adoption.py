# SPDX-License-Identifier: Apache-2.0
"""What adoption holds against a workflow: nodes that died of it, not nodes that merely died."""

from __future__ import annotations

from nervenet.node.starting import StartRequest
from nervenet.records import Payload
from tests.node.hand import World, until
from tests.node.test_many_nodes import kill, mesh, say_go

DEATHS = 5


async def test_a_workflow_that_waits_through_many_deaths_is_not_blamed_for_them(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    world = World(redis_url, etcd_url, namespace)
    async with world.node(mesh) as last:
        for turn in range(DEATHS):
            async with world.node(mesh) as victim:
                if turn == 0:
                    await victim.host.starter.start(StartRequest("waits", "parked", Payload("none", b"")))
                else:
                    assert await last.host.hand_over(last.host.coordinators["waits"], victim.node_id)
                await until(lambda: "waits" in victim.host.coordinators)
                await kill(victim, etcd_url)
                await until(lambda: "waits" in last.host.coordinators)
                assert last.host.coordinators["waits"].machine.blocked is None
        await say_go(last, "waits")
        await until(lambda: "waits" not in last.host.coordinators)
