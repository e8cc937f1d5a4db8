# SPDX-License-Identifier: Apache-2.0
"""The shared queues as people see them: what waits in each, since when, and who could take it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nervenet.redis_link.faults import RedisRefused
from nervenet.registry.selection import Requirement, require
from nervenet.streams.groups import ConsumerGroups
from nervenet.streams.queues import GROUP, QueueRequirement, parse_requirement
from nervenet.v1 import registry_service_pb2 as pb
from nervenet.wire import duration

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext


class Queued:
    """One for each node."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._groups = ConsumerGroups(context.link, context.keys)

    async def all(self) -> list[pb.QueueInfo]:
        """Those in which something waits, by capability."""
        found: list[str] = []
        async for page in self._groups.names("queue"):
            found += page
        told = await asyncio.gather(*(self._one_or_none(tag) for tag in sorted(set(found))))
        return [info for info in told if info is not None]

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
