# SPDX-License-Identifier: Apache-2.0
"""Read, claim, run, record: what every attempt goes through."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nervenet.definitions import define_agent
from tests.agent.world import World
from tests.support.waiting import until


@dataclass
class Doc:
    title: str
    pages: int = 1


async def shout(text: str) -> str:
    return text.upper()


async def ping() -> str:
    return "pong"


async def count(doc: Doc) -> int:
    return doc.pages


SHOUT, PING, COUNT = define_agent(shout), define_agent(ping), define_agent(count)


async def test_a_task_is_claimed_run_recorded_and_its_owner_woken(world: World) -> None:
    async with world.agent(SHOUT) as agent:
        assert agent.agent_id in world.registry.agents
        workflow_id = await world.owner.ask(agent, "shout", "hello", digest=b"12345678")
        outcome = await world.owner.outcome(workflow_id, "shout")
        assert (outcome.output and outcome.output.data) == b'"HELLO"'
        assert (outcome.agent_id, outcome.attempt, outcome.digest) == (agent.agent_id, 1, b"12345678")
        assert 0 < outcome.started_ms <= outcome.ended_ms
        await until(world.owner.wakes, "a wake")
        (wake,) = await world.owner.wakes()
        assert (wake.workflow_id, wake.name) == (workflow_id, "task:shout")
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "the delivery is dropped")


async def test_handlers_without_a_payload_and_with_a_model(world: World) -> None:
    async with world.agent(PING, COUNT) as agent:
        first = await world.owner.ask(agent, "ping")
        second = await world.owner.ask(agent, "count", {"title": "t", "pages": 7})
        assert await world.owner.value(first, "ping") == "pong"
        assert await world.owner.value(second, "count") == 7


async def test_many_tasks_never_more_than_the_slots_at_once(world: World) -> None:
    running = most = 0
    full = asyncio.Event()

    async def work(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        async with asyncio.timeout(20):
            await full.wait()
        await asyncio.sleep(0.01)
        running -= 1
        return n

    async with world.agent(define_agent(work, slots=3)) as agent:
        ids = [await world.owner.ask(agent, "work", n) for n in range(20)]
        assert [await world.owner.value(one, "work") for one in ids] == list(range(20))
    assert most == 3
