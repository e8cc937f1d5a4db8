# SPDX-License-Identifier: Apache-2.0
"""The gateway as a whole: who is connected, what runs beside the streams, and what the rest of the node asks of it.

It does nothing until the first agent comes: no inbox, no connection, no round.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from nervenet.clock import new_id
from nervenet.errors import Overloaded, PreconditionFailed, Unavailable
from nervenet.node.gateway.desk import Desk
from nervenet.node.gateway.guest import Guest, Stage
from nervenet.node.gateway.hello import MAX_CREDIT, PROTOCOL_VERSION, record_of
from nervenet.node.gateway.intake import Intake
from nervenet.node.gateway.keeper import Keeper
from nervenet.node.gateway.line import Line
from nervenet.node.gateway.membership import Membership
from nervenet.node.gateway.outcome import Stop
from nervenet.node.gateway.spread import excess
from nervenet.redis_link.faults import LinkError
from nervenet.registry.etcd import EtcdError, EtcdUnavailable
from nervenet.registry.views import AgentView
from nervenet.rpc.status import invalid
from nervenet.timing import GATEWAY_AGENT_LEASE, RECONNECT_WITHIN, STATUS_INTERVAL
from nervenet.v1 import agent_pb2
from nervenet.v1 import agent_service_pb2 as pb

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.guest import Held
    from nervenet.node.workflows.wakes import Wakes
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.registry.etcd import Etcd
    from nervenet.registry.table import TableChange

MOST_AGENTS: Final = 5_000
"""Of one node; more agents want more nodes."""
MOST_NODES: Final = 16
"""Addresses that an agent is told."""
LEAVE_WITHIN: Final = 3.0
SPREAD_EVERY: Final = 5.0
ASK_AGAIN: Final = 60.0
"""An agent that was sent on and stays is left alone for so long."""

_log = logging.getLogger(__name__)


class Gateway:
    """One for each node."""

    def __init__(self, context: NodeContext, wakes: Wakes, etcd: Etcd) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self.guests: dict[str, Guest] = {}
        self.desk = Desk(context, wakes)
        self._intake = Intake(context, self.desk, self.guests)
        self._keeper = Keeper(context, self.desk, self.guests, lost=self._lost, gone=self._gone)
        self._members = Membership(context, etcd, self.guests, self._moved)
        self._first = asyncio.Event()
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Gateway of {self._context.status.node_id}, {len(self.guests)} agents, {len(self.desk.tasks)} tasks>"

    @property
    def address(self) -> str:
        """Where this node answers: the endpoint of its agents."""
        return self._context.status.address

    async def run(self) -> None:
        """For as long as the node lives."""
        await self._first.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._intake.run())
            group.create_task(self._keeper.run())
            group.create_task(self._keeper.keep_time())
            group.create_task(self._members.run())
            group.create_task(self._spread())

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """What it forgot of ours: claims, and outcomes that nobody may have read."""
        await self._keeper.redis_came_back(old, new)
        await self.desk.recorder.recent.redis_came_back(old, new)

    # ── an agent comes ───────────────────────────────────────────────────────────────────────────────────────────────

    async def arrive(self, hello: pb.Hello, line: Line) -> Guest:
        """Make it a guest, or take it up again. Raises a RequestError or EtcdError where it can't be."""
        self._admit(hello)
        if not self._first.is_set():
            await self._intake.make_inbox()
            self._first.set()
        record = record_of(hello, now_ms=self._context.clock.now_ms())
        if hello.agent.agent_id:
            return await self._return(hello, line, record)
        guest = Guest(new_id(record.name, self._context.entropy), await self._members.grant(), record, hello.credit)
        self._sit(guest, line)
        try:
            await self._members.register(guest)
        except BaseException:
            self.left(guest, line)
            self._gone(guest)
            raise
        self._welcome(guest)
        return guest

    def _admit(self, hello: pb.Hello) -> None:
        if self._context.status.draining:
            raise Unavailable(
                "this node is draining: connect to another one", code="UNAVAILABLE", reason="NODE_DRAINING"
            )
        if len(self.guests) >= MOST_AGENTS and hello.agent.agent_id not in self.guests:
            words = f"this node has {MOST_AGENTS:,} agents: connect to another one"
            raise Overloaded(words, code="RESOURCE_EXHAUSTED", reason="NODE_FULL")
        guest = self.guests.get(hello.agent.agent_id)  # the table hears of it later
        lease = self._context.table.lease(hello.agent.agent_id) if guest is None else guest.lease_id
        if hello.lease_id and lease not in (0, hello.lease_id):
            raise invalid("items[0].hello.lease_id", f"not the lease of {hello.agent.agent_id}")

    async def _return(self, hello: pb.Hello, line: Line, record: agent_pb2.AgentRecord) -> Guest:
        """An agent whose stream broke: its claims first, then everything else."""
        agent_id = hello.agent.agent_id
        guest = self.guests.get(agent_id)
        if guest is None:
            guest = Guest(agent_id, hello.lease_id, record, hello.credit)
        else:
            if guest.line is not None:
                guest.line.end(replaced(agent_id))
            guest.describe(record, hello.credit)
        self._sit(guest, line)
        has = self.desk.bring(guest, agent_id, hello.running)
        try:
            if not await self._members.resume(hello.lease_id):
                await self._rename(guest)
            await self._members.register(guest)
        except EtcdUnavailable as error:
            _log.warning("%s is back, and etcd can't be told: %s", guest.agent_id, error)
        except BaseException:
            self.left(guest, line)
            raise
        self._welcome(guest)
        self.desk.reconcile(guest, has)
        return guest

    async def _rename(self, guest: Guest) -> None:
        """One id is one incarnation; what runs goes on under the old one."""
        old = guest.agent_id
        self._members.forget(guest)
        guest.lease_id = await self._members.grant()
        guest.agent_id = new_id(guest.record.name, self._context.entropy)
        _log.warning("%s lost its lease and goes on as %s", old, guest.agent_id)
        self.guests.pop(old, None)
        self.guests[guest.agent_id] = guest

    def _sit(self, guest: Guest, line: Line) -> None:
        guest.heard_at = guest.away_since = self._loop.time()
        guest.broke = False
        guest.line = line
        self.guests[guest.agent_id] = guest

    def _welcome(self, guest: Guest) -> None:
        welcome = pb.Welcome(
            agent_id=guest.agent_id,
            lease_id=guest.lease_id,
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
        guest.welcome(welcome)
        self._intake.names_changed()

    def _others(self) -> list[str]:
        """Where the other nodes answer, those with fewest gateway agents first."""
        return [address for _, address in self._crowds()]

    def _crowds(self) -> list[tuple[int, str]]:
        """How many gateway agents each other node has, and where it answers; fewest first."""
        table = self._context.table
        counts = Counter(agent.inbox for agent in table.agents.values())
        others = [
            node for node in table.nodes.values() if node.state == "ACTIVE" and node.id != self._context.status.node_id
        ]
        return sorted((counts[node.id], node.address) for node in others)

    async def _spread(self) -> None:
        """Whoever has clearly more agents than others sends some on: those that have least to do."""
        while True:
            await asyncio.sleep(SPREAD_EVERY)
            crowds = self._crowds()
            connected = [guest for guest in self.guests.values() if guest.line is not None]
            count = excess(len(connected), [crowd for crowd, _ in crowds])
            if not count or self._context.status.draining:
                continue
            now = self._loop.time()
            asked = [guest for guest in connected if now - guest.sent_on_at >= ASK_AGAIN]
            for guest in sorted(asked, key=lambda guest: len(guest.tasks))[:count]:
                guest.sent_on_at = now
                guest.go_elsewhere([address for _, address in crowds][:MOST_NODES], "other nodes have fewer agents")

    # ── an agent goes ────────────────────────────────────────────────────────────────────────────────────────────────

    def left(self, guest: Guest, line: Line) -> None:
        """Its stream is over: for a while it may come back. Who was sent elsewhere is expected there, not here."""
        if guest.line is line:
            guest.line = None
            guest.away_since = self._loop.time()
            sent_on = self._context.status.draining or guest.away_since - guest.sent_on_at < GATEWAY_AGENT_LEASE
            guest.broke = not (line.ended_here or sent_on)
            guest.broke_ms = self._context.clock.now_ms()
            if guest.broke:
                self.desk.tell_owners(guest)
            self._changed.set()

    def _lost(self, guest: Guest) -> None:
        self._context.spawn(self._declare_dead(guest))

    async def _declare_dead(self, guest: Guest) -> None:
        """Its stream was closed by the other side, and it is not back, here or elsewhere: its tasks go on at others now.

        Where that cannot be made sure (Redis or etcd is away, another node has it) its claims run out instead.
        """
        try:
            if await self._keeper.renewed_elsewhere(guest) or not await self._members.is_here(guest):
                return
            if guest.line is not None or not self._context.status.alive or self._context.status.draining:
                return
            reason = f"its stream broke, and it was not back after {RECONNECT_WITHIN:g} s"
            await self._members.certify(guest, reason)
        except (LinkError, EtcdError) as error:
            _log.warning("%s is lost, its claims run out: %s", guest.agent_id, error)
            return
        _log.info("%s is dead: %s", guest.agent_id, reason)
        if guest.line is None:
            self._gone(guest)

    async def say_goodbye(self, guest: Guest) -> None:
        """It leaves for good: what it did not answer goes on elsewhere. Done to its end even if its stream ends first."""
        leaving = asyncio.ensure_future(self._see_off(guest))
        self._context.spawn(leaving)
        await asyncio.shield(leaving)

    async def _see_off(self, guest: Guest) -> None:
        await self._keeper.give_back(guest, Stop.LEFT)
        self._gone(guest)
        await self._members.leave(guest)

    def _gone(self, guest: Guest) -> None:
        if self.guests.get(guest.agent_id) is guest:
            del self.guests[guest.agent_id]
        self._members.forget(guest)
        self.desk.forget(guest)
        self._changed.set()

    def _moved(self, guest: Guest) -> None:
        """Another node has it now, and its claims."""
        _log.debug("%s is at another node", guest.agent_id)
        if guest.line is not None:
            guest.line.end(replaced(guest.agent_id))
        self._gone(guest)

    def registry_news(self, news: TableChange) -> None:
        """An agent's record says who has it."""
        guest = self.guests.get(news.id)
        if guest is not None and isinstance(news.new, AgentView) and news.new.inbox != self._context.status.node_id:
            host = self._context.table.nodes.get(news.new.inbox)
            if (
                host is not None
                and host.id != self._context.status.node_id
                and news.revision > self._members.revision(guest)
            ):
                self._moved(guest)

    async def drain(self) -> None:
        """This node leaves: its agents go to others with what they run. Returns when they are gone, or after a while."""
        others = self._others()
        for guest in self.guests.values():
            guest.go_elsewhere(others, "this node is draining")
        if not others:
            return
        try:
            async with asyncio.timeout(LEAVE_WITHIN):
                while any(guest.line is not None for guest in self.guests.values()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            _log.warning("%s leaves with %d agents still connected", self._context.status.node_id, len(self.guests))

    # ── what others ask of an agent ──────────────────────────────────────────────────────────────────────────────────

    def drain_agent(self, guest: Guest, grace_ms: int | None) -> None:
        """It finishes what runs; what still runs after the grace goes on elsewhere."""
        grace = self._context.config.drain_ms if grace_ms is None else grace_ms
        if not guest.draining:
            guest.draining = True
            guest.drain_until = self._loop.time() + grace / 1000
            guest.drain(grace)
            self.desk.release_waiting(guest)

    def resume_agent(self, guest: Guest) -> None:
        if guest.draining:
            guest.draining, guest.drain_until = False, None
            guest.resume()
            self._intake.look_soon()

    def set_credit(self, guest: Guest, credit: int) -> None:
        """More or fewer at once from now on; 0 = nothing new."""
        guest.credit = credit
        if not credit:
            self.desk.release_waiting(guest)
        else:
            self.desk.fill(guest)
            self._intake.look_soon()

    def now(self) -> float:
        return self._loop.time()

    def cancel(self, task_id: str, attempt: int, reason: str) -> bool:
        """Have it stopped wherever it runs here; `attempt` 0 = any."""
        found = [
            held
            for (known, n), held in self.desk.tasks.items()
            if known == task_id and attempt in (0, n) and held.stage in (Stage.CLAIMING, Stage.PUSHED)
        ]
        for held in found:
            self.desk.stop(held, Stop.GONE, reason)
        return bool(found)


def replaced(agent_id: str) -> PreconditionFailed:
    words = f"{agent_id} has a newer stream: this one is over"
    return PreconditionFailed(words, code="FAILED_PRECONDITION", reason="AGENT_REPLACED")


def running(guest: Guest) -> list[Held]:
    """What an agent runs, oldest first."""
    return sorted((held for held in guest.tasks.values() if held.started_ms), key=lambda held: held.started_ms)
