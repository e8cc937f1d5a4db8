# SPDX-License-Identifier: Apache-2.0
"""RegistryService and AgentService on nodes: registering, heartbeats, looking, and agents asked through any node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nervenet import errors
from nervenet.client.raw import RawClient
from nervenet.rpc.methods import METHODS
from nervenet.rpc.server import GrpcServer, Service
from nervenet.v1 import agent_pb2, agent_service_pb2
from tests.services.world import World
from tests.support.waiting import until

AGENT: dict[str, Any] = {
    "agent_id": "ocr-abcdefgh",
    "name": "ocr",
    "capabilities": [{"name": "ocr", "version": "1", "labels": {"gpu": "yes"}, "slots": 2}, {"name": "greet"}],
    "state": "AGENT_STATE_ACTIVE",
    "slots": 4,
}


class Beat:
    """A heartbeat stream by hand."""

    def __init__(self, raw: RawClient, lease: int, agent_id: str = AGENT["agent_id"]) -> None:
        self.call = raw.nodes.channel()["Heartbeat"](metadata=raw.nodes.metadata())
        self.first = {"agent_id": agent_id, "lease_id": lease}

    async def say(self, **fields: Any) -> Any:
        await self.call.write(METHODS["Heartbeat"].request(**self.first, **fields))
        self.first = {}
        return await asyncio.wait_for(self.call.read(), 10)


async def register(raw: RawClient, **changes: Any) -> int:
    answer = await raw.call("RegisterAgent", agent={**AGENT, **changes})
    assert answer.ttl.seconds == 5 and answer.node_id
    lease: int = answer.lease_id
    return lease


async def seen(raw: RawClient, agent_id: str = AGENT["agent_id"]) -> Any:
    async def look() -> Any:
        try:
            return (await raw.call("GetAgent", agent_id=agent_id)).agent
        except errors.NotFound:
            return None

    return await until(look)


async def test_a_node_drains_when_any_node_is_asked_and_its_workflows_go_on_elsewhere(world: World) -> None:
    leaving, staying = await world.node(), await world.node()
    raw = await world.raw(staying)
    ids = [f"w-{n}" for n in range(8)]
    for each in ids:
        await (await world.raw(leaving)).call("StartWorkflow", workflow_id=each, definition="waits")

    async def nodes() -> dict[str, Any]:
        return {node.node_id: node for node in (await raw.call("ListNodes")).nodes}

    await until(lambda: len(leaving.hosted.coordinators) + len(staying.hosted.coordinators) == 8)
    owned = len(leaving.hosted.coordinators)
    answer = await raw.call("DrainNode", node_id=leaving.node_id)
    assert answer.state == agent_pb2.AGENT_STATE_DRAINING and answer.owned_workflows == owned
    await until(lambda: len(staying.hosted.coordinators) == 8 and not leaving.hosted.coordinators)

    async def told() -> bool:
        found = await nodes()
        return found[leaving.node_id].state == agent_pb2.AGENT_STATE_DRAINING

    await until(told)
    assert (await raw.call("DrainNode", node_id=leaving.node_id)).owned_workflows == 0
    late = await (await world.raw(leaving)).call("StartWorkflow", workflow_id="late", definition="waits")
    assert late.created
    await until(lambda: "late" in staying.hosted.coordinators)
    with pytest.raises(errors.NotFound) as nobody:
        await raw.call("DrainNode", node_id="n-aaaaaaaa")
    assert nobody.value.reason == "NODE_NOT_FOUND"


async def test_an_agent_registers_at_one_node_and_beats_at_another(world: World) -> None:
    one, other = await world.raw(await world.node()), await world.raw(await world.node())
    lease = await register(one)
    beat = Beat(other, lease)
    answer = await beat.say(load={"active": 1, "slots": 4, "sample_time": {"seconds": 5}})
    assert not answer.lease_lost and 0 < answer.ttl.seconds + answer.ttl.nanos / 1e9 <= 5

    async def loaded() -> bool:
        return bool((await seen(one)).load.active == 1)

    await until(loaded)
    await one.call("DeregisterAgent", agent_id=AGENT["agent_id"], lease_id=lease)
    await asyncio.sleep(1.0)  # a lease is asked about once a second
    assert (await beat.say()).lease_lost


async def test_a_lease_that_is_gone_cannot_be_come_back_to(world: World) -> None:
    raw = await world.raw(await world.node())
    with pytest.raises(errors.NotFound) as refused:
        await raw.call("RegisterAgent", agent=AGENT, lease_id=12345)
    assert refused.value.reason == "LEASE_NOT_FOUND"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"agent_id": "ocr"}, "agent.agent_id"),
        ({"capabilities": []}, "agent.capabilities"),
        ({"capabilities": [{"name": "no spaces"}]}, "agent.capabilities[0].name"),
        ({"control_endpoint": "nowhere"}, "agent.control_endpoint"),
    ],
)
async def test_a_record_that_makes_no_sense_is_refused_by_field(
    world: World, changes: dict[str, Any], field: str
) -> None:
    raw = await world.raw(await world.node())
    with pytest.raises(errors.InvalidRequest) as refused:
        await raw.call("RegisterAgent", agent={**AGENT, **changes})
    assert [name for name, _ in refused.value.fields] == [field]


async def test_lists_select_and_say_why_not(world: World) -> None:
    node = await world.node()
    raw = await world.raw(node)
    await register(raw)
    await register(raw, agent_id="ocr-bbbbbbbb", capabilities=[{"name": "ocr", "slots": 1}])
    await seen(raw, "ocr-bbbbbbbb")
    listed = await raw.call("ListAgents", capability="ocr", page_size=1)
    assert [e.agent.agent_id for e in listed.agents] == ["ocr-abcdefgh"] and listed.next_page_token
    rest = await raw.call("ListAgents", capability="ocr", page_token=listed.next_page_token)
    assert [e.agent.agent_id for e in rest.agents] == ["ocr-bbbbbbbb"]
    assert not (await raw.call("ListAgents", states=["AGENT_STATE_DRAINING"])).agents
    with_gpu = await raw.call("ListAgents", capability="ocr", labels={"gpu": "yes"})
    assert [e.agent.agent_id for e in with_gpu.agents] == ["ocr-abcdefgh"]
    picked = await raw.call("SelectAgent", capability="ocr", selection={"match_labels": {"gpu": "yes"}}, explain=True)
    assert picked.agent_id == "ocr-abcdefgh"
    rejected = {row.agent_id: row.rejected for row in picked.candidates}
    assert not rejected["ocr-abcdefgh"] and "gpu" in rejected["ocr-bbbbbbbb"]
    nodes = await raw.call("ListNodes")
    assert [n.address for n in nodes.nodes] == [node.address]
    assert {d.name for d in nodes.nodes[0].definitions} >= {"echo", "asks"}


async def test_a_queue_that_nobody_serves_is_listed_with_its_age(world: World) -> None:
    raw = await world.raw(await world.node())
    await raw.call("StartWorkflow", workflow_id="c", definition="calls", input={"json": '"Ada"'})

    async def queued() -> Any:
        return list((await raw.call("ListAgents")).queues)

    (queue,) = await until(queued)
    assert (queue.capability, queue.waiting, queue.agents) == ("greet", 1, 0)


async def test_where_the_walk_over_all_keys_is_slow_the_queues_of_served_capabilities_are_listed_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nervenet.node.services.queued.QUICK", 0.0)
    monkeypatch.setattr("nervenet.node.services.queued.FRESH_FOR", 1e6)
    raw = await world.raw(await world.node())
    assert not (await raw.call("ListAgents")).queues
    await raw.call("StartWorkflow", workflow_id="c", definition="calls", input={"json": '"Ada"'})
    assert not (await raw.call("ListAgents")).queues, "the first walk counts"
    await register(raw)
    await seen(raw)

    async def queued() -> Any:
        return list((await raw.call("ListAgents")).queues)

    (queue,) = await until(queued)
    assert (queue.capability, queue.waiting) == ("greet", 1)


async def test_a_watch_tells_what_stands_then_what_changes_and_resumes_by_revision(world: World) -> None:
    await world.node()  # so that there is a past before the node that is asked
    raw = await world.raw(await world.node())
    await register(raw)
    await seen(raw)
    watch = raw.stream("WatchAgents").__aiter__()
    async with asyncio.timeout(10):
        first, synced = await anext(watch), await anext(watch)
        assert (first.type, first.agent.agent.name, synced.type) == (1, "ocr", 4)
        await register(raw, agent_id="ocr-bbbbbbbb")
        added = await anext(watch)
        assert (added.type, added.agent.agent.agent_id) == (1, "ocr-bbbbbbbb")
        again = raw.stream("WatchAgents", after_revision=synced.revision).__aiter__()
        assert (await anext(again)).agent.agent.agent_id == "ocr-bbbbbbbb"
    with pytest.raises(errors.InvalidRequest) as compacted:
        await anext(raw.stream("WatchAgents", after_revision=1).__aiter__())
    assert compacted.value.reason == "WATCH_COMPACTED"


class Busy:
    """An agent's own service."""

    async def DescribeAgent(self, request: Any, context: Any) -> Any:
        return agent_service_pb2.DescribeAgentResponse(
            agent=agent_pb2.AgentRecord(agent_id=request.agent_id, runtime="asked itself")
        )

    async def CancelTask(self, request: Any, context: Any) -> Any:
        return agent_service_pb2.CancelTaskResponse(found=request.task_id == "w/greet")


