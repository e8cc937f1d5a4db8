# SPDX-License-Identifier: Apache-2.0
"""Lost leases, lost inboxes, a Redis that restarts: the agent goes on, and its outcomes are recorded once."""

from __future__ import annotations

import asyncio

import pytest

from nervenet import Mesh
from nervenet.agent.runtime import AgentRuntime, chosen
from nervenet.definitions import define_agent
from nervenet.dev.servers import valkey
from nervenet.errors import ConfigError
from nervenet.payloads import ANY
from nervenet.records import Outcome
from nervenet.streams.queues import GROUP
from nervenet.wire import encode_entry, encode_envelope
from tests.agent.world import World, world_at
from tests.support.waiting import until


async def work(n: int) -> int:
    return n


WORK = define_agent(work)


async def test_a_lost_lease_retires_the_id_finishes_what_runs_and_comes_back(world: World) -> None:
    go = asyncio.Event()

    async def wait(n: int) -> int:
        await go.wait()
        return n

    async with world.agent(define_agent(wait)) as agent:
        old = agent.agent_id
        workflow_id = await world.owner.ask(agent, "wait", 1)
        await until(lambda: agent.running, "it runs")
        world.registry.lose(old)
        await until(lambda: agent.agent_id != old and agent.agent_id in world.registry.agents, "a new id")
        go.set()
        assert (await world.owner.outcome(workflow_id, "wait")).agent_id == old
        again = await world.owner.ask(agent, "wait", 2)
        assert (await world.owner.outcome(again, "wait")).agent_id == agent.agent_id != old


async def test_an_inbox_that_was_deleted_is_made_again_while_registered(world: World) -> None:
    async with world.agent(WORK) as agent:
        await world.owner.link.call("DEL", world.owner.keys.inbox(agent.agent_id))
        inbox = world.owner.keys.inbox(agent.agent_id)
        await until(lambda: world.owner.link.call("EXISTS", inbox), "the inbox is back")
        assert await world.owner.value(await world.owner.ask(agent, "work", 3), "work") == 3


async def test_an_envelope_without_a_head_waits_until_the_head_is_back(world: World) -> None:
    async with world.agent(WORK) as agent:
        envelope = world.owner.envelope("w-1", "work", 4)
        await world.owner.send(agent.agent_id, envelope)
        await until(lambda: agent.agent_id and not agent.running, "it was asked for")
        assert await world.owner.workflow() == "w-1"
        assert await world.owner.value("w-1", "work") == 4


async def test_rubbish_in_the_inbox_is_dropped(world: World) -> None:
    async with world.agent(WORK) as agent:
        await world.owner.queues.send_inbox(agent.agent_id, b"\xff\xff rubbish")
        await world.owner.send(agent.agent_id, world.owner.envelope("w-9", "nobody"))
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "both are dropped")


async def test_redis_restarts_in_the_middle_of_tasks(namespace: str) -> None:
    go = asyncio.Event()

    async def wait(n: int) -> int:
        await go.wait()
        return n

    with valkey(options={"appendonly": "yes", "appendfsync": "always"}) as server:
        async with world_at(server.url, namespace) as world, world.agent(define_agent(wait)) as agent:
            before = [await world.owner.ask(agent, "wait", n) for n in range(3)]
            await until(lambda: len(agent.running) == 3, "all run")
            server.kill()
            go.set()  # they end while Redis is away
            await server.restart()
            after = await world.owner.ask(agent, "wait", 3)
            values = [await world.owner.value(one, "wait") for one in (*before, after)]
            assert values == [0, 1, 2, 3]
            await until(lambda: world.owner.nothing_pending(agent.agent_id), "nothing is left pending")


