# SPDX-License-Identifier: Apache-2.0
"""The world around an agent under test: a node's side of Redis, and a RegistryService over real gRPC.

`Owner` stands for a coordinator: it makes heads and journals, sends envelopes to an inbox or a queue, reads its wake and
the journal. `Registry` grants leases from memory and can lose one, which etcd only does after seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nervenet.agent.runtime import AgentRuntime
from nervenet.config import Config
from nervenet.definitions import Agent
from nervenet.payloads import ANY
from nervenet.records import Attempt, Entry, Outcome, Start
from nervenet.rpc.server import GrpcServer, Service
from nervenet.rpc.status import not_found
from nervenet.streams.queues import parse_wakes
from nervenet.v1 import registry_service_pb2 as api
from nervenet.v1 import registry_service_pb2_grpc as api_grpc
from nervenet.v1 import task_pb2
from nervenet.wire import Envelope, encode_entry, encode_envelope
from tests.support.data_plane import DataPlane, entries_of
from tests.support.waiting import DEADLINE, until


class Registry(api_grpc.RegistryServiceServicer):
    """Leases in memory; `agents` holds the last record of each agent, `lost` the leases that are gone."""

    def __init__(self) -> None:
        self.agents: dict[str, Any] = {}
        self.loads: dict[str, Any] = {}
        self.leases: dict[int, str] = {}
        self.left: list[str] = []
        self.wanted: dict[str, Any] = {}
        self._next = itertools.count(1)

    def lose(self, agent_id: str) -> None:
        for lease, owner in list(self.leases.items()):
            if owner == agent_id:
                del self.leases[lease]
        self.agents.pop(agent_id, None)

    async def RegisterAgent(self, request: Any, context: Any) -> Any:
        agent = request.agent
        lease = request.lease_id or next(self._next)
        if request.lease_id and request.lease_id not in self.leases:
            raise not_found("lease", str(request.lease_id))
        self.leases[lease] = agent.agent_id
        self.agents[agent.agent_id] = agent
        answer = api.RegisterAgentResponse(lease_id=lease, node_id="n-test")
        answer.ttl.FromSeconds(5)
        answer.heartbeat_interval.FromMilliseconds(200)
        return answer

    async def Heartbeat(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        lease = 0
        agent_id = ""
        async for beat in requests:
            lease, agent_id = beat.lease_id or lease, beat.agent_id or agent_id
            self.loads[agent_id] = beat.load
            answer = api.HeartbeatResponse(
                lease_lost=lease not in self.leases, desired_state=self.wanted.pop(agent_id, 0)
            )
            answer.ttl.FromSeconds(5)
            yield answer

    async def DeregisterAgent(self, request: Any, context: Any) -> Any:
        self.left.append(request.agent_id)
        self.lose(request.agent_id)
        return api.DeregisterAgentResponse()


class Owner(DataPlane):
    """A node as far as an agent sees one."""

    node_id = "n-owner"

    async def workflow(self) -> str:
        """An open workflow that this node owns."""
        entry = encode_entry(Start("w", 1, "3.11", ANY.encode(None), bytes(16)))
        return await self.start(f"w-{next(self.numbers)}", self.node_id, entry)

    def envelope(self, workflow_id: str, capability: str, value: object = None, **fields: Any) -> Envelope:
        given = {"run": 1, "step": capability, "attempt": 1, "enqueue_ms": time.time_ns() // 1_000_000} | fields
        return Envelope(workflow_id=workflow_id, capability=capability, input=ANY.encode(value), **given)

    async def send(self, agent_id: str, envelope: Envelope) -> bytes:
        sent = await self.queues.send_inbox(agent_id, encode_envelope(envelope))
        assert sent is not None, f"{agent_id} has no inbox"
        return sent

    async def ask(self, agent: AgentRuntime, capability: str, value: object = None, **fields: Any) -> str:
        """A workflow of its own for one task, sent to that agent's inbox."""
        workflow_id = await self.workflow()
        await self.send(agent.agent_id, self.envelope(workflow_id, capability, value, **fields))
        return workflow_id

    async def entries(self, workflow_id: str) -> dict[str, Entry]:
        entries = await entries_of(self.journal, workflow_id)
        return {name: entry for name, entry in entries.items() if name != "start"}

    async def entry(self, workflow_id: str, name: str, within: float = DEADLINE) -> Any:
        async def there() -> Entry | None:
            return (await self.entries(workflow_id)).get(name)

        found = await until(there, f"{name} in {workflow_id}", within)
        return found.body

    async def outcome(self, workflow_id: str, step: str) -> Outcome:
        body = await self.entry(workflow_id, f"task:{step}")
        assert isinstance(body, Outcome)
        return body

    async def value(self, workflow_id: str, step: str) -> Any:
        outcome = await self.outcome(workflow_id, step)
        assert outcome.output is not None, outcome
        return ANY.decode(outcome.output)

    async def failed(self, workflow_id: str, step: str, attempt: int = 1, within: float = DEADLINE) -> Attempt:
        body = await self.entry(workflow_id, f"attempt:{step}#{attempt}", within)
        assert isinstance(body, Attempt)
        return body

    async def claims(self, workflow_id: str, step: str) -> Any:
        look = await self.journal.look(workflow_id, [step])
        assert look is not None
        return look.claims.get(step)

    async def wakes(self) -> list[Any]:
        return parse_wakes(await self.link.send("XREAD", "COUNT", 10_000, "STREAMS", self.keys.wake(self.node_id), "0"))

    async def live(self, workflow_id: str) -> list[Any]:
        """Every TaskProgress in the workflow's live stream."""
        entries = await self.link.call("XRANGE", self.keys.live(workflow_id), "-", "+")
        return [task_pb2.TaskProgress.FromString(message) for _, fields in entries for message in fields[1::2]]

    async def nothing_pending(self, agent_id: str) -> bool:
        inbox = self.keys.inbox(agent_id)
        return not await self.groups.pending(inbox) and not await self.groups.depth(inbox)


class World:
    """Redis, an owner and a registry; `agent` starts agents in this process."""

    def __init__(self, redis: str, namespace: str, owner: Owner, registry: Registry, address: str) -> None:
        self.redis = redis
        self.namespace = namespace
        self.owner = owner
        self.registry = registry
        self.address = address

    def config(self, **settings: Any) -> Config:
        given = {"redis": self.redis, "namespace": self.namespace, "address": self.address, "drain": "2s"} | settings
        return Config.load(environ={}, directory="/nonexistent", **given)

    @asynccontextmanager
    async def agent(self, *agents: Agent[Any, Any], **options: Any) -> AsyncIterator[AgentRuntime]:
        names = {"name", "labels", "slots"}
        settings = {key: value for key, value in options.items() if key not in names}
        own = {"name": "tester"} | {key: value for key, value in options.items() if key in names}
        async with AgentRuntime.open(agents, self.config(**settings), **own) as runtime:
            yield runtime


@asynccontextmanager
async def world_at(redis: str, namespace: str) -> AsyncIterator[World]:
    registry = Registry()
    config = Config.load(environ={}, directory="/nonexistent", redis=redis, namespace=namespace, listen="127.0.0.1:0")
    service = Service("nervenet.v1.RegistryService", registry)
    server = await GrpcServer.start(config, "node", [service], asyncio.Event())
    try:
        async with Owner.open(redis, namespace) as owner:
            await owner.queues.make_wake(owner.node_id)
            yield World(redis, namespace, owner, registry, server.address)
    finally:
        await server.stop(0)
