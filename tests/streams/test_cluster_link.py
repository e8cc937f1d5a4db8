# SPDX-License-Identifier: Apache-2.0
"""The link to a Redis Cluster: commands find their master by their key, also while slots move and masters die."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence

import pytest

from nervenet.redis_link.dial import ServerIdentity
from nervenet.redis_link.faults import BadAddress, ConnectionLost
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.redis_link.script import LuaScript
from nervenet.redis_link.slots import key_of, slot_of
from nervenet.redis_link.topology import merge, parse_nodes
from tests.support.redis_cluster import Clustered
from tests.support.redis_servers import say


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("HGET", "a", "b"), b"a"),
        (("XADD", b"a", "*", "e", b"x"), b"a"),
        (("EVALSHA", "sha", 2, "a", "b", "c"), b"a"),
        (("EVAL", "return 1", 0), None),
        (("XREADGROUP", "GROUP", "agents", "me", "COUNT", 1, "STREAMS", "a", ">"), b"a"),
        (("XREAD", "BLOCK", 1, "STREAMS", "a", "$"), b"a"),
        (("XGROUP", "CREATE", "a", "agents", "0"), b"a"),
        (("XINFO", "CONSUMERS", "a", "agents"), b"a"),
        (("PING",), None),
        (("TIME",), None),
    ],
)
def test_the_key_of_a_command_is_known(words: Sequence[str | bytes | int], key: bytes | None) -> None:
    assert key_of(words) == key


def test_keys_with_one_tag_share_a_slot() -> None:
    assert slot_of(b"123456789") == 0x31C3, "the check value of CRC16 XMODEM"
    assert slot_of(b"nn:t:wf:{a/1}") == slot_of(b"nn:t:wf:{a/1}:journal") == slot_of(b"a/1")
    assert slot_of(b"{}a") != slot_of(b"{}b"), "an empty tag is none"


def test_of_two_claims_to_a_slot_the_later_one_holds() -> None:
    asleep = parse_nodes(
        "aa 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8000 [93->-bb]\n"
        "bb 10.0.0.2:6379@16379 master - 0 0 2 connected 8001-16383\n"
        "cc 10.0.0.3:6379@16379 slave aa 0 0 1 connected\n",
        "10.0.0.1",
    )
    awake = parse_nodes(
        "aa 10.0.0.1:6379@16379 master,fail - 0 0 1 connected\n"
        "bb :6379@16379,name myself,master - 0 0 2 connected 8001-16000 16002-16383\n"
        "cc 10.0.0.3:6379@16379 master - 0 0 3 connected 0-8000 16001\n"
        "dd 10.0.0.4:6379@16379 master - 0 0 0 connected\n"
        "ee :0@0 master,noaddr - 0 0 0 disconnected\n",
        "10.0.0.2",
    )
    for views in ([asleep, awake], [awake, asleep]):
        found = merge(views)
        assert found.owners[0] == found.owners[8000] == found.owners[16001] == ("10.0.0.3", 6379)
        assert found.owners[8001] == found.owners[16383] == ("10.0.0.2", 6379)
        assert found.masters == {("10.0.0.2", 6379), ("10.0.0.3", 6379), ("10.0.0.4", 6379)}
        assert found.others == {("10.0.0.1", 6379)}


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Keys all over the cluster."""
    return [f"key-{n}" for n in range(300)]


