# SPDX-License-Identifier: Apache-2.0
"""Redis came back: writes back what it has lost and this node remembers, before anything else happens.

Redis may forget. With `appendfsync everysec` a crash loses the last second, a failover what was not yet replicated, a
FLUSHALL everything. What a node still knows of it:

- the journals that it hosts. Each coordinator keeps its folded entries as they are stored, in a chain that costs one tuple
  per entry. A node keeps 64 MiB of them; beyond that only the last ten seconds of a journal remain, which is more than a
  crash loses, but not enough to make a head again;
- for ten seconds, the journals that closed here, and the facts that this node recorded for workflows of other nodes
  (starts, signals, cancels, decisions), which their owners may not have received.

The order matters more than the entries: code that is replayed must meet them in the order in which it met them before. So
from the moment in which the connection is there again, before any reply of the other server is read, no coordinator takes
news until its journal is compared. `journal_restore` puts what others appended meanwhile behind what was lost.

A server that lost everything without a restart is detected by its answers: an open workflow has no head, or the node has
no wake.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.node.workflows.start_plan import request_hash
from nervenet.node.workflows.wakes import send_wake
from nervenet.records import Mismatch, Start, State
from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.streams.answers import RawEntry
from nervenet.streams.pages import Pages
from nervenet.timing import CLAIM_TAKEN_BACK_MS, FLUSHED_CLAIM_TAKEN_BACK_MS, RECENT_WRITES_MS
from nervenet.wire import decode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from nervenet.node.context import NodeContext
    from nervenet.node.tasks.dispatcher import Dispatcher
    from nervenet.node.workflows.bookkeeping import CloseBookkeeping
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.definitions import StoredDefinitions
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.owned_journal import EntryLog
    from nervenet.records import Close
    from nervenet.redis_link.connection import Arg
    from nervenet.redis_link.faults import Unreadable
    from nervenet.streams.answers import Look, Restored
    from nervenet.streams.pages import Record

_log = logging.getLogger(__name__)

MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Stored entries that a node keeps in memory. Above that, the journals hosted longest keep only their last entries."""
SPAN_MS: Final = 1_000
PAGE: Final = 500
CHUNK_BYTES: Final = 1024 * 1024
AT_ONCE: Final = 50
TRIES: Final = 20
PAUSE: Final = 0.25


class Remembered(NamedTuple):
    """One journal as this node remembers it; `applied` is the number of its last entry."""

    workflow_id: str
    run: int
    req: bytes
    applied: int
    entry_log: EntryLog
    closed: State | None = None

    @classmethod
    def of(cls, coordinator: Coordinator, closed: State | None = None) -> Remembered | None:
        c = coordinator
        return (
            Remembered(c.workflow_id, c.run, c.req, c.applied, c.entry_log, closed) if c.entry_log is not None else None
        )

    def packed(self) -> Record:
        """As flat data, without the chain."""
        entries: list[int | str | bytes] = []
        log: EntryLog | None = self.entry_log
        while log is not None:
            log, ms, name, data = log
            entries += (ms, name, data)
        return (self.workflow_id, self.run, self.req, self.applied, entries, self.closed and self.closed.value)

    @classmethod
    def unpacked(cls, record: Record) -> Remembered:
        workflow_id, run, req, applied, entries, closed = record
        log: Any = None
        for i in range(len(entries) - 3, -1, -3):
            log = (log, *entries[i : i + 3])
        return cls(workflow_id, run, req, applied, log, closed and State(closed))

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
        if i > begin + 1 and (size > CHUNK_BYTES or i - begin >= PAGE):
            yield entries[begin:i]
            begin, size = i - 1, len(entries[i - 1].data) + len(entry.data)
    yield entries[begin:]


