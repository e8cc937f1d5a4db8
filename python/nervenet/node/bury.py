# SPDX-License-Identifier: Apache-2.0
"""Cleaning up behind processes that are gone: inboxes, wakes, consumers, pending entries, stale members of owned sets.

It is cleaning, not rescue (docs/architecture.md, Clean up after a dead process): whatever is deleted too early is sent again by its owner. So it takes no lock, copies
nothing, and is repeated by every node, again and again; the names come from the keys and groups themselves, held
against the registry, not from an event that may have been missed. A name must be gone for a whole lease, and for two
walks in a row, before anything of it is touched.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from nervenet.redis_link.faults import LinkError
from nervenet.streams.groups import Groups

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nervenet.node.context import NodeContext
    from nervenet.node.handover import Handover

_log = logging.getLogger(__name__)

EVERY = 30.0


class Bury:
    """The walk of one node, while its session is alive: a node that may be dead itself buries nobody."""

    def __init__(self, context: NodeContext, handover: Handover) -> None:
        self._context = context
        self._handover = handover
        self._groups = Groups(context.link, context.keys)
        self._suspects: set[str] = set()

    async def run(self) -> None:
        """For as long as the node lives."""
        while True:
            await asyncio.sleep(EVERY)
            if self._context.status.alive and self._context.table.fresh:
                try:
                    await self.walk()
                except LinkError as error:
                    _log.warning("%s: burying was cut short: %s", self._context.status.node_id, error)

    async def walk(self) -> int:
        """One walk; how many processes were buried."""
        missing = {name async for name in self._processes() if not self._context.table.lives(name)}
        gone, self._suspects = missing & self._suspects, missing
        for name in gone:
            await self._groups.delete_streams(name)
            await self._clean_owned(name)
        await self._clean_queues(gone)
        if gone:
            _log.info("%s: cleaned up behind %s", self._context.status.node_id, ", ".join(sorted(gone)))
        return len(gone)

    async def _processes(self) -> AsyncIterator[str]:
        for kind in ("inbox", "wake", "owned"):
            async for names in self._groups.names(kind):
                for name in names:
                    yield name

    async def _clean_owned(self, dead: str) -> None:
        """Ids that need no adoption: closed, another's, or neither running nor headed."""
        context = self._context
        async for page in context.ownership.owned(dead):
            heads = await context.journal.heads(page, ("owner", "closed_ms"))
            needless = [w for w, head in heads if head is None or head.closed or head.owner != dead]
            if needless:
                await self._handover.disown(dead, *needless)

    async def _clean_queues(self, gone: set[str]) -> None:
        """What dead consumers hold goes, then they go, then what was delivered and is pending nowhere."""
        async for tags in self._groups.names("queue"):
            for tag in tags:
                capability, _, requirement = tag.partition("/")
                stream = self._context.keys.queue(capability, requirement)
                for consumer in await self._groups.consumers(stream):
                    if consumer in gone or (consumer not in self._suspects and not self._context.table.lives(consumer)):
                        await self._clean_consumer(stream, consumer)
                await self._groups.trim(stream)

    async def _clean_consumer(self, stream: bytes, consumer: str) -> None:
        while held := await self._groups.pending(stream, consumer):
            await self._context.queues.drop(stream, *(entry.id for entry in held))
        await self._groups.drop_consumer(stream, consumer)