async def test_slots_that_move_cost_no_command_its_answer(names: list[str]) -> None:
    async with Clustered() as redis:
        first, second, _ = redis.masters
        link = await open_link(first.url, name="n-1")
        assert not link.in_order and link.connected and "ClusterLink" in repr(link)
        told: list[ServerIdentity] = []

        async def hook(old: ServerIdentity, new: ServerIdentity) -> None:
            told.append(new)

        link.on_reconnect.append(hook)
        writes = link.counters.writes
        assert set(await asyncio.gather(*(link.call("SET", name, "0") for name in names))) == {b"OK"}
        assert link.counters.writes - writes == 3, "one write to each master"
        assert sorted([key async for page in link.scan("key-*", 50) for key in page]) == sorted(map(str.encode, names))
        say_it = LuaScript("say", "return {KEYS[1], ARGV[1]}")
        assert await link.script(say_it, ["key-1"], ["x"]) == [b"key-1", b"x"]

        mine = [name for name in names if slot_of(name.encode()) < 5461][:12]
        stream = f"{{{mine[0]}}}:stream"
        reader, subscription = await link.dedicated(), await link.subscribe()
        await subscription.add("news")
        over, retried = asyncio.Event(), link.counters.retried

        async def writing(name: str) -> int:
            count = 0
            while not over.is_set():
                await link.send("XADD", f"{{{name}}}:log", "*", "n", count)
                count += 1
            return count

        async def reading() -> list[bytes]:
            seen: list[bytes] = []
            last: bytes = b"0"
            while not over.is_set() or len(seen) < 3:
                if page := await reader.read("XREAD", "BLOCK", 500, "STREAMS", stream, last):
                    seen += [fields[1] for _, fields in page[0][1]]
                    last = page[0][1][-1][0]
            return seen

        writers = [asyncio.create_task(writing(name)) for name in mine]
        read = asyncio.create_task(reading())
        await link.call("XADD", stream, "*", "n", "before")
        for name in mine:
            slot = slot_of(name.encode())
            await redis.move(range(slot, slot + 1), first, second)
            if name == mine[0]:
                await link.call("XADD", stream, "*", "n", "after")
        await link.call("XADD", stream, "*", "n", "last")
        over.set()
        for name, count in zip(mine, await asyncio.gather(*writers), strict=True):
            assert await link.call("XLEN", f"{{{name}}}:log") == count > 0
        assert await asyncio.wait_for(read, 20) == [b"before", b"after", b"last"]
        assert link.counters.retried == retried, "nothing was tried twice"
        await link.call("PUBLISH", "news", "heard")
        async for message in subscription:
            assert message == (b"news", b"heard")
            break
        assert not told, "slots that move take their data along"
        await link.close()


async def test_a_frozen_master_of_a_cluster_is_left_for_its_replica(
    names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with Clustered(replica=True) as redis:
        with caplog.at_level(logging.WARNING, "nervenet"):
            link = await open_link(redis.url, name="n-1")
        assert "min-replicas-to-write is 0" in caplog.text
        told: asyncio.Queue[tuple[ServerIdentity, ServerIdentity]] = asyncio.Queue()

        async def hook(old: ServerIdentity, new: ServerIdentity) -> None:
            assert await link.call("SET", "key-0", "put right") == b"OK"
            await told.put((old, new))

        link.on_reconnect.append(hook)
        await asyncio.gather(*(link.call("SET", name, name) for name in names))
        old_master, before = redis.masters[0], link.server
        await redis.failover(signal.SIGSTOP)
        replies = await asyncio.gather(*(link.call("SET", name, "again") for name in names))
        assert set(replies) == {b"OK"}
        old, new = await asyncio.wait_for(told.get(), 20)
        assert old.same(before) and new.same(link.server) and not old.same(new)
        assert new.holds(b"{a}") == (slot_of(b"a") < 5461)
        assert list(new.slots or ()) == [range(5461)]
        await asyncio.wait_for(_until_connected(link), 20)
        old_master.kill(signal.SIGCONT)
        assert " name=n-1 " not in say(old_master, "CLIENT", "LIST"), "nobody speaks to a master of the past"
        assert told.empty()
        await link.close()


async def _until_connected(link: Link) -> None:
    while not link.connected:
        await link.call("SET", "key-0", "x")
        await asyncio.sleep(0.02)


async def test_a_cluster_that_nobody_finds_says_so(redis_url: str) -> None:
    with pytest.raises(ConnectionLost, match="no member"):
        await open_link("redis+cluster://127.0.0.1:1", wait=0.1)
    with pytest.raises(BadAddress, match="no cluster"):
        await open_link(redis_url.replace("redis://", "redis+cluster://"))