async def test_shared_queues_are_read_by_those_who_meet_what_they_ask_for(world: World) -> None:
    small = define_agent(work, labels={"model": "small"})
    large = define_agent(work, labels={"model": "large"}, version="2")
    async with world.agent(small) as one, world.agent(large, labels={"region": "eu"}) as two:
        says = b'{"match":{"model":"large","region":"eu"},"version":"2"}'
        await world.owner.queues.make_queue("work", "abc", says)
        await world.owner.queues.make_queue("work", "", b"")
        ids = []
        for n in range(10):
            workflow_id = await world.owner.workflow()
            envelope = encode_envelope(world.owner.envelope(workflow_id, "work", n))
            await world.owner.queues.send_queue("work", envelope, "abc")
            ids.append(workflow_id)
        outcomes = [await world.owner.outcome(one_id, "work") for one_id in ids]
        assert {outcome.agent_id for outcome in outcomes} == {two.agent_id} != {one.agent_id}
        workflow_id = await world.owner.workflow()
        await world.owner.queues.send_queue("work", encode_envelope(world.owner.envelope(workflow_id, "work", 1)))
        assert await world.owner.value(workflow_id, "work") == 1


async def test_a_full_capability_does_not_stop_another_of_the_same_process(world: World) -> None:
    go = asyncio.Event()

    async def narrow(n: int) -> int:
        await go.wait()
        return n

    async with world.agent(define_agent(narrow, slots=1), WORK) as agent:
        held = [await world.owner.ask(agent, "narrow", n) for n in range(3)]
        assert await world.owner.value(await world.owner.ask(agent, "work", 1), "work") == 1
        assert agent.slots.by_capability["narrow"] == 1
        go.set()
        assert [await world.owner.value(one, "narrow") for one in held] == [0, 1, 2]


async def test_what_cannot_run_says_so(world: World) -> None:
    mesh = Mesh("empty")
    with pytest.raises(ConfigError, match="mesh 'empty' has no agents to run"):
        chosen(mesh)
    mesh.agents["work"] = WORK
    with pytest.raises(ConfigError, match="has no agent 'walk'; it has: work"):
        chosen(mesh, ["walk"])
    with pytest.raises(ConfigError, match="redis is not set, and an agent needs it"):
        async with AgentRuntime.open(chosen(mesh), world.config(redis=None), name=mesh.name):
            pass


async def test_an_agent_waits_for_a_node_and_goes_on_at_another(world: World) -> None:
    address = f"127.0.0.1:1,{world.address}"
    async with world.agent(WORK, address=address) as agent:
        assert agent.agent_id in world.registry.agents
        assert await world.owner.value(await world.owner.ask(agent, "work", 1), "work") == 1


async def test_a_node_that_refuses_us_for_good_ends_the_start_with_its_words(world: World) -> None:
    with pytest.raises(ConfigError, match="is not served here"):
        async with world.agent(WORK, namespace="another"):
            pass


@pytest.mark.parametrize("fails", [False, True], ids=["success", "failure"])
async def test_a_late_attempt_tells_the_owner_what_stands_and_not_its_own_end(world: World, fails: bool) -> None:
    go = asyncio.Event()

    async def answer(text: str) -> str:
        await go.wait()
        if fails:
            raise RuntimeError(text)
        return text

    async with world.agent(define_agent(answer)) as agent:
        workflow_id = await world.owner.ask(agent, "answer", "mine")
        await until(lambda: agent.running, "it runs")
        theirs = encode_entry(Outcome(ANY.encode("theirs"), None, agent_id="another", attempt=1))
        first = await world.owner.journal.append(workflow_id, 1, "task:answer", theirs)
        go.set()
        (wake,) = await until(world.owner.wakes, "the owner is told")
        assert (wake.journal_id, wake.name, wake.entry) == (first.id, "task:answer", theirs)
        assert list(await world.owner.entries(workflow_id)) == ["task:answer"]


async def test_what_was_handed_over_and_is_no_longer_pending_goes_after_a_reconnect(world: World) -> None:
    async with world.agent(WORK) as agent:
        inbox, link = world.owner.keys.inbox(agent.agent_id), world.owner.link
        assert await world.owner.value(await world.owner.ask(agent, "work", 1), "work") == 1
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "the inbox is empty")
        read = "redis.call('XADD', KEYS[1], '*', 'e', ''); redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], '$')"
        await link.call("EVAL", read, 1, inbox, GROUP)
        await link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "the inbox is empty again")
        assert await world.owner.value(await world.owner.ask(agent, "work", 2), "work") == 2
