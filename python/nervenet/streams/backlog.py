# SPDX-License-Identifier: Apache-2.0
"""How many tasks wait in the shared queues of a capability, since when, and how many of them run. It only reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from nervenet.redis_link.faults import RedisRefused
from nervenet.streams.queues import GROUP, parse_requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nervenet.redis_link.link import Link
    from nervenet.streams.keys import Keys
    from nervenet.streams.queues import Queues

__all__ = ["Backlog", "Waiting"]


class Waiting(NamedTuple):
    """Tasks that were sent to a queue and that no agent has read. `oldest_ms` is Redis' time; 0 if there are none.
    `pending` are those that an agent has read, and that have not ended."""

    tasks: int
    oldest_ms: int
    pending: int = 0


class Backlog:
    """The queues of one namespace."""

    def __init__(self, link: Link, keys: Keys, queues: Queues) -> None:
        self._link = link
        self._keys = keys
        self._queues = queues

    async def of(self, capabilities: Iterable[str]) -> dict[str, Waiting]:
        """What waits, by capability. A capability without a queue is left out."""
        names = list(capabilities)
        found = await asyncio.gather(*map(self._of, names))
        return {name: waiting for name, waiting in zip(names, found, strict=True) if waiting is not None}

    async def _of(self, capability: str) -> Waiting | None:
        try:
            hashes = await self._queues.queues(capability)
            each = await asyncio.gather(*(self._in(self._keys.queue(capability, one)) for one in hashes))
        except RedisRefused as refused:  # a key of another kind: people see it by the counter of unreadable records
            if not refused.wrong_type:
                raise
            self._link.skips.skip(f"a queue of {capability}", refused)
            return None
        return _sum(each) if each else None

    async def within_reach(self, capability: str, version: str, labels: Mapping[str, str]) -> Waiting:
        """The same for the queues that an agent of this version and these labels reads."""
        named = await self._queues.queues(capability)
        asked = {hash_: parse_requirement(text) for hash_, text in named.items()}
        met = [hash_ for hash_, one in asked.items() if one is not None and one.is_met_by(version, labels)]
        return _sum(await asyncio.gather(*(self._in(self._keys.queue(capability, hash_)) for hash_ in met)))

    async def _in(self, stream: bytes) -> Waiting:
        length, (last, pending) = await asyncio.gather(self._link.call("XLEN", stream), self._group(stream))
        count = int(length) - pending
        if count <= 0:
            return Waiting(0, 0, pending)
        oldest = await self._link.call("XRANGE", stream, b"(" + last, "+", "COUNT", 1)
        return Waiting(count, int(oldest[0][0].partition(b"-")[0]), pending) if oldest else Waiting(0, 0, pending)

    async def _group(self, stream: bytes) -> tuple[bytes, int]:
        """The last delivered id and how many entries are pending."""
        try:
            groups: list[Any] = await self._link.call("XINFO", "GROUPS", stream)
        except RedisRefused as refused:
            if refused.wrong_type:
                raise
            return b"0-0", 0
        for row in groups:
            group = dict(zip(row[::2], row[1::2], strict=True))
            if group[b"name"] == GROUP.encode():
                return group[b"last-delivered-id"], int(group[b"pending"])
        return b"0-0", 0


def _sum(each: Iterable[Waiting]) -> Waiting:
    found = list(each)
    oldest = min((waiting.oldest_ms for waiting in found if waiting.tasks), default=0)
    return Waiting(sum(waiting.tasks for waiting in found), oldest, sum(waiting.pending for waiting in found))
