# SPDX-License-Identifier: Apache-2.0
"""The link on a good day: batches, order, cancellation, caps, scripts, and a tidy end."""

from __future__ import annotations

import asyncio
import gc
import random

import pytest

from nervenet.redis_link import connection
from nervenet.redis_link.faults import LinkClosed, LinkFull, RedisRefused
from nervenet.redis_link.opening import open_link
from nervenet.redis_link.script import LuaScript
from tests.support.tcp_proxy import tcp_proxy


async def test_commands_of_one_tick_travel_in_one_write(redis_url: str) -> None:
    async with tcp_proxy(redis_url, record=True) as proxy:
        link = await open_link(proxy.url)
        proxy.uploads.clear()
        replies = await asyncio.gather(*(link.call("ECHO", i) for i in range(64)))
        assert replies == [str(i).encode() for i in range(64)]
        assert len(proxy.uploads) == 1
        assert link.counters.writes < link.counters.commands / 10
        await link.close()


async def test_a_command_is_issued_by_the_call_not_by_the_await(redis_url: str) -> None:
    async with tcp_proxy(redis_url, record=True) as proxy:
        link = await open_link(proxy.url)
        proxy.uploads.clear()
        first, second = link.call("ECHO", "a"), link.call("ECHO", "b")
        assert [await first, await second] == [b"a", b"b"]
        assert len(proxy.uploads) == 1
        await link.close()


async def test_a_cancelled_caller_never_shifts_the_replies_of_others(redis_url: str) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    link = await open_link(redis_url)
    for _ in range(50):
        tasks = [asyncio.ensure_future(link.call("ECHO", i)) for i in range(100)]
        for task in chance.sample(tasks, 30):
            asyncio.get_running_loop().call_later(chance.random() / 1000, task.cancel)
        for i, reply in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            assert reply == str(i).encode() or isinstance(reply, asyncio.CancelledError), f"seed {seed}"
    lost = link.send("ECHO", "dropped")
    lost.cancel()
    assert await link.call("ECHO", "next") == b"next"
    assert link.counters.dropped > 0
    await link.close()


async def test_an_error_of_redis_reaches_only_its_own_caller(redis_url: str, namespace: str) -> None:
    link = await open_link(redis_url)
    good, bad, also_good = (
        link.call("SET", namespace, "text"),
        link.call("XLEN", namespace),
        link.call("GET", namespace),
    )
    assert await good == b"OK"
    with pytest.raises(RedisRefused) as caught:
        await bad
    assert caught.value.code == "WRONGTYPE"
    assert not caught.value.retry
    assert await also_good == b"text"
    await link.close()


async def test_a_script_is_loaded_when_the_server_does_not_know_it(redis_url: str) -> None:
    link = await open_link(redis_url)
    script = LuaScript("echo", "return {KEYS[1], ARGV[1], ARGV[2]}")
    assert await link.script(script, ["k"], ["a", 1]) == [b"k", b"a", b"1"]
    await link.call("SCRIPT", "FLUSH")
    replies = await asyncio.gather(*(link.script(script, ["k"], [i, b"x"]) for i in range(20)))
    assert replies == [[b"k", str(i).encode(), b"x"] for i in range(20)]
    await link.close()


async def test_scripts_are_known_before_anything_else_is_sent(redis_url: str) -> None:
    async with tcp_proxy(redis_url, record=True) as proxy:
        link = await open_link(proxy.url)
        script = LuaScript("again", "return 'again'")
        await link.script(script, [])
        proxy.uploads.clear()
        await link.call("CLIENT", "KILL", "ID", await link.call("CLIENT", "ID"), "SKIPME", "no")
        await proxy.connected(2)
        assert await link.script(script, []) == b"again"
        retried = link.counters.retried
        assert await link.script(script, []) == b"again"
        assert link.counters.retried == retried
        greeting = next(chunk for chunk in proxy.uploads if b"SETNAME" in chunk)
        assert script.source.encode() in greeting
        await link.close()


