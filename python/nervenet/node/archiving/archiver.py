# SPDX-License-Identifier: Apache-2.0
"""Writes batches of closed runs to the archive, one at a time, on every node.

No workflow waits for it. It holds one batch in memory, and that compressed: at most `MOST_BYTES` of lines make one. While the sink
is away it keeps that one batch and tries again, and what closes meanwhile stays in Redis. The protocol, with what a crash
leaves, is in `streams/archive.py`; the model is tests/model/archive.py.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nervenet.archive.index import FAN, MOST_ROWS, ROW, Table, merged
from nervenet.archive.record import ArchivedRun, line_of, summary_line
from nervenet.archive.segment import SegmentName, Writer
from nervenet.backoff import Backoff
from nervenet.blobs import BlobMissing
from nervenet.clock import SYSTEM, new_id
from nervenet.objects import ObjectMissing, SinkError
from nervenet.redis_link.faults import LinkError
from nervenet.streams.archive import ArchiveBatch, ArchiveList, StoredRun, WaitingRun
from nervenet.timing import ARCHIVE_EVERY, ARCHIVE_HOLD_MS, ARCHIVE_LINGER_MS, ARCHIVE_RETRY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nervenet.node.context import NodeContext
    from nervenet.objects import Sink
    from nervenet.streams.answers import RawEntry

_log = logging.getLogger(__name__)

MOST_RUNS: Final = 1_000
FULL: Final = 500
MOST_BYTES: Final = 32 << 20
READ_AT_A_TIME: Final = 32
"""Their lines take about 3 ms, in which the loop does nothing else."""
PACE: Final = 4.0
"""How many times as long as it worked it pauses: workflows go first. What closes in a burst is archived behind it."""
LATE_MS: Final = 120_000
"""A run that has waited for longer is archived without pauses: the load is no burst."""
TELL_AGAIN: Final = 300.0
"""Seconds between two log lines about a sink that takes nothing."""
MERGE_EVERY: Final = 8
"""Batches of this node between two looks at the tables of the index."""


class Archiver:
    """One for each node with an archive."""

    def __init__(self, context: NodeContext, sink: Sink) -> None:
        self._context = context
        self._sink = sink
        self._list = ArchiveList(context.link, context.keys)
        self._metrics = context.metrics.archive
        self._linger_ms = min(ARCHIVE_LINGER_MS, max(context.config.retention_ms // 4, 1))
        self._until_merge = MERGE_EVERY
        self._told_at = -TELL_AGAIN

    async def run(self) -> None:
        """For as long as the node lives."""
        pause = min(ARCHIVE_EVERY, self._linger_ms / 1000)
        await self._look()
        while True:
            try:
                while await self.step():
                    pass
            except LinkError as error:  # Redis is away: the batch is taken over when its time is over
                _log.info("%s: the archive waits for Redis: %s", self._context.status.node_id, error)
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        """A wrong address or wrong credentials are told when the node starts, not when the first workflow has closed."""
        try:
            await self._sink.folders("runs")
        except SinkError as error:
            self._metrics.failed()
            self._tell(error)

    def _tell(self, error: SinkError) -> None:
        now = SYSTEM.monotonic()
        if now - self._told_at >= TELL_AGAIN:
            self._told_at = now
            words = "%s: the archive takes nothing: %s. Closed workflows wait in Redis for up to archive_hold; this is tried again"
            _log.warning(words, self._context.status.node_id, error)

    async def step(self) -> bool:
        """One batch. False: there is nothing to do now."""
        token = new_id("b", self._context.entropy)
        batch = await self._list.take(
            token, most=MOST_RUNS, full=FULL, linger_ms=self._linger_ms, hold_ms=ARCHIVE_HOLD_MS
        )
        if batch is None:
            return False
        keeping = asyncio.create_task(self._keep(batch))
        try:
            await self._archive(batch)
        finally:
            keeping.cancel()
        return True

    async def _keep(self, batch: ArchiveBatch) -> None:
        """Nobody else takes the batch while this node works on it."""
        while True:
            await asyncio.sleep(ARCHIVE_HOLD_MS / 3000)
            with suppress(LinkError):
                await self._list.keep(batch, self._context.clock.now_ms() + ARCHIVE_HOLD_MS)

    # ── one batch ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _archive(self, batch: ArchiveBatch) -> None:
        writer, missing = Writer(), list[WaitingRun]()
        back = await self._collect(batch, writer, missing)
        runs = batch.runs if batch.sealed else tuple(writer.written)
        if not batch.sealed and not await self._list.seal(batch, runs, back):
            return
        if not runs:
            return
        name = SegmentName.of(runs)
        written = batch.sealed and bool(missing) and await self._patiently(lambda: self._is_there(name))
        if not written:
            objects = await asyncio.to_thread(writer.finish, name)
            for path, data in objects.objects:
                await self._patiently(partial(self._create, path, data))
            self._metrics.wrote(sum(len(data) for _, data in objects.objects))
        self._metrics.archived(await self._list.mark(runs))
        await self._list.done(batch)
        await self._merge_sometimes()

    async def _collect(self, batch: ArchiveBatch, writer: Writer, missing: list[WaitingRun]) -> list[WaitingRun]:
        """Read the runs and add their lines. Returns those that no longer fit; `missing` gets those that are not there."""
        for start in range(0, len(batch.runs), READ_AT_A_TIME):
            page, began = batch.runs[start : start + READ_AT_A_TIME], SYSTEM.monotonic()
            if writer.raw_bytes > MOST_BYTES and not batch.sealed:
                return list(batch.runs[start:])
            sent, full = [self._list.begin_read(run) for run in page], False
            for run, begun in zip(page, sent, strict=True):
                found = await self._read(run, begun)
                if found.status != "closed":
                    missing.append(run)
                    if found.status == "gone" and not batch.sealed:
                        self._lost(run)
                else:
                    full = self._add(writer, run, found)
            if full:
                await asyncio.to_thread(writer.pack)
            late = self._context.clock.now_ms() - page[0].closed_ms > LATE_MS
            await asyncio.sleep(0 if late else (SYSTEM.monotonic() - began) * PACE)
        return []

    async def _read(self, run: WaitingRun, begun: Awaitable[Any]) -> StoredRun:
        try:
            return await self._with_values(run, await self._list.read(run, begun))
        except (LinkError, ValueError) as error:
            if isinstance(error, LinkError) and not error.is_of_one_key:
                raise
            self._context.link.skips.skip(f"run {run.run} of {run.workflow_id}", error)  # others go on
            return StoredRun("open")

    async def _with_values(self, run: WaitingRun, found: StoredRun) -> StoredRun:
        """What lies in the blob store ends with the workflow, so the archive has its own copy. A value that is missing there stays a
        reference in the archive too. While the store is away the batch waits."""
        blobs = self._context.blobs
        if blobs is None:
            return found
        entries: list[RawEntry] = []
        for raw in found.entries:
            data, backoff = raw.data, Backoff(longest=ARCHIVE_RETRY)
            while blobs.has_reference(data):
                try:
                    data = await blobs.fill_entry(data, run.workflow_id)
                except BlobMissing as error:
                    _log.warning("the archive has run %d of %s without a value: %s", run.run, run.workflow_id, error)
                    break
                except LinkError as error:
                    _log.warning("the archive waits: %s", error)
                    await asyncio.sleep(backoff.next())
            entries.append(raw._replace(data=data))
        return found._replace(entries=tuple(entries))

    def _add(self, writer: Writer, run: WaitingRun, found: StoredRun) -> bool:
        assert found.head is not None
        told = ArchivedRun(run.workflow_id, found.head, list(found.entries), found.view)
        summary = summary_line(run.workflow_id, found.head)
        return writer.add(run, line_of(self._context.config.namespace, told, summary), summary)

    def _lost(self, run: WaitingRun) -> None:
        self._metrics.lost()
        words = "%s: run %d of %s is gone from Redis and was not archived: archive_hold has passed, or it was deleted"
        _log.error(words, self._context.status.node_id, run.run, run.workflow_id)

    # ── the sink ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _create(self, path: str, data: bytes) -> bool:
        await self._sink.create(path, data)
        return True

    async def _is_there(self, name: SegmentName) -> bool:
        """Whether the batch is written: its lines are the last of its objects."""
        try:
            await self._sink.read(name.path("runs"), 0, 1)
        except ObjectMissing:
            return False
        return True

    async def _patiently(self, call: Callable[[], Awaitable[bool]]) -> bool:
        """Again and again, until the sink takes it."""
        backoff = Backoff(longest=ARCHIVE_RETRY)
        while True:
            try:
                return await call()
            except SinkError as error:
                self._metrics.failed()
                self._tell(error)
            await asyncio.sleep(backoff.next())

    async def _merge_sometimes(self) -> None:
        self._until_merge -= 1
        if self._until_merge > 0:
            return
        self._until_merge = MERGE_EVERY
        try:
            await merge_tables(self._sink)
        except SinkError as error:
            _log.info("%s: tables of the archive are merged later: %s", self._context.status.node_id, error)


async def merge_tables(sink: Sink) -> int:
    """Merge the tables of each level of which there are enough. Returns how many were made.

    It needs no lock: rows are facts, and a table is deleted only when another one that has its rows is written.
    """
    made, again = 0, True
    while again:
        again = False
        levels: dict[int, list[Table]] = {}
        for name in await sink.names("index"):
            if name.endswith(".idx"):
                table = Table.parse(name)
                levels.setdefault(table.level, []).append(table)
        for level, tables in sorted(levels.items()):
            some = sorted(tables, key=lambda table: (table.rows, table.name))[:FAN]
            if len(some) == FAN and sum(table.rows for table in some) <= MOST_ROWS:
                made += await _merge(sink, level + 1, some)
                again = True
    return made


async def _merge(sink: Sink, level: int, tables: list[Table]) -> int:
    try:
        parts = [await sink.read(table.name) for table in tables]
    except ObjectMissing:  # another node merges them too, and is further
        return 0
    data = await asyncio.to_thread(merged, parts)
    made_of = "\n".join(sorted(table.name for table in tables)).encode()
    await sink.create(Table.named(level, len(data) // ROW, made_of).name, data)
    for table in tables:
        await sink.delete(table.name)
    return 1
