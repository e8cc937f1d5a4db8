# SPDX-License-Identifier: Apache-2.0
"""Workflows that only wait leave the memory of their node, and go on as if they had never left it.

The nodes of these tests let them leave after a fifth of a second instead of half a minute.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from nervenet import Client, Context, Mesh, Resolution, Signal, StartOptions, WorkflowHandle
from nervenet.client.raw import RawClient
from nervenet.dev.servers import Server, valkey
from nervenet.durable import Machine
from nervenet.durable.loop import DurableLoop, DurableTask
from nervenet.errors import WorkflowCanceled, WorkflowFailed
from nervenet.heap import return_free_memory
from nervenet.node.node import Node
from nervenet.node.tasks import pending_monitor
from nervenet.node.workflows import hosted, unloading
from tests.support.nodes import NodesHere
from tests.support.redis_servers import say
from tests.support.waiting import until

mesh = Mesh("sleepers")
word = Signal("word", str)


@mesh.workflow
async def waits(ctx: Context, text: str) -> str:
    """For two words."""
    ctx.publish({"hears": text})
    return text + await ctx.receive(word) + await ctx.receive(word)


@mesh.workflow
async def sleeps(ctx: Context, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "rested"


@mesh.workflow
async def asks(ctx: Context, deadline: float) -> str:
    answer = await ctx.ask("Go on?", choices=["yes", "no"], deadline=timedelta(seconds=deadline), default="no")
    return str(answer.value)


@mesh.workflow
async def tidies(ctx: Context, text: str) -> str:
    """Cleans up when it is canceled; that takes a moment, in which it waits."""
    try:
        return await ctx.receive(word)
    except asyncio.CancelledError:
        await asyncio.sleep(0.5)
        raise


@mesh.workflow
async def waits_with_a_limit(ctx: Context, text: str) -> str:
    async with asyncio.timeout(86_400):
        return await ctx.receive(word)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workflows leave memory a fifth of a second after their last news."""
    monkeypatch.setattr(hosted, "LOOK_MS", 200)
    monkeypatch.setattr(pending_monitor, "QUIET_WORKFLOW_UNLOADED_MS", 200)
    monkeypatch.setattr(unloading, "QUIET_WORKFLOW_UNLOADED_MS", 200)


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[NodesHere]:
    async with NodesHere(mesh, redis_url, etcd_url, namespace) as world:
        yield world


@pytest.fixture
async def node(world: NodesHere) -> Node:
    return await world.node()


@pytest.fixture
async def client(world: NodesHere, node: Node) -> Client:
    return await world.client(node)


async def asleep(node: Node, *handles: WorkflowHandle[str]) -> None:
    """Wait until these have left memory."""

    def left() -> bool:
        return all(one.id in node.hosted.unloaded and node.hosted.get(one.id) is None for one in handles)

    await until(left, f"{len(handles)} workflows leave memory")


