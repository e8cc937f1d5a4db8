# SPDX-License-Identifier: Apache-2.0
"""In which order orphans are adopted, and what is held against them: nodes that died of it, not nodes that merely died."""

from __future__ import annotations

from nervenet.node.recovery.sweep_plan import AT_ONCE, in_turn
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import Payload
from nervenet.streams.heads import Head
from tests.node.hand import World
from tests.node.test_many_nodes import kill, mesh, say_go
from tests.support.waiting import until

DEATHS = 5


def orphan(name: str, last: bytes, *, adopted_at: bytes = b"") -> tuple[str, Head]:
    return name, Head(owner="n-dead", last=last, adoptions=1, adopted_at=adopted_at)


def test_the_busiest_are_adopted_first_and_those_that_may_have_killed_a_node_last_and_alone() -> None:
    parked = [orphan(f"parked-{i}", b"%d-3" % i) for i in range(AT_ONCE)]
    busy = [orphan(f"busy-{i}", b"%d-9" % (5_000 + i), adopted_at=b"4000-2") for i in range(2)]
    feared = [orphan(f"feared-{i}", b"9000-9", adopted_at=b"9000-9") for i in range(2)]
    names = [[name for name, _ in part] for part in in_turn([*feared, *parked, *busy])]
    assert names == [
        ["busy-1", "busy-0", *(f"parked-{i}" for i in range(AT_ONCE - 1, 1, -1))],
        ["parked-1", "parked-0"],
        ["feared-0"],
        ["feared-1"],
    ]


async def test_a_workflow_that_waits_through_many_deaths_is_not_blamed_for_them(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    world = World(redis_url, etcd_url, namespace)
    async with world.node(mesh) as last:
        for turn in range(DEATHS):
            async with world.node(mesh) as victim:
                if turn == 0:
                    await victim.starter.start(StartRequest("waits", "parked", Payload("none", b"")))
                else:
                    assert await last.handover.hand_over(last.hosted.coordinators["waits"], victim.node_id)
                await until(lambda: "waits" in victim.hosted.coordinators)
                await kill(victim, etcd_url)
                await until(lambda: "waits" in last.hosted.coordinators, within=30)
                assert last.hosted.coordinators["waits"].machine.blocked is None
        await say_go(last, "waits")
        await until(lambda: "waits" not in last.hosted.coordinators)
