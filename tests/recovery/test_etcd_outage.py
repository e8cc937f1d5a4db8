# SPDX-License-Identifier: Apache-2.0
"""etcd away, for longer than every lease: what runs goes on, nobody is adopted or taken for dead, and afterwards all is consistent.

Real processes on an etcd of their own. What must not happen twice leaves a line in the effects file. `make etcd-outage` runs
the long form: away for a minute, and every way to lose a leader.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from nervenet import Client, WorkflowHandle
from nervenet.dev.servers import Server, etcd
from nervenet.registry.etcd import Etcd
from tests.mesh import stories
from tests.support.etcd_servers import cluster, etcdctl
from tests.support.mesh import ProcessMesh, owner_of, settled
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

LONG = bool(os.environ.get("ETCD_OUTAGE"))
AWAY = 60.0 if LONG else 7.0
"""Longer than a node's lease and an agent's, which are 5 s."""
WITHIN = 60.0

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def mesh_on(folder: Path, redis_url: str, members: list[Server], nodes: int = 2) -> AsyncIterator[ProcessMesh]:
    with ProcessMesh(
        folder, redis_url, "http://" + ",".join(server.url.removeprefix("http://") for server in members)
    ) as host:
        await asyncio.to_thread(host.up, *(host.node() for _ in range(nodes)))
        await asyncio.to_thread(host.up, *(host.agent("--only", "say,note", "--name", "speaker") for _ in range(2)))
        yield host


async def registered(url: str, host: ProcessMesh) -> set[str]:
    """The ids of nodes and agents, as they stand in etcd."""
    async with Etcd.open(url) as client:
        listing = await client.range(f"/nervenet/{host.namespace}/")
    return {kv.key.rpartition("/")[2] for kv in listing.kvs if "/agents/" in kv.key or "/nodes/" in kv.key}


class Greetings:
    """New workflows come in all the time; each has to end right."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.done = 0
        self._over = asyncio.Event()
        self._coming = asyncio.create_task(self._come())

    async def _come(self) -> None:
        while not self._over.is_set():
            name = f"greeting-{self.done}"
            assert await self._client.run(stories.greet, [name], id=name) == [f"{name}!"]
            self.done += 1
            await asyncio.sleep(0.02)

    async def more(self, count: int = 10) -> None:
        """So many more are done, from now on."""
        wanted = self.done + count
        await until(lambda: self.done >= wanted or self._coming.done(), f"{wanted} are done", WITHIN)
        assert not self._coming.done(), self._coming.exception()

    async def end(self) -> None:
        self._over.set()
        await self._coming


async def waiting_at_gates(host: ProcessMesh, nodes: list[NervenetProcess], each: int) -> dict[str, NervenetProcess]:
    """Errands of each node, with their second task running; by name, who owns them."""
    owners: dict[str, NervenetProcess] = {}
    for node in nodes:
        async with host.client(at=node) as client:
            for _ in range(each):
                name = f"e{len(owners)}"
                run = await client.start(stories.errand, name, id=f"errand-{name}")
                await host.effect(name, "said #1", WITHIN)
                owners[name] = await owner_of(run, nodes)
    return owners


async def ended_once(host: ProcessMesh, client: Client, names: list[str]) -> None:
    """Open the gates: each errand ends right, and none of its tasks ran twice."""
    for name in names:
        host.open(name)
    for name in names:
        run: WorkflowHandle[list[str]] = client.handle(f"errand-{name}", stories.errand)
        await settled(run, "SUCCEEDED", host, WITHIN)
        assert await run.result() == ["first!", f"{name}: once upon a time", "last!"]
        assert [line.split(" pid")[0] for line in host.effects(name)] == ["said #1", "done #1"], name
        assert host.effects(f"errand-{name}") == ["first", "last"], name


async def test_the_only_member_is_away_for_longer_than_a_lease_and_a_node_dies_meanwhile(
    tmp_path: Path, redis_url: str
) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(etcd(tmp_path / "etcd"))
        mesh = await stack.enter_async_context(mesh_on(tmp_path, redis_url, [server]))
        survivor, victim = mesh.nodes
        names = await waiting_at_gates(mesh, [survivor, victim], 3)
        owned = [name for name, owner in names.items() if owner is victim]
        before = await registered(server.url, mesh)
        client = await stack.enter_async_context(mesh.client(at=survivor))
        greetings = Greetings(client)
        await greetings.more()

        server.kill()
        await greetings.more()
        victim.kill()
        late = mesh.agent("--only", "say,note", "--name", "late")
        await asyncio.sleep(AWAY)
        await greetings.more()
        assert "continues on this node" not in survivor.log, "nobody adopts on the word of an etcd that is away"
        assert "takes note" not in late.log, "nobody joins"
        await server.restart()

        for name in owned:
            await until(
                lambda n=name: f"errand-{n} continues on this node" in survivor.log, f"{name} adopted", WITHIN, mesh
            )  # type: ignore[misc]
        await asyncio.to_thread(late.ready)
        await greetings.more()
        await greetings.end()
        await ended_once(mesh, client, list(names))
        after = await registered(server.url, mesh)
        assert after - before == {late.id}, "a process that lived kept its id"
        assert before - after == {victim.id}