class RedisRecovery:
    """See the module. One for each node.

    Args:
        load: hosts a workflow again, or with a second argument adopts that of a node that is gone.
        look_at: looks at the pending steps of workflows now.
    """

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        bookkeeping: CloseBookkeeping,
        dispatcher: Dispatcher,
        stored: StoredDefinitions,
        *,
        load: Callable[..., Awaitable[object]],
        look_at: Callable[[list[Coordinator]], Awaitable[None]],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._bookkeeping = bookkeeping
        self._dispatcher = dispatcher
        self._stored = stored
        self._load = load
        self._look_at = look_at
        self._hosted_bytes = 0
        self._most = MEMORY_BYTES
        self._ends = Pages(SPAN_MS)
        self._facts: deque[tuple[int, Callable[[], Awaitable[bool]]]] = deque()
        self._done = asyncio.Event()
        self._done.set()
        self.claims_return_ms = 0
        self.entries_back = self.heads_back = self.times = self.lost = 0

    def __repr__(self) -> str:
        return f"<RedisRecovery {self._bytes} bytes kept, {self.entries_back} entries and {self.heads_back} heads written back>"

    @property
    def _bytes(self) -> int:
        """Bytes of entries, of journals that are hosted and of those that closed lately."""
        return self._hosted_bytes + self._ends.size

    # ── remembering ──────────────────────────────────────────────────────────────────────────────────────────────────

    def add_bytes(self, size: int) -> None:
        """The entries in memory grew by `size` bytes."""
        self._hosted_bytes += size
        if self._bytes > self._most:
            self._forget_old()

    def forget_entries(self, coordinator: Coordinator) -> None:
        """It is no longer hosted here: free its entries."""
        self._hosted_bytes -= _size(coordinator.entry_log)
        coordinator.entry_log = None

    def remember_closed(self, coordinator: Coordinator, close: Close) -> None:
        """Keep a closed journal: Redis may still lose its end, of which callers were told already."""
        remembered = Remembered.of(coordinator, close.state)
        if remembered is not None and remembered.entry_log[2] == "close":
            now = self._context.clock.now_ms()
            if self._ends.put(now, remembered.packed(), _size(remembered.entry_log)):
                self._forget_past(now)
        self.forget_entries(coordinator)

    def remember(self, again: Callable[[], Awaitable[bool]]) -> None:
        """Keep a fact for a workflow of another node. `again` records it once more, and returns whether that is settled."""
        now = self._context.clock.now_ms()
        self._facts.append((now, again))
        self._forget_past(now)

    def _forget_past(self, now_ms: int) -> None:
        if self._done.is_set():
            since = now_ms - RECENT_WRITES_MS
            self._ends.forget(since)
            while self._facts and self._facts[0][0] < since:
                self._facts.popleft()

    def _forget_old(self) -> None:
        since, enough = self._context.clock.now_ms() - RECENT_WRITES_MS, MEMORY_BYTES * 3 // 4
        while self._ends.size and self._bytes > enough and self._done.is_set():
            self._ends.forget_oldest()
        for coordinator in self._hosted.coordinators.values():
            if self._bytes <= enough:
                break
            before = _size(coordinator.entry_log)
            coordinator.entry_log = _behind(coordinator.entry_log, since)
            self._hosted_bytes -= before - _size(coordinator.entry_log)
        # the last seconds alone may be more
        self._most = max(MEMORY_BYTES, self._bytes + MEMORY_BYTES // 8)

    # ── Redis came back ──────────────────────────────────────────────────────────────────────────────────────────────

    async def done(self) -> None:
        """Return once nothing is being written back."""
        await self._done.wait()

    def suspect(self, coordinator: Coordinator) -> None:
        """An open workflow has no head: Redis has lost something, perhaps everything."""
        if self._done.is_set() and not coordinator.dropped:
            _log.error("%s: its head is gone", coordinator.workflow_id)
            self._done.clear()
            self._context.spawn(self.came_back())

    async def keep_wake(self) -> None:
        """Check once per lease that the wake exists. Only this node deletes it, so without it Redis has lost everything."""
        context = self._context
        if self._done.is_set() and not await context.queues.has_wake(context.status.node_id):
            _log.error("%s: its wake is gone", context.status.node_id)
            await self.came_back()

    async def came_back(self) -> None:
        """Compare everything that is hosted here and write back what is missing. Until then no coordinator takes news.

        May be cancelled when the connection breaks again: suspended coordinators stay suspended until the next call.
        """
        context = self._context
        self._forget_past(context.clock.seen_ms)  # an idle node may remember things that have expired
        self._done.clear()
        self.times += 1
        turn = self.times
        coordinators = [c for c in self._hosted.coordinators.values() if not c.dropped]
        for coordinator in coordinators:
            coordinator.suspend()
        try:
            await self._write_back(turn, coordinators)
        except asyncio.CancelledError:
            raise  # the link calls again as soon as it is connected: until then nothing is loaded
        except BaseException:
            self._is_over(turn)
            raise
        self._is_over(turn)

    def _is_over(self, turn: int) -> None:
        """Done, unless another server has answered meanwhile: then the call for that server counts."""
        if turn == self.times:
            self._done.set()

    async def _write_back(self, turn: int, coordinators: list[Coordinator]) -> None:
        context, before = self._context, (self.entries_back, self.heads_back)
        self._dispatcher.forget_queues()
        await self._patiently(lambda: context.queues.make_wake(context.status.node_id))
        await self._patiently(self._stored.write_back)
        for i in range(0, len(coordinators), PAGE):
            page = coordinators[i : i + PAGE]
            await self._patiently(lambda page=page: self._compare(page))  # type: ignore[misc]
        recent = self._recent()
        while turn == self.times and (some := list(itertools.islice(recent, PAGE))):
            await asyncio.gather(*map(self._settled, some))
        if turn != self.times:
            return
        heads = self.heads_back - before[1]
        self.claims_return_ms = context.clock.now_ms() + (FLUSHED_CLAIM_TAKEN_BACK_MS if heads else CLAIM_TAKEN_BACK_MS)
        context.spawn(self._look_later(coordinators))
        _log.warning(
            "%s: Redis came back; of %d workflows, %d entries and %d heads were written back",
            context.status.node_id,
            len(coordinators),
            self.entries_back - before[0],
            heads,
            extra={"entries_back": self.entries_back - before[0], "heads_back": heads},
        )

    def _recent(self) -> Iterator[Callable[[], Awaitable[bool]]]:
        ends, facts = self._ends.records(), tuple(self._facts)
        yield from (partial(self._closed_again, Remembered.unpacked(end)) for end in ends)
        yield from (again for _, again in facts)

    async def _look_later(self, coordinators: list[Coordinator]) -> None:
        """Look at every pending step, after agents have had time to take back the claims that Redis lost."""
        await asyncio.sleep(max(0, self.claims_return_ms - self._context.clock.now_ms()) / 1000)
        await self._patiently(lambda: self._look_at(coordinators))

    async def reclaim(self, workflow_id: str, owner: str) -> None:
        """Its head names a node that does not exist. This node has it in memory and adopts it without waiting for the sweep."""
        if self._context.status.alive and not self._context.status.draining:
            await self._load(workflow_id, owner)

    async def mend(self, coordinator: Coordinator, why: Unreadable) -> None:
        """Its head or journal is unreadable: make it again from memory. If the beginning is no longer in memory, block the run.

        No other node can have adopted it: an unreadable head names no owner.
        """
        context = self._context
        remembered = Remembered.of(coordinator)
        whole = remembered is not None and remembered.entries()[0].name == "start"
        if coordinator.awaiting_reconciliation or coordinator.dropped or not self._done.is_set():
            return
        if not whole or not await self._is_mine():
            context.link.skips.skip(why.where, why)
            if coordinator.machine.blocked is None:
                coordinator.block(
                    Mismatch("", "", detail=f"{why}. Its beginning is no longer in memory", unreadable=True)
                )
            return
        if not await context.journal.is_damaged(coordinator.workflow_id):
            return
        _log.error("%s: %s; made again from memory", coordinator.workflow_id, why)
        coordinator.suspend()
        await self._patiently(lambda: context.journal.discard(coordinator.workflow_id))
        await self.reconcile(coordinator)

    def reload(self, coordinator: Coordinator, why: str) -> None:
        """The journal is not what this machine has folded: write back what it lacks, else drop it and read again."""
        if not coordinator.awaiting_reconciliation and not coordinator.dropped:
            _log.warning("%s: read again: %s", coordinator.workflow_id, why)
            coordinator.suspend()
            self._context.spawn(self.reconcile(coordinator))

    async def reconcile(self, coordinator: Coordinator) -> None:
        """Compare one coordinator whose journal is not what it has folded."""
        await self._patiently(lambda: self._compare([coordinator]))

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except LinkClosed:
                raise
            except LinkError as error:
                _log.warning("%s: not yet written back: %s", self._context.status.node_id, error)
                await asyncio.sleep(PAUSE)
            else:
                return

    async def _settled(self, again: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(TRIES):
            settled = False

            async def once() -> None:
                nonlocal settled
                settled = await again()

            try:
                await self._patiently(once)
            except LinkClosed:
                raise
            except Exception:  # noqa: BLE001 - one fact that can't be written back keeps no other from it
                _log.exception("%s: a fact can't be written back", self._context.status.node_id)
                break
            if settled:
                return
            await asyncio.sleep(PAUSE)
        self.lost += 1

    # ── one journal ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _compare(self, coordinators: Sequence[Coordinator]) -> None:
        context, turn = self._context, self.times
        doubted = [c for c in coordinators if c.awaiting_reconciliation and not c.dropped]
        looks = [context.journal.look(c.workflow_id, ()) for c in doubted]
        found = [(c, await look) for c, look in zip(doubted, looks, strict=True)]
        if turn != self.times:  # yet another server: the answers of this one no longer count
            return
        whole = [c for c, look in found if self._is_whole(c, look)]
        for coordinator in whole:
            coordinator.resume()
        rest = [(c, look) for c, look in found if c.awaiting_reconciliation]
        for i in range(0, len(rest), AT_ONCE):
            part = rest[i : i + AT_ONCE]
            ends = await asyncio.gather(*(self._put_back(c, look) for c, look in part), return_exceptions=True)
            for (coordinator, _), error in zip(part, ends, strict=True):
                self._not_put_back(coordinator, error)
        hosted = {c.workflow_id: c.created_ms for c in doubted if not c.dropped}
        if hosted:
            await context.ownership.relist(context.status.node_id, hosted)

    def _not_put_back(self, coordinator: Coordinator, error: BaseException | None) -> None:
        """An error of one journal does not stop the others; an error of Redis stops all."""
        if error is None:
            return
        if isinstance(error, LinkError) or not isinstance(error, Exception):
            raise error
        _log.error("%s: not written back: %r", coordinator.workflow_id, error, exc_info=error)
        self._hosted.forget(coordinator)  # the sweep loads what Redis has of it

    def _is_whole(self, coordinator: Coordinator, look: Look | None) -> bool:
        c = coordinator
        return look is not None and (look.last, look.run, look.owner) == (
            c.last_id.encode(),
            c.run,
            self._context.status.node_id,
        )

    async def _put_back(self, coordinator: Coordinator, look: Look | None) -> None:
        context = self._context
        remembered = Remembered.of(coordinator)
        found = await self._written(remembered, look) if remembered is not None else None
        if coordinator.dropped:
            return
        if found is not None and found.status in ("whole", "restored", "created", "closed"):
            coordinator.resume()
            if found.status == "created":
                coordinator.show()
            return
        self._hosted.forget(coordinator)
        if found is None or found.status == "unknown":
            self.lost += 1
            _log.error(
                "%s is lost: Redis has forgotten it, and its beginning is not in memory", coordinator.workflow_id
            )
        elif found.status == "not_owner":
            send_wake(context, found.owner, coordinator.workflow_id, coordinator.run, found.last, "")
        else:
            _log.warning("%s: another journal is there (%s), read again", coordinator.workflow_id, found.status)
            context.spawn(self._load(coordinator.workflow_id))

    async def _written(self, remembered: Remembered, look: Look | None) -> Restored | None:
        """Send only what the journal lacks; if it is another journal altogether, send all entries."""
        entries = remembered.entries()
        if look is not None and look.run == remembered.run:
            found = await self._write(remembered, lacking(entries, look), None)
            if found is not None and found.status not in ("gap", "unknown"):
                return found
        head = head_of(entries[0], remembered.req)
        if head is not None and not await self._is_mine():
            return None
        return await self._write(remembered, entries, head)

    async def _write(
        self, remembered: Remembered, entries: Sequence[RawEntry], head: dict[str, Arg] | None
    ) -> Restored | None:
        found = None
        for part in chunks(entries):
            last = remembered.closed if part[-1] is entries[-1] else None
            found = await self._once(remembered, part, head, "", last)
            if (
                found.status == "not_owner"
                and self._context.status.alive
                and not self._context.table.lives(found.owner)
            ):
                found = await self._once(remembered, part, head, found.owner, last)  # my adoption of it was lost
            self.entries_back += found.written
            self.heads_back += found.status == "created"
            if found.status not in ("whole", "restored", "created", "closed"):
                break
            head = None
        return found

    def _once(
        self,
        remembered: Remembered,
        entries: Sequence[RawEntry],
        head: dict[str, Arg] | None,
        taken_from: str,
        closed: State | None,
    ) -> Awaitable[Restored]:
        return self._context.journal.restore(
            remembered.workflow_id,
            remembered.run,
            self._context.status.node_id,
            entries,
            head,
            taken_from=taken_from,
            closed=closed,
            retention_ms=self._context.config.retention_ms,
        )

    async def _is_mine(self) -> bool:
        """Only a node with a live session makes a head again: one that was stopped may remember what ended long ago."""
        node_id = self._context.status.node_id
        while not self._context.status.alive and self._context.status.node_id == node_id:  # noqa: ASYNC110 - a lease has no event for that
            await asyncio.sleep(PAUSE)
        return self._context.status.node_id == node_id

    async def _closed_again(self, remembered: Remembered) -> bool:
        (look,) = await asyncio.gather(self._context.journal.look(remembered.workflow_id, ()))
        if look is not None and (look.closed or look.run > remembered.run):
            return True
        found = await self._written(remembered, look)
        if found is not None and found.written:
            first = remembered.entries()[0]
            closed_ms = remembered.entry_log[1]
            self._bookkeeping.finish(remembered.workflow_id, self._context.status.node_id, first.ms, closed_ms)
        return True


def _size(log: EntryLog | None) -> int:
    size = 0
    while log is not None:
        size += len(log[3])
        log = log[0]
    return size


def _behind(log: EntryLog | None, since_ms: int) -> EntryLog | None:
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
