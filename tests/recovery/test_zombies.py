# SPDX-License-Identifier: Apache-2.0
"""Stopped for longer than its lease and continued: it does no harm, finds its place again, and serves again."""

from __future__ import annotations

import asyncio
import signal

from tests.mesh import stories
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.waiting import until


async def test_a_node_that_slept_through_its_burial_lets_go_and_serves_again(host: ProcessMesh) -> None:
    nodes = host.up(host.node(), host.node())
    host.up(host.agent("--only", "say,note", "--name", "speaker"))
    async with host.client() as client:
        run = await client.start(stories.errand, "zoe", id="errand")
        await host.effect("zoe", "said #1")
        sleeper = await owner_of(run, list(nodes))
        other = next(node for node in nodes if node is not sleeper)
    sleeper.kill(signal.SIGSTOP)
    await until(lambda: "errand continues on this node" in other.log, "it is adopted", 30, host)
    sleeper.kill(signal.SIGCONT)
    await until(lambda: f"{sleeper.id} lost its lease and comes back" in sleeper.log, "a new id", 30, host)
    host.open("zoe")
    async with host.client(other) as client:
        result = await asyncio.wait_for(client.handle("errand", stories.errand).result(), 30)
    assert result == ["first!", "zoe: once upon a time", "last!"]
    assert host.effects("zoe") == [words for words in host.effects("zoe") if "#1" in words], "nothing ran twice"
    async with host.client(sleeper) as client:
        assert await asyncio.wait_for(client.run(stories.greet, ["ada"]), 30) == ["ada!"]
