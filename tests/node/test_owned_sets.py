# SPDX-License-Identifier: Apache-2.0
"""The set of what a node owns, while somebody takes things out of it by a head that is older than a hand-over.

Were an id missing there when its node dies, its heirs would find it only by the walk over `running`, up to a minute later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from nervenet.node.workflows import handover
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import Payload
from nervenet.streams.journal import JournalStore
from nervenet.streams.ownership import Moved, Ownership
from tests.node.hand import World
from tests.node.test_many_nodes import kill, mesh
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nervenet.node.node import Node
    from nervenet.streams.heads import Head


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


class Held:
    """Something that has come to a point and waits there until it may go on."""

    def __init__(self) -> None:
        self.there, self.go_on = asyncio.Event(), asyncio.Event()

    async def wait(self) -> None:
        if not self.there.is_set():
            self.there.set()
            await self.go_on.wait()


def hold_heads(monkeypatch: pytest.MonkeyPatch, node: Node) -> Held:
    """The next look at heads by that node has its answer, and does not come to act on it."""
    held, heads, journal = Held(), JournalStore.heads, node.context.journal

    async def late(self: JournalStore, *args: Any) -> list[Head | None]:
        found = await heads(self, *args)
        if self is journal:
            await held.wait()
        return found

    monkeypatch.setattr(JournalStore, "heads", late)
    return held


def hold_moves(monkeypatch: pytest.MonkeyPatch) -> Held:
    """The next owner that is to change: the target's set has the id, the head not yet its name."""
    held, move = Held(), Ownership.move

    async def late(self: Ownership, *args: Any) -> Moved:
        await held.wait()
        return await move(self, *args)

    monkeypatch.setattr(Ownership, "move", late)
    return held


def lose_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "send_wake", lambda *_: None)


async def parked(giver: Node, target: Node) -> asyncio.Task[bool]:
    """A workflow at `giver`, and the hand-over to `target`, about to begin."""
    await until(lambda: len(giver.context.table.nodes) == len(target.context.table.nodes) == 2)
    await giver.starter.start(StartRequest("w", "parked", Payload("none", b"")))
    coordinator = giver.hosted.coordinators["w"]
    return asyncio.create_task(giver.handover.hand_over(coordinator, target.node_id))


async def given_beside_a_sweep(
    monkeypatch: pytest.MonkeyPatch, giver: Node, target: Node
) -> tuple[asyncio.Task[None], Held]:
    """The target's sweep has read the head before it moved; it has moved, and the sweep has not acted yet."""
    moving = hold_moves(monkeypatch)
    given = await parked(giver, target)
    await moving.there.wait()
    looking = hold_heads(monkeypatch, target)
    sweeping = asyncio.create_task(target._sweeper.own_set())
    await looking.there.wait()
    moving.go_on.set()
    assert await given
    return sweeping, looking


async def owned(by: Node) -> Sequence[bool]:
    return await by.context.ownership.owns(by.node_id, ["w"])


async def test_what_was_handed_over_beside_a_sweep_is_found_at_once_when_its_node_dies(
    world: World, etcd_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.node(mesh) as giver, world.node(mesh) as target:
        sweeping, looking = await given_beside_a_sweep(monkeypatch, giver, target)
        await until(lambda: "w" in target.hosted.coordinators)
        looking.go_on.set()
        await sweeping
        assert await owned(target) == [True]
        await kill(target, etcd_url)
        await until(lambda: "w" in giver.hosted.coordinators)


async def test_a_load_lists_what_a_sweep_took_out_before_it_began(world: World) -> None:
    async with world.node(mesh) as node:
        await node.starter.start(StartRequest("w", "parked", Payload("none", b"")))
        node.hosted.forget(node.hosted.coordinators["w"])
        await node.context.ownership.disown(node.node_id, "w")
        assert await node.loader.load("w")
        assert await owned(node) == [True]


async def test_a_sweep_that_looked_before_the_head_moved_puts_back_what_it_took(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_wakes(monkeypatch)
    async with world.node(mesh) as giver, world.node(mesh) as target:
        sweeping, looking = await given_beside_a_sweep(monkeypatch, giver, target)
        looking.go_on.set()
        await sweeping
        assert await owned(target) == [True]


async def test_a_giver_lists_again_what_a_sweep_took_out_before_the_head_moved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_wakes(monkeypatch)
    async with world.node(mesh) as giver, world.node(mesh) as target:
        moving = hold_moves(monkeypatch)
        given = await parked(giver, target)
        await moving.there.wait()
        await target._sweeper.own_set()
        assert await owned(target) == [False]
        moving.go_on.set()
        assert await given
        assert await owned(target) == [True]


async def test_what_is_given_to_the_dead_stays_in_its_set_for_its_heirs(
    world: World, etcd_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.node(mesh) as giver, world.node(mesh) as dying, world.node(mesh) as heir:
        await until(lambda: len(heir.context.table.nodes) == 3)
        await giver.starter.start(StartRequest("w", "parked", Payload("none", b"")))
        monkeypatch.setattr(type(giver._sweeper), "node_gone", lambda *_: None)  # nobody else looks at the dead's set
        await kill(dying, etcd_url)
        await until(lambda: not heir.context.table.lives(dying.node_id))
        moving = hold_moves(monkeypatch)
        given = asyncio.create_task(giver.handover.hand_over(giver.hosted.coordinators["w"], dying.node_id))
        await moving.there.wait()
        looking = hold_heads(monkeypatch, heir)
        heir._sweeper._dead[dying.node_id] = asyncio.get_running_loop().time()
        sweeping = asyncio.create_task(heir._sweeper.dead_sets())
        await looking.there.wait()
        moving.go_on.set()
        assert await given
        looking.go_on.set()
        await sweeping
        assert await owned(dying) == [True]


async def test_a_node_that_its_own_table_does_not_show_takes_nothing_over_from_itself(world: World) -> None:
    async with world.node(mesh) as node:
        await until(lambda: node.node_id in node.context.table.nodes)
        await node.starter.start(StartRequest("w", "parked", Payload("none", b"")))
        node.hosted.forget(node.hosted.coordinators["w"])
        del node.context.table.nodes[node.node_id]
        await node._sweeper.running()
        assert await owned(node) == [True]