async def test_callers_wait_for_room_and_the_careless_are_refused(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_IN_FLIGHT", 50)
    link = await open_link(redis_url)
    sent = [link.send("ECHO", i) for i in range(100)]
    with pytest.raises(LinkFull):
        await link.send("ECHO", "one too many")
    await link.room()
    assert link.in_flight < 50
    assert await asyncio.gather(*sent) == [str(i).encode() for i in range(100)]

    highest = 0

    async def polite(i: int) -> bytes:
        nonlocal highest
        reply: bytes = await link.call("ECHO", i)
        highest = max(highest, link.in_flight)
        return reply

    assert await asyncio.gather(*(polite(i) for i in range(500))) == [str(i).encode() for i in range(500)]
    assert highest <= 50
    await link.close()


async def test_room_is_passed_on_when_the_one_who_waited_is_cancelled(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await open_link(redis_url)
    monkeypatch.setattr(connection, "MAX_IN_FLIGHT", 10)
    callers = [asyncio.ensure_future(link.call("ECHO", i)) for i in range(200)]
    for caller in callers[:150]:
        asyncio.get_running_loop().call_later(0.0005, caller.cancel)
    replies = await asyncio.wait_for(asyncio.gather(*callers, return_exceptions=True), 5)
    assert replies[150:] == [str(i).encode() for i in range(150, 200)]
    await link.close()


async def test_pages_of_unknown_size_are_limited_more_tightly(redis_url: str, namespace: str) -> None:
    link = await open_link(redis_url)
    await link.call("XADD", namespace, "*", "e", b"x" * 1000)
    reads = [asyncio.ensure_future(link.call("XRANGE", namespace, "-", "+")) for _ in range(300)]
    while not all(read.done() for read in reads):
        assert link.in_flight <= connection.MAX_PAGES
        await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        reads = [read for read in reads if not read.done()] or reads
    assert len(await reads[-1]) == 1
    await link.close()


async def test_unsent_bytes_are_limited_too(redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_UNSENT", 1024 * 1024)
    link = await open_link(redis_url)
    megabyte = b"x" * 1024 * 1024
    results = await asyncio.gather(*(link.send("SET", namespace, megabyte) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [bytes, bytes, LinkFull]
    assert await asyncio.gather(*(link.call("SET", namespace, megabyte) for _ in range(20))) == [b"OK"] * 20
    await link.close()


async def test_closing_answers_what_is_in_flight_and_leaves_no_task(redis_url: str) -> None:
    before = asyncio.all_tasks()
    link = await open_link(redis_url)
    reader, subscription = await link.dedicated(), await link.subscribe()
    await subscription.add("somewhere")
    reading = asyncio.create_task(reader.read("XREAD", "BLOCK", 2000, "STREAMS", "nowhere", "$"))
    last = link.send("ECHO", "last words")
    await asyncio.sleep(0)
    await link.close()
    await link.close()
    assert await last == b"last words"
    with pytest.raises(LinkClosed):
        await reading
    assert asyncio.all_tasks() == before
    for late in (link.send("PING"), link.call("PING"), reader.read("PING")):
        with pytest.raises(LinkClosed):
            await late
    assert "closed" in repr(link)


async def test_a_link_tells_how_it_is(redis_url: str) -> None:
    link = await open_link(redis_url, name="n-42")
    assert 0 < await link.ping() < 1
    assert "n-42" in repr(link)
    assert "connected" in repr(link)
    assert link.connected
    assert link.server.version
    assert (await link.call("CLIENT", "GETNAME")) == b"n-42"
    await link.close()


async def test_a_call_that_nobody_came_to_await_is_no_warning(
    redis_url: str, namespace: str, recwarn: pytest.WarningsRecorder
) -> None:
    link = await open_link(redis_url)
    first = link.call("SET", namespace, "said")
    link.call("PING")
    await first
    dropped = asyncio.ensure_future(link.call("GET", namespace))
    dropped.cancel()  # before it began
    with pytest.raises(asyncio.CancelledError):
        await dropped
    gc.collect()
    assert [str(warned.message) for warned in recwarn] == []
    assert await link.call("GET", namespace) == b"said"
    await link.close()
