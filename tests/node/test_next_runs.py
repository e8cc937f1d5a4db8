# SPDX-License-Identifier: Apache-2.0
"""A workflow with a fresh journal: `ctx.continue_as_new` on real nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from nervenet.definitions import Signal
from nervenet.durable import PYTHON
from nervenet.durable.context import Context
from nervenet.errors import AlreadyExists
from nervenet.mesh import Mesh
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import Cancel, Close, Payload, Signaled, Start, State
from nervenet.streams.ownership import ClosedWorkflow
from nervenet.timing import START_GRACE_MS
from nervenet.wire import encode_entry
from tests.node.hand import World, journal, start, until_entry
from tests.support.waiting import until

if TYPE_CHECKING:
    from nervenet.node.node import Node

mesh = Mesh("runs")
word = Signal("word", str)


@mesh.agent
async def greet(name: str) -> str:
    raise AssertionError("the tests answer by hand")


@mesh.workflow
async def collects(ctx: Context, heard: list[str]) -> list[str]:
    heard = [*heard, await ctx.receive(word)]
    if len(heard) < 3:
        ctx.continue_as_new(collects, heard)
    return heard


@mesh.workflow
async def counts(ctx: Context, n: int) -> int:
    said = int(await ctx.call(greet, str(n)))
    if said < 3:
        ctx.continue_as_new(counts, said)
    return said


@mesh.workflow
async def waits(ctx: Context, first: bool) -> str:
    if first:
        await ctx.receive(word)
        ctx.continue_as_new(waits, False)
    await asyncio.sleep(86_400)
    return "never"


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


async def say(node: Node, run: int, value: str) -> str:
    body = Signaled("word", Payload("json", f'"{value}"'.encode()))
    answer = await node.facts.record("w", run, f"signal:{value}", body, "test")
    return answer.status


async def test_unread_signals_go_along_and_the_journal_begins_anew(world: World) -> None:
    async with world.node(mesh) as node:
        end = await start(node, "collects", "w", b"[]")
        said = await asyncio.gather(*(say(node, 1, value) for value in "abc"))
        assert said == ["new", "new", "new"]
        assert (await end).output == Payload("json", b'["a","b","c"]')
        entries = await journal(node, "w")
        assert list(entries) == ["start", "signal:c", "close"]
        begun = entries["start"]
        assert isinstance(begun.body, Start) and begun.body.input == Payload("json", b'["a","b"]') and begun.n > 4
        head = await node.context.journal.head("w")
        assert head is not None and head.run == 3
        assert await say(node, 1, "late") == "stale"


async def test_steps_of_later_runs_have_ids_of_their_own_and_whoever_waits_hears_the_last_end(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "counts", "w", b"1")
        told: list[object] = []
        node.hosted.on_close("w", told.append)
        for n, task_id in ((2, "w/greet"), (3, "w~2/greet")):
            task = await hand.read()
            assert task.envelope.task_id == task_id
            assert (await hand.claim(task)).status == "run"
            assert not told
            await hand.answer(task, b'"%d"' % n)
        assert (await end).output == Payload("json", b"3")
        await until(lambda: told)
        assert len(told) == 1 and told[0] is not None


async def test_a_task_of_a_run_that_is_over_is_stale(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        (await start(node, "counts", "w", b"1")).cancel()
        task = await hand.read()
        await hand.claim(task)
        await hand.answer(task, b'"2"')
        later = await hand.read()
        assert later.envelope.run == 2
        assert (await hand.claim(task)).status == "stale"


async def test_a_later_run_goes_on_at_another_node(world: World) -> None:
    async with world.agent("greet") as hand:
        async with world.node(mesh) as node:
            await until(lambda: node.context.table.agents)
            (await start(node, "counts", "w", b"1")).cancel()
            task = await hand.read()
            await hand.claim(task)
            await hand.answer(task, b'"2"')
            task = await hand.read()
            await hand.claim(task)
        await hand.answer(task, b'"3"', wake=False)
        async with world.node(mesh) as node:
            found = await until_entry(node, "w", "close")
            assert found.name == "close"
            assert list(await journal(node, "w")) == ["start", "task:greet", "close"]


async def test_the_next_run_is_canceled_like_the_first(world: World) -> None:
    async with world.node(mesh) as node:
        end = await start(node, "waits", "w", b"true")
        await say(node, 1, "go")
        await until(lambda: node.hosted.coordinators["w"].run == 2)
        assert (await node.facts.record("w", 2, "cancel", Cancel("enough"), "test")).status == "new"
        assert (await end).state is State.CANCELED


async def test_a_closed_workflow_begins_again_when_asked_to(world: World) -> None:
    async with world.node(mesh) as node:
        (await start(node, "waits", "w", b"false")).cancel()
        again = StartRequest("w", "waits", Payload("json", b"true"), if_exists="restart_if_closed")
        with pytest.raises(AlreadyExists):
            await node.starter.start(again)  # it is open, and has another input
        await node.facts.record("w", 1, "cancel", Cancel("enough"), "test")
        await until_entry(node, "w", "close")
        await until(lambda: not node.hosted.coordinators)
        assert await node.starter.start(again) == ("w", True, node.node_id)
        assert await node.starter.start(again) == ("w", False, node.node_id)
        head = await node.context.journal.head("w")
        assert head is not None and (head.run, head.closed, head.state) == (2, False, State.RUNNING)
        assert list(await journal(node, "w")) == ["start"]
        assert await node.context.link.call("PTTL", node.context.keys.head("w")) == -1
        assert await node.context.link.call("ZSCORE", node.context.keys.running, "w") is not None
        assert await say(node, 2, "go") == "new"
        await until(lambda: node.hosted.coordinators["w"].run == 3)


async def test_a_run_that_redis_lost_before_its_node_hosts_it_is_begun_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node may have told a caller of it."""
    async with world.node(mesh) as node:
        (await start(node, "waits", "w", b"false")).cancel()
        await node.facts.record("w", 1, "cancel", Cancel("enough"), "test")
        await until_entry(node, "w", "close")
        await until(lambda: not node.hosted.coordinators)
        begun, go_on, list_begun = asyncio.Event(), asyncio.Event(), node.starter._list_begun

        async def slowly(*run: Any) -> None:
            begun.set()
            await go_on.wait()
            await list_begun(*run)

        monkeypatch.setattr(node.starter, "_list_begun", slowly)
        again = StartRequest("w", "waits", Payload("json", b"true"), if_exists="restart_if_closed")
        starting = asyncio.create_task(node.starter.start(again))
        await begun.wait()
        monkeypatch.setattr(node.starter, "_list_begun", list_begun)
        keys = node.context.keys
        await node.context.link.call("DEL", keys.head("w"), keys.journal("w"))
        await node.recovery.came_back()
        head = await node.context.journal.head("w")
        assert head is not None and (head.run, head.state) == (2, State.RUNNING)
        go_on.set()
        await starting
        await until(lambda: node.hosted.find("w") is not None)


