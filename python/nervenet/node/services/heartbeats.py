# SPDX-License-Identifier: Apache-2.0
"""Keeps agents registered: their leases, their load in etcd, and what a node wants of them.

A heartbeat may go to any node: all that a node needs is in etcd or comes with the first message. Load is written when it
has changed, at most four times a second for each agent, so that a busy mesh does not wake every watcher for every task;
and every five seconds anyway, because readers judge its age by the sample.

An agent's state in its record has two writers: the agent (a change in what it reports), and a caller that wants it drained
and could not reach it. So a record that differs from an unchanged report is a request, and is passed to the agent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM, Clock
from nervenet.node.gateway.connected_agent import state_number
from nervenet.node.services.records import agent_record
from nervenet.registry.etcd import EtcdUnavailable, LeaseNotFound
from nervenet.rpc.status import invalid, not_found
from nervenet.timing import AGENT_LEASE, ETCD_PATIENCE
from nervenet.v1 import agent_pb2
from nervenet.v1 import registry_service_pb2 as pb
from nervenet.wire import duration, to_json

if TYPE_CHECKING:
    import asyncio

    from nervenet.node.recovery.failure_detector import FailureDetector
    from nervenet.registry.etcd import Etcd
    from nervenet.registry.leases import AgentLeases
    from nervenet.registry.table import Table


KEEP_EVERY: Final = 1.0
LOAD_LEAST: Final = 0.25
LOAD_MOST: Final = 5.0
SETTLED: Final = 2.0
"""Seconds after which the table surely shows what we wrote ourselves."""


class Heartbeats:
    """One for each node."""

    def __init__(
        self,
        etcd: Etcd,
        leases: AgentLeases,
        table: Table,
        death: FailureDetector,
        stopping: asyncio.Event,
        clock: Clock = SYSTEM,
    ) -> None:
        self.etcd = etcd
        self.leases = leases
        self.table = table
        self.stopping = stopping
        self.clock = clock
        self._death = death

    async def run(self, requests: AsyncIterator[pb.HeartbeatRequest]) -> AsyncGenerator[pb.HeartbeatResponse, None]:
        """One answer for each message; ends with `lease_lost`, or when the node stops. Else its end is a hint."""
        beat: _Beat | None = None
        try:
            async for request in requests:
                if beat is None:
                    beat = await self._begin(request)
                    self._death.stream_opened(request.agent_id)
                try:
                    yield await beat.heard(request)
                except LeaseNotFound:
                    yield pb.HeartbeatResponse(lease_lost=True)
                    return
                if self.stopping.is_set():
                    return
        finally:
            if beat is not None and not self.stopping.is_set():
                self._death.stream_broke(beat.agent_id)

    async def _begin(self, request: pb.HeartbeatRequest) -> _Beat:
        if not request.agent_id or not request.lease_id:
            raise invalid("agent_id", "the first message of a heartbeat names agent_id and lease_id")
        view = self.table.agents.get(request.agent_id)
        reported = request.state
        if view is not None and not reported:
            reported = state_number(view.state)
        return _Beat(self, request.agent_id, request.lease_id, reported)

    async def set_state(self, agent_id: str, lease: int, state: agent_pb2.AgentState) -> None:
        """Write a state into the agent's record, under the agent's own lease."""
        key = self.table.layout.agent(agent_id)
        stored = await self.etcd.get(key)
        if stored is None:
            raise not_found("agent", agent_id)
        record = agent_record(stored.value)
        if record.state != state:
            record.state = state
            await self.etcd.put(key, to_json(record), lease=lease)


class _Beat:
    """One stream: what was kept, written and heard last."""

    def __init__(self, all: Heartbeats, agent_id: str, lease: int, reported: agent_pb2.AgentState) -> None:
        self._all = all
        self.agent_id = agent_id
        self._lease = lease
        self._reported = reported
        self._kept = self._state_written = float("-inf")
        self._load_written = float("-inf")
        self._load: tuple[object, ...] = ()
        self._ttl = float(AGENT_LEASE)
        self._heard_of = False
        """Whether etcd took the last keep-alive. If not, it is asked for nothing else: an answer must not wait for it."""

    async def heard(self, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        now = self._all.clock.monotonic()
        if now - self._kept >= KEEP_EVERY:
            self._heard_of = await self._keep(now)
        if self._heard_of and request.HasField("load"):
            await self._write_load(request.load, now)
        wish = await self._settle_state(request.state or self._reported, now)
        left = max(0.0, self._ttl - (self._all.clock.monotonic() - self._kept))
        return pb.HeartbeatResponse(desired_state=wish, ttl=duration(int(left * 1000)))

    async def _keep(self, now: float) -> bool:
        """With etcd out of reach the agent goes on: its lease outlives what it can't hear of."""
        try:
            self._ttl = await self._all.leases.keep_alive(self._lease, patience=ETCD_PATIENCE)
        except EtcdUnavailable:
            return False
        self._kept = now
        return True

    async def _write_load(self, load: agent_pb2.Load, now: float) -> None:
        says = (load.active, load.queued, load.slots, tuple(sorted(load.active_by_capability.items())))
        age = now - self._load_written
        if age < LOAD_LEAST or (says == self._load and age < LOAD_MOST):
            return
        try:
            key = self._all.table.layout.load(self.agent_id)
            await self._all.etcd.put(key, to_json(load), lease=self._lease, patience=ETCD_PATIENCE)
        except EtcdUnavailable:
            self._heard_of = False
            return
        self._load, self._load_written = says, now

    async def _settle_state(self, reported: agent_pb2.AgentState, now: float) -> agent_pb2.AgentState:
        """Write what is new, pass down what somebody else wrote."""
        if reported != self._reported:
            await self._all.set_state(self.agent_id, self._lease, reported)
            self._reported, self._state_written = reported, now
            return agent_pb2.AGENT_STATE_UNSPECIFIED
        view = self._all.table.agents.get(self.agent_id)
        if view is None or now - self._state_written < SETTLED:
            return agent_pb2.AGENT_STATE_UNSPECIFIED
        wanted = state_number(view.state)
        return agent_pb2.AGENT_STATE_UNSPECIFIED if wanted == reported else wanted
