# SPDX-License-Identifier: Apache-2.0
"""The gateway as a whole: the connected agents, its background loops, and what the rest of the node asks of it.

It does nothing until the first agent connects: it has no inbox, no connection to Redis and no loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from nervenet.clock import new_id
from nervenet.errors import Overloaded, PreconditionFailed, Unavailable
from nervenet.node.gateway.agent_monitor import AgentMonitor
from nervenet.node.gateway.connected_agent import ConnectedAgent, Stage
from nervenet.node.gateway.hello import MAX_CREDIT, PROTOCOL_VERSION, record_of
from nervenet.node.gateway.membership import Membership
from nervenet.node.gateway.task_broker import TaskBroker
from nervenet.node.gateway.task_reader import GatewayReader
from nervenet.redis_link.faults import LinkError
from nervenet.registry.etcd import EtcdError, EtcdUnavailable
from nervenet.registry.views import AgentView
from nervenet.rpc.status import invalid
from nervenet.security import subject_of_caller
from nervenet.streams.tasks.attempt import StopReason
from nervenet.timing import (
    GATEWAY_AGENT_LEASE,
    GATEWAY_DRAIN_TIMEOUT,
    RECONNECT_WITHIN,
    SPREAD_AGAIN_AFTER,
    SPREAD_EVERY,
    STATUS_INTERVAL,
)
from nervenet.v1 import agent_pb2
from nervenet.v1 import agent_service_pb2 as pb

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.connected_agent import GatewayTask, Outbox
    from nervenet.node.workflows.wakes import Wakes
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.registry.etcd import Etcd
    from nervenet.registry.leases import AgentLeases
    from nervenet.registry.table import TableChange

MOST_AGENTS: Final = 5_000
"""Agents of one node: more agents need more nodes."""
MOST_NODES: Final = 16
"""Addresses of nodes that an agent gets."""
SPREAD_TOLERANCE: Final = 1.25
"""A node keeps up to this multiple of its fair share of agents, so that no agent goes to and fro."""
SPREAD_MARGIN: Final = 4
"""Agents that a node keeps above that: in a small mesh it is not worth the trouble."""
SPREAD_SHARE: Final = 0.05
"""The part of its agents that a node sends on each time."""

_log = logging.getLogger(__name__)


class Gateway:
    """One for each node."""

    def __init__(self, context: NodeContext, wakes: Wakes, etcd: Etcd, leases: AgentLeases) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self.agents: dict[str, ConnectedAgent] = {}
        self.broker = TaskBroker(context, wakes, lambda: self._reader.look_soon())
        self._reader = GatewayReader(context, self.broker, self.agents)
        self._monitor = AgentMonitor(context, self.broker, self.agents, lost=self._lost, gone=self._gone)
        self._membership = Membership(context, etcd, leases, self.agents, self._moved)
        self._first = asyncio.Event()
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Gateway of {self._context.status.node_id}, {len(self.agents)} agents, {len(self.broker.tasks)} tasks>"

    @property
    def address(self) -> str:
        """The address of this node, which is the endpoint of its agents."""
        return self._context.status.address

    async def run(self) -> None:
        """For as long as the node lives."""
        await self._first.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reader.run())
            group.create_task(self._monitor.run())
            group.create_task(self._membership.run())
            group.create_task(self._spread())

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """It may have lost claims and outcomes: take the claims back, write the outcomes again."""
        await self._monitor.redis_came_back(old, new)
        await self.broker.recorder.recent.redis_came_back(old, new)

    # ── an agent comes ───────────────────────────────────────────────────────────────────────────────────────────────

    async def connect(self, hello: pb.Hello, outbox: Outbox) -> ConnectedAgent:
        """Register an agent, or connect it again. Raises a RequestError or EtcdError if that is impossible."""
        self._admit(hello)
        if not self._first.is_set():
            await self._reader.make_inbox()
            self._first.set()
        record = record_of(hello, subject_of_caller(), now_ms=self._context.clock.now_ms())
        if hello.agent.agent_id:
            return await self._reconnect(hello, outbox, record)
        agent = ConnectedAgent(
            new_id(record.name, self._context.entropy), await self._membership.grant(), record, hello.credit
        )
        self._attach(agent, outbox)
        try:
            await self._membership.register(agent)
        except BaseException:
            self.disconnected(agent, outbox)
            self._gone(agent)
            raise
        self._welcome(agent)
        return agent

    def _admit(self, hello: pb.Hello) -> None:
        if self._context.status.draining:
            raise Unavailable(
                "this node is draining: connect to another one", code="UNAVAILABLE", reason="NODE_DRAINING"
            )
        if len(self.agents) >= MOST_AGENTS and hello.agent.agent_id not in self.agents:
            words = f"this node has {MOST_AGENTS:,} agents: connect to another one"
            raise Overloaded(words, code="RESOURCE_EXHAUSTED", reason="NODE_FULL")
        agent = self.agents.get(hello.agent.agent_id)  # the registry table learns of it later
        lease = self._context.table.lease(hello.agent.agent_id) if agent is None else agent.lease_id
        if hello.lease_id and lease not in (0, hello.lease_id):
            raise invalid("items[0].hello.lease_id", f"not the lease of {hello.agent.agent_id}")

    async def _reconnect(self, hello: pb.Hello, outbox: Outbox, record: agent_pb2.AgentRecord) -> ConnectedAgent:
        """Connect an agent again whose stream broke. Its claims come first."""
        agent_id = hello.agent.agent_id
        running = list(hello.running)
        if record.subject:  # the policy tells it from others: it gets what is its own
            running = await self.broker.held_by(self.agents.get(agent_id), agent_id, running)
        agent = self.agents.get(agent_id)
        if agent is None:
            agent = ConnectedAgent(agent_id, hello.lease_id, record, hello.credit)
        else:
            if agent.outbox is not None:
                agent.outbox.end(replaced(agent_id))
            agent.describe(record, hello.credit)
        self._attach(agent, outbox)
        has = self.broker.reclaim(agent, agent_id, running)
        try:
            if not await self._membership.resume(hello.lease_id):
                await self._rename(agent)
            await self._membership.register(agent)
        except EtcdUnavailable as error:
            _log.warning("%s is back, but etcd cannot be updated: %s", agent.agent_id, error)
        except BaseException:
            self.disconnected(agent, outbox)
            raise
        self._welcome(agent)
        self.broker.reconcile(agent, has)
        return agent

    async def _rename(self, agent: ConnectedAgent) -> None:
        """A new lease needs a new id. What runs keeps the old one."""
        old = agent.agent_id
        self._membership.forget(agent)
        agent.lease_id = await self._membership.grant()
        agent.agent_id = new_id(agent.record.name, self._context.entropy)
        _log.warning("%s lost its lease and goes on as %s", old, agent.agent_id)
        self.agents.pop(old, None)
        self.agents[agent.agent_id] = agent

    def _attach(self, agent: ConnectedAgent, outbox: Outbox) -> None:
        agent.heard_at = agent.away_since = self._loop.time()
        agent.broke = False
        agent.outbox = outbox
        self.agents[agent.agent_id] = agent

    def _welcome(self, agent: ConnectedAgent) -> None:
        welcome = pb.Welcome(
            agent_id=agent.agent_id,
            lease_id=agent.lease_id,
            node_id=self._context.status.node_id,
            namespace=self._context.config.namespace,
            payload_limit=self._context.config.payload_limit,
            max_credit=MAX_CREDIT,
            nodes=[self._context.status.address, *self._others()][:MOST_NODES],
            protocol_version=PROTOCOL_VERSION,
        )
        welcome.status_interval.FromMilliseconds(round(STATUS_INTERVAL * 1000))
        welcome.lease_ttl.FromSeconds(GATEWAY_AGENT_LEASE)
        welcome.reconnect_within.FromMilliseconds(round(RECONNECT_WITHIN * 1000))
        agent.welcome(welcome)
        self._reader.capabilities_changed()

    def _others(self) -> list[str]:
        """The addresses of the other nodes, those with fewest gateway agents first."""
        return [address for _, address in self._crowds()]

    def _crowds(self) -> list[tuple[int, str]]:
        """The number of gateway agents of each other node, and its address; fewest first."""
        table = self._context.table
        counts = Counter(agent.inbox for agent in table.agents.values())
        others = [
            node for node in table.nodes.values() if node.state == "ACTIVE" and node.id != self._context.status.node_id
        ]
        return sorted((counts[node.id], node.address) for node in others)

    async def _spread(self) -> None:
        """A node with clearly more agents than others sends some on: those that have least to do."""
        while True:
            await asyncio.sleep(SPREAD_EVERY)
            crowds = self._crowds()
            connected = [agent for agent in self.agents.values() if agent.outbox is not None]
            count = excess(len(connected), [crowd for crowd, _ in crowds])
            if not count or self._context.status.draining:
                continue
            now = self._loop.time()
            asked = [agent for agent in connected if now - agent.sent_on_at >= SPREAD_AGAIN_AFTER]
            for agent in sorted(asked, key=lambda agent: len(agent.tasks))[:count]:
                agent.sent_on_at = now
                agent.go_elsewhere([address for _, address in crowds][:MOST_NODES], "other nodes have fewer agents")

    # ── an agent goes ────────────────────────────────────────────────────────────────────────────────────────────────

    def disconnected(self, agent: ConnectedAgent, outbox: Outbox) -> None:
        """Its stream is over: it may come back for a while, unless it was sent to another node."""
        if agent.outbox is outbox:
            agent.outbox = None
            agent.away_since = self._loop.time()
            sent_on = self._context.status.draining or agent.away_since - agent.sent_on_at < GATEWAY_AGENT_LEASE
            agent.broke = not (outbox.ended_here or sent_on)
            agent.broke_ms = self._context.clock.now_ms()
            if agent.broke:
                self.broker.notify_owners(agent)
            self._changed.set()

    def _lost(self, agent: ConnectedAgent) -> None:
        self._context.spawn(self._declare_dead(agent))

    async def _declare_dead(self, agent: ConnectedAgent) -> None:
        """Its stream was closed by the other side, and it is not back at any node: its tasks go on at other agents now.

        If that is not certain (Redis or etcd is away, another node has it) its claims run out instead.
        """
        try:
            if await self._monitor.renewed_elsewhere(agent) or not await self._membership.is_here(agent):
                return
            if agent.outbox is not None or not self._context.status.alive or self._context.status.draining:
                return
            reason = f"its stream broke, and it was not back after {RECONNECT_WITHIN:g} s"
            await self._membership.certify(agent, reason)
        except (LinkError, EtcdError) as error:
            _log.warning("%s is lost, its claims run out: %s", agent.agent_id, error)
            return
        _log.info("%s is dead: %s", agent.agent_id, reason)
        if agent.outbox is None:
            self._gone(agent)

    async def deregister(self, agent: ConnectedAgent) -> None:
        """It leaves for good: what it did not answer goes on at other agents. This ends even if its stream ends first."""
        leaving = asyncio.ensure_future(self._deregister(agent))
        self._context.spawn(leaving)
        await asyncio.shield(leaving)

    async def _deregister(self, agent: ConnectedAgent) -> None:
        await self._monitor.give_back(agent, StopReason.LEFT)
        self._gone(agent)
        await self._membership.leave(agent)

    def _gone(self, agent: ConnectedAgent) -> None:
        if self.agents.get(agent.agent_id) is agent:
            del self.agents[agent.agent_id]
        self._membership.forget(agent)
        self.broker.release(agent)
        self._changed.set()

    def _moved(self, agent: ConnectedAgent) -> None:
        """Another node has the agent now, and its claims."""
        _log.debug("%s is at another node", agent.agent_id)
        if agent.outbox is not None:
            agent.outbox.end(replaced(agent.agent_id))
        self._gone(agent)

    def registry_news(self, news: TableChange) -> None:
        """An agent's record has changed: it names the node that has the agent."""
        agent = self.agents.get(news.id)
        if agent is not None and isinstance(news.new, AgentView) and news.new.inbox != self._context.status.node_id:
            host = self._context.table.nodes.get(news.new.inbox)
            if (
                host is not None
                and host.id != self._context.status.node_id
                and news.revision > self._membership.revision(agent)
            ):
                self._moved(agent)

    async def drain(self) -> None:
        """This node stops: send its agents to other nodes, with what they run. Returns when they are gone, or after a
        while."""
        others = self._others()
        for agent in self.agents.values():
            agent.go_elsewhere(others, "this node is draining")
        if not others:
            return
        try:
            async with asyncio.timeout(GATEWAY_DRAIN_TIMEOUT):
                while any(agent.outbox is not None for agent in self.agents.values()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            _log.warning("%s leaves with %d agents still connected", self._context.status.node_id, len(self.agents))

    # ── what others ask of an agent ──────────────────────────────────────────────────────────────────────────────────

    def drain_agent(self, agent: ConnectedAgent, grace_ms: int | None) -> None:
        """It finishes its tasks. Those that still run after the grace continue at other agents."""
        grace = self._context.config.drain_ms if grace_ms is None else grace_ms
        if not agent.draining:
            agent.draining = True
            agent.drain_until = self._loop.time() + grace / 1000
            agent.drain(grace)
            self.broker.release_waiting(agent)

    def resume_agent(self, agent: ConnectedAgent) -> None:
        if agent.draining:
            agent.draining, agent.drain_until = False, None
            agent.resume()
            self._reader.look_soon()

    def set_credit(self, agent: ConnectedAgent, credit: int) -> None:
        """How many tasks it takes at once from now on; 0: no new ones."""
        agent.credit = credit
        if not credit:
            self.broker.release_waiting(agent)
        else:
            self.broker.fill(agent)
            self._reader.look_soon()

    def now(self) -> float:
        return self._loop.time()

    def cancel(self, task_id: str, attempt: int, reason: str) -> bool:
        """Stop a task that a connected agent runs; `attempt` 0: any attempt. Returns whether there is one."""
        found = [
            task
            for (known, n), task in self.broker.tasks.items()
            if known == task_id and attempt in (0, n) and task.stage in (Stage.CLAIMING, Stage.PUSHED)
        ]
        for task in found:
            self.broker.stop(task, StopReason.GONE, reason)
        return bool(found)


def excess(mine: int, others: Sequence[int]) -> int:
    """How many agents a node asks to go to other nodes, so that they spread over the nodes.

    A connection lasts for as long as it can, so a node that starts later would get none of the agents that are there.
    `others`: how many agents each of the other nodes has.

        excess(1000, [0])  →  50
        excess(30, [20])   →  0
    """
    if not others:
        return 0
    fair = (mine + sum(others)) / (1 + len(others))
    if mine <= fair * SPREAD_TOLERANCE + SPREAD_MARGIN:
        return 0
    return min(int(mine - fair), max(1, round(mine * SPREAD_SHARE)))


def replaced(agent_id: str) -> PreconditionFailed:
    words = f"{agent_id} has a newer stream: this one is over"
    return PreconditionFailed(words, code="FAILED_PRECONDITION", reason="AGENT_REPLACED")


def running(agent: ConnectedAgent) -> list[GatewayTask]:
    """The tasks that an agent runs, oldest first."""
    return sorted((task for task in agent.tasks.values() if task.started_ms), key=lambda task: task.started_ms)