async def test_a_node_asks_agents_for_others_and_tells_what_it_knows_when_one_is_silent(world: World) -> None:
    raw = await world.raw(await world.node())
    service = Service("nervenet.v1.AgentService", Busy())
    server = await GrpcServer.start(world.config(listen="127.0.0.1:0"), "agent", [service], asyncio.Event())
    lease = await register(raw, control_endpoint=server.address)
    await seen(raw)
    described = await raw.call("DescribeAgent", agent_id=AGENT["agent_id"])
    assert described.agent.runtime == "asked itself"
    assert (await raw.call("CancelTask", agent_id=AGENT["agent_id"], task_id="w/greet")).found
    await server.stop(0)
    silent = await raw.call("DescribeAgent", agent_id=AGENT["agent_id"])
    assert silent.agent.name == "ocr" and silent.agent.runtime == ""
    with pytest.raises(errors.Unavailable) as refused:
        await raw.call("CancelTask", timeout=0.1, agent_id=AGENT["agent_id"], task_id="w/greet")
    assert refused.value.reason == "NO_AGENT"
    with pytest.raises(errors.NotFound):
        await raw.call("DescribeAgent", agent_id="nobody-abcdefgh")
    beat = Beat(raw, lease)
    await beat.say(state="AGENT_STATE_ACTIVE")
    assert (await raw.call("DrainAgent", agent_id=AGENT["agent_id"])).state == 3

    async def wished() -> bool:
        return bool((await beat.say(state="AGENT_STATE_ACTIVE")).desired_state == 3)

    await until(wished)
