# SPDX-License-Identifier: Apache-2.0
"""Gateway agents in the registry: their leases, records and load, kept by the node for as long as it hears them.

A lease is the agent's own, of 15 s, and moves with it from node to node; so a record has two writers for a moment, and each
write here names the revision that it replaces: whoever finds another node's record there has lost the agent to it. What
is to be written is compared with what was, several times a second, so a write that failed is simply due again. Load travels in
batches: many agents' in one call, the longest unsaid first.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from nervenet.node.gateway.guest import state_number
from nervenet.registry.codec import decode_agent
from nervenet.registry.etcd import EtcdError, EtcdUnavailable, LeaseNotFound
from nervenet.registry.tombstone import certify_death
from nervenet.timing import GATEWAY_AGENT_LEASE
from nervenet.wire import to_json

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.guest import Guest
    from nervenet.registry.etcd import Etcd

KEEP_EVERY: Final = GATEWAY_AGENT_LEASE / 3
PATIENCE: Final = 5 / 3
TICK: Final = 0.25
LOADS_AT_ONCE: Final = 100
LOAD_MOST: Final = 10.0
"""Seconds after which a load is told again though nothing has changed."""

_log = logging.getLogger(__name__)


class Papers:
    """What stands in etcd about one agent, as far as this node wrote it."""

    __slots__ = ("kept_at", "load", "load_at", "revision", "state", "where")

    def __init__(self) -> None:
        self.revision = 0
        self.state = self.where = ""
        self.kept_at = self.load_at = float("-inf")
        self.load: tuple[int, int, int] | None = None


def worth_telling(now: tuple[int, int, int], told: tuple[int, int, int] | None, age: float) -> bool:
    """Whether a load of (active, queued, slots) says something new: a tenth of the slots, or full against not full."""
    if told is None or age >= LOAD_MOST:
        return True
    taken, was, slots = now[0] + now[1], told[0] + told[1], now[2]
    return slots != told[2] or abs(taken - was) >= max(1, slots // 10) or (taken >= slots) != (was >= slots)


class Membership:
    """`moved` is called for an agent that another node has now."""

    def __init__(
        self,
        context: NodeContext,
        etcd: Etcd,
        guests: Mapping[str, Guest],
        moved: Callable[[Guest], object],
    ) -> None:
        self._context = context
        self._etcd = etcd
        self._guests = guests
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._papers: dict[str, Papers] = {}

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────────

    async def grant(self) -> int:
        """A lease for a new agent. Raises EtcdError: nobody new without etcd."""
        return await self._etcd.grant(GATEWAY_AGENT_LEASE)

    async def resume(self, lease_id: int) -> bool:
        """Keep the lease of an agent that comes back; False = it is over. Without etcd it is believed."""
        try:
            await self._etcd.keep_alive(lease_id, patience=PATIENCE)
        except LeaseNotFound:
            return False
        except EtcdUnavailable as error:
            _log.warning("an agent comes back unseen by etcd: %s", error)
        return True

    async def register(self, guest: Guest) -> None:
        """Write its record, whoever wrote it before. Raises EtcdError."""
        papers = self._papers[guest.agent_id] = Papers()
        papers.kept_at = self._loop.time()
        state, where = guest.state, self._context.status.node_id
        key = self._context.table.layout.agent(guest.agent_id)
        papers.revision = await self._etcd.put(key, self._record(guest, state), lease=guest.lease_id, patience=PATIENCE)
        papers.state, papers.where = state, where

    async def leave(self, guest: Guest) -> None:
        """It is gone for good: its lease and everything on it."""
        self.forget(guest)
        try:
            await self._etcd.revoke(guest.lease_id, patience=PATIENCE)
        except EtcdError as error:
            _log.info("%s: its lease is left to run out: %s", guest.agent_id, error)

    async def is_here(self, guest: Guest) -> bool:
        """Whether its record still names this node. Raises EtcdError."""
        found = await self._etcd.get(self._context.table.layout.agent(guest.agent_id))
        return found is not None and decode_agent(guest.agent_id, found.value).inbox == self._context.status.node_id

    async def certify(self, guest: Guest, reason: str) -> None:
        """Tell everybody that it is dead, and end its lease. Raises EtcdError."""
        self.forget(guest)
        layout, by = self._context.table.layout, self._context.status.node_id
        await certify_death(self._etcd, layout, guest.agent_id, guest.lease_id, reason=reason, by=by)

    def revision(self, guest: Guest) -> int:
        """Of the last record that we wrote."""
        papers = self._papers.get(guest.agent_id)
        return papers.revision if papers is not None else 0

    def forget(self, guest: Guest) -> None:
        """Keep it no longer."""
        self._papers.pop(guest.agent_id, None)

    # ── keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """For as long as the node lives."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_leases())
            group.create_task(self._keep_records())

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = self._loop.time()
            due = [
                guest
                for guest in self._guests.values()
                if guest.line is not None
                and (papers := self._papers.get(guest.agent_id)) is not None
                and now - papers.kept_at >= KEEP_EVERY
            ]
            await asyncio.gather(*(self._keep(guest, now) for guest in due))

    async def _keep(self, guest: Guest, now: float) -> None:
        try:
            await self._etcd.keep_alive(guest.lease_id, patience=PATIENCE)
        except LeaseNotFound:
            _log.warning("%s lost its lease: it is to come back under a new id", guest.agent_id)
            guest.go_elsewhere([self._context.status.address], "its lease is over: it comes back under a new id")
        except EtcdError as error:  # an agent's lease outlives what it can't hear of: we go on
            _log.debug("the lease of %s was not renewed: %s", guest.agent_id, error)
            return
        if (papers := self._papers.get(guest.agent_id)) is not None:
            papers.kept_at = now

    async def _keep_records(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            stale = [guest for guest in self._guests.values() if self._is_stale(guest)]
            for start in range(0, len(stale), LOADS_AT_ONCE):
                await asyncio.gather(*map(self._rewrite, stale[start : start + LOADS_AT_ONCE]))
            await self._tell_loads()

    def _is_stale(self, guest: Guest) -> bool:
        papers = self._papers.get(guest.agent_id)
        return papers is not None and (papers.state, papers.where) != (guest.state, self._context.status.node_id)

    async def _rewrite(self, guest: Guest) -> None:
        """Bring the record to what is true, unless another node has written it since."""
        papers = self._papers.get(guest.agent_id)
        if papers is None:
            return
        state, where = guest.state, self._context.status.node_id
        key = self._context.table.layout.agent(guest.agent_id)
        try:
            done, current = await self._etcd.compare_and_set(
                key, self._record(guest, state), expected=papers.revision, lease=guest.lease_id
            )
        except LeaseNotFound:
            return  # its keep-alive finds that too
        except EtcdError as error:
            _log.debug("the record of %s was not written: %s", guest.agent_id, error)
            return
        if done and current is not None:
            papers.revision, papers.state, papers.where = current.mod_revision, state, where
        elif current is None:
            papers.revision = 0
        elif decode_agent(guest.agent_id, current.value).inbox in (where, papers.where):
            papers.revision = current.mod_revision  # somebody's wish, or ours of before: due again
        else:
            self._moved(guest)

    def _record(self, guest: Guest, state: str) -> bytes:
        record = guest.record
        record.agent_id = guest.agent_id
        record.inbox = self._context.status.node_id
        record.control_endpoint = self._context.status.address
        record.state = state_number(state)
        return to_json(record)

    # ── load ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _tell_loads(self) -> None:
        now = self._loop.time()
        due: list[tuple[float, Guest, Papers, tuple[int, int, int]]] = []
        for guest in self._guests.values():
            papers = self._papers.get(guest.agent_id)
            if papers is None or guest.line is None:
                continue
            says = (len(guest.tasks), len(guest.waiting), guest.credit)
            if worth_telling(says, papers.load, now - papers.load_at):
                due.append((papers.load_at, guest, papers, says))
        due.sort(key=lambda one: one[0])
        del due[LOADS_AT_ONCE:]
        if due and await self._put([guest for _, guest, _, _ in due]):
            for _, _, papers, says in due:
                papers.load, papers.load_at = says, now

    async def _put(self, guests: list[Guest]) -> bool:
        layout, now_ms = self._context.table.layout, self._context.clock.now_ms()
        puts = [(layout.load(guest.agent_id), load_json(guest, now_ms), guest.lease_id) for guest in guests]
        try:
            await self._etcd.put_many(puts, patience=PATIENCE)
        except LeaseNotFound:
            await asyncio.gather(*(self._put_one(*put) for put in puts))
        except EtcdError as error:
            _log.debug("the load of %d agents was not told: %s", len(puts), error)
            return False
        return True

    async def _put_one(self, key: str, value: bytes, lease: int) -> None:
        try:
            await self._etcd.put(key, value, lease=lease, patience=PATIENCE)
        except EtcdError as error:
            _log.debug("%s was not told: %s", key, error)


def load_json(guest: Guest, now_ms: int) -> bytes:
    """The guest's Load as proto JSON, written by hand: protobuf's printer takes ten times as long."""
    load = {
        "active": len(guest.tasks),
        "queued": len(guest.waiting),
        "slots": guest.credit,
        "cpu": round(guest.cpu, 3),
        "averageTaskTime": f"{guest.average_ms / 1000:.3f}s",
        "errorRate": round(guest.error_rate, 4),
        "sampleTime": datetime.fromtimestamp(now_ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "activeByCapability": {name: count for name, count in guest.counts.items() if count},
    }
    return json.dumps(load, separators=(",", ":")).encode()