async def test_memory_is_given_back_when_a_wave_of_starts_is_over(
    node: Node, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What their messages and commands needed for a moment, glibc would keep."""
    monkeypatch.setattr(unloading, "MANY", 50)
    monkeypatch.setattr(unloading, "QUIET_WORKFLOW_UNLOADED_MS", 60_000)
    given_back: list[int] = []

    def give_back() -> None:
        given_back.append(len(node.hosted.coordinators))
        return_free_memory()

    monkeypatch.setattr(unloading, "return_free_memory", give_back)
    await client.start_many(waits, {f"w-{i}": "a" for i in range(49)})
    await client.start_many(waits, {"the-last": "a"})
    await until(lambda: bool(given_back), "memory is given back")
    assert given_back == [50]


async def test_a_signal_brings_it_back_and_it_leaves_again(node: Node, client: Client) -> None:
    run = await client.start(waits, "a", id="w")
    result = asyncio.create_task(run.result(timeout=60))  # waits through all of it
    await asleep(node, run)
    await run.signal(word, "b")
    await until(lambda: (one := node.hosted.find("w")) is not None and one.applied == 2, "it has heard the word")
    await asleep(node, run)
    await run.signal(word, "c")
    assert await result == "abc"
    assert len(node.hosted) == 0


def _code() -> list[object]:
    """All that runs workflow code in this process."""
    return [one for one in gc.get_objects() if type(one) in (Machine, DurableLoop, DurableTask)]


async def test_nothing_of_its_code_stays_for_the_garbage_collector(node: Node, client: Client) -> None:
    left = _code()  # of a node that another test has left; it stays in memory, so that nothing new gets its place
    before = set(map(id, left))
    gc.disable()
    try:
        runs: list[WorkflowHandle[str]] = [await client.start(waits, "a"), await client.start(waits_with_a_limit, "a")]
        runs += [await client.start(sleeps, 600.0), await client.start(asks, 600.0)]
        await asleep(node, *runs)
        await until(lambda: not [one for one in _code() if id(one) not in before], "its code is out of memory")
    finally:
        gc.enable()


async def test_two_words_that_come_at_once_bring_it_back_once(node: Node, client: Client) -> None:
    run = await client.start(waits, "a", id="w")
    await asleep(node, run)
    before = node.context.metrics.registry.one("nervenet.workflow.replays")
    assert before is not None
    await asyncio.gather(run.signal(word, "b"), run.signal(word, "c"))
    assert await run.result(timeout=60) in ("abc", "acb")
    found = node.context.metrics.registry.one("nervenet.workflow.replays")
    assert found is not None and dict(found.points) == {("woken",): 1}


async def test_its_timer_brings_it_back(node: Node, client: Client) -> None:
    run = await client.start(sleeps, 2.0)
    await asleep(node, run)
    assert await run.result(timeout=60) == "rested"


async def test_the_time_limit_of_a_workflow_ends_it(node: Node, client: Client) -> None:
    run = await client.start(waits, "a", options=StartOptions(timeout=timedelta(seconds=2)))
    await asleep(node, run)
    with pytest.raises(WorkflowFailed, match="longer than 2000 ms"):
        await run.result(timeout=60)


async def test_a_cancel_ends_it_and_its_clean_up_runs(node: Node, client: Client) -> None:
    run = await client.start(tidies, "a")
    await asleep(node, run)
    await run.cancel("not needed")
    with pytest.raises(WorkflowCanceled):
        await run.result(timeout=60)


async def test_people_see_what_it_waits_for(world: NodesHere, node: Node, client: Client) -> None:
    """A list does not bring it back; whoever asks for all of one workflow has its steps from memory."""
    run = await client.start(waits, "a", id="w")
    await asleep(node, run)
    async with RawClient(world.config(address=node.address)) as raw:
        answer = await raw.call("ListWorkflows", include_waits=True)
    (listed,) = answer.workflows
    assert [wait.signal for wait in listed.waits] == ["word"]
    assert node.hosted.get("w") is None, "a list leaves it where it is"
    info = await run.info()
    assert not info.partial
    assert info.waits_for == (listed.waits[0].words,)
    assert info.view == {"hears": "a"}


async def test_a_question_is_answered(node: Node, client: Client) -> None:
    told: list[tuple[str, str, int, bool]] = []
    node.escalations.on_open(lambda *question: told.append(question))
    run = await client.start(asks, 600.0, id="w")
    await asleep(node, run)
    (question,) = [one async for one in client.escalations()]
    node.unloader.load_soon("w")
    await until(lambda: node.hosted.get("w") is not None, "it is back in memory")
    await asleep(node, run)
    await client.resolve(question.id, Resolution.complete("yes"))
    assert await run.result(timeout=60) == "yes"
    assert [one async for one in client.escalations()] == []
    assert len(told) == 1, "coming back into memory is no new question"


async def test_a_question_that_nobody_answers_gets_its_default(node: Node, client: Client) -> None:
    run = await client.start(asks, 2.0)
    await asleep(node, run)
    assert await run.result(timeout=60) == "no"


async def test_a_node_that_leaves_hands_it_over_as_it_is(world: NodesHere, node: Node, client: Client) -> None:
    run = await client.start(waits, "a", id="w")
    await asleep(node, run)
    heir = await world.node()
    await until(lambda: len(node.context.table.nodes) == 2, "the nodes know each other")
    await node.drain()
    await until(lambda: heir.hosted.find("w") is not None, "the other node has it")
    assert len(node.hosted) == 0
    there = await world.client(heir)
    handle = there.handle("w", waits)
    await asyncio.gather(handle.signal(word, "b"), handle.signal(word, "b"))
    assert await handle.result(timeout=60) == "abb"
    del run


async def test_many_that_are_woken_together_are_loaded_a_few_at_a_time(
    node: Node, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = list((await client.start_many(waits, {f"w-{i}": "a" for i in range(200)})).values())
    await asleep(node, *runs)
    most, replay = 0, node.loader._replay
    under_way = 0

    async def counted(*args: object) -> object:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)  # or each would be over before the next begins
        try:
            return await replay(*args)  # type: ignore[arg-type]
        finally:
            under_way -= 1

    monkeypatch.setattr(node.loader, "_replay", counted)
    await asyncio.gather(*(run.signal(word, "b") for run in runs))
    await asyncio.gather(*(run.signal(word, "b") for run in runs))
    assert {await run.result(timeout=60) for run in runs} == {"abb"}
    assert 1 < most <= unloading.LOADS_AT_A_TIME


# ── Redis loses something ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def own_redis() -> AsyncIterator[Server]:
    async with valkey() as server:
        yield server


async def written_back(server: Server, count: int) -> None:
    """Wait until the heads of this many workflows are there again."""
    await until(lambda: len(say(server, "KEYS", "nn:*:wf:{w-*}")) == count, f"{count} heads are made again", 60)


@pytest.mark.parametrize("again", [False, True], ids=["flushed", "started again, empty"])
async def test_redis_loses_everything_while_they_are_out_of_memory(
    own_redis: Server, etcd_url: str, namespace: str, again: bool
) -> None:
    async with NodesHere(mesh, own_redis.url, etcd_url, namespace) as world:
        node = await world.node()
        client = await world.client(node)
        waiting = await client.start_many(waits, {f"w-{i}": str(i) for i in range(20)})
        asking = await client.start_many(asks, {f"w-{i}": 600.0 for i in range(20, 25)})
        runs: list[WorkflowHandle[str]] = [*waiting.values(), *asking.values()]
        await asleep(node, *runs)
        if again:
            own_redis.kill()
            await own_redis.restart()
        else:
            say(own_redis, "FLUSHALL")
        await written_back(own_redis, 25)
        for run in waiting.values():
            await run.signal(word, "b")
            await run.signal(word, "b")
        for i, run in enumerate(waiting.values()):
            assert await run.result(timeout=60) == f"{i}bb"

        async def five() -> bool:
            return len([one async for one in client.escalations()]) == 5

        await until(five, "the questions are on the list again")
        async for question in client.escalations():
            await client.resolve(question.id, Resolution.complete("yes"))
        assert {await run.result(timeout=60) for run in asking.values()} == {"yes"}


async def test_redis_has_lost_the_end_of_one_that_is_woken(node: Node, client: Client) -> None:
    """Nobody noticed the loss before: the load does, and writes back what the node remembers."""
    keys, link = node.context.keys, node.context.link
    lost = (keys.journal("w"), keys.head("w"))
    run = await client.start(waits, "a", id="w")
    await asleep(node, run)
    before = [await link.call("DUMP", key) for key in lost]
    await run.signal(word, "b")
    await until(lambda: node.hosted.get("w") is not None, "it is back in memory")
    await asleep(node, run)
    entries = await link.call("XRANGE", lost[0], "-", "+")
    for key, value in zip(lost, before, strict=True):
        await link.call("RESTORE", key, 0, value, "REPLACE")
    node.unloader.load_soon("w")
    await until(lambda: node.hosted.get("w") is not None, "it is loaded")
    assert await link.call("XRANGE", lost[0], "-", "+") == entries, "under its old id"
    await run.signal(word, "c")
    assert await run.result(timeout=60) == "abc"


async def test_news_that_got_lost_is_found_by_a_look(
    node: Node, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_monitor, "IDLE_WORKFLOW_CHECK_MS", 500)
    monkeypatch.setattr(node.wakes, "received", lambda *_: None)
    run = await client.start(waits, "a", id="w")
    await asleep(node, run)
    await run.signal(word, "b")
    await until(lambda: (one := node.hosted.find("w")) is not None and one.applied == 2, "it has heard the word")


async def test_redis_loses_it_while_a_later_run_in_its_place_is_read(node: Node, client: Client) -> None:
    """Before anybody has read that run, Redis has neither of them. What the node knew of the run before is all there is."""
    keys, link, run = node.context.keys, node.context.link, await client.start(waits, "a", id="w")
    await asleep(node, run)
    unloaded = node.hosted.unloaded.get("w")
    assert unloaded is not None
    async with node.hosted.lock("w"):  # it is not read yet
        await link.call("HSET", keys.head("w"), "run", 2)
        node.recovery.unloaded.reload(unloaded, "a test says so")
        await until(lambda: node.hosted.unloaded.get("w") is None, "what is there counts")
        await link.call("DEL", keys.head("w"), keys.journal("w"))
        await node.recovery.came_back()
    for letter in ("b", "c"):
        await run.signal(word, letter)
    assert await run.result(timeout=60) == "abc"
