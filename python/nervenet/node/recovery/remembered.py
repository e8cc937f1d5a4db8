# SPDX-License-Identifier: Apache-2.0
"""What a node remembers of what it wrote to Redis, to write it again if Redis forgets it.

- The journals that it hosts. Each coordinator keeps its folded entries as they are stored, in a chain that costs one tuple
  per entry; of a workflow that is out of memory they are kept compressed. A node keeps 64 MiB of them; beyond that only the last
  ten seconds of a journal remain, which is more than a crash loses, but not enough to make a head again.
- For ten seconds, the journals that closed here, and the facts that this node recorded for workflows of other nodes
  (starts, signals, cancels, decisions), which their owners may not have received. Where these are many, those are forgotten
  earlier that a crash of Redis can't take any more (`durability_watch.py`).

It decides what is kept and which part of a journal Redis lacks. `WriteBack` and `RedisRecovery` send it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.node.workflows.start_plan import request_hash
from nervenet.records import Start, State
from nervenet.streams.answers import RawEntry
from nervenet.streams.pages import Pages
from nervenet.timing import RECENT_WRITES_MS
from nervenet.wire import decode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from nervenet.node.timers import MeshClock
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.owned_journal import EntryLog
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.records import Close
    from nervenet.redis_link.connection import Arg
    from nervenet.streams.answers import Look
    from nervenet.streams.pages import Record

MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Stored entries that a node keeps in memory. Above that, the journals hosted longest keep only their last entries."""
SPAN_MS: Final = 1_000
DURABLE_BYTES: Final = 8 * 1024 * 1024
"""Closed journals that stay for their ten seconds although they are on the disk of Redis: a FLUSHALL takes these too."""
DURABLE_FACTS: Final = 1_000
"""The same for facts, in their number."""
CHUNK_ENTRIES: Final = 500
CHUNK_BYTES: Final = 1024 * 1024


class Mark(NamedTuple):
    """How much had been remembered up to one moment, counted since the node began: closed journals, and facts."""

    closed: int
    facts: int


class Remembered(NamedTuple):
    """One journal as this node remembers it; `applied` is the number of its last entry, `own_ms` the retention of its
    definition, 0 where it has the mesh's."""

    workflow_id: str
    run: int
    req: bytes
    applied: int
    entry_log: EntryLog
    closed: State | None = None
    own_ms: int = 0
    definition: str = ""

    @classmethod
    def of(cls, coordinator: Coordinator, closed: State | None = None) -> Remembered | None:
        c, workflow = coordinator, coordinator.machine.workflow
        if c.entry_log is None:
            return None
        about = (closed, workflow.retention_ms or 0, workflow.name)
        return Remembered(c.workflow_id, c.run, c.req, c.applied, c.entry_log, *about)

    @classmethod
    def of_unloaded(cls, unloaded: UnloadedWorkflow) -> Remembered | None:
        """None: its entries are forgotten."""
        u, log = unloaded, unloaded.entry_log()
        if log is None:
            return None
        about = (None, u.workflow.retention_ms or 0, u.workflow.name)
        return Remembered(u.workflow_id, u.run, u.req, u.applied, log, *about)

    def packed(self) -> Record:
        """As flat data, without the chain."""
        entries, _ = flattened(self.entry_log)
        closed = self.closed and self.closed.value
        return (self.workflow_id, self.run, self.req, self.applied, entries, closed, self.own_ms, self.definition)

    @classmethod
    def unpacked(cls, record: Record) -> Remembered:
        workflow_id, run, req, applied, entries, closed, own_ms, definition = record
        log: Any = None
        for i in range(len(entries) - 3, -1, -3):
            log = (log, *entries[i : i + 3])
        return cls(workflow_id, run, req, applied, log, closed and State(closed), own_ms, definition)

    def entries(self) -> list[RawEntry]:
        """All of them, in order."""
        found, n, log = [], self.applied, self.entry_log
        while True:
            before, ms, name, data = log
            found.append(RawEntry(b"%d-%d" % (ms, n), n, ms, name, data))
            if before is None:
                return found[::-1]
            log, n = before, n - 1


