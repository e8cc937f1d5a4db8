# SPDX-License-Identifier: Apache-2.0
"""The link on a bad day: servers die, networks fall silent, masters are demoted."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nervenet.dev.servers import free_port, valkey
from nervenet.redis_link.connection import Connection
from nervenet.redis_link.dial import ServerIdentity
from nervenet.redis_link.faults import ConnectionLost, RedisRefused
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.redis_link.script import LuaScript
from tests.support.tcp_proxy import tcp_proxy


async def test_kill_9_in_the_middle_of_a_pipeline_costs_callers_only_time() -> None:
    async with valkey() as server:
        link = await open_link(server.url)
        script = LuaScript("say", "return ARGV[1]")
        over = asyncio.Event()

        async def caller(i: int) -> None:
            for k in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
                word = f"{i}/{k}".encode()
                assert await link.call("ECHO", word) == word
                assert await link.script(script, [], [word]) == word

        callers = [asyncio.create_task(caller(i)) for i in range(20)]
        await asyncio.wait(callers, timeout=0.05)
        one_try = [link.send("ECHO", "x") for _ in range(10)]
        server.kill()
        outcomes = await asyncio.gather(*one_try, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {bytes, ConnectionLost}
        with suppress(ConnectionLost):
            await _until_it_fails(link)
        assert not link.connected
        with pytest.raises(ConnectionLost):
            await link.send("PING")
        await server.restart()
        await link.call("PING")
        over.set()
        await asyncio.wait_for(asyncio.gather(*callers), 10)
        assert link.counters.reconnects == 1
        assert link.counters.retried > 0
        await link.close()


async def test_a_process_that_stood_still_while_it_logged_in_does_not_blame_redis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nervenet.redis_link.dial._EACH_WAIT", 0.05)
    async with valkey() as server:
        asyncio.get_running_loop().call_soon(time.sleep, 0.5)
        link = await open_link(server.url, wait=0)
        assert await link.call("PING") == b"PONG"
        await link.close()


async def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nervenet.redis_link.dial._EACH_WAIT", 0.05)
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match="no answer from Redis at redis:"):
            await open_link(f"redis://127.0.0.1:{port}", wait=0)


async def test_a_call_gives_up_when_its_patience_ends() -> None:
    async with valkey() as server:
        link = await open_link(server.url, patience=0.2)
        server.kill()
        with suppress(ConnectionLost):
            await _until_it_fails(link)
        with pytest.raises(ConnectionLost) as caught:
            await link.call("PING")
        assert "0.2 s" in caught.value.__notes__[0]
        assert "down" in repr(link)
        await link.close()


async def test_another_server_behind_the_address_is_announced_and_a_mere_blip_is_not() -> None:
    async with valkey() as server:
        link = await open_link(server.url)
        told: asyncio.Queue[tuple[ServerIdentity, ServerIdentity]] = asyncio.Queue()

        async def broken(old: ServerIdentity, new: ServerIdentity) -> None:
            raise ValueError("a bug in a hook")

        async def hook(old: ServerIdentity, new: ServerIdentity) -> None:
            assert await link.call("PING") == b"PONG"
            await told.put((old, new))

        link.on_reconnect += [broken, hook]
        first = link.server
        with suppress(ConnectionLost):
            await link.send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        assert await link.call("PING") == b"PONG"
        assert link.counters.reconnects == 1
        await server.restart()
        old, new = await asyncio.wait_for(told.get(), 5)
        assert old == first
        assert new == link.server
        assert not old.same(new)
        assert told.empty()
        await link.close()


async def test_what_was_being_put_right_when_the_connection_broke_again_is_begun_again() -> None:
    async with valkey() as server:
        link = await open_link(server.url)
        first, runs, done = link.server, 0, asyncio.Event()

        async def hook(old: ServerIdentity, new: ServerIdentity) -> None:
            nonlocal runs
            runs += 1
            assert old == first
            if runs == 1:
                with suppress(ConnectionLost):
                    await link.send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
                await asyncio.Event().wait()
            done.set()

        link.on_reconnect.append(hook)
        await server.restart()
        await asyncio.wait_for(done.wait(), 5)
        assert runs == 2
        await link.close()


async def test_a_call_waits_until_enough_replicas_are_back_and_scripts_are_over() -> None:
    async with valkey(options={"lua-time-limit": "20"}) as server:
        link, admin = await open_link(server.url), await open_link(server.url)
        await admin.call("CONFIG", "SET", "min-replicas-to-write", 1)
        with pytest.raises(RedisRefused, match="NOREPLICAS"):
            await link.send("SET", "k", "v")
        write = asyncio.ensure_future(link.call("SET", "k", "v"))
        await admin.call("CONFIG", "SET", "min-replicas-to-write", 0)
        assert await write == b"OK"

        endless = link.send("EVAL", "while true do end", 0)
        with pytest.raises(RedisRefused, match="BUSY"):
            await _until_it_fails(admin)
        read = asyncio.ensure_future(admin.call("GET", "k"))
        assert await admin.send("SCRIPT", "KILL") == b"OK"
        assert await read == b"v"
        with pytest.raises(RedisRefused):
            await endless
        await link.close()
        await admin.close()


async def _until_it_fails(link: Link) -> None:
    while True:
        await link.send("PING")


async def test_a_connection_that_fell_silent_is_replaced_within_five_seconds(redis_url: str, namespace: str) -> None:
    """Four kinds at once: a command in flight, an idle link, a blocked reader, a subscription."""
    async with tcp_proxy(redis_url) as proxy:
        busy, idle = await open_link(proxy.url, name="busy"), await open_link(proxy.url, name="idle")
        reader, subscription = await busy.dedicated(), await busy.subscribe()
        await subscription.add(namespace)
        await reader.read("XREAD", "BLOCK", 1, "STREAMS", namespace, "$")
        assert proxy.connections == 4
        proxy.silence()
        began = time.monotonic()

        async def blocked() -> None:
            with pytest.raises(ConnectionLost, match="no answer"):
                await reader.read("XREAD", "BLOCK", 1000, "STREAMS", namespace, "$")
            assert await reader.read("XREAD", "BLOCK", 1, "STREAMS", namespace, "$") is None

        async def subscribed() -> None:
            async for message in subscription:
                assert message == (namespace.encode(), b"")
                return

        async with asyncio.timeout(7):
            replies = await asyncio.gather(busy.call("ECHO", "hi"), blocked(), subscribed(), proxy.connected(8))
        assert replies[0] == b"hi"
        assert time.monotonic() - began < 6, "five seconds, and one for a loaded machine"
        assert await idle.call("PING") == b"PONG"
        assert [busy.counters.reconnects, idle.counters.reconnects] == [1, 1]
        await busy.close()
        await idle.close()


async def test_a_master_that_was_demoted_is_left_until_the_address_has_a_master_again() -> None:
    async with valkey() as server:
        link, admin = await open_link(server.url), await open_link(server.url)
        await admin.call("REPLICAOF", "127.0.0.1", free_port())
        with pytest.raises(RedisRefused, match="READONLY"):
            await link.send("SET", "k", "v")
        write = asyncio.ensure_future(link.call("SET", "k", "v"))
        assert await admin.send("REPLICAOF", "NO", "ONE") == b"OK"
        assert await asyncio.wait_for(write, 5) == b"OK"
        assert link.counters.reconnects == 1
        await link.close()
        await admin.close()


async def test_a_blocked_reader_hears_of_a_restart_and_reads_on(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server:
        link = await open_link(server.url)
        reader = await link.dedicated()
        reading = asyncio.create_task(reader.read("XREAD", "BLOCK", 2000, "STREAMS", "s", "0"))
        while not reader.connects or b"cmd=xread" not in await link.call("CLIENT", "LIST"):
            await asyncio.sleep(0)
        server.kill()
        with pytest.raises(ConnectionLost):
            await reading
        await server.restart()
        await link.call("XADD", "s", "1-1", "n", "start")
        assert await reader.read("XREAD", "BLOCK", 2000, "STREAMS", "s", "0") == [[b"s", [[b"1-1", [b"n", b"start"]]]]]
        assert reader.connects == 2
        await link.close()


async def test_a_reader_reads_nothing_of_another_server_before_those_who_must_know_of_it(tmp_path: Path) -> None:
    """What it would read may follow from what that server has lost, and is about to get back."""
    async with valkey(tmp_path) as server:
        link = await open_link(server.url)
        reader, order, commands = await link.dedicated(), list[str](), asyncio.Event()

        async def hook(old: ServerIdentity, new: ServerIdentity) -> None:
            order.append("told")

        async def connect_late(wait: float | None = None, *, watched: bool = True) -> tuple[Connection, ServerIdentity]:
            if watched:
                await commands.wait()
            return await Link.connect(link, wait, watched=watched)

        link.on_reconnect.append(hook)
        assert await reader.read("XADD", "s", "1-1", "n", "start") == b"1-1"
        link.connect = connect_late  # type: ignore[method-assign]
        connects = reader.connects
        await server.restart()

        async def read() -> Any:
            while True:
                with suppress(ConnectionLost):
                    return await reader.read("XREAD", "STREAMS", "s", "0")

        reading = asyncio.create_task(read())
        reading.add_done_callback(lambda _: order.append("read"))
        while reader.connects == connects:
            await asyncio.sleep(0)
        commands.set()
        assert await reading == [[b"s", [[b"1-1", [b"n", b"start"]]]]]
        assert order == ["told", "read"]
        await link.close()


async def test_a_cancelled_read_cannot_swallow_the_next_entry(redis_url: str, namespace: str) -> None:
    link = await open_link(redis_url)
    reader = await link.dedicated()
    reading = asyncio.create_task(reader.read("XREAD", "BLOCK", 2000, "STREAMS", namespace, "$"))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one thing at a time"):
        await reader.read("PING")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await link.call("XADD", namespace, "1-1", "n", "x")
    assert await reader.read("XREAD", "BLOCK", 10, "STREAMS", namespace, "0") is not None
    assert await reader.read("ECHO", "in order") == b"in order"
    await link.close()


@pytest.mark.parametrize("block", [0, 2001])
async def test_a_read_may_not_block_for_long(redis_url: str, block: int) -> None:
    link = await open_link(redis_url)
    reader = await link.dedicated()
    with pytest.raises(ValueError, match="BLOCK"):
        await reader.read("XREAD", "BLOCK", block, "STREAMS", "s", "$")
    await link.close()


async def test_subscriptions_survive_their_connection_and_hint_at_what_they_missed(
    redis_url: str, namespace: str
) -> None:
    link = await open_link(redis_url)
    subscription = await link.subscribe()
    here, there = f"{namespace}:here", f"{namespace}:there"
    await asyncio.gather(subscription.add(here), subscription.add(there))
    messages = aiter(subscription)
    await link.call("PUBLISH", here, "one")
    assert await anext(messages) == (here.encode(), b"one")
    await link.call("CLIENT", "KILL", "TYPE", "pubsub")
    assert {await anext(messages), await anext(messages)} == {(here.encode(), b""), (there.encode(), b"")}
    subscription.remove(there)
    third = f"{namespace}:third"
    await subscription.add(third)
    await link.call("PUBLISH", there, "unheard")
    await link.call("PUBLISH", third, "three")
    assert await anext(messages) == (third.encode(), b"three")
    await subscription.close()
    with pytest.raises(StopAsyncIteration):
        await anext(messages)
    await link.close()
