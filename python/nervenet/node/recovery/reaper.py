# SPDX-License-Identifier: Apache-2.0
"""Cleans up behind processes that are gone: inboxes, wakes, consumers, pending entries, stale members of owned sets.

Nothing depends on it: a task whose entry is deleted too early is sent again by its owner. So the reaper takes no lock and
copies nothing, and every node repeats the same walk. It takes names from the keys and groups themselves and compares them
with the registry; an event could have been missed. A name must be gone for a whole lease, and in two walks in a row,
before the reaper touches anything of it.

To collect the names Redis goes through all of its keys. Most are those of closed workflows: a million of them take seconds. So the
walks are rarer the longer they take.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM
from nervenet.redis_link.faults import LinkError
from nervenet.streams.groups import ConsumerGroups
from nervenet.timing import REAPER_EVERY

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.handover import Handover

_log = logging.getLogger(__name__)

COST_SHARE: Final = 0.01
"""The part of the time that walks may take."""


class Reaper:
    """One for each node. It works only while the node's session is alive."""

    def __init__(self, context: NodeContext, handover: Handover) -> None:
        self._context = context
        self._handover = handover
        self._groups = ConsumerGroups(context.link, context.keys)
        self._suspects: set[str] = set()

    async def run(self) -> None:
        """For as long as the node lives."""
        took = 0.0
        while True:
            await asyncio.sleep(max(REAPER_EVERY, took / COST_SHARE))
            if self._context.status.alive and self._context.table.fresh:
                began = SYSTEM.monotonic()
                try:
                    await self.walk()
                except LinkError as error:
                    _log.warning("%s: cleaning up was interrupted: %s", self._context.status.node_id, error)
                took = SYSTEM.monotonic() - began

    async def walk(self) -> int:
        """One walk. Returns the number of processes that were cleaned up behind."""
        queues: list[str] = []
        missing: set[str] = set()
        async for kind, name in self._groups.all_names():
            if kind == "queue":
                queues.append(name)
            elif not self._context.table.lives(name):
                missing.add(name)
        gone, self._suspects = missing & self._suspects, missing
        for name in gone:
            await self._groups.delete_streams(name)
            await self._clean_owned(name)
        await self._clean_queues(queues, gone)
        if gone:
            _log.info("%s: cleaned up behind %s", self._context.status.node_id, ", ".join(sorted(gone)))
        return len(gone)

    async def _clean_owned(self, dead: str) -> None:
        """Remove ids that need no adoption: closed, owned by another node, or without a head."""
        context = self._context
        async for page in context.ownership.owned(dead):
            heads = await context.journal.heads(page, ("owner", "closed_ms"))
            needless = [w for w, head in heads if head is None or head.closed or head.owner != dead]
            if needless:
                await self._handover.disown(dead, *needless)

    async def _clean_queues(self, queues: list[str], gone: set[str]) -> None:
        """Remove what dead consumers hold, then the consumers, then what was delivered and is pending nowhere."""
        for tag in queues:
            capability, _, requirement = tag.partition("/")
            stream = self._context.keys.queue(capability, requirement)
            consumers = await self._groups.consumers(stream)
            if consumers is None:  # Redis has lost the group, and then got a task that was sent again
                await self._context.queues.make_queue_stream(capability, requirement)
            for consumer in consumers or ():
                if consumer in gone or (consumer not in self._suspects and not self._context.table.lives(consumer)):
                    await self._clean_consumer(stream, consumer)
            await self._groups.trim(stream)

    async def _clean_consumer(self, stream: bytes, consumer: str) -> None:
        while held := await self._groups.pending(stream, consumer):
            await self._context.queues.drop(stream, *(entry.id for entry in held))
        await self._groups.drop_consumer(stream, consumer)