async def test_an_owner_that_did_not_hear_of_the_end_finds_the_next_run_and_leaves(world: World) -> None:
    """The answer to its `close` was lost, and another node has begun the workflow again before it looked."""
    async with world.node(mesh) as node:
        (await start(node, "waits", "w", b"false")).cancel()
        coordinator, journal = node.hosted.coordinators["w"], node.context.journal
        end = encode_entry(Close(State.SUCCEEDED), node.node_id)
        closed = await journal.close("w", 1, node.node_id, end, State.SUCCEEDED, 60_000)
        again = encode_entry(Start("waits", 1, PYTHON, Payload("json", b"false"), bytes(16)))
        fields = {"definition": "waits", "version": 1, "python": PYTHON}
        begun = await journal.begin_next("w", 1, "", "n-other", again, closed.id.decode(), (), fields)
        assert begun.status == "new"
        coordinator.catch_up()
        await until(lambda: node.hosted.find("w") is None)


async def test_a_restart_whose_node_died_before_it_listed_the_next_run_is_found(world: World) -> None:
    async with world.node(mesh) as node:
        (await start(node, "waits", "w", b"false")).cancel()
        await node.facts.record("w", 1, "cancel", Cancel("enough"), "test")
        await until_entry(node, "w", "close")
        await until(lambda: not node.hosted.coordinators)
        head = await node.context.journal.head("w")
        assert head is not None
        await node.context.ownership.finish(
            [ClosedWorkflow("w", head.owner, head.created_ms, head.closed_ms, head.closed_ms)], 60_000
        )
        await node.context.ownership.restart_mark("w")  # and then, as far as one that dies comes:
        again = encode_entry(Start("waits", 1, PYTHON, Payload("json", b"false"), bytes(16)))
        fields = {"definition": "waits", "version": 1, "python": PYTHON}
        begun = await node.context.journal.begin_next("w", 1, "", "n-gone", again, head.last.decode(), (), fields)
        assert begun.status == "new"
        assert await node.context.link.call("ZSCORE", node.context.keys.running, "w") is None
        await node._sweeper.restarts()
        await node._sweeper.running()
        assert node.hosted.coordinators["w"].run == 2
        assert await node.context.link.call("ZCARD", node.context.keys.restarting) == 0


async def test_a_mark_without_a_next_run_goes_when_nobody_can_begin_it_any_more(world: World) -> None:
    async with world.node(mesh) as node:
        (await start(node, "waits", "w", b"false")).cancel()
        await node.facts.record("w", 1, "cancel", Cancel("enough"), "test")
        await until_entry(node, "w", "close")
        mark = await node.context.ownership.restart_mark("w")
        await node._sweeper.restarts()
        assert [row.member for row in await node._sweeper._listing.restarting()] == ["w"]
        await node.context.link.call("ZADD", node.context.keys.restarting, mark - START_GRACE_MS - 1, "w")
        await node._sweeper.restarts()
        assert await node.context.link.call("ZCARD", node.context.keys.restarting) == 0
        head = await node.context.journal.head("w")
        assert head is not None
        late = await node.context.journal.begin_next(
            "w", 1, "", node.node_id, b"late", head.last.decode(), (), {"version": 1}, not_after_ms=mark - 1
        )
        assert (late.status, late.recorded) == ("expired", False)