def head_of(first: RawEntry, req: bytes) -> dict[str, Arg] | None:
    """The fields of a head that is gone, from the first entry of its run; None when that is not remembered."""
    if first.name != "start":
        return None
    start = decode_entry(first.name, first.data, first.n, first.ms).body
    if not isinstance(start, Start):
        return None
    head: dict[str, Arg] = {
        "definition": start.definition,
        "version": start.version,
        "python": start.runtime,
        "created": first.ms,
        "req": req or request_hash(start.definition, start.input),
    }
    if start.labels:
        head["labels"] = json.dumps(dict(start.labels), separators=(",", ":"))
    if start.trace.sampled:
        head["trace"] = start.trace.traceparent
    return head


def lacking(entries: Sequence[RawEntry], look: Look) -> Sequence[RawEntry]:
    """The entries that a journal with this end lacks. The last common entry goes first."""
    n = int(look.last.partition(b"-")[2])
    at = min(n, entries[-1].n) - entries[0].n
    if at >= 0 and (n > entries[-1].n or entries[at].id == look.last):
        return entries[at:]
    return entries


def chunks(entries: Sequence[RawEntry]) -> Iterable[Sequence[RawEntry]]:
    """Parts of about a megabyte; each begins with the last entry of the one before it."""
    begin = size = 0
    for i, entry in enumerate(entries):
        size += len(entry.data)
        if i > begin + 1 and (size > CHUNK_BYTES or i - begin >= CHUNK_ENTRIES):
            yield entries[begin:i]
            begin, size = i - 1, len(entries[i - 1].data) + len(entry.data)
    yield entries[begin:]


def flattened(log: EntryLog | None) -> tuple[list[int | str | bytes], int]:
    """Time, name and data of each entry, the last one first; and how many bytes of data that is."""
    entries: list[int | str | bytes] = []
    size = 0
    while log is not None:
        log, ms, name, data = log
        entries += (ms, name, data)
        size += len(data)
    return entries, size


def size_of(log: EntryLog | None) -> int:
    """Bytes of the entries of a journal in memory."""
    size = 0
    while log is not None:
        size += len(log[3])
        log = log[0]
    return size


def last_entries(log: EntryLog | None, since_ms: int) -> EntryLog | None:
    """The entries of a journal since `since_ms`, and one more as the common entry."""
    young = []
    while log is not None:
        young.append(log)
        if log[1] < since_ms:
            break
        log = log[0]
    ends: EntryLog | None = None
    for _, ms, name, data in reversed(young):
        ends = (ends, ms, name, data)
    return ends


