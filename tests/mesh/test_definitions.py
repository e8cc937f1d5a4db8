# SPDX-License-Identifier: Apache-2.0
"""Nodes with different code on one mesh: a workflow runs, and goes on, only where its code is."""

from __future__ import annotations

from tests.mesh import other, stories
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.waiting import until

OTHER = "tests/mesh/other.py"


async def test_a_start_at_the_wrong_node_runs_at_the_right_one_and_is_inherited_by_its_like(host: ProcessMesh) -> None:
    ours, first, second = host.up(host.node(), host.node(OTHER), host.node(OTHER))
    host.up(host.agent("--only", "note,say"))
    async with host.client(ours) as client:
        away = [await client.start(other.elsewhere, f"e{n}", id=f"away-{n}") for n in range(4)]
    async with host.client(second) as client:
        here = await client.start(stories.talk, "home", id="home-1")
        owners = [await owner_of(run, host.nodes) for run in (*away, here)]
        assert ours not in owners[:4] and owners[4] is ours
        host.open("home")
        await here.signal(stories.go, "on")

        for victim in (ours, first):
            victim.kill()
            victim.wait()
        away = [client.handle(run.id, other.elsewhere) for run in away]

        async def inherited() -> bool:
            return {(await run.info()).node_id for run in away} == {second.id}

        await until(inherited, "the other node of its kind has them all", 20, host)
        for n, run in enumerate(away):
            await run.signal(other.go, "arrived")
            assert await run.result(timeout=10) == f"e{n} arrived"
        assert (await here.info()).state in ("RUNNING", "WAITING_FOR_HUMAN")
        assert (await here.info()).node_id != second.id, "a node without the code must not take it"

        (heir,) = host.up(host.node())

        async def home() -> bool:
            return (await here.info()).node_id == heir.id and (await here.info()).state == "WAITING_FOR_HUMAN"

        await until(home, "code that fits is back, so it goes on", 20, host)
        assert host.effects("home") == [line for line in host.effects("home") if "#1" in line], "said once"
