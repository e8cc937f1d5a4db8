# SPDX-License-Identifier: Apache-2.0
"""The shared queues as people see them: what waits in each, since when, and who could take it.

Which queues there are only a walk over all keys of Redis tells. While it is quick each request makes one. With many
closed workflows it takes seconds: then the last walk counts for fifty times as long as it took, and the queues of all
capabilities that an agent serves are asked for in any case.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from nervenet.clock import SYSTEM
from nervenet.redis_link.faults import RedisRefused
from nervenet.registry.selection import Requirement, require
from nervenet.streams.groups import ConsumerGroups
from nervenet.streams.queues import GROUP, QueueRequirement, parse_requirement
from nervenet.v1 import registry_service_pb2 as pb
from nervenet.wire import duration

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext


QUICK: Final = 0.2
"""Seconds. A walk that takes less is made for each request."""
FRESH_FOR: Final = 50
"""How many times as long as it took a slow walk counts."""


class Queued:
    """One for each node."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._groups = ConsumerGroups(context.link, context.keys)
        self._walked: set[str] = set()
        self._fresh_until = 0.0
        self._walking = asyncio.Lock()

    async def all(self) -> list[pb.QueueInfo]:
        """Those in which something waits, by capability."""
        names = await self._names()
        told = await asyncio.gather(*(self._one_or_none(tag) for tag in sorted(names)))
        return [info for info in told if info is not None]

    async def _names(self) -> set[str]:
        async with self._walking:
            if SYSTEM.monotonic() >= self._fresh_until:
                began = SYSTEM.monotonic()
                self._walked = {name async for kind, name in self._groups.all_names() if kind == "queue"}
                took = SYSTEM.monotonic() - began
                self._fresh_until = 0.0 if took < QUICK else began + took * FRESH_FOR
                return self._walked
        return self._walked | await self._served()

    async def _served(self) -> set[str]:
        """The queues of the capabilities that agents serve."""
        served = {name for agent in tuple(self._context.table.agents.values()) for name in agent.capabilities}
        known = await asyncio.gather(*map(self._context.queues.queues, sorted(served)))
        return {
            f"{name}/{hash_}" if hash_ else name
            for name, hashes in zip(sorted(served), known, strict=True)
            for hash_ in hashes
        }

    async def _one_or_none(self, tag: str) -> pb.QueueInfo | None:
        try:
            return await self._one(tag)
        except RedisRefused as refused:
            if not refused.wrong_type:
                raise
            self._context.link.skips.skip(f"queue {tag}", refused)
            return None

    async def _one(self, tag: str) -> pb.QueueInfo | None:
        """`tag` is `<capability>` or `<capability>/<hash>`."""
        capability, _, hash_ = tag.partition("/")
        stream = self._context.keys.queue(capability, hash_)
        last, pending = await self._group(stream)
        waiting = int(await self._context.link.call("XLEN", stream)) - pending
        if waiting <= 0:
            return None
        requirement = await self._requirement(capability, hash_)
        oldest = await self._context.link.call("XRANGE", stream, b"(" + last, "+", "COUNT", 1)
        age = self._context.clock.now_ms() - int(oldest[0][0].partition(b"-")[0]) if oldest else 0
        return pb.QueueInfo(
            capability=capability,
            match_labels=dict(requirement.match),
            waiting=waiting,
            oldest=duration(max(0, age)),
            agents=self._able(requirement),
        )

    async def _group(self, stream: bytes) -> tuple[bytes, int]:
        """The last delivered id and how many entries are pending."""
        try:
            groups: list[Any] = await self._context.link.call("XINFO", "GROUPS", stream)
        except RedisRefused:
            return b"0-0", 0
        for row in groups:
            group = dict(zip(row[::2], row[1::2], strict=True))
            if group[b"name"].decode() == GROUP:
                return group[b"last-delivered-id"], group[b"pending"]
        return b"0-0", 0

    async def _requirement(self, capability: str, hash_: str) -> Requirement:
        says = (await self._context.queues.queues(capability)).get(hash_, b"") if hash_ else b""
        asked = parse_requirement(says) or QueueRequirement({}, "")
        return require(capability, asked.match, asked.version or None)

    def _able(self, requirement: Requirement) -> int:
        serving = self._context.table.pools.candidates(requirement.capability)
        able = [c for c in serving if not requirement.missing(c.capability.version, c.labels)]
        return len([c for c in able if c.agent.state == "ACTIVE"])
