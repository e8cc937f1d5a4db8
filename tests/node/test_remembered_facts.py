# SPDX-License-Identifier: Apache-2.0
"""What a node recorded for workflows of others, and says again to a Redis that came back."""

from __future__ import annotations

from functools import partial

from nervenet import Context, Signal
from nervenet.errors import NotFound, Unavailable
from nervenet.mesh import Mesh
from nervenet.timing import RECENT_WRITES_MS, WRITTEN_BACK_MS
from tests.node.hand import World
from tests.support.nodes import NodesHere
from tests.support.waiting import until

mesh = Mesh("facts")
word = Signal("word", str)


@mesh.workflow
async def waits(ctx: Context, text: str) -> str:
    return text + await ctx.receive(word)


@mesh.workflow
async def waits_twice(ctx: Context, text: str) -> str:
    return text + await ctx.receive(word) + await ctx.receive(word)


async def test_a_fact_of_the_last_seconds_is_said_again_and_an_old_one_is_not(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    said: list[str] = []

    async def again(what: str) -> bool:
        said.append(what)
        return True

    async with World(redis_url, etcd_url, namespace).node(mesh) as node:
        node.context.clock._offset -= 2 * RECENT_WRITES_MS  # that is how long ago this was
        node.remembered.remember(partial(again, "a start whose workflow may have expired since"))
        await node.context.clock.learn(node.context.link)
        await node.recovery.came_back()
        assert said == []
        node.remembered.remember(partial(again, "a start of just now"))
        await node.recovery.came_back()
        assert said == ["a start of just now"]


async def test_a_workflow_that_redis_does_not_know_may_be_yet_to_be_written_back(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    """So who asks for it a moment after Redis came back is told to come again, not that there is none."""
    async with World(redis_url, etcd_url, namespace).node(mesh) as node:
        assert isinstance(node.context.no_workflow("invoice-7"), NotFound)
        await node.recovery.came_back()
        doubt = node.context.no_workflow("invoice-7")
        assert (type(doubt), doubt.code, doubt.reason) == (Unavailable, "UNAVAILABLE", "BACKEND_DOWN")
        node.context.clock._offset += WRITTEN_BACK_MS
        assert isinstance(node.context.no_workflow("invoice-7"), NotFound)


async def test_a_start_that_is_said_again_does_not_undo_the_end_that_its_owner_knows(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    """Another node had told its caller of the start, and comes back first."""
    async with NodesHere(mesh, redis_url, etcd_url, namespace) as world:
        one, two = await world.node(), await world.node()
        run = await (await world.client(one)).start(waits, "a", id="w")
        owner, other = (one, two) if one.hosted.get("w") is not None else (two, one)
        assert not (await (await world.client(other)).start(waits, "a", id="w")).created
        client = await world.client(owner)
        await client.handle("w", waits).signal(word, "b")
        assert await run.result(timeout=60) == "ab"
        keys, link = owner.context.keys, owner.context.link
        await link.call("DEL", keys.head("w"), keys.journal("w"))
        await other.recovery.came_back()
        assert await link.call("HGET", keys.head("w"), "state") == b"RUNNING"
        await owner.recovery.came_back()
        assert await link.call("HGET", keys.head("w"), "state") == b"SUCCEEDED"
        assert await client.handle("w", waits).result(timeout=60) == "ab"


async def test_a_signal_that_only_the_former_owner_knows_reaches_the_new_one(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    """Redis has lost it, and another node owns the workflow now and has gone on from what was left."""
    async with NodesHere(mesh, redis_url, etcd_url, namespace) as world:
        one, two = await world.node(), await world.node()
        await (await world.client(one)).start(waits_twice, "a", id="w")
        owner, other = (one, two) if one.hosted.get("w") is not None else (two, one)
        client = await world.client(other)
        assert not (await client.start(waits_twice, "a", id="w")).created
        await (await world.client(owner)).handle("w", waits_twice).signal(word, "b")
        await until(lambda: owner.hosted.coordinators["w"].applied == 2)
        keys, link = owner.context.keys, owner.context.link
        await link.call("DEL", keys.head("w"), keys.journal("w"))
        await other.recovery.came_back()
        await link.call("HSET", keys.head("w"), "owner", other.node_id)
        run = client.handle("w", waits_twice)
        await run.signal(word, "c")
        await owner.recovery.came_back()
        assert await run.result(timeout=60) == "acb"


async def test_a_signal_that_meets_a_shortened_journal_survives_the_next_loss(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    """It gets a number there that another entry had, which its owner has folded."""
    async with NodesHere(mesh, redis_url, etcd_url, namespace) as world:
        node = await world.node()
        client = await world.client(node)
        run = await client.start(waits_twice, "a", id="w")
        coordinator, link, keys = node.hosted.coordinators["w"], node.context.link, node.context.keys
        (start,) = await node.context.journal.read("w")

        async def lose_all_but_the_start() -> None:
            lost = [raw.name for raw in await node.context.journal.read("w", start.id)]
            await link.call("DEL", keys.journal("w"))
            await link.call("XADD", keys.journal("w"), start.id, "n", "start", "e", start.data)
            await link.call("HDEL", keys.head("w"), *(f"e:{name}" for name in lost))
            await link.call("HSET", keys.head("w"), "last", start.id)

        await client.handle("w", waits_twice).signal(word, "b")
        await until(lambda: coordinator.applied == 2)
        await lose_all_but_the_start()
        coordinator.suspend()  # in the tick in which another server answers, before anything is compared
        await client.handle("w", waits_twice).signal(word, "c")
        await lose_all_but_the_start()
        await node.recovery.came_back()
        assert await run.result(timeout=60) == "abc"
