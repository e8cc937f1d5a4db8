# SPDX-License-Identifier: Apache-2.0
"""Reading tasks: the shared queues by polling, and again what a broken connection may have swallowed.

A process learns once a second which queues its capabilities have, and looks at those whose requirement it meets: 50 ms
after a look that found tasks, and up to a second later if there are none. It reads no more than it has room for. After
a reconnect it reads what is pending under its name, since a reply may have got lost; and once more when a read that was
blocked at that time must have ended.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from nervenet.redis_link.faults import LinkClosed, LinkError, RedisRefused
from nervenet.redis_link.reader import LONGEST_BLOCK_MS
from nervenet.streams.groups import ConsumerGroups
from nervenet.streams.queues import QueueRequirement, parse_requirement, parse_tasks
from nervenet.timing import POLL_LATEST, POLL_SOONEST, QUEUE_NAMES_EVERY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from nervenet.redis_link.reader import Reader
    from nervenet.streams.data_plane import DataPlane
    from nervenet.streams.queues import Delivered
    from nervenet.streams.tasks.deliveries import Deliveries

__all__ = ["QUEUE_PAGE", "KnownQueue", "QueueHost", "QueuePoller"]

QUEUE_PAGE: Final = 500
"""Entries of one read at most."""
_NEVER: Final = float("inf")

_log = logging.getLogger(__name__)


class KnownQueue(NamedTuple):
    """A shared queue. `requirement_hash` is "" for the plain one, which is polled before it is `listed`."""

    stream: bytes
    capability: str
    requirement_hash: str
    requirement_json: bytes
    requirement: QueueRequirement
    listed: bool


class QueueHost(Protocol):
    """Who reads, and who has room."""

    @property
    def consumer(self) -> str:
        """The name under which it reads; its inbox has the same name."""

    @property
    def is_registered(self) -> bool:
        """Whether its lease is alive, as far as it knows: only then may it create its inbox again."""

    def capabilities(self) -> Iterable[str]:
        """Whose queues it polls."""

    def serves(self, capability: str, requirement: QueueRequirement) -> bool:
        """Whether it meets what the tasks of a queue require."""

    def room(self, queue: KnownQueue | None) -> int:
        """How many tasks of this queue it can take now; None: of whatever was pending."""

    def admit(self, stream: bytes, tasks: Sequence[Delivered], queue: KnownQueue | None) -> None:
        """Take what was read from a queue; None: from its inbox."""


class _Rereads:
    """When to read again what is pending: not after the first connect, when nothing can be pending."""

    def __init__(self) -> None:
        self._connects = 1
        self._again_at = _NEVER

    def due(self, connects: int, now: float) -> bool:
        if connects > self._connects:
            self._connects, self._again_at = connects, now + LONGEST_BLOCK_MS / 1000
            return True
        if now < self._again_at:
            return False
        self._again_at = _NEVER
        return True

    def again(self, at: float) -> None:
        self._again_at = at


class QueuePoller:
    """One for each name under which a process reads."""

    def __init__(
        self, data_plane: DataPlane, deliveries: Deliveries, monotonic: Callable[[], float], host: QueueHost
    ) -> None:
        self._link = data_plane.link
        self._keys = data_plane.keys
        self._queues = data_plane.queues
        self._groups = ConsumerGroups(data_plane.link, data_plane.keys)
        self._deliveries = deliveries
        self._monotonic = monotonic
        self._host = host
        self.queues: list[KnownQueue] = []
        self._names_at = float("-inf")
        self._pause = POLL_SOONEST

    def __repr__(self) -> str:
        return f"<QueuePoller of {self._host.consumer}, {len(self.queues)} queues>"

    async def read_forever(
        self, read: Callable[[Reader], Awaitable[None]], active: Callable[[], bool] = lambda: True
    ) -> None:
        """Call `read` on a connection of its own, again and again while `active`, whatever goes wrong."""
        reader = await self._link.dedicated()
        rereads = _Rereads()
        try:
            while active():
                try:
                    await read(reader)
                    if active() and rereads.due(reader.connects, self._monotonic()) and not await self._reread(reader):
                        rereads.again(self._monotonic() + POLL_LATEST)
                except LinkClosed:
                    raise
                except RedisRefused as error:
                    await self._refused(error)
                except LinkError as error:
                    _log.warning("%s: reading tasks: %s", self._host.consumer, error)
                    await asyncio.sleep(POLL_SOONEST)
                except Exception:  # noqa: BLE001 - one unexpected entry must not stop all reading
                    _log.exception("%s: reading tasks failed and is tried again", self._host.consumer)
                    await asyncio.sleep(POLL_LATEST)
        finally:
            await reader.close()

    # ── the shared queues ────────────────────────────────────────────────────────────────────────────────────────────

    async def look(self, reader: Reader) -> float:
        """One look at every queue for whose tasks there is room. Returns the seconds until the next look."""
        await self._learn_names()
        found = full = False
        for queue in list(self.queues):
            room = min(QUEUE_PAGE, self._host.room(queue))
            if not room:
                continue
            try:
                words = self._queues.read_tasks(queue.stream, self._host.consumer, room)
                tasks = parse_tasks(await reader.read(*words))
            except RedisRefused as error:
                if error.code != "NOGROUP" and not error.wrong_type:
                    raise
                if queue.listed or error.wrong_type:
                    await self._queues.make_queue_stream(queue.capability, queue.requirement_hash)
                continue
            if tasks:
                self._host.admit(queue.stream, tasks, queue)
            found = found or bool(tasks)
            full = full or len(tasks) == room
        self._pause = POLL_SOONEST if found else min(self._pause * 2, POLL_LATEST)
        return 0.0 if full else self._pause

    def expect_tasks(self) -> None:
        """There was no room, and there is again: owners may have turned to the queues."""
        self._pause = POLL_SOONEST

    def forget_names(self) -> None:
        """The capabilities have changed: learn the names of their queues at the next look."""
        self._names_at = float("-inf")

    async def _learn_names(self) -> None:
        now = self._monotonic()
        if now - self._names_at < QUEUE_NAMES_EVERY:
            return
        self._names_at = now
        capabilities = list(self._host.capabilities())
        listed = await asyncio.gather(*(self._queues.queues(name) for name in capabilities))
        self.queues = [
            queue
            for name, queues in zip(capabilities, listed, strict=True)
            for hash_, text in ({"": b""} | queues).items()
            if (queue := self._known(name, hash_, text if hash_ else b"", hash_ in queues)) is not None
        ]

    def _known(self, capability: str, hash_: str, requirement_json: bytes, listed: bool) -> KnownQueue | None:
        requirement = parse_requirement(requirement_json)
        if requirement is None:
            self._link.skips.skip(f"what a queue of {capability} requires", requirement_json[:40])
            return None
        if not self._host.serves(capability, requirement):
            return None
        stream = self._keys.queue(capability, hash_)
        return KnownQueue(stream, capability, hash_, requirement_json, requirement, listed)

    # ── after a broken connection ────────────────────────────────────────────────────────────────────────────────────

    async def _reread(self, reader: Reader) -> bool:
        """Take what was handed to this process by a reply that never came. False: there was not room for all of it."""
        inbox = self._keys.inbox(self._host.consumer)
        complete = await self._reread_stream(reader, inbox, None)
        # What was delivered and is no longer pending is lost, and its owner sends it again.
        await self._groups.trim(inbox)
        for queue in list(self.queues):
            try:
                complete = await self._reread_stream(reader, queue.stream, queue) and complete
            except RedisRefused as error:
                if queue.listed or error.code != "NOGROUP":  # else nobody has made it yet
                    raise
        return complete

    async def _reread_stream(self, reader: Reader, stream: bytes, queue: KnownQueue | None) -> bool:
        after: bytes | str = "0"
        while True:
            words = self._queues.read_own(stream, self._host.consumer, QUEUE_PAGE, after)
            pending = parse_tasks(await reader.read(*words))
            if not pending:
                return True
            after = pending[-1].id
            lost = self._deliveries.unknown(stream, pending)
            room = self._host.room(None)
            self._host.admit(stream, lost[:room], queue)
            if len(lost) > room:
                return False

    async def _refused(self, error: RedisRefused) -> None:
        """NOGROUP: the inbox is gone. A process whose lease is over was cleaned up, and must not create it again."""
        consumer = self._host.consumer
        if error.code != "NOGROUP" and not error.wrong_type:
            _log.warning("%s: reading tasks: %s", consumer, error)
            await asyncio.sleep(POLL_LATEST)
        elif self._host.is_registered:
            _log.warning("%s: its inbox was gone and is made again", consumer)
            await self._queues.make_inbox(consumer)
        else:
            await asyncio.sleep(POLL_SOONEST)
