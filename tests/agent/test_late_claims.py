# SPDX-License-Identifier: Apache-2.0
"""A task that its owner lets begin without a claim: it begins at once, and is claimed if it runs for longer (decision 0064)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from nervenet import Task
from nervenet.agent.late_claims import LateClaims
from nervenet.agent.running import Running
from nervenet.agent.runtime import AgentRuntime
from nervenet.definitions import define_agent
from nervenet.timing import BEGUN_UNCLAIMED_WITHIN_MS
from nervenet.wire import Envelope
from tests.agent.world import World
from tests.support.waiting import until


class Gate:
    """Handlers that wait at it, and what a look at the claim of their step said when they began."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.open = asyncio.Event()
        self.claims_at_begin: list[Any] = []
        self.cancelled = 0

    async def wait(self, task: Task) -> str:
        self.claims_at_begin.append(await self._world.owner.claims(task.workflow_id, "wait"))
        try:
            async with asyncio.timeout(20):
                await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return "through"


async def _sent(world: World, agent: AgentRuntime, **fields: Any) -> tuple[str, Envelope]:
    workflow_id = await world.owner.workflow()
    envelope = world.owner.envelope(
        workflow_id, "wait", **{"claim_later": True, "agent_id": agent.agent_id, "reply_to": "n-owner", **fields}
    )
    await world.owner.send(agent.agent_id, envelope)
    return workflow_id, envelope


async def _begun(gate: Gate, count: int = 1) -> None:
    await until(lambda: len(gate.claims_at_begin) >= count, f"{count} began")


async def test_it_begins_before_it_is_claimed_and_is_claimed_while_it_runs(world: World) -> None:
    gate = Gate(world)
    async with world.agent(define_agent(gate.wait)) as agent:
        workflow_id, _ = await _sent(world, agent)
        await _begun(gate)
        assert gate.claims_at_begin == [None]
        claim = await until(lambda: world.owner.claims(workflow_id, "wait"), "a claim")
        assert (claim.agent_id, claim.attempt) == (agent.agent_id, 1)
        gate.open.set()
        assert await world.owner.value(workflow_id, "wait") == "through"
        assert await world.owner.claims(workflow_id, "wait") is None


async def test_a_short_one_is_never_claimed(world: World) -> None:
    gate = Gate(world)
    gate.open.set()
    async with world.agent(define_agent(gate.wait)) as agent:
        workflow_id, _ = await _sent(world, agent)
        assert await world.owner.value(workflow_id, "wait") == "through"
        assert gate.claims_at_begin == [None]
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "the delivery is dropped")


@pytest.mark.parametrize(
    "fields",
    [
        {"claim_later": False},
        {"agent_id": "another-agent"},
        {"enqueue_ms": time.time_ns() // 1_000_000 - 2 * BEGUN_UNCLAIMED_WITHIN_MS},
    ],
    ids=["its owner does not allow it", "a copy of another agent's", "an old one"],
)
async def test_any_other_is_claimed_first(world: World, fields: dict[str, Any]) -> None:
    gate = Gate(world)
    gate.open.set()
    async with world.agent(define_agent(gate.wait)) as agent:
        workflow_id, _ = await _sent(world, agent, **fields)
        assert await world.owner.value(workflow_id, "wait") == "through"
        (claim,) = gate.claims_at_begin
        assert claim is not None and claim.agent_id == agent.agent_id


async def test_where_another_agent_has_claimed_it_meanwhile_it_stops_and_records_nothing(world: World) -> None:
    gate = Gate(world)
    async with world.agent(define_agent(gate.wait)) as agent:
        workflow_id, _ = await _sent(world, agent)
        await _begun(gate)
        await world.owner.journal.claim(workflow_id, 1, "wait", 1, "another-agent")
        await until(lambda: gate.cancelled, "its handler is stopped")
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "the delivery is dropped")
        assert await world.owner.entries(workflow_id) == {}
        assert (await world.owner.claims(workflow_id, "wait")).agent_id == "another-agent"


async def test_where_its_step_is_over_it_stops(world: World) -> None:
    gate = Gate(world)
    async with world.agent(define_agent(gate.wait)) as agent:
        workflow_id, _ = await _sent(world, agent)
        await _begun(gate)
        await world.owner.journal.append(workflow_id, 1, "task:wait", b"given up")
        await until(lambda: gate.cancelled, "its handler is stopped")
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "the delivery is dropped")


async def test_a_copy_of_what_has_just_ended_here_is_claimed_first_and_dropped(world: World) -> None:
    gate = Gate(world)
    gate.open.set()
    async with world.agent(define_agent(gate.wait)) as agent:
        workflow_id, envelope = await _sent(world, agent)
        assert await world.owner.value(workflow_id, "wait") == "through"
        await world.owner.send(agent.agent_id, envelope)
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "the copy is dropped")
        assert len(gate.claims_at_begin) == 1


async def test_what_still_runs_is_claimed_in_the_order_of_its_beginning_and_what_has_ended_is_not(world: World) -> None:
    claimed: list[Running] = []
    late = LateClaims(claimed.append)
    agent = define_agent(Gate(world).wait)
    first, ended, last = (
        Running(world.owner.envelope(f"w-{n}", "wait"), agent, "an-agent", b"", b"", time.monotonic) for n in range(3)
    )
    for running in (first, ended, last):
        late.began(running)
    ended.ended = True
    await until(lambda: len(claimed) == 2, "both are claimed")
    assert claimed == [first, last]
    late.close()
