# SPDX-License-Identifier: Apache-2.0
"""Reads the archive: one run by its id, and pages of the list.

One run costs a list of the tables, a read of a few kilobytes for each of them, all at once, and a read of one block. A page of the
list reads `MOST_LISTS` objects at most, of about a thousand runs each; a short page with a cursor says that there may be
more. What is read often stays in memory, up to `CACHE` bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.archive.index import ROW, Place, Table, hash_of, range_of, rows_in
from nervenet.archive.record import ArchivedRun, head_of, run_of
from nervenet.archive.segment import SegmentName, unpacked
from nervenet.clock import SYSTEM
from nervenet.objects import ObjectMissing, SinkError
from nervenet.streams.ownership import day_of

if TYPE_CHECKING:
    from nervenet.objects import Sink
    from nervenet.streams.heads import Head

__all__ = ["ArchiveReader", "ListPage", "Listed", "Period"]

CACHE: Final = 16 << 20
CACHED_TABLE: Final = 512 << 10
"""Tables up to this size are read whole, and kept."""
MOST_LISTS: Final = 8
AT_A_TIME: Final = 32
FRESH: Final = 1.0
"""Seconds for which the names of the tables are used again."""
TRIES: Final = 3


class Listed(NamedTuple):
    """A run in a list."""

    workflow_id: str
    head: Head


class ListPage(NamedTuple):
    """`cursor` is None behind the last page."""

    rows: list[Listed]
    cursor: tuple[str, int] | None


class Period(NamedTuple):
    """When runs closed, in ms; `before_ms` is no longer in it."""

    after_ms: int = 0
    before_ms: int = 1 << 62


class ArchiveReader:
    """One for each node and namespace."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._tables: list[Table] = []
        self._listed_at = float("-inf")
        self._listing = asyncio.Lock()
        self._room = asyncio.Semaphore(AT_A_TIME)

    # ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, workflow_id: str) -> ArchivedRun | None:
        """The last closed run of a workflow. Raises SinkError."""
        asked = SYSTEM.monotonic()
        found = await self._newest(workflow_id, asked - FRESH)
        if found is None and self._listed_at < asked:  # Redis may have forgotten it since the tables were listed
            found = await self._newest(workflow_id, asked)
        return found

    async def _newest(self, workflow_id: str, listed_since: float) -> ArchivedRun | None:
        """A place may be wrong, if a node died that had cut the blocks of a batch otherwise than the one that wrote them. Then the
        batch has a right place too. What was deleted by its owner is not there. Batches of two nodes may overlap in time."""
        newest: ArchivedRun | None = None
        failed: dict[SegmentName, SinkError | ValueError] = {}
        for place in sorted(await self._places(hash_of(workflow_id), listed_since), key=_last_ms, reverse=True):
            if newest is not None and _last_ms(place) < newest.head.closed_ms:
                break
            name = SegmentName.at(place)
            try:
                found = await self._run(workflow_id, place)
            except ObjectMissing:
                continue
            except (SinkError, ValueError) as error:
                failed[name] = error
                continue
            if found is not None:
                failed.pop(name, None)
                newest = max((run for run in (newest, found) if run is not None), key=_order)
        for name, left in failed.items():
            if newest is None or name.last_ms >= newest.head.closed_ms:  # a later run may be there
                raise left
        return newest

    async def _places(self, wanted: int, listed_since: float) -> set[Place]:
        for _ in range(TRIES):
            tables = await self._table_names(listed_since)
            looks = await asyncio.gather(*(self._look(table, wanted) for table in tables), return_exceptions=True)
            failed = [look for look in looks if isinstance(look, BaseException)]
            if not failed:
                return {place for look in looks if not isinstance(look, BaseException) for place in look}
            if not all(isinstance(each, ObjectMissing) for each in failed):  # else: merged into another table since
                raise next(each for each in failed if not isinstance(each, ObjectMissing))
            listed_since = SYSTEM.monotonic()
        raise SinkError("its tables change faster than they can be read")

    async def _table_names(self, since: float) -> list[Table]:
        """The tables, as of this time or later. Callers that wait share one listing."""
        async with self._listing:
            if self._listed_at < since:
                began = SYSTEM.monotonic()
                self._tables = [Table.parse(name) for name in await self._sink.names("index") if name.endswith(".idx")]
                self._listed_at = began
            return self._tables

    async def _look(self, table: Table, wanted: int) -> list[Place]:
        size = table.rows * ROW
        if size <= CACHED_TABLE:
            return rows_in(await self._kept(table.name), wanted)[0]
        low, high = range_of(table.rows, wanted)
        async with self._room:
            part = await self._sink.read(table.name, low * ROW, high * ROW)
        found, within = rows_in(part, wanted)
        if not within and not (low == 0 and high == table.rows):
            async with self._room:
                found, _ = rows_in(await self._sink.read(table.name), wanted)
        return found

    async def _run(self, workflow_id: str, place: Place) -> ArchivedRun | None:
        path = SegmentName.at(place).path("runs")
        block = await self._sink.read(path, place.offset, place.offset + place.length)
        mark = b'"workflow_id":' + json.dumps(workflow_id).encode()
        found = [run_of(line) for line in unpacked(block).splitlines() if mark in line]
        runs = [run for run in found if run.workflow_id == workflow_id]
        return max(runs, key=_order) if runs else None

    # ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def page(
        self,
        size: int,
        fits: Callable[[Head], bool],
        period: Period,
        cursor: tuple[str, int] | None = None,
    ) -> ListPage:
        """Runs, the newest first, about by when they closed: in the order of the objects, and within each in order.

        Raises SinkError.
        """
        rows: list[Listed] = []
        read = 0
        for day in await self._days(period, cursor):
            for path in await self._lists(day, period, cursor):
                if read == MOST_LISTS:
                    return ListPage(rows, (path, 1 << 30))
                read += 1
                listed = list(enumerate(await self._rows(path)))
                for at, row in reversed(listed):
                    if cursor is not None and path == cursor[0] and at >= cursor[1]:
                        continue
                    if not (period.after_ms <= row.head.closed_ms < period.before_ms and fits(row.head)):
                        continue
                    if len(rows) == size:
                        return ListPage(rows, (path, at + 1))
                    rows.append(row)
        return ListPage(rows, None)

    async def _days(self, period: Period, cursor: tuple[str, int] | None) -> list[str]:
        newest = "date=9" if cursor is None else cursor[0].split("/")[1]
        first = f"date={day_of(period.after_ms)}"
        last = f"date={day_of(min(period.before_ms, 1 << 45))}"
        days = await self._sink.folders("list")
        return [day for day in reversed(days) if first <= day <= last and day <= newest]

    async def _lists(self, day: str, period: Period, cursor: tuple[str, int] | None) -> list[str]:
        found = []
        for path in reversed(await self._sink.names(f"list/{day}")):
            if not path.endswith(".jsonl.gz") or (cursor is not None and path > cursor[0]):
                continue
            name = SegmentName.parse(path)
            if name.last_ms >= period.after_ms and name.first_ms < period.before_ms:
                found.append(path)
        return found

    async def _rows(self, path: str) -> list[Listed]:
        told: list[dict[str, Any]] = [json.loads(line) for line in unpacked(await self._kept(path)).splitlines()]
        return [Listed(one["workflow_id"], head_of(one)) for one in told]

    # ── what is read often ───────────────────────────────────────────────────────────────────────────────────────────

    async def _kept(self, name: str) -> bytes:
        """A whole object, from memory if it is there: objects never change."""
        found = self._cache.get(name)
        if found is not None:
            self._cache.move_to_end(name)
            return found
        async with self._room:
            data = await self._sink.read(name)
        if name not in self._cache:
            self._cache[name] = data
            self._cached += len(data)
        while self._cached > CACHE:
            _, old = self._cache.popitem(last=False)
            self._cached -= len(old)
        return data


def _last_ms(place: Place) -> int:
    """When the last run of its batch closed."""
    return place.first_ms + place.span_ms


def _order(run: ArchivedRun) -> tuple[int, int]:
    """Orders the runs of a workflow, the earliest first."""
    return run.head.closed_ms, run.head.run
