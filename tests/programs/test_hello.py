# SPDX-License-Identifier: Apache-2.0
"""Greetings: a node is killed when half of the names are greeted."""

from __future__ import annotations

import signal

from tests.programs.world import WITHIN, agent, kill_the_owner_of, two_nodes
from tests.support.mesh import ProcessMesh


async def test_hello_with_a_node_killed_when_some_are_greeted(host: ProcessMesh) -> None:
    names = ["Ada", "Grace", "Lin", "Mary", "Joan", "Annie"]
    two_nodes(host, "hello")
    _, late = host.up(agent(host, "hello", "prompt"), agent(host, "hello", "late"))
    async with host.client() as client:
        peaceful = await client.run("welcome", names, id="peaceful")
        assert peaceful == [f"Hello, {name}" for name in names]

        late.kill(signal.SIGSTOP)
        run = await client.start("welcome", names, id="killed")
        greeted = 0
        async for event in run.watch():
            greeted += event.kind == "task"
            if greeted == len(names) // 2:
                break
        await kill_the_owner_of(run, host)
        late.kill(signal.SIGCONT)
        assert await run.result(timeout=WITHIN) == peaceful
        assert (await run.info()).adoptions == 1
