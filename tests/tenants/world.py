# SPDX-License-Identifier: Apache-2.0
"""Two tenants, ours and theirs, on nodes of this process; and everything that a tenant can have.

`Tenancy` starts the nodes: one that serves both, two that serve both, or a node for each. `Belongings` is what they have:
workflows in each state, a question, agents with a running task and its partial output, a definition, leases. `nowhere()`
makes belongings of the same form that exist in no namespace, so that a test can compare what we hear about the two.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from nervenet import Agent, Context, Mesh, Signal, StartOptions, Task
from nervenet.agent.runtime import AgentRuntime
from nervenet.client.client import Client
from nervenet.client.raw import RawClient
from nervenet.clock import new_id
from nervenet.config import Config
from nervenet.node.node import Node
from nervenet.node.services import serve
from nervenet.process.exporting import Exports, exporting
from nervenet.process.tenants import Tenants
from nervenet.v1 import agent_service_pb2 as agents_pb
from nervenet.v1 import common_pb2, task_pb2
from tests.gateway.world import Speaker
from tests.support.running import Running
from tests.support.waiting import until

mesh = Mesh("tenants")
model = Agent.remote("model", str, str)
go = Signal("go", str)


@mesh.agent
async def stamp(task: Task, text: str) -> str:
    return f"stamped {text}"


@mesh.workflow
async def echo(ctx: Context, text: str) -> str:
    return text


@mesh.workflow
async def waits(ctx: Context, text: str) -> str:
    ctx.publish({"text": text})
    return await ctx.receive(go)


@mesh.workflow
async def asks(ctx: Context, text: str) -> str:
    return (await ctx.ask(text, choices=["yes", "no"])).value


@mesh.workflow
async def stamps(ctx: Context, text: str) -> str:
    return await ctx.call(stamp, text)


@mesh.workflow
async def thinks(ctx: Context, text: str) -> str:
    return await ctx.call(model, text)


@mesh.workflow
async def breaks(ctx: Context, text: str) -> str:
    raise KeyError(text)


STEPS: Final = [{"name": "one", "value": "'done'"}]
"""Of a workflow that is given as data."""

Arrangement = Literal["one node for both", "two nodes for both", "a node for each"]
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = ("one node for both", "two nodes for both", "a node for each")


@dataclass(frozen=True)
class Belongings:
    """The ids of what a tenant has."""

    closed: str
    waiting: str
    asking: str
    thinking: str
    blocked: str
    escalation: str
    capability: str
    agent: str
    agent_lease: int
    gateway_agent: str
    gateway_lease: int
    node: str
    node_lease: int
    definition: str

    def words(self) -> Mapping[str, str]:
        """What stands for each id when answers are compared; the longest id first, since some are part of others."""
        found = {str(getattr(self, field.name)): f"<{field.name}>" for field in fields(self)}
        return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))


def nowhere() -> Belongings:
    """Ids of the same form, of nothing that exists."""
    asking = f"asking-{uuid.uuid4().hex[:8]}"
    return Belongings(
        closed=f"closed-{uuid.uuid4().hex[:8]}",
        waiting=f"waiting-{uuid.uuid4().hex[:8]}",
        asking=asking,
        thinking=f"thinking-{uuid.uuid4().hex[:8]}",
        blocked=f"blocked-{uuid.uuid4().hex[:8]}",
        escalation=f"{asking}/ask#1",
        capability=f"model_{uuid.uuid4().hex[:8]}",
        agent=new_id("tenants"),
        agent_lease=uuid.uuid4().int >> 66,
        gateway_agent=new_id("speaker"),
        gateway_lease=uuid.uuid4().int >> 66,
        node=new_id("n"),
        node_lease=uuid.uuid4().int >> 66,
        definition=f"flow_{uuid.uuid4().hex[:8]}",
    )


class Tenancy(Running):
    """See the module."""

    def __init__(self, redis_url: str, etcd_url: str, arrangement: Arrangement = "one node for both") -> None:
        super().__init__()
        unique = uuid.uuid4().hex[:8]
        self.ours, self.theirs = f"ours-{unique}", f"theirs-{unique}"
        self.canary = f"CANARY-{uuid.uuid4().hex[:8]}"
        self.arrangement = arrangement
        self._servers = {"redis": redis_url, "etcd": etcd_url}
        self.nodes: list[Tenants | Node] = []
        self.metrics = ""
        self.settings: dict[str, Any] = {}
        """More settings of each node."""

    def config(self, namespace: str, at: str | None = None, **settings: Any) -> Config:
        given = {"address": at or self.addresses[namespace], "listen": "127.0.0.1:0", **self._servers, **settings}
        return Config.load(environ={}, namespace=namespace, **given)

    async def begin(self) -> None:
        self.addresses: dict[str, str] = {}
        self.http: dict[str, str] = {}
        if self.arrangement == "a node for each":
            for namespace in (self.ours, self.theirs):
                self._at(await self.single(namespace), namespace)
        elif self.arrangement == "two nodes for both":
            self._at(await self.several(), self.ours)
            self._at(await self.several(), self.theirs)
        else:
            self._at(await self.several(), self.ours, self.theirs)

    def _at(self, node: Tenants | Node, *namespaces: str) -> None:
        for namespace in namespaces:
            self.addresses[namespace] = node.address
            self.http[namespace] = node.http or ""

    async def several(self, *namespaces: str, **settings: Any) -> Tenants:
        """A process' nodes, of both tenants unless told otherwise."""
        named = ",".join(namespaces or (self.ours, self.theirs))
        config = self.config("default", "127.0.0.1:1", namespaces=named, **{**_OPEN, **self.settings, **settings})
        exports = await self._exports(config)
        node = await self.stack.enter_async_context(Tenants.open(mesh, config, exports))
        self.nodes.append(node)
        return node

    async def single(self, namespace: str) -> Node:
        """A node of one namespace, as a process has it that serves no other."""
        config = self.config(namespace, "127.0.0.1:1", **_OPEN)
        registry = (await self._exports(config)).registry("node")
        opened = Node.open(mesh.workflows, config, serve=serve, metrics=registry)
        node = await self.stack.enter_async_context(opened)
        self.nodes.append(node)
        return node

    async def _exports(self, config: Config) -> Exports:
        exports = await self.stack.enter_async_context(exporting(config, "tenants"))
        self.metrics = self.metrics or exports.address or ""
        return exports

    async def client(self, namespace: str, **settings: Any) -> Client:
        client: Client = await self.stack.enter_async_context(Client(config=self.config(namespace, **settings)))
        return client

    async def raw(self, namespace: str, at: str | None = None) -> RawClient:
        return await self.stack.enter_async_context(RawClient(self.config(namespace, at)))

    async def agent(self, namespace: str) -> AgentRuntime:
        """An agent that speaks Redis."""
        opened = AgentRuntime.open([mesh.agents["stamp"]], self.config(namespace), name="tenants")
        return await self.stack.enter_async_context(opened)

    async def speaker(self, namespace: str, words: str) -> Speaker:
        """An agent that speaks gRPC. It begins its task, says these words, and never ends it."""

        async def think(task: task_pb2.TaskEnvelope) -> None:
            partial = common_pb2.Payload(json=f'"{words}"')
            progress = task_pb2.TaskProgress(attempt=task.attempt, message=words, partial=partial)
            await speaker.say(task_report=agents_pb.TaskReport(task_id=task.task_id, progress=progress))
            await asyncio.Event().wait()

        address = self.addresses[namespace]
        metadata = (("nervenet-namespace", namespace),)
        speaker = Speaker(lambda: [address], {"model": think}, metadata=metadata, labels={"of": words})
        return await self.stack.enter_async_context(speaker)

    async def furnish(self) -> Belongings:
        """Give them one of everything, with the canary in each payload."""
        client, raw = await self.client(self.theirs), await self.raw(self.theirs)
        agent = await self.agent(self.theirs)
        speaker = await self.speaker(self.theirs, self.canary)
        ids = nowhere()
        definition = {"name": ids.definition, "version": 1, "description": self.canary, "steps": STEPS}
        await raw.call("PutDefinition", definition=definition)
        await client.run(echo, self.canary, id=ids.closed, options=StartOptions(labels={"of": self.canary}))
        await client.start(waits, self.canary, id=ids.waiting)
        await client.start(asks, self.canary, id=ids.asking)
        await client.start(thinks, self.canary, id=ids.thinking)
        await client.start(breaks, self.canary, id=ids.blocked)
        await until(lambda: speaker.began, "their agent has begun its task")
        questions = await until(lambda: _questions(raw), "their question is open")
        await until(lambda: _is_blocked(raw, ids.blocked), "their workflow is blocked")
        node = (await raw.call("ListNodes")).nodes[0].node_id
        return Belongings(
            closed=ids.closed,
            waiting=ids.waiting,
            asking=ids.asking,
            thinking=ids.thinking,
            blocked=ids.blocked,
            escalation=questions[0].escalation_id,
            capability="model",
            agent=agent.agent_id,
            agent_lease=await self._lease(agent.agent_id),
            gateway_agent=speaker.agent_id,
            gateway_lease=speaker.hello.lease_id,
            node=node,
            node_lease=await self._lease(node),
            definition=ids.definition,
        )

    async def _lease(self, process_id: str) -> int:
        table = self._their_node().context.table
        lease: int = await until(lambda: table.lease(process_id), f"{process_id} is in the registry")
        return lease

    @property
    def process(self) -> Tenants:
        """The only process with the nodes of both."""
        (process,) = self.nodes
        assert isinstance(process, Tenants)
        return process

    def _their_node(self) -> Node:
        return node_of(self.nodes[-1], self.theirs)


def node_of(process: Tenants | Node, namespace: str) -> Node:
    """The node of a namespace."""
    if isinstance(process, Node):
        return process
    return next(tenant.node for tenant in process._tenants if tenant.namespace == namespace and tenant.node is not None)


_OPEN: Final = {"http": "127.0.0.1:0", "metrics": "127.0.0.1:0"}


async def _questions(raw: RawClient) -> Any:
    return (await raw.call("ListEscalations")).escalations


async def _is_blocked(raw: RawClient, workflow_id: str) -> bool:
    return bool((await raw.call("GetWorkflow", workflow_id=workflow_id)).workflow.HasField("blocked"))