@pytest.mark.long
@pytest.mark.parametrize("by", ["death", "frost", "moving"] if LONG else ["death"])
async def test_a_cluster_loses_its_leader(by: str, tmp_path: Path, redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        members = await stack.enter_async_context(cluster())
        mesh = await stack.enter_async_context(mesh_on(tmp_path, redis_url, members))
        names = await waiting_at_gates(mesh, mesh.nodes, 1)
        client = await stack.enter_async_context(mesh.client())
        greetings = Greetings(client)
        before = await registered(members[0].url, mesh)

        leader = await leader_of(members)
        if by == "death":
            leader.kill()
        elif by == "frost":
            leader.kill(signal.SIGSTOP)
        else:
            await move_leader(members, leader)
        await greetings.more()
        if LONG:
            await asyncio.sleep(2 * AWAY / 10)
        newcomer = mesh.agent("--only", "where", "--name", "newcomer")
        await asyncio.to_thread(newcomer.ready)  # two of three are enough for that
        await greetings.more()
        assert await leader_of(members, other_than=leader) is not leader
        if by == "death":
            await leader.restart()
        elif by == "frost":
            leader.kill(signal.SIGCONT)

        await greetings.more()
        await greetings.end()
        await ended_once(mesh, client, list(names))
        gone = before - await registered(members[0].url, mesh)
        lost = {member for member in before if any(f"{member} lost its lease" in role.log for role in mesh.processes)}
        assert gone == lost, "an id changes only when etcd says that the lease is gone (which a busy machine may bring)"


async def move_leader(members: list[Server], leader: Server) -> None:
    """As an operator does before maintenance."""
    listed = await asyncio.to_thread(etcdctl, leader.url, "member", "list")
    other = next(server for server in members if server is not leader)
    its_id = next(line.partition(",")[0] for line in listed.splitlines() if other.url in line)
    await asyncio.to_thread(etcdctl, leader.url, "move-leader", its_id)


async def leader_of(members: list[Server], other_than: Server | None = None) -> Server:
    """The one that leads now; one that is frozen does not answer."""
    async with asyncio.timeout(WITHIN), Etcd.open(",".join(server.url for server in members)) as client:
        while True:
            for row in await client.status():
                found = next(server for server in members if server.url.endswith(row.endpoint))
                if row.leader and not row.error and found is not other_than:
                    return found
            await asyncio.sleep(0.1)


@pytest.mark.long
async def test_an_etcd_that_comes_back_empty_gives_everybody_a_new_id_and_runs_nothing_again(
    tmp_path: Path, redis_url: str
) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(etcd(tmp_path / "etcd"))
        mesh = await stack.enter_async_context(mesh_on(tmp_path, redis_url, [server]))
        names = await waiting_at_gates(mesh, mesh.nodes, 2)
        before = await registered(server.url, mesh)
        client = await stack.enter_async_context(mesh.client())

        server.kill()
        await until(lambda: not server.alive, "its end", WITHIN)
        shutil.rmtree(tmp_path / "etcd" / "member")
        await server.restart()
        await until(lambda: all("comes back as n-" in node.log for node in mesh.nodes), "new ids", WITHIN, mesh)

        async def everybody() -> bool:
            return len(await registered(server.url, mesh) - before) == len(before)

        await until(everybody, "all are registered again", WITHIN, mesh)
        await ended_once(mesh, client, list(names))
        assert await client.run(stories.greet, ["ada"], id="greeting") == ["ada!"]


@pytest.mark.long
async def test_history_that_was_compacted_away_is_made_up_for_by_a_list(tmp_path: Path, redis_url: str) -> None:
    """Every member is away while an agent goes and another comes, and the revisions of that are compacted."""
    async with AsyncExitStack() as stack:
        members = await stack.enter_async_context(cluster())
        mesh = await stack.enter_async_context(mesh_on(tmp_path, redis_url, members[:1]))
        first, other = (server.url for server in members[:2])
        names = await waiting_at_gates(mesh, mesh.nodes, 1)
        members[0].kill(signal.SIGSTOP)
        async with Etcd.open(other) as client:
            revision = 0
            for turn in range(20):
                revision = await client.put(f"/nervenet/{mesh.namespace}/elsewhere/{turn}", b"x")
            dead = f"/nervenet/{mesh.namespace}/agents/ghost-aaaaaaaa"
            await client.put(dead, b'{"agentId": "ghost-aaaaaaaa", "capabilities": [{"name": "ghost"}]}')
            await client.delete(dead)
        await asyncio.to_thread(etcdctl, other, "compact", str(revision + 2))
        members[0].kill(signal.SIGCONT)
        newcomer = mesh.agent("--only", "where", "--name", "newcomer", STORY_ZONE="eu")
        await asyncio.to_thread(newcomer.ready)
        async with mesh.client() as client:
            assert await client.run(stories.everywhere, "eu", id="everywhere") == ["eu"] * 40
            await ended_once(mesh, client, list(names))
        assert newcomer.id in await registered(first, mesh)
