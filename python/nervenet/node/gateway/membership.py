# SPDX-License-Identifier: Apache-2.0
"""Connected agents in the registry: the node keeps their leases, records and load while it hears them.

A lease is the agent's own, of 15 s, and moves with it from node to node. So a record has two writers for a moment, and
each write here names the revision that it replaces: a node that finds another node's record there has lost the agent to
it. Several times a second, what should be in etcd is compared with what was written, so a write that failed is due
again. Load is written in batches, many agents' in one call, the oldest first.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from nervenet.node.gateway.connected_agent import state_number
from nervenet.registry.codec import decode_agent
from nervenet.registry.etcd import EtcdError, EtcdUnavailable, LeaseNotFound
from nervenet.registry.tombstone import certify_death
from nervenet.timing import (
    ETCD_PATIENCE,
    GATEWAY_AGENT_LEASE,
    GATEWAY_LEASE_RENEW_EVERY,
    LOAD_AGAIN_AFTER,
    MEMBERSHIP_TICK,
)
from nervenet.wire import to_json

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.connected_agent import ConnectedAgent
    from nervenet.registry.etcd import Etcd
    from nervenet.registry.leases import AgentLeases

BATCH: Final = 100

_log = logging.getLogger(__name__)


class RegistryEntry:
    """What etcd has about one agent, as far as this node wrote it."""

    __slots__ = ("kept_at", "load", "load_at", "revision", "state", "where")

    def __init__(self) -> None:
        self.revision = 0
        self.state = self.where = ""
        self.kept_at = self.load_at = float("-inf")
        self.load: tuple[int, int, int] | None = None


def is_news(now: tuple[int, int, int], before: tuple[int, int, int] | None, age: float) -> bool:
    """Whether a load of (active, queued, slots) differs enough from the one written before: a tenth of the slots, or
    full against not full."""
    if before is None or age >= LOAD_AGAIN_AFTER:
        return True
    taken, was, slots = now[0] + now[1], before[0] + before[1], now[2]
    return slots != before[2] or abs(taken - was) >= max(1, slots // 10) or (taken >= slots) != (was >= slots)


class Membership:
    """`moved` is called for an agent that another node has now."""

    def __init__(
        self,
        context: NodeContext,
        etcd: Etcd,
        leases: AgentLeases,
        agents: Mapping[str, ConnectedAgent],
        moved: Callable[[ConnectedAgent], object],
    ) -> None:
        self._context = context
        self._etcd = etcd
        self._leases = leases
        self._agents = agents
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._entries: dict[str, RegistryEntry] = {}

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────────

    async def grant(self) -> int:
        """A lease for a new agent. Raises EtcdError: no new agent without etcd."""
        return await self._leases.grant(GATEWAY_AGENT_LEASE)

    async def resume(self, lease_id: int) -> bool:
        """Keep the lease of an agent that comes back; False = it is over. Without etcd it is believed."""
        try:
            await self._leases.keep_alive(lease_id, patience=ETCD_PATIENCE)
        except LeaseNotFound:
            return False
        except EtcdUnavailable as error:
            _log.warning("an agent comes back unseen by etcd: %s", error)
        return True

    async def register(self, agent: ConnectedAgent) -> None:
        """Write its record, over that of any node. Raises EtcdError."""
        entry = self._entries[agent.agent_id] = RegistryEntry()
        entry.kept_at = self._loop.time()
        state, where = agent.state, self._context.status.node_id
        key = self._context.table.layout.agent(agent.agent_id)
        entry.revision = await self._etcd.put(
            key, self._record(agent, state), lease=agent.lease_id, patience=ETCD_PATIENCE
        )
        entry.state, entry.where = state, where

    async def leave(self, agent: ConnectedAgent) -> None:
        """It is gone for good: its lease and everything on it."""
        self.forget(agent)
        try:
            await self._leases.revoke(agent.lease_id, patience=ETCD_PATIENCE)
        except EtcdError as error:
            _log.info("%s: its lease is left to run out: %s", agent.agent_id, error)

    async def is_here(self, agent: ConnectedAgent) -> bool:
        """Whether its record still names this node. Raises EtcdError."""
        found = await self._etcd.get(self._context.table.layout.agent(agent.agent_id))
        return found is not None and decode_agent(agent.agent_id, found.value).inbox == self._context.status.node_id

    async def certify(self, agent: ConnectedAgent, reason: str) -> None:
        """Write its tombstone, and end its lease. Raises EtcdError."""
        self.forget(agent)
        layout, by = self._context.table.layout, self._context.status.node_id
        await certify_death(self._etcd, layout, agent.agent_id, agent.lease_id, reason=reason, by=by)

    def revision(self, agent: ConnectedAgent) -> int:
        """The revision of the last record that this node wrote."""
        entry = self._entries.get(agent.agent_id)
        return entry.revision if entry is not None else 0

    def forget(self, agent: ConnectedAgent) -> None:
        """Stop keeping its lease and record."""
        self._entries.pop(agent.agent_id, None)

    # ── keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """For as long as the node lives."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_leases())
            group.create_task(self._keep_records())

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(MEMBERSHIP_TICK)
            now = self._loop.time()
            due = [
                agent
                for agent in self._agents.values()
                if agent.outbox is not None
                and (entry := self._entries.get(agent.agent_id)) is not None
                and now - entry.kept_at >= GATEWAY_LEASE_RENEW_EVERY
            ]
            await asyncio.gather(*(self._keep(agent, now) for agent in due))

    async def _keep(self, agent: ConnectedAgent, now: float) -> None:
        try:
            await self._leases.keep_alive(agent.lease_id, patience=ETCD_PATIENCE)
        except LeaseNotFound:
            _log.warning("%s lost its lease: it must come back under a new id", agent.agent_id)
            agent.go_elsewhere([self._context.status.address], "its lease is over: it comes back under a new id")
        except EtcdError as error:  # an agent's lease outlives what it can't hear of: we go on
            _log.debug("the lease of %s was not renewed: %s", agent.agent_id, error)
            return
        if (entry := self._entries.get(agent.agent_id)) is not None:
            entry.kept_at = now

    async def _keep_records(self) -> None:
        while True:
            await asyncio.sleep(MEMBERSHIP_TICK)
            stale = [agent for agent in self._agents.values() if self._is_stale(agent)]
            for start in range(0, len(stale), BATCH):
                await asyncio.gather(*map(self._rewrite, stale[start : start + BATCH]))
            await self._put_loads()

    def _is_stale(self, agent: ConnectedAgent) -> bool:
        entry = self._entries.get(agent.agent_id)
        return entry is not None and (entry.state, entry.where) != (agent.state, self._context.status.node_id)

    async def _rewrite(self, agent: ConnectedAgent) -> None:
        """Bring the record to what is true, unless another node has written it since."""
        entry = self._entries.get(agent.agent_id)
        if entry is None:
            return
        state, where = agent.state, self._context.status.node_id
        key = self._context.table.layout.agent(agent.agent_id)
        try:
            done, current = await self._etcd.compare_and_set(
                key, self._record(agent, state), expected=entry.revision, lease=agent.lease_id
            )
        except LeaseNotFound:
            return  # its keep-alive finds that too
        except EtcdError as error:
            _log.debug("the record of %s was not written: %s", agent.agent_id, error)
            return
        if done and current is not None:
            entry.revision, entry.state, entry.where = current.mod_revision, state, where
        elif current is None:
            entry.revision = 0
        elif decode_agent(agent.agent_id, current.value).inbox in (where, entry.where):
            entry.revision = current.mod_revision  # a wish in the record, or an earlier write of ours: due again
        else:
            self._moved(agent)

    def _record(self, agent: ConnectedAgent, state: str) -> bytes:
        record = agent.record
        record.agent_id = agent.agent_id
        record.inbox = self._context.status.node_id
        record.control_endpoint = self._context.status.address
        record.state = state_number(state)
        return to_json(record)

    # ── load ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _put_loads(self) -> None:
        now = self._loop.time()
        due: list[tuple[float, ConnectedAgent, RegistryEntry, tuple[int, int, int]]] = []
        for agent in self._agents.values():
            entry = self._entries.get(agent.agent_id)
            if entry is None or agent.outbox is None:
                continue
            load = (len(agent.tasks), len(agent.waiting), agent.credit)
            if is_news(load, entry.load, now - entry.load_at):
                due.append((entry.load_at, agent, entry, load))
        due.sort(key=lambda one: one[0])
        del due[BATCH:]
        if due and await self._put([agent for _, agent, _, _ in due]):
            for _, _, entry, load in due:
                entry.load, entry.load_at = load, now

    async def _put(self, agents: list[ConnectedAgent]) -> bool:
        layout, now_ms = self._context.table.layout, self._context.clock.now_ms()
        puts = [(layout.load(agent.agent_id), load_json(agent, now_ms), agent.lease_id) for agent in agents]
        try:
            await self._etcd.put_many(puts, patience=ETCD_PATIENCE)
        except LeaseNotFound:
            await asyncio.gather(*(self._put_one(*put) for put in puts))
        except EtcdError as error:
            _log.debug("the load of %d agents was not written: %s", len(puts), error)
            return False
        return True

    async def _put_one(self, key: str, value: bytes, lease: int) -> None:
        try:
            await self._etcd.put(key, value, lease=lease, patience=ETCD_PATIENCE)
        except EtcdError as error:
            _log.debug("%s was not written: %s", key, error)


def load_json(agent: ConnectedAgent, now_ms: int) -> bytes:
    """The agent's Load as proto JSON, written by hand: protobuf's printer takes ten times as long."""
    load = {
        "active": len(agent.tasks),
        "queued": len(agent.waiting),
        "slots": agent.credit,
        "cpu": round(agent.cpu, 3),
        "averageTaskTime": f"{agent.average_ms / 1000:.3f}s",
        "errorRate": round(agent.error_rate, 4),
        "sampleTime": datetime.fromtimestamp(now_ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "activeByCapability": {name: count for name, count in agent.counts.items() if count},
    }
    return json.dumps(load, separators=(",", ":")).encode()