class RememberedWrites:
    """See the module. One for each node. While it is written back, nothing is forgotten and nothing is loaded."""

    def __init__(self, clock: MeshClock, hosted: HostedWorkflows) -> None:
        self._clock = clock
        self._hosted = hosted
        self._unloaded = hosted.unloaded
        self._hosted_bytes = 0
        self.losses = 0
        """How often Redis may have lost something."""
        self._most = MEMORY_BYTES
        self._ends = Pages(SPAN_MS)
        self._facts: deque[tuple[int, Callable[[], Awaitable[bool]]]] = deque()
        self._facts_forgotten = 0
        self._many = asyncio.Event()
        self._written_back = asyncio.Event()
        self._written_back.set()

    def __repr__(self) -> str:
        return f"<RememberedWrites {self._bytes} bytes, {len(self._facts)} facts>"

    @property
    def _bytes(self) -> int:
        """Bytes of entries, of journals that are hosted and of those that closed lately."""
        return self._hosted_bytes + self._unloaded.size + self._ends.size

    @property
    def size(self) -> int:
        """Bytes of entries in memory."""
        return self._bytes

    def add_bytes(self, size: int) -> None:
        """The entries in memory grew by `size` bytes."""
        self._hosted_bytes += size
        if (
            self._hosted_bytes + self._unloaded.size + self._ends.size > self._most
        ):  # as `_bytes`: every entry comes by here
            self._forget_old()

    def forget_entries(self, coordinator: Coordinator) -> None:
        """It is no longer hosted here: free its entries."""
        self._hosted_bytes -= size_of(coordinator.entry_log)
        coordinator.entry_log = None

    def remember_closed(self, coordinator: Coordinator, close: Close) -> None:
        """Keep a closed journal: Redis may still lose its end, of which callers were told already."""
        log, workflow = coordinator.entry_log, coordinator.machine.workflow
        if log is None:
            return
        entries, size = flattened(log)  # once, and no `Remembered` that is packed at once: every workflow comes by here
        if log[2] == "close":
            now, c = self._clock.now_ms(), coordinator
            about = (close.state.value, workflow.retention_ms or 0, workflow.name)
            if self._ends.put(now, (c.workflow_id, c.run, c.req, c.applied, entries, *about), size):
                self.forget_past(now)
                self._notice_many()
        self._hosted_bytes -= size
        coordinator.entry_log = None

    def remember(self, again: Callable[[], Awaitable[bool]]) -> None:
        """Keep a fact for a workflow of another node. `again` records it once more, and returns whether that is settled."""
        now = self._clock.now_ms()
        self._facts.append((now, again))
        self.forget_past(now)
        self._notice_many()

    def forget_past(self, now_ms: int) -> None:
        """Forget closed journals and facts of more than ten seconds ago."""
        if not self.being_written_back:
            since = now_ms - RECENT_WRITES_MS
            self._ends.forget(since)
            while self._facts and self._facts[0][0] < since:
                self._forget_fact()

    def _forget_fact(self) -> None:
        self._facts.popleft()
        self._facts_forgotten += 1

    # ── what is on the disk of Redis ─────────────────────────────────────────────────────────────────────────────────

    def _notice_many(self) -> None:
        if self._ends.size > DURABLE_BYTES or len(self._facts) > DURABLE_FACTS:
            self._many.set()

    async def are_many(self) -> None:
        """Return once so much is remembered that what is on the disk of Redis is worth forgetting."""
        self._many.clear()
        self._notice_many()
        await self._many.wait()

    def mark(self) -> Mark:
        """All that is remembered by now."""
        return Mark(self._ends.count, self._facts_forgotten + len(self._facts))

    def is_durable(self, mark: Mark) -> None:
        """A crash of Redis can't take what was remembered up to this mark: forget it, except for what stays for a FLUSHALL."""
        if self.being_written_back:
            return
        while self._ends.size > DURABLE_BYTES and self._ends.oldest <= mark.closed:
            self._ends.forget_oldest()
        while len(self._facts) > DURABLE_FACTS and self._facts_forgotten < mark.facts:
            self._forget_fact()

    # ── the limit ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _forget_old(self) -> None:
        since, enough = self._clock.now_ms() - RECENT_WRITES_MS, MEMORY_BYTES * 3 // 4
        while self._ends.size and self._bytes > enough and not self.being_written_back:
            self._ends.forget_oldest()
        if self._bytes > enough:
            self._unloaded.forget_beginnings(max(0, enough - self._hosted_bytes - self._ends.size))
        for coordinator in self._hosted.coordinators.values():
            if self._bytes <= enough:
                break
            before = size_of(coordinator.entry_log)
            coordinator.entry_log = last_entries(coordinator.entry_log, since)
            self._hosted_bytes -= before - size_of(coordinator.entry_log)
        # the last seconds alone may be more
        self._most = max(MEMORY_BYTES, self._bytes + MEMORY_BYTES // 8)

    # ── writing back ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def being_written_back(self) -> bool:
        return not self._written_back.is_set()

    def hold(self) -> None:
        """Redis may have lost something: keep everything until `release`. `losses` counts these calls."""
        self.losses += 1
        self._written_back.clear()

    def release(self) -> None:
        """It is written back."""
        self._written_back.set()

    async def written_back(self) -> None:
        """Return once nothing is being written back."""
        await self._written_back.wait()

    def closed_lately(self) -> Iterator[Remembered]:
        """The journals that closed here."""
        return map(Remembered.unpacked, self._ends.records())

    def facts(self) -> tuple[Callable[[], Awaitable[bool]], ...]:
        """What this node recorded for workflows of other nodes."""
        return tuple(again for _, again in self._facts)
