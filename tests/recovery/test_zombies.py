# SPDX-License-Identifier: Apache-2.0
"""Stopped for longer than its lease and continued: it does no harm, finds its place again, and serves again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mesh import stories
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.waiting import until


@pytest.fixture
def mesh(tmp_path: Path, redis_url: str, etcd_url: str) -> Iterator[ProcessMesh]:
    with ProcessMesh(tmp_path, redis_url, etcd_url) as host:
        yield host


async def test_a_node_that_slept_through_its_burial_lets_go_and_serves_again(mesh: ProcessMesh) -> None:
    nodes = mesh.up(mesh.node(), mesh.node())
    mesh.up(mesh.agent("--only", "say,note", "--name", "speaker"))
    async with mesh.client() as client:
        run = await client.start(stories.errand, "zoe", id="errand")
        await mesh.effect("zoe", "said #1")
        sleeper = await owner_of(run, list(nodes))
        other = next(node for node in nodes if node is not sleeper)
    sleeper.kill(signal.SIGSTOP)
    await until(lambda: "errand goes on here" in other.log, "it is adopted", 30, mesh)
    sleeper.kill(signal.SIGCONT)
    await until(lambda: f"{sleeper.id} lost its lease and comes back" in sleeper.log, "a new id", 30, mesh)
    mesh.open("zoe")
    async with mesh.client(other) as client:
        result = await asyncio.wait_for(client.handle("errand", stories.errand).result(), 30)
    assert result == ["first!", "zoe: once upon a time", "last!"]
    assert mesh.effects("zoe") == [words for words in mesh.effects("zoe") if "#1" in words], "nothing ran twice"
    async with mesh.client(sleeper) as client:
        assert await asyncio.wait_for(client.run(stories.greet, ["ada"]), 30) == ["ada!"]
