# SPDX-License-Identifier: Apache-2.0
"""Reads tasks for all agents of this gateway: their common inbox by a blocking read, the shared queues by polling.

As in an agent process (`agent/intake.py`), but on two connections, since a slot is always free somewhere and a look at the
queues must not wait for a block to end. What the inbox brings names its agent and waits here while that one is full (so
one agent's backlog holds nobody up); from a queue no more is read than there are free slots among those that may have it,
and who has most room gets it.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.clock import SYSTEM
from nervenet.redis_link.faults import LinkClosed, LinkError, RedisRefused
from nervenet.redis_link.reader import LONGEST_BLOCK_MS
from nervenet.registry.selection import Requirement, require
from nervenet.streams.groups import Groups
from nervenet.streams.queues import parse_requirement, parse_tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.desk import Desk
    from nervenet.node.gateway.guest import Guest
    from nervenet.redis_link.reader import Reader
    from nervenet.v1.task_pb2 import TaskEnvelope

SOONEST: Final = 0.05
LATEST: Final = 1.0
NAMES_EVERY: Final = 1.0
PAGE: Final = 500

_log = logging.getLogger(__name__)


class Queue(NamedTuple):
    """A shared queue that some agent here may serve."""

    requirement: Requirement
    hash: str
    says: bytes
    named: bool


class Seating:
    """Who of these gets the next task of a queue: the one with most room, in its share. One batch long."""

    def __init__(self, guests: Iterable[Guest], capability: str) -> None:
        self._room = {guest.agent_id: guest.free_for(capability) for guest in guests}
        self._guests = {guest.agent_id: guest for guest in guests}
        self._heap = [(guest.share, agent_id) for agent_id, guest in self._guests.items() if self._room[agent_id]]
        heapq.heapify(self._heap)

    @property
    def room(self) -> int:
        """How many tasks they can take together."""
        return sum(self._room.values())

    def seat(self, envelope: TaskEnvelope) -> Guest | None:
        """None: nobody has room. One to be avoided only when nobody else is there (the desk then leaves it to other nodes)."""
        if not self._heap:
            return None
        at = 0
        if envelope.avoid_agents:
            others = [i for i, (_, agent_id) in enumerate(self._heap) if agent_id not in envelope.avoid_agents]
            at = min(others, key=self._heap.__getitem__, default=0)
        _, agent_id = self._heap[at]
        guest = self._guests[agent_id]
        self._room[agent_id] -= 1
        if at:
            del self._heap[at]
            heapq.heapify(self._heap)
        else:
            heapq.heappop(self._heap)
        if left := self._room[agent_id]:
            heapq.heappush(self._heap, (1 - left / guest.credit, agent_id))
        return guest


def requirement_of(capability: str, says: bytes) -> Requirement:
    """What a queue asks for, from what stands beside its name. Raises ValueError where that cannot be read."""
    asked = parse_requirement(says)
    if asked is None:
        raise ValueError(says[:40])
    return require(capability, asked.match, asked.version or None)


class Rereads:
    """After every connect of a reader, and a BLOCK later again: not at its first, when nothing can be pending."""

    def __init__(self) -> None:
        self._connects = 1
        self._again_at = float("inf")

    def due(self, connects: int) -> bool:
        now = SYSTEM.monotonic()
        if connects > self._connects:
            self._connects, self._again_at = connects, now + LONGEST_BLOCK_MS / 1000
            return True
        if now < self._again_at:
            return False
        self._again_at = float("inf")
        return True


class Intake:
    """A missing inbox is made again only while the node's session is alive."""

    def __init__(self, context: NodeContext, desk: Desk, guests: Mapping[str, Guest]) -> None:
        self._context = context
        self._desk = desk
        self._guests = guests
        self._groups = Groups(context.link, context.keys)
        self._queues: dict[bytes, Queue] = {}
        self._named_at = float("-inf")
        self._pause = SOONEST
        self._soon = asyncio.Event()
        self._mine = ""
        desk.room = self.look_soon

    def __repr__(self) -> str:
        return f"<Intake of {self._context.status.node_id}, {len(self._queues)} queues>"

    async def run(self) -> None:
        """For as long as the node lives."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forever(self._read_inbox))
            group.create_task(self._forever(self._look))

    def look_soon(self) -> None:
        """An agent that was full has room, or a new one is there: owners may have turned to the queues."""
        self._pause = SOONEST
        self._soon.set()

    def names_changed(self) -> None:
        """An agent came that may do what nobody here could: learn its queues."""
        self._named_at = float("-inf")
        self.look_soon()

    async def make_inbox(self) -> None:
        self._mine = self._context.status.node_id
        await self._context.queues.make_inbox(self._mine)

    async def _forever(self, read: Callable[[Reader], Awaitable[None]]) -> None:
        """Each way of reading has a connection of its own."""
        reader = await self._context.link.dedicated()
        rereads = Rereads()
        try:
            while True:
                try:
                    await read(reader)
                    if rereads.due(reader.connects):
                        await self._reread(reader)
                except LinkClosed:
                    raise
                except RedisRefused as error:
                    await self._refused(error)
                except LinkError as error:
                    _log.warning("%s: reading for the gateway: %s", self._context.status.node_id, error)
                    await asyncio.sleep(SOONEST)
                except Exception:  # noqa: BLE001 - one entry that nobody foresaw is no reason to read no others
                    _log.exception("%s: reading for the gateway failed, it goes on", self._context.status.node_id)
                    await asyncio.sleep(LATEST)
        finally:
            await reader.close()

    # ── the inbox ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_inbox(self, reader: Reader) -> None:
        if self._mine != self._context.status.node_id:
            await self.make_inbox()
        inbox = self._context.keys.inbox(self._mine)
        words = self._context.queues.read_tasks(inbox, self._mine, PAGE, LONGEST_BLOCK_MS)
        if tasks := parse_tasks(await reader.read(*words)):
            self._desk.admit(inbox, tasks, self._addressee)

    def _addressee(self, envelope: TaskEnvelope) -> Guest | None:
        guest = self._guests.get(envelope.agent_id)
        return guest if guest is not None and envelope.capability in guest.able else None

    # ── the shared queues ────────────────────────────────────────────────────────────────────────────────────────────

    async def _look(self, reader: Reader) -> None:
        """One look at every queue that somebody here may serve; then a pause, unless there was more than room for it."""
        self._soon.clear()
        await self._learn_names()
        found = full = False
        for stream, queue in list(self._queues.items()):
            seating = self._seating(queue)
            if not (room := min(PAGE, seating.room)):
                continue
            try:
                words = self._context.queues.read_tasks(stream, self._context.status.node_id, room)
                tasks = parse_tasks(await reader.read(*words))
            except RedisRefused as error:
                if error.code != "NOGROUP" and not error.wrong_type:
                    raise
                if queue.named or error.wrong_type:
                    await self._context.queues.make_queue(queue.requirement.capability, queue.hash, queue.says)
                continue
            if tasks:
                self._desk.admit(stream, tasks, self._seating(queue).seat)
            found = found or bool(tasks)
            full = full or len(tasks) == room
        self._pause = SOONEST if found else min(self._pause * 2, LATEST)
        if not full:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._soon.wait()
                await asyncio.sleep(SOONEST / 10)  # what ends together is looked for together

    def _seating(self, queue: Queue) -> Seating:
        able = [guest for guest in self._guests.values() if guest.meets(queue.requirement)]
        return Seating(able, queue.requirement.capability)

    async def _learn_names(self) -> None:
        now = SYSTEM.monotonic()
        if now - self._named_at < NAMES_EVERY:
            return
        self._named_at = now
        capabilities = list({name for guest in self._guests.values() for name in guest.able})
        named = await asyncio.gather(*(self._context.queues.queues(name) for name in capabilities))
        self._queues = {}
        for name, queues in zip(capabilities, named, strict=True):
            for asked, says in (
                {"": b""} | queues
            ).items():  # the plain one is looked at before it is known to be there
                try:
                    requirement = requirement_of(name, says if asked else b"")
                except ValueError as error:
                    self._context.link.skips.skip(f"what a queue of {name} asks for", error)
                    continue
                self._queues[self._context.keys.queue(name, asked)] = Queue(requirement, asked, says, asked in queues)

    # ── after a broken connection ────────────────────────────────────────────────────────────────────────────────────

    async def _reread(self, reader: Reader) -> None:
        """What was handed to us by a reply that never came."""
        inbox = self._context.keys.inbox(self._mine)
        await self._reread_one(reader, inbox, self._addressee)
        await self._groups.trim(inbox)  # what was handed to us, and is no longer pending: nobody gets it any more
        for stream, queue in [(at, queue) for at, queue in self._queues.items() if queue.named]:
            await self._reread_one(reader, stream, self._seating(queue).seat)

    async def _reread_one(self, reader: Reader, stream: bytes, seat: Callable[[TaskEnvelope], Guest | None]) -> None:
        after: bytes | str = "0"
        while True:
            words = self._context.queues.read_own(stream, self._mine, PAGE, after)
            pending = parse_tasks(await reader.read(*words))
            if not pending:
                return
            after = pending[-1].id
            self._desk.admit(stream, self._desk.drops.unknown(stream, pending), seat)

    async def _refused(self, error: RedisRefused) -> None:
        """NOGROUP: our inbox is gone (Redis lost it). While we are registered we make it again."""
        if (error.code == "NOGROUP" or error.wrong_type) and self._context.status.alive:
            _log.warning("%s: the gateway's inbox was gone and is made again", self._context.status.node_id)
            await self.make_inbox()
            return
        _log.warning("%s: reading for the gateway: %s", self._context.status.node_id, error)
        await asyncio.sleep(LATEST)
