# SPDX-License-Identifier: Apache-2.0
"""Reads tasks for all agents of this gateway: their common inbox by a blocking read, the shared queues by polling.

It uses two connections, since some agent nearly always has a free slot and a look at the queues must not wait for a
block to end. What the inbox brings names its agent, and waits here while that agent is full, so one agent's backlog
holds up no other. From a queue it reads no more than there are free slots among the agents that may have the task, and
the agent with most room gets it.
"""

from __future__ import annotations

import asyncio
import heapq
from contextlib import suppress
from typing import TYPE_CHECKING

from nervenet.clock import SYSTEM
from nervenet.redis_link.reader import LONGEST_BLOCK_MS
from nervenet.streams.queues import parse_tasks
from nervenet.streams.tasks.queue_poller import QUEUE_PAGE, QueuePoller
from nervenet.timing import POLL_SOONEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.connected_agent import ConnectedAgent
    from nervenet.node.gateway.task_broker import TaskBroker
    from nervenet.redis_link.reader import Reader
    from nervenet.streams.queues import Delivered, QueueRequirement
    from nervenet.streams.tasks.queue_poller import KnownQueue
    from nervenet.v1.task_pb2 import TaskEnvelope


class QueueAssignment:
    """Which of these agents gets the next task of a queue: the one with most room, in its share. Used for one batch."""

    def __init__(self, agents: Iterable[ConnectedAgent], capability: str) -> None:
        self._agents = {agent.agent_id: agent for agent in agents}
        self._room = {agent_id: agent.free_for(capability) for agent_id, agent in self._agents.items()}
        self._heap = [(agent.share, agent_id) for agent_id, agent in self._agents.items() if self._room[agent_id]]
        heapq.heapify(self._heap)

    @property
    def room(self) -> int:
        """How many tasks they can take together."""
        return sum(self._room.values())

    def assign(self, envelope: TaskEnvelope) -> ConnectedAgent | None:
        """None: no agent has room. An agent that the envelope excludes gets it only if no other is there: the broker
        then refuses the task, and its owner looks at other nodes."""
        if not self._heap:
            return None
        at = 0
        if envelope.avoid_agents:
            others = [i for i, (_, agent_id) in enumerate(self._heap) if agent_id not in envelope.avoid_agents]
            at = min(others, key=self._heap.__getitem__, default=0)
        _, agent_id = self._heap[at]
        agent = self._agents[agent_id]
        self._room[agent_id] -= 1
        if at:
            del self._heap[at]
            heapq.heapify(self._heap)
        else:
            heapq.heappop(self._heap)
        if left := self._room[agent_id]:
            heapq.heappush(self._heap, (1 - left / agent.credit, agent_id))
        return agent


class GatewayReader:
    """A missing inbox is made again only while the node's session is alive."""

    def __init__(self, context: NodeContext, broker: TaskBroker, agents: Mapping[str, ConnectedAgent]) -> None:
        self._context = context
        self._status = context.status
        self._broker = broker
        self._agents = agents
        self._poller = QueuePoller(broker.data_plane, broker.deliveries, SYSTEM.monotonic, self)
        self._look_now = asyncio.Event()
        self.consumer = ""

    def __repr__(self) -> str:
        return f"<GatewayReader of {self.consumer}, {len(self._poller.queues)} queues>"

    async def run(self) -> None:
        """For as long as the node lives."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poller.read_forever(self._read_inbox))
            group.create_task(self._poller.read_forever(self._look))

    def look_soon(self) -> None:
        """An agent that was full has room, or a new one is there: owners may have turned to the queues."""
        self._poller.expect_tasks()
        self._look_now.set()

    def capabilities_changed(self) -> None:
        """An agent came that may do what no other agent here can: learn its queues."""
        self._poller.forget_names()
        self.look_soon()

    async def make_inbox(self) -> None:
        """Under the present id of this node."""
        self.consumer = self._status.node_id
        await self._context.queues.make_inbox(self.consumer)

    async def _read_inbox(self, reader: Reader) -> None:
        if self.consumer != self._status.node_id:
            await self.make_inbox()
        inbox = self._context.keys.inbox(self.consumer)
        words = self._context.queues.read_tasks(inbox, self.consumer, QUEUE_PAGE, LONGEST_BLOCK_MS)
        if tasks := parse_tasks(await reader.read(*words)):
            self.admit(inbox, tasks, None)

    async def _look(self, reader: Reader) -> None:
        """One look at the queues; then a pause, unless there was more than room for it."""
        self._look_now.clear()
        pause = await self._poller.look(reader)
        if pause:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look_now.wait()
                await asyncio.sleep(POLL_SOONEST / 10)  # what ends together is looked for together

    def _addressee(self, envelope: TaskEnvelope) -> ConnectedAgent | None:
        agent = self._agents.get(envelope.agent_id)
        return agent if agent is not None and envelope.capability in agent.able else None

    def _assignment(self, queue: KnownQueue) -> QueueAssignment:
        able = [agent for agent in self._agents.values() if agent.meets(queue.capability, queue.requirement)]
        return QueueAssignment(able, queue.capability)

    # ── for the poller ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_registered(self) -> bool:
        return self._status.alive

    def capabilities(self) -> Iterable[str]:
        return {name for agent in self._agents.values() for name in agent.able}

    def serves(self, capability: str, requirement: QueueRequirement) -> bool:
        return any(agent.meets(capability, requirement) for agent in self._agents.values())

    def room(self, queue: KnownQueue | None) -> int:
        return QUEUE_PAGE if queue is None else self._assignment(queue).room

    def admit(self, stream: bytes, tasks: Sequence[Delivered], queue: KnownQueue | None) -> None:
        self._broker.admit(stream, tasks, self._addressee if queue is None else self._assignment(queue).assign)
