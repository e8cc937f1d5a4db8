# SPDX-License-Identifier: Apache-2.0
"""Removes from the blob store what no workflow has any more: values of workflows that have expired, of runs that are over, and those
that a crash left without a reference.

It takes its names from the store itself and asks Redis about them, so nothing has to be remembered, and any node may repeat it. Only
the node that rendezvous hashing chooses walks, so the store is listed once; two walks at once do no harm.

It removes only what is older than `blob_grace`: a process writes a value first and its reference soon after. And a workflow without a
head must be without one in two walks in a row, because nodes write back what Redis has lost. With an archive, its values also wait until
every run is archived that closed before its head was missed: a copy of an earlier run outlives the head.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from nervenet.blobs.blobs import names_in
from nervenet.blobs.reference import folder_of, run_of, workflow_of
from nervenet.blobs.store import SHARDS
from nervenet.objects import SinkError
from nervenet.redis_link.faults import LinkError
from nervenet.registry.rendezvous import rendezvous
from nervenet.streams.archive import ArchiveList

if TYPE_CHECKING:
    from nervenet.blobs import Blobs
    from nervenet.node.context import NodeContext
    from nervenet.streams.heads import Head

_log = logging.getLogger(__name__)

AT_A_TIME: Final = 500
"""Workflows whose heads are asked for together."""
MOST_MISSING: Final = 100_000
"""Workflows without a head that are remembered for the next walk; the others are found by a later one."""


class BlobSweep:
    """One for each node with a blob store."""

    def __init__(self, context: NodeContext, blobs: Blobs) -> None:
        self._context = context
        self._sink = blobs.store.sink
        self._metrics = blobs.store.metrics
        self._grace_ms = context.config.blob_grace_ms
        self._missing: dict[str, int] = {}
        """Workflows without a head, and when that was seen first."""
        self._archive = ArchiveList(context.link, context.keys) if context.config.archive else None

    async def run(self) -> None:
        """For as long as the node lives."""
        context = self._context
        while True:
            await asyncio.sleep(self._grace_ms / 2000)
            if context.status.alive and context.table.fresh and self._is_mine():
                try:
                    removed = await self.walk()
                except (LinkError, SinkError) as error:
                    _log.warning("%s: cleaning the blob store was interrupted: %s", context.status.node_id, error)
                else:
                    if removed:
                        _log.info("%s: removed %d values that nobody has", context.status.node_id, removed)

    def _is_mine(self) -> bool:
        node_id = self._context.status.node_id
        return rendezvous("blobs", {node_id, *(one.id for one in self._context.table.nodes.values())}) == node_id

    async def walk(self) -> int:
        """One walk over the whole namespace. Returns the number of objects that it removed."""
        now = self._context.clock.now_ms()
        archived_to = await self._archived_to(now)
        removed, missing = await self._remove(await self._old("trial", self._grace_ms)), dict[str, int]()
        for shard in SHARDS:
            found = [workflow_of(folder) for folder in await self._sink.folders(shard)]
            ids = [each for each in found if each is not None]
            for start in range(0, len(ids), AT_A_TIME):
                heads = await self._context.journal.heads(ids[start : start + AT_A_TIME], ("run", "owner", "state"))
                for workflow_id, head in heads:
                    if head is not None:
                        removed += await self._earlier_runs(shard, workflow_id, head)
                        continue
                    since = self._missing.get(workflow_id)
                    if since is not None and since < archived_to:
                        removed += await self._workflow(shard, workflow_id)
                    if len(missing) < MOST_MISSING:
                        missing[workflow_id] = now if since is None else since
        self._missing = missing
        return removed

    async def _archived_to(self, now: int) -> int:
        """Every run that closed before this time is in the archive, if there is one."""
        if self._archive is None:
            return now + 1
        number, oldest_ms = await self._archive.backlog()
        return oldest_ms if number else now + 1

    async def _workflow(self, shard: str, workflow_id: str) -> int:
        """It has expired, or was never created."""
        folder = f"{shard}/{folder_of(workflow_id)}"
        removed = await self._remove(await self._old(folder, self._grace_ms))
        await self._sink.drop_folder(folder)
        return removed

    async def _earlier_runs(self, shard: str, workflow_id: str, head: Head) -> int:
        """What runs before the last one had, unless the present run has it too: signals and inputs are passed on."""
        if head.run < 3:
            return 0
        old = await self._old(f"{shard}/{folder_of(workflow_id)}", self._grace_ms + self._context.config.hold_ms)
        old = [name for name in old if run_of(name.rpartition("/")[2]) < head.run - 1]
        if not old:
            return 0
        kept, last = set[str](), b""
        while page := await self._context.journal.read(workflow_id, last):
            for raw in page:
                kept |= names_in(raw.data)
            last = page[-1].id
        return await self._remove([name for name in old if name.rpartition("/")[2] not in kept])

    async def _old(self, folder: str, age_ms: int) -> list[str]:
        now = self._context.clock.now_ms()
        return [name for name, written_ms in await self._sink.ages(folder) if now - written_ms > age_ms]

    async def _remove(self, names: list[str]) -> int:
        for name in names:
            await self._sink.delete(name)
        self._metrics.removed(len(names))
        return len(names)
