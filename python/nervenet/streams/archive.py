# SPDX-License-Identifier: Apache-2.0
"""Closed runs on their way to the archive: the list of what waits, and the batches that nodes write.

Each closed run goes through these steps, and a crash between any two of them leaves it in one of them (the model is
tests/model/archive.py):

1. `Ownership.finish` lists it, before it leaves `running`. Until it is marked, Redis keeps it longer than its retention.
2. `take`: a node takes some of the list as a batch. Batches of nodes that are gone are taken over when their time ends.
3. `read`: head and journal. A run that is marked, or gone, is left out.
4. `seal`: from now on the batch has these runs and no others, whichever node writes it, so its objects have one name.
5. The objects are written.
6. `mark`: its retention counts now. 7. `done`: the batch is forgotten.

A restart of the workflow copies a run that still waits (workflow_renew.lua).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from nervenet.streams.answers import RawEntry, parse_entries
from nervenet.streams.heads import Head, parse_head
from nervenet.streams.script import packaged_scripts

if TYPE_CHECKING:
    from nervenet.redis_link.connection import Arg
    from nervenet.redis_link.link import Link
    from nervenet.streams.keys import Keys

__all__ = ["ArchiveBatch", "ArchiveList", "StoredRun", "WaitingRun"]

PAGE_ENTRIES: Final = 500
PAGE_BYTES: Final = 1 << 20
MARKS: Final = 50
"""Runs that are marked with one write: workflows use the connection too."""


class WaitingRun(NamedTuple):
    """A closed run that is not in the archive yet."""

    closed_ms: int
    run: int
    workflow_id: str

    @property
    def member(self) -> str:
        return f"{self.run} {self.workflow_id}"


class ArchiveBatch(NamedTuple):
    """Runs that this node writes. `sealed`: what they are can no longer change."""

    batch_id: str
    token: str
    sealed: bool
    runs: tuple[WaitingRun, ...]


class StoredRun(NamedTuple):
    """A closed run as Redis has it. `head` is None unless `status` is `closed`."""

    status: Literal["closed", "archived", "open", "gone"]
    head: Head | None = None
    view: bytes | None = None
    entries: Sequence[RawEntry] = ()


class ArchiveList:
    """The list and the batches of one namespace."""

    __slots__ = ("_keys", "_link", "_scripts")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._scripts = {script.name: script for script in packaged_scripts()}

    async def add(self, runs: Sequence[WaitingRun]) -> None:
        """List closed runs. One that is listed, or in a batch, stays where it is."""
        words: list[Arg] = [word for run in runs for word in (run.closed_ms, run.member)]
        await self._link.script(self._scripts["archive_add"], self._keys.archive[:2], words)

    async def take(self, token: str, *, most: int, full: int, linger_ms: int, hold_ms: int) -> ArchiveBatch | None:
        """A batch for this node, or None. Fewer runs than `full` wait for more, for `linger_ms` at most."""
        args = (token, most, full, linger_ms, hold_ms)
        reply = await self._link.script(self._scripts["archive_take"], self._keys.archive, args)
        if not reply:
            return None
        kind, *lines = reply[1].decode().split("\n")
        return ArchiveBatch(reply[0].decode(), token, kind == "s", tuple(map(_parsed, lines)))

    async def seal(self, batch: ArchiveBatch, runs: Sequence[WaitingRun], back: Sequence[WaitingRun] = ()) -> bool:
        """Fix what the batch has; `back` returns to the list. False: another node has the batch."""
        words: list[Arg] = [batch.batch_id, batch.token, len(runs)]
        for run in (*runs, *back):
            words += [run.closed_ms, run.member]
        return bool(await self._link.script(self._scripts["archive_seal"], self._keys.archive, words))

    async def keep(self, batch: ArchiveBatch, until_ms: int) -> None:
        """The node still writes the batch."""
        await self._link.call("ZADD", self._keys.archive[2], "XX", until_ms, batch.batch_id)

    async def done(self, batch: ArchiveBatch) -> None:
        """All of its runs are written and marked."""
        await self._link.script(self._scripts["archive_done"], self._keys.archive, (batch.batch_id,))

    def begin_read(self, run: WaitingRun) -> Awaitable[Any]:
        """Send the first command of a read now: those of many runs leave in one write. `read` takes it."""
        return self._page(run, b"")

    def _page(self, run: WaitingRun, after: bytes) -> Awaitable[Any]:
        keys, each = self._keys, run.workflow_id
        names = (keys.head(each), keys.journal(each), keys.view(each), *keys.copy_of_run(each, run.run))
        return self._link.script(self._scripts["run_read"], names, (run.run, after, PAGE_ENTRIES, PAGE_BYTES))

    async def read(self, run: WaitingRun, begun: Awaitable[Any] | None = None) -> StoredRun:
        """Head and whole journal of a closed run, from its copy if the workflow has begun again. Raises LinkError, ValueError."""
        status, fields, seen, page = await (self._page(run, b"") if begun is None else begun)
        if status != b"closed":
            return StoredRun(cast("Literal['archived', 'open', 'gone']", status.decode()))
        head, entries = parse_head(dict(zip(fields[::2], fields[1::2], strict=True))), parse_entries(page)
        while page and page[-1][0] != head.last:
            status, _, _, page = await self._page(run, page[-1][0])
            if status != b"closed":
                return StoredRun(cast("Literal['archived', 'open', 'gone']", status.decode()))
            entries += parse_entries(page)
        return StoredRun("closed", head, seen or None, entries)

    async def mark(self, runs: Sequence[WaitingRun]) -> int:
        """These runs are in the archive. Returns how many were not marked before."""
        marked = 0
        for start in range(0, len(runs), MARKS):
            sent = [self._send_mark(run) for run in runs[start : start + MARKS]]
            for call in sent:
                marked += await call
        return marked

    def _send_mark(self, run: WaitingRun) -> Awaitable[int]:
        keys, each = self._keys, run.workflow_id
        names = (keys.head(each), keys.journal(each), keys.live(each), keys.view(each))
        return self._link.script(self._scripts["run_archived"], (*names, *keys.copy_of_run(each, run.run)), (run.run,))

    async def backlog(self) -> tuple[int, int]:
        """How many runs wait or are being written, and when the one closed that waits longest (0: none waits)."""
        waiting, taken, _, _, members = self._keys.archive
        listed, writing, first, batches = await asyncio.gather(
            self._link.call("ZCARD", waiting),
            self._link.call("HLEN", taken),
            self._link.call("ZRANGEBYSCORE", waiting, "-inf", "+inf", "WITHSCORES", "LIMIT", 0, 1),
            self._link.call("HVALS", members),
        )
        times = [int(float(first[1]))] if first else []
        times += [_parsed(batch.decode().split("\n", 2)[1]).closed_ms for batch in batches]  # sorted by time
        return listed + writing, min(times, default=0)


def _parsed(line: str) -> WaitingRun:
    closed, run, workflow_id = line.split(" ", 2)
    return WaitingRun(int(closed), int(run), workflow_id)
