# SPDX-License-Identifier: Apache-2.0
"""What is begun is driven to its end: starts and signals whose caller leaves, batches in which one goes wrong, loads that
outlive the id of their node, and a write-back that breaks off.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from nervenet.errors import RequestError
from nervenet.node.tasks.dispatcher import rounded
from nervenet.node.workflows.start import Started, Starter
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import Payload, Signaled
from nervenet.streams.journal import JournalStore
from tests.node.hand import World, journal
from tests.node.test_many_nodes import mesh
from tests.support.waiting import until

if TYPE_CHECKING:
    from nervenet.node.node import Node

SOON = 3.0
"""Seconds: sooner than any sweep."""


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


def parked(workflow_id: str) -> StartRequest:
    return StartRequest(workflow_id, "parked", Payload("none", b""))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_start_goes_on_whenever_its_caller_leaves(world: World) -> None:
    async with world.node(mesh) as node:
        for k in range(12):  # a start is answered within some turns of the loop
            single = asyncio.ensure_future(node.starter.start(parked(f"single-{k}")))
            batch = asyncio.ensure_future(node.starter.start_many([parked(f"a-{k}"), parked(f"b-{k}")]))
            await turns(k)
            single.cancel()
            batch.cancel()
            await asyncio.wait((single, batch))
        ids = [f"{name}-{k}" for name in ("single", "a", "b") for k in range(2, 12)]
        await until(lambda: all(one in node.hosted.coordinators for one in ids), within=SOON)
        assert node.admission.planned == 0
        assert not any(node.hosted.here(one) and one not in node.hosted.coordinators for one in ids)


async def test_the_owner_hears_of_a_signal_whose_caller_has_left(world: World) -> None:
    async with world.node(mesh) as owner, world.node(mesh) as other:
        await until(lambda: len(other.context.table.nodes) == 2)
        for k in range(2, 8):
            await owner.starter.start(parked(f"w-{k}"))
            signal = Signaled("go", Payload("json", b'"x"'), "somebody")
            call = asyncio.ensure_future(other.facts.record(f"w-{k}", 1, "signal:s", signal, "somebody"))
            await turns(k)
            call.cancel()
            await asyncio.wait((call,))
        await until(lambda: not owner.hosted.coordinators, within=SOON)  # each has received it and ended


async def test_one_start_that_goes_wrong_harms_no_other_of_its_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.node(mesh) as node:
        await node.context.link.call("SET", node.context.keys.head("foreign"), "no hash")
        begin = Starter._host_run

        def fails(self: Any, plan: Any, *rest: Any) -> None:
            if plan.request.workflow_id == "unlucky":
                raise ValueError("unlucky")
            begin(self, plan, *rest)

        monkeypatch.setattr(Starter, "_host_run", fails)
        ids = ["first", "foreign", "unlucky", "last"]
        outcomes = dict(zip(ids, await node.starter.start_many([parked(one) for one in ids]), strict=True))
        assert isinstance(outcomes["first"], Started)
        assert isinstance(outcomes["last"], Started)
        assert isinstance(outcomes["foreign"], RequestError)
        assert isinstance(outcomes["unlucky"], RequestError)
        assert {"first", "last"} <= node.hosted.coordinators.keys()
        assert not any(node.hosted.here(one) for one in ("foreign", "unlucky"))  # the sweep looks after what exists


@pytest.mark.parametrize("moment", ["adopt", "read"])
async def test_a_load_that_outlives_the_id_of_its_node_is_given_up_and_done_again(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """It is what a node meets that stood still: its sweep loads under the old id while it comes back under a new one."""
    async with world.node(mesh) as node:
        await node.starter.start(parked("w"))
        old, adopt = node.node_id, JournalStore.adopt
        node.hosted.forget(node.hosted.coordinators["w"])

        async def slow(self: JournalStore, *args: Any) -> Any:
            if moment == "adopt":
                await come_back(node)
            found = await adopt(self, *args)
            if moment == "read":
                await come_back(node)
            return found

        async def come_back(node: Node) -> None:
            monkeypatch.setattr(JournalStore, "adopt", adopt)
            await node.etcd.revoke(node.status.session.id)
            await until(lambda: node.node_id != old)

        monkeypatch.setattr(JournalStore, "adopt", slow)
        await node.loader.load("w")
        await until(lambda: "w" in node.hosted.coordinators, within=7)
        head = await node.context.journal.head("w", ("owner",))
        assert head is not None
        assert head.owner == node.node_id


async def test_what_was_taken_while_it_slept_is_loaded_anew_when_its_next_owner_is_gone(world: World) -> None:
    async with world.node(mesh) as node:
        await node.starter.start(parked("w"))
        stale = node.hosted.coordinators["w"]
        await node.context.ownership.move("w", "n-gone", node.node_id)  # somebody adopted it, and died
        assert await node.loader.load("w", "n-gone")
        assert node.hosted.coordinators["w"] is not stale
        head = await node.context.journal.head("w", ("owner",))
        assert head is not None
        assert head.owner == node.node_id


async def test_there_is_one_lock_for_a_workflow(world: World) -> None:
    async with world.node(mesh) as node:
        async with node.hosted.lock("w"):
            held = id(node.hosted.lock("w"))
            gc.collect()
            assert id(node.hosted.lock("w")) == held
            assert node.hosted.lock("w").locked()
        gc.collect()
        assert not node.hosted._locks


async def test_a_write_back_ends_in_any_case_and_the_newest_one_counts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.node(mesh) as node:
        restore = node.recovery
        gate, waited = asyncio.Event(), asyncio.Event()
        first = True

        async def write_back() -> None:
            nonlocal first
            if first:
                first = False
                waited.set()
                await gate.wait()
                raise ValueError("what a later version wrote")

        monkeypatch.setattr(node.stored_definitions, "write_back", write_back)
        early = asyncio.ensure_future(restore.came_back())
        await waited.wait()
        late = asyncio.ensure_future(restore.came_back())
        await late
        await asyncio.wait_for(node.remembered.written_back(), 1)
        gate.set()
        with pytest.raises(ValueError, match="later version"):
            await early
        first = True
        waited.clear()
        alone = asyncio.ensure_future(restore.came_back())
        await waited.wait()
        with pytest.raises(ValueError, match="later version"):
            await alone
        await asyncio.wait_for(node.remembered.written_back(), 1)  # loads go on


async def test_a_new_acceptance_time_while_others_are_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.node(mesh) as node:
        watch, dispatcher = node.monitor, node.dispatcher
        await node.starter.start(parked("w"))
        look_at, times = type(watch)._look_at, iter(range(1_000, 1_000_000, 50_000))

        async def meanwhile(self: Any, coordinators: Any) -> None:
            sent: Any = type("Sent", (), {"timers": [], "sent_ms": node.context.clock.now_ms()})()
            dispatcher.expect_acceptance(node.hosted.coordinators["w"], sent, next(times))
            await look_at(self, coordinators)

        monkeypatch.setattr(type(watch), "_look_at", meanwhile)
        for _ in range(3):
            await watch._tick()
        assert len(dispatcher._accepting) > 3


def test_acceptance_times_are_rounded_up_to_a_few_hundred_different_ones() -> None:
    spans = [*range(1, 20_000), *range(20_000, 10**9, 999_983)]
    assert all(span <= rounded(span) <= span * 9 / 8 + 1 for span in spans)
    assert len({rounded(span) for span in spans}) < 250


async def test_an_id_that_comes_twice_in_a_batch_is_created_once_and_found_once(world: World) -> None:
    async with world.node(mesh) as node:
        first, second = await node.starter.start_many([parked("w"), parked("w")])
        assert isinstance(first, Started)
        assert isinstance(second, Started)
        assert (first.created, second.created) == (True, False)
        assert list(await journal(node, "w")) == ["start"]
