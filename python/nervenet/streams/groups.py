# SPDX-License-Identifier: Apache-2.0
"""Consumer groups of inboxes and queues: where an entry is, and the clean-up of what dead processes leave.

It hides Redis' replies about groups, consumers and pending lists. Any node may call everything here, at any time,
repeatedly, also at the same time as other nodes: there is no lock, and nothing is copied. Deleting a task too early
does no harm, because its owner sends it again. Deleting a consumer with pending entries would lose them, so one script
deletes it only while nothing is pending under its name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Literal, NamedTuple, TypeAlias

from nervenet.redis_link.connection import Arg
from nervenet.redis_link.faults import RedisRefused
from nervenet.redis_link.link import Link
from nervenet.streams.keys import Keys
from nervenet.streams.queues import GROUP
from nervenet.streams.script import packaged_scripts

__all__ = ["ConsumerGroups", "EntryPlace", "PendingDelivery"]

PlaceKind: TypeAlias = Literal["gone", "unread", "pending", "lost"]

_TRIM_PAGE: Final = 500


class EntryPlace(NamedTuple):
    """Where a stream entry is. `lost`: it was delivered and is pending nowhere. Treat it as `gone`: delete and send
    again."""

    kind: PlaceKind
    consumer: str = ""


class PendingDelivery(NamedTuple):
    """One line of a group's pending list."""

    id: bytes
    consumer: str
    idle_ms: int
    deliveries: int


class ConsumerGroups:
    """The groups of one namespace's inboxes and queues."""

    __slots__ = ("_keys", "_link", "_scripts")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._scripts = {script.name: script for script in packaged_scripts()}

    async def place(self, stream: bytes, id: bytes) -> EntryPlace:
        """Where the entry of a task is. An owner asks this when no agent has claimed the step."""
        kind, *consumer = await self._link.script(self._scripts["entry_place"], (stream,), (GROUP, id))
        return EntryPlace(kind.decode(), _name(consumer[0]) if consumer else "")

    async def pending(
        self, stream: bytes, consumer: str = "", count: int = 100, after: bytes = b""
    ) -> list[PendingDelivery]:
        """The group's pending list, or one consumer's part of it, after the id `after`. [] if the stream or group is
        missing."""
        words: list[Arg] = ["XPENDING", stream, GROUP, b"(" + after if after else "-", "+", count]
        try:
            reply = await self._link.call(*words, *((consumer,) if consumer else ()))
        except RedisRefused as error:
            if error.code != "NOGROUP":
                raise
            return []
        return [PendingDelivery(at, _name(who), idle, times) for at, who, idle, times in reply]

    async def consumers(self, stream: bytes) -> list[str] | None:
        """The consumers that have ever read from the group, dead or alive. None: the stream has no group, or is gone."""
        try:
            reply = await self._link.call("XINFO", "CONSUMERS", stream, GROUP)
        except RedisRefused as error:
            if error.code not in ("NOGROUP", "ERR"):
                raise
            return None
        return [_name(dict(zip(row[::2], row[1::2], strict=True))[b"name"]) for row in reply]

    async def drop_consumer(self, stream: bytes, consumer: str) -> bool:
        """Delete the consumer of a dead process. False: entries are pending under its name; drop them first."""
        return bool(await self._link.script(self._scripts["consumer_drop"], (stream,), (GROUP, consumer)))

    async def trim(self, stream: bytes) -> int:
        """Delete the entries that were delivered and are pending nowhere. Returns their number."""
        removed, start = 0, b"-"
        while start:
            keys, args = (stream,), (GROUP, start, _TRIM_PAGE)
            count, start = await self._link.script(self._scripts["stream_trim"], keys, args)
            removed += count
        return removed

    async def delete_streams(self, process_id: str) -> None:
        """Delete the inbox and the wake of a dead process. Call it one lease after its death at the earliest."""
        await self._link.call("DEL", self._keys.inbox(process_id))
        await self._link.call("DEL", self._keys.wake(process_id))

    async def depth(self, stream: bytes) -> int:
        """The number of entries in the stream: those that wait, and those that an agent works on."""
        return int(await self._link.call("XLEN", stream))

    async def all_names(self) -> AsyncIterator[tuple[str, str]]:
        """Kind (`inbox`, `wake`, `owned` or `queue`) and name of all these keys, in one walk over the keys of Redis."""
        kinds = {
            self._keys.every(kind).encode().removesuffix(b"*}"): kind for kind in ("inbox", "wake", "owned", "queue")
        }
        async for keys in self._link.scan(self._keys.processes_and_queues):
            for key in keys:
                kind = kinds.get(key[: key.find(b"{") + 1])
                if kind is not None and (tag := self._keys.tag_or_none(key)) is not None:
                    yield kind, tag


def _name(raw: bytes) -> str:
    """A consumer's name. One that is no text is none of our agents, so an approximate text will do."""
    return raw.decode(errors="replace")
