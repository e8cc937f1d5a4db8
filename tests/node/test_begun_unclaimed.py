# SPDX-License-Identifier: Apache-2.0
"""What an owner does about a task that its agent may begin before it claims it (decision 0064): the agent reads it, and something happens
before there is a claim."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from nervenet.durable.context import Context
from nervenet.mesh import Mesh
from nervenet.node.node import Node
from nervenet.options import CallOptions, RetryPolicy, Timeouts
from nervenet.records import Attempt, Failure, FailureCode, State
from nervenet.registry.etcd import Etcd
from nervenet.registry.layout import Layout
from nervenet.registry.tombstone import certify_death
from nervenet.timing import UNCLAIMED_WAIT_MS
from nervenet.v1 import agent_pb2
from tests.node.hand import Hand, World, journal, start, until_entry
from tests.node.test_many_nodes import kill
from tests.support.waiting import until

mesh = Mesh("unclaimed")
QUEUE = timedelta(milliseconds=200)


@mesh.agent
async def work(n: int) -> int:
    raise AssertionError("the tests answer by hand")


@mesh.workflow
async def one_call(ctx: Context, n: int) -> int:
    return await ctx.call(work, n, options=CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=10))))


@mesh.workflow
async def hasty(ctx: Context, n: int) -> None:
    try:
        async with asyncio.timeout(0.2):
            await ctx.call(work, n)
    except TimeoutError:
        await asyncio.sleep(86_400)


@mesh.workflow
async def hurried(ctx: Context, n: int) -> int:
    return await ctx.call(work, n, options=CallOptions(timeouts=Timeouts(queue=QUEUE)))


@mesh.workflow
async def considerate(ctx: Context, n: int) -> str:
    try:
        async with asyncio.timeout(0.1):
            await ctx.call(work, n, options=CallOptions(on_cancel="wait"))
    except TimeoutError:
        return "it has stopped"
    return "it was too fast"


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


async def _knows(node: Node, agents: int) -> None:
    await until(lambda: len(node.context.table.agents) == agents, f"{node.node_id} knows {agents} agents")


async def test_only_the_first_copy_of_the_first_attempt_may_begin_unclaimed(world: World) -> None:
    async with world.node(mesh) as node, world.agent("work") as hand:
        await _knows(node, 1)
        end = await start(node, "one_call", "w", b"1")
        first = await hand.read()
        assert first.envelope.claim_later
        await hand.fail(first, Failure(FailureCode.APPLICATION, "busy", "Busy"))
        second = await hand.read()
        assert second.envelope.attempt == 2
        assert not second.envelope.claim_later
        await hand.claim(second)
        await hand.answer(second, b"2")
        assert (await end).state is State.SUCCEEDED


async def test_an_agent_that_dies_with_a_task_that_it_had_only_read_is_lost_to_it(world: World, etcd_url: str) -> None:
    async with world.node(mesh) as node, world.agent("work") as one, world.agent("work") as other:
        await _knows(node, 2)
        end = await start(node, "one_call", "w", b"1")
        reads = {asyncio.ensure_future(hand.read()): hand for hand in (one, other)}
        (read,), (waiting,) = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)  # one of them gets it
        dead, living = reads[read], reads[waiting]
        async with Etcd.open(etcd_url) as etcd:
            await certify_death(etcd, Layout(world.namespace), dead.id, dead.session.id, reason="killed", by="the test")
        again = await waiting
        assert again.envelope.attempt == 2, "it may have begun"
        await living.claim(again)
        await living.answer(again, b"2")
        assert (await end).state is State.SUCCEEDED
        lost = (await journal(node, "w"))["attempt:work#1"].body
        assert isinstance(lost, Attempt) and lost.failure is not None
        assert (lost.failure.code, lost.failure.agent_id) == (FailureCode.AGENT_LOST, dead.id)


async def test_an_agent_that_leaves_in_order_has_begun_nothing_that_it_did_not_record(world: World) -> None:
    async with world.node(mesh) as node, world.agent("work") as leaving:
        await _knows(node, 1)
        end = await start(node, "one_call", "w", b"1")
        await leaving.read()  # and does not begin it
        async with world.agent("work") as other:
            await _knows(node, 2)
            await leaving.say(agent_pb2.AGENT_STATE_DRAINED, ("work",))
            drained = f"{leaving.id} is drained"
            await until(lambda: node.context.table.agents[leaving.id].state == "DRAINED", drained)
            await leaving.session.close()
            again = await other.read()
            assert again.envelope.attempt == 1
            await other.claim(again)
            await other.answer(again, b"2")
            assert (await end).state is State.SUCCEEDED


async def test_a_new_owner_waits_for_the_claim_of_what_runs_and_sends_nothing_again(
    world: World, etcd_url: str
) -> None:
    async with world.node(mesh) as dying, world.node(mesh) as heir, world.agent("work") as hand:
        await until(lambda: dying.context.table.agents and len(dying.context.table.nodes) == 2)
        await _knows(heir, 1)
        end = await start(dying, "one_call", "w", b"1")
        running = await hand.read()
        await kill(dying, etcd_url)
        adopted = await until(lambda: heir.hosted.get("w"), "it is adopted")
        await hand.claim(running)  # a tenth of a second after it began
        waited = adopted.sent["work"].sent_ms + 2 * UNCLAIMED_WAIT_MS
        await until(lambda: heir.context.clock.now_ms() > waited, "the wait is over")
        await hand.answer(running, b"2")
        assert (await end).state is State.SUCCEEDED
        assert await _unread(hand) == 0, "nothing was sent again"


async def test_a_new_owner_sends_what_nobody_claims_and_has_it_claimed_first(world: World, etcd_url: str) -> None:
    async with world.node(mesh) as dying, world.node(mesh) as heir, world.agent("work") as hand:
        await until(lambda: dying.context.table.agents and len(dying.context.table.nodes) == 2)
        await _knows(heir, 1)
        end = await start(dying, "one_call", "w", b"1")
        await hand.read()  # and forgets it
        await kill(dying, etcd_url)
        again = await hand.read()
        assert (again.envelope.attempt, again.envelope.claim_later) == (1, False)
        await hand.claim(again)
        await hand.answer(again, b"2")
        assert (await end).state is State.SUCCEEDED


async def test_a_step_that_its_workflow_gave_up_is_taken_back_from_an_agent_that_has_not_read_it(world: World) -> None:
    async with world.node(mesh) as node, world.agent("work") as hand:
        await _knows(node, 1)
        await start(node, "hasty", "w", b"1")
        await until_entry(node, "w", "task:work")
        await until(lambda: _empty(hand), "its copy is deleted")


async def test_a_task_that_its_agent_has_read_did_not_wait_too_long_in_the_queue(world: World) -> None:
    async with world.node(mesh) as node, world.agent("work") as hand:
        await _knows(node, 1)
        end = await start(node, "hurried", "w", b"1")
        begun = await hand.read()
        sent = node.hosted.coordinators["w"].sent["work"]
        over = sent.due_ms + 2 * QUEUE / timedelta(milliseconds=1)
        await until(lambda: node.context.clock.now_ms() > over, "the time in the queue is over")
        await hand.claim(begun)
        await hand.answer(begun, b"2")
        assert (await end).state is State.SUCCEEDED
        assert "attempt:work#1" not in await journal(node, "w")


async def test_who_waits_until_a_call_has_stopped_waits_for_the_claim_of_what_runs(world: World) -> None:
    async with world.node(mesh) as node, world.agent("work") as hand:
        await _knows(node, 1)
        end = await start(node, "considerate", "w", b"1")
        running = await hand.read()
        await until(lambda: "work" not in node.hosted.coordinators["w"].sent, "the workflow no longer wants it")
        assert (await hand.claim(running, ttl_ms=1_000)).status == "run", "its agent is seen, and asked to stop"
        assert not end.done()
        assert (await end).state is State.SUCCEEDED
        assert "attempt:work#1" in await journal(node, "w"), "it can't be asked: its claim says when it has stopped"


async def _unread(hand: Hand) -> int:
    entries = await hand.link.call("XRANGE", hand.inbox, "-", "+")
    return len(entries)


async def _empty(hand: Hand) -> bool:
    return await _unread(hand) == 0
