# SPDX-License-Identifier: Apache-2.0
"""Watches the clock for connected agents: their claims, timeouts, drains, and which of them has gone silent.

How an agent is given up depends on how its stream ended. The other side closed it without a goodbye: the agent has
`RECONNECT_WITHIN` to be back, here or at another node; then `lost` is called, which has it declared dead. The node
ended the stream because the agent was silent, or sent it to another node: that proves nothing, and its claims run out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nervenet.errors import Unavailable
from nervenet.node.gateway.connected_agent import Stage
from nervenet.streams.tasks.attempt import StopReason
from nervenet.timing import (
    CLAIM_TICK,
    CLAIM_TTL_MS,
    FORGET_AFTER,
    HEARD_WITHIN,
    HELLO_COST,
    RECONNECT_WITHIN,
    RENEWED_LATER_MS,
    RETURN_WINDOW,
    SILENT_AFTER,
    TASK_STOP_GRACE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.connected_agent import ConnectedAgent, GatewayTask
    from nervenet.node.gateway.task_broker import TaskBroker
    from nervenet.redis_link.dial import ServerIdentity


def overdue(task: GatewayTask, now: float) -> StopReason | None:
    """Which of its limits has passed."""
    if task.stage is not Stage.PUSHED or task.stop is not None or not task.envelope.HasField("timeouts"):
        return None
    limits = task.envelope.timeouts
    attempt, heartbeat = limits.attempt.ToMilliseconds() / 1000, limits.heartbeat.ToMilliseconds() / 1000
    if attempt and now - task.started_at >= attempt:
        return StopReason.TIMEOUT
    return StopReason.SILENT if heartbeat and now - task.beat >= heartbeat else None


class AgentMonitor:
    """`lost` is called for an agent whose stream broke and that is not back in time, `gone` when the node forgets it."""

    def __init__(
        self,
        context: NodeContext,
        broker: TaskBroker,
        agents: Mapping[str, ConnectedAgent],
        *,
        lost: Callable[[ConnectedAgent], object],
        gone: Callable[[ConnectedAgent], object],
    ) -> None:
        self._context = context
        self._broker = broker
        self._agents = agents
        self._lost = lost
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._ticked_at = 0.0

    async def run(self) -> None:
        """Renew claims and watch the clock, until cancelled."""
        self._ticked_at = self._loop.time()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._broker.claim_renewer.run(self._renewable))
            group.create_task(self._watch_clock())

    def _renewable(self) -> Iterable[GatewayTask]:
        """The tasks of the agents that were heard lately. None, if this process stood still so long that its agents
        took it for dead: they are at other nodes, with newer checkpoints."""
        now, before = self._loop.time(), self._ticked_at
        self._ticked_at = now
        if now - before - CLAIM_TICK >= SILENT_AFTER:
            for agent in tuple(self._agents.values()):
                if agent.outbox is not None:
                    words = f"this node stood still for more than {SILENT_AFTER:g} s: connect again"
                    agent.outbox.end(Unavailable(words, code="UNAVAILABLE", reason="AGENT_SILENT"))
            return ()
        heard = [agent for agent in self._agents.values() if agent.outbox and now - agent.heard_at < HEARD_WITHIN]
        return [task for agent in heard for task in agent.tasks.values()]

    async def _watch_clock(self) -> None:
        """What happens by the clock alone, whether or not Redis answers."""
        last = self._loop.time()
        while True:
            await asyncio.sleep(CLAIM_TICK / 2)
            now, before = self._loop.time(), last
            last = now
            away = [agent for agent in self._agents.values() if agent.outbox is None]
            if now - before >= 2 * CLAIM_TICK:  # we were late: hellos may wait to be read, so the windows begin again
                for agent in away:
                    agent.away_since = now
            window = RETURN_WINDOW + HELLO_COST * len(away)
            for agent in tuple(self._agents.values()):
                self._check_tasks(agent, now)
                self._check_presence(agent, now, window)

    def _check_tasks(self, agent: ConnectedAgent, now: float) -> None:
        for task in tuple(agent.tasks.values()):
            if (why := overdue(task, now)) is not None:
                self._broker.stop(task, why)
            elif task.stop is not None and task.stage is Stage.PUSHED and now - task.stopped_at >= TASK_STOP_GRACE:
                self._broker.give_up(task)
        if agent.drain_until is not None and now >= agent.drain_until:
            agent.drain_until = None
            self._context.spawn(self.give_back(agent, StopReason.DRAINED))

    def _check_presence(self, agent: ConnectedAgent, now: float, window: float) -> None:
        if agent.outbox is None:
            if agent.waiting and now - agent.away_since >= RECONNECT_WITHIN:
                self._broker.release_waiting(agent)
            if agent.broke and now - agent.away_since >= window:
                agent.broke = False
                self._lost(agent)
            if now - agent.away_since >= FORGET_AFTER:
                self._gone(agent)
        elif now - agent.heard_at >= SILENT_AFTER:
            words = f"{agent.agent_id} said nothing for {SILENT_AFTER:g} s"
            agent.outbox.end(Unavailable(words, code="UNAVAILABLE", reason="AGENT_SILENT"))

    async def give_back(self, agent: ConnectedAgent, why: StopReason) -> None:
        """Store the last checkpoints, then have the tasks end and go on at other agents."""
        running = [task for task in agent.tasks.values() if task.stage is Stage.PUSHED and task.stop is None]
        await self._broker.claim_renewer.renew([task for task in running if task.checkpoint_due])
        for task in running:
            self._broker.stop(task, why)
            if why is StopReason.LEFT:
                self._broker.give_up(task)

    async def renewed_elsewhere(self, agent: ConnectedAgent) -> bool:
        """Whether another node has renewed a claim of this agent since our stream to it broke."""
        for task in tuple(agent.tasks.values()):
            look = await self._context.journal.look(task.key.workflow_id, (task.key.step,))
            claim = look.claims.get(task.key.step) if look is not None else None
            if claim is None or (claim.agent_id, claim.attempt) != (task.agent_id, task.key.attempt):
                continue
            if claim.until_ms - CLAIM_TTL_MS > agent.broke_ms + RENEWED_LATER_MS:
                return True
        return False

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """It may have lost claims: take them back before the owners look."""
        for task in self._broker.tasks.values():
            task.outlived_loss = True
            if task.is_claimed and task.agent.outbox is not None:
                self._broker.claim_renewer.retake(task)
