# SPDX-License-Identifier: Apache-2.0
"""What a crash of Redis can no longer take back, and what a busy node forgets for that reason."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from nervenet import Context, Mesh
from nervenet.dev.servers import valkey
from nervenet.node.recovery import remembered
from nervenet.redis_link.opening import open_link
from nervenet.redis_link.persistence import DurableMarks, ServerState, look
from tests.node.hand import World, start
from tests.recovery.redis_world import torn
from tests.support.redis_cluster import Clustered
from tests.support.redis_servers import Replicated
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from nervenet.dev.servers import Server
    from nervenet.node.node import Node
    from nervenet.redis_link.link import Link

EVERYSEC = ServerState("a", "everysec")
ALWAYS = ServerState("a", "always")


def seen(
    looks: Iterable[tuple[float, ServerState | Sequence[ServerState]]], *, fails_over: bool = False
) -> list[float | None]:
    """What each look says; its mark is its own time, so an answer is a time before which nothing can be lost."""
    durable = DurableMarks[float](fails_over=fails_over)
    return [durable.look(at, at, [state] if isinstance(state, ServerState) else state) for at, state in looks]


# ── the disk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_syncs_before_it_answers_can_lose_nothing() -> None:
    assert seen([(1.0, ALWAYS), (2.0, ALWAYS)]) == [1.0, 2.0]


def test_with_everysec_it_takes_two_looks_without_a_sync_and_a_second_before_the_first() -> None:
    looks = [(at, EVERYSEC) for at in (0.0, 1.0, 2.0, 3.0, 4.0)]
    assert seen(looks) == [None, None, None, 0.0, 1.0], (
        "at 3: it was idle at 2, and that covers what was written by 0.8"
    )


def test_a_sync_under_way_proves_nothing_and_is_over_at_the_next_look_without_one() -> None:
    syncing = EVERYSEC._replace(syncing=True)
    looks = [(0.0, EVERYSEC), (2.0, EVERYSEC), (2.5, syncing), (3.0, syncing), (4.0, EVERYSEC)]
    assert seen(looks) == [None, None, None, None, 0.0]


def test_a_disk_that_is_always_behind_is_never_believed() -> None:
    syncing = EVERYSEC._replace(syncing=True)
    assert set(seen([(at / 2, syncing) for at in range(40)])) == {None}


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_first_file_that_is_still_written_is_none(policy: Any) -> None:
    """`appendonly` was switched on, or a replica was promoted: until the rewrite is done there is no file to start from."""
    state = ServerState("a", policy, rewriting=True)
    looks = [(float(at), state) for at in range(4)]
    assert set(seen(looks)) == {None}
    done = seen([*looks, (4.0, state._replace(rewriting=False))])[-1]
    assert done is not None, "from now on what is written meanwhile is in a file"
    assert seen([(0.0, ServerState("a", "always")), (1.0, ServerState("a", "always", rewriting=True))])[-1] == 1.0


def test_a_server_without_a_file_or_with_other_data_begins_anew() -> None:
    off, other = ServerState("a", ""), ServerState("b", "everysec")
    steady = [(float(at), EVERYSEC) for at in range(4)]
    assert seen([*steady, (4.0, off), (5.0, EVERYSEC), (6.0, EVERYSEC)])[-3:] == [None, None, None]
    assert seen([*steady, (4.0, other), (5.0, other), (6.0, other), (7.0, other)])[-4:] == [None, None, None, 4.0]


def test_looks_of_long_ago_do_not_count() -> None:
    assert seen([(0.0, EVERYSEC), (1.0, EVERYSEC), (2.0, EVERYSEC), (60.0, EVERYSEC)])[-1] is None


# ── replicas ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_replica_must_have_received_what_the_master_had() -> None:
    def at(offset: int, *replicas: int) -> ServerState:
        return ALWAYS._replace(offset=offset, replicas=replicas)

    looks = [(1.0, at(100, 90, 100)), (2.0, at(200, 100, 200)), (3.0, at(300, 250, 300))]
    assert seen(looks) == [None, 1.0, 2.0]


def test_a_replica_that_is_away_can_still_become_the_master() -> None:
    with_two, with_one = ALWAYS._replace(offset=5, replicas=(5, 5)), ALWAYS._replace(offset=9, replicas=(9,))
    assert seen([(1.0, with_two), (2.0, with_one), (3.0, with_two)]) == [1.0, None, 3.0]


def test_where_sentinels_decide_a_master_without_a_replica_is_not_believed() -> None:
    assert seen([(1.0, ALWAYS)], fails_over=True) == [None]
    assert seen([(1.0, ALWAYS._replace(replicas=(0,)))], fails_over=True) == [1.0]


def test_in_a_cluster_the_slowest_server_decides() -> None:
    slow = ServerState("b", "everysec")
    looks = [(float(at), (ALWAYS, slow)) for at in range(4)]
    assert seen(looks) == [None, None, None, 0.0]


# ── what servers say ─────────────────────────────────────────────────────────────────────────────────────────────────


def settings(appendfsync: str, *, on_rewrite: str = "no") -> list[bytes]:
    words = ("appendonly", "yes", "appendfsync", appendfsync, "no-appendfsync-on-rewrite", on_rewrite)
    return [word.encode() for word in words]


DISK = "# Persistence\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\naof_last_write_status:ok\r\naof_pending_bio_fsync:0\r\n"
FACTS = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:abc\r\nmaster_repl_offset:77\r\n"


def test_a_state_is_read_from_what_redis_and_valkey_say() -> None:
    replicas = "connected_slaves:2\r\nslave0:ip=::1,port=1,state=online,offset=70,lag=1,type=replica\r\nslave1:ip=::1,port=2,state=wait_bgsave,offset=0,lag=0\r\n"
    facts = FACTS.replace("connected_slaves:0\r\n", replicas)
    state = ServerState.read(DISK.encode(), facts.encode(), settings("everysec"))
    assert state == ServerState("abc", "everysec", offset=77, replicas=(70, 0))
    busy = DISK.replace("fsync:0", "fsync:1").replace("scheduled:0", "scheduled:1")
    assert ServerState.read(busy.encode(), FACTS.encode(), settings("always")) == ServerState(
        "abc", "always", True, True, 77
    )


@pytest.mark.parametrize(
    ("disk", "found"),
    [
        (DISK, settings("no")),
        (DISK, settings("everysec", on_rewrite="yes")),
        (DISK, []),  # CONFIG GET tells nothing
        (DISK.replace("aof_enabled:1", "aof_enabled:0"), settings("everysec")),
        (DISK.replace("status:ok", "status:err"), settings("everysec")),
        ("", settings("everysec")),
    ],
)
def test_nothing_is_said_where_the_disk_may_lack_more(disk: str, found: list[bytes]) -> None:
    assert ServerState.read(disk.encode(), FACTS.encode(), found).policy == ""


# ── real servers ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def looks_at(link: Link, durable: DurableMarks[float]) -> float | None:
    """One look; its mark is the time at which it is sent."""
    at = asyncio.get_running_loop().time()
    return durable.look(at, at, await look(link))


async def test_a_server_that_writes_is_believed_and_one_without_a_file_is_not(tmp_path: Path) -> None:
    async with valkey(tmp_path / "valkey") as server:
        link = await open_link(server.url)
        durable, began = DurableMarks[float](), asyncio.get_running_loop().time()

        async def all_of_it() -> bool:
            await link.call("XADD", "s", "*", "f", "x")
            mark = await looks_at(link, durable)
            return mark is not None and mark >= began

        await until(all_of_it, "it has synced what was written before the first look", 30)
        await link.call("CONFIG", "SET", "appendonly", "no")
        assert await looks_at(link, durable) is None
        await link.close()


async def test_a_master_that_lost_its_replica_is_not_believed() -> None:
    always = {"appendonly": "yes", "appendfsync": "always"}
    async with Replicated(options=always) as redis:
        link = await open_link(redis.url)
        durable, began = DurableMarks[float](fails_over=link.fails_over), asyncio.get_running_loop().time()

        async def received() -> bool:
            await link.call("SET", "key", "value")
            mark = await looks_at(link, durable)
            return mark is not None and mark >= began

        await until(received, "its replica has what was written before the first look", 30)
        redis.replica.kill(signal.SIGKILL)

        async def alone() -> bool:
            return (await look(link))[0].replicas == ()

        await until(alone, "the master has noticed it", 30)
        assert await looks_at(link, durable) is None
        await link.close()


async def test_a_cluster_says_it_of_each_of_its_masters() -> None:
    async with Clustered() as cluster:
        link = await open_link(cluster.url)
        assert not link.fails_over, "no member is a replica"
        assert len({state.replid for state in await look(link)}) == 3
        await link.close()


# ── a node ───────────────────────────────────────────────────────────────────────────────────────────────────────────

mesh = Mesh("durable")


@mesh.workflow
async def at_once(ctx: Context, n: int) -> int:
    """Ends as soon as it has begun."""
    return n


@asynccontextmanager
async def busy_node(
    server: Server | Replicated,
    etcd_url: str,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    durable_bytes: int = 0,
) -> AsyncIterator[Node]:
    """A node that remembers for an hour, and nothing longer than a crash of Redis can take it."""
    monkeypatch.setattr(remembered, "RECENT_WRITES_MS", 3_600_000)
    monkeypatch.setattr(remembered, "DURABLE_BYTES", durable_bytes)
    async with World(server.url, etcd_url, namespace).node(mesh) as node:
        yield node


async def close(node: Node, first: int, count: int = 20) -> list[str]:
    """So many workflows, from their start to their end."""
    ids = [f"w-{n}" for n in range(first, first + count)]
    ends = [await start(node, "at_once", workflow_id, b"1") for workflow_id in ids]
    await asyncio.gather(*ends)
    await until(lambda: not node.hosted.coordinators, "none of them is hosted any more", 15)
    return ids


async def closed(node: Node, ids: list[str]) -> list[str]:
    """Those of them that Redis has, with their end."""
    heads = await node.context.journal.heads(ids, ("owner", "closed_ms"))
    return [workflow_id for workflow_id, head in heads if head is not None and head.closed]


def closed_lately(node: Node) -> list[str]:
    return [one.workflow_id for one in node.remembered.closed_lately()]


async def test_what_is_on_the_disk_is_forgotten_and_the_tail_is_written_back(
    tmp_path: Path, etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with valkey(tmp_path / "valkey") as server, busy_node(server, etcd_url, namespace, monkeypatch) as node:
        early = await close(node, 0)
        await until(lambda: not closed_lately(node), "all of it is on the disk", 30)
        monkeypatch.setattr(remembered, "DURABLE_BYTES", 1 << 30)  # what closes now stays in memory
        late = await close(node, 100, 40)
        assert closed_lately(node) == late
        server.kill()
        cut = torn(
            server, 5, 32_768
        )  # 20 KB: more than the lists of what closed, which may be the last thing in the file
        times = node.recovery.times
        await server.restart()
        await until(lambda: node.recovery.times > times and not node.remembered.being_written_back, "Redis is back", 30)
        assert node.recovery._write_back.entries, f"something was lost with the {cut} bytes that were cut off"
        assert await closed(node, early + late) == early + late


async def test_what_every_replica_has_is_forgotten_and_a_failover_loses_nothing(
    etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Replicated(options={"appendonly": "yes"}) as redis,
        busy_node(redis, etcd_url, namespace, monkeypatch) as node,
    ):
        early = await close(node, 0)
        await until(lambda: not closed_lately(node), "the disk and the replica have all of it", 40)
        monkeypatch.setattr(remembered, "DURABLE_BYTES", 1 << 30)  # what closes now stays in memory
        late = await close(node, 100)
        times = node.recovery.times
        await redis.failover(signal.SIGKILL)
        await until(lambda: node.recovery.times > times and not node.remembered.being_written_back, "Redis is back", 40)
        assert await closed(node, early + late) == early + late


async def test_a_server_that_keeps_nothing_lets_nothing_be_forgotten(
    etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with valkey() as server, busy_node(server, etcd_url, namespace, monkeypatch) as node:
        ids = await close(node, 0)
        assert not await node.durability.look(), "not worth asking again soon"
        assert closed_lately(node) == ids


async def test_a_node_that_may_not_ask_remembers_as_before(
    tmp_path: Path, etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with valkey(tmp_path / "valkey") as server, busy_node(server, etcd_url, namespace, monkeypatch) as node:
        await node.context.link.call("ACL", "SETUSER", "default", "-config")
        ids = await close(node, 0)
        assert not await node.durability.look()
        assert closed_lately(node) == ids


async def test_a_flush_takes_what_is_on_the_disk_too_so_some_of_it_stays(
    tmp_path: Path, etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = 3_000
    async with (
        valkey(tmp_path / "valkey") as server,
        busy_node(server, etcd_url, namespace, monkeypatch, durable_bytes=few) as node,
    ):
        await close(node, 0, 60)
        await until(lambda: node.remembered.size <= few, "the rest is on the disk and forgotten", 30)
        stay = closed_lately(node)
        assert stay
        await node.context.link.call("FLUSHALL")
        await node.recovery.came_back()
        assert await closed(node, stay) == stay


async def test_nothing_is_asked_while_little_is_remembered(
    tmp_path: Path, etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        valkey(tmp_path / "valkey") as server,
        busy_node(server, etcd_url, namespace, monkeypatch, durable_bytes=1 << 20) as node,
    ):
        await close(node, 0)
        assert node.durability.looks == 0
