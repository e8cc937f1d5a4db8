# SPDX-License-Identifier: Apache-2.0
"""The journal of one workflow, as its owner reads and writes it: each entry once and in order.

It hides order and the answers of Redis. News of an entry may come early, twice or not at all. Each entry goes to
`_apply` once, by its number, which has no gaps: an early entry waits, a missing one is read, a known number is dropped.
A known number with another time means that history was rewritten. An append is answered `new` (fold it), `exists` (somebody was first: read
their entry), `not_owner` (let go), `unknown` (Redis has lost the head) or not at all (keep it, and repeat it later).

It is a base class of `Coordinator` and not a member: journal and coordinator call each other for every entry, and two
objects that refer to each other would leave every closed workflow to the garbage collector.
"""

from __future__ import annotations

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict

from nervenet.backoff import Backoff
from nervenet.durable.fold import EMPTY
from nervenet.records import Cancel, Entry
from nervenet.redis_link.faults import LinkError, Unreadable
from nervenet.streams.answers import Appended
from nervenet.timing import BLOBS_RETRY
from nervenet.wire import decode_entry, encode_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.blobs import Blobs
    from nervenet.node.context import NodeContext
    from nervenet.records import Body, Close, Mismatch, Payload, State

_log = logging.getLogger(__name__)

EntryLog: TypeAlias = "tuple[EntryLog | None, int, str, bytes]"
"""The folded entries as they are stored, the last one first: those before it, its time, name and message."""


class _Kept(TypedDict):
    """How long a closed run is kept, as `JournalStore.close` takes it."""

    hold_ms: int
    own_retention: bool


ALL_PROVEN: Final[frozenset[str]] = frozenset()
"""What is not proven of nearly all workflows: nothing. CPython makes a new frozenset for each call, of 216 bytes."""
ENTRIES_AT_A_TIME = 50
"""Entries that are folded without a pause: a few milliseconds."""
LOSS = "loss"
"""What entries wait for while it is not known what Redis has lost."""
BLOBS = "blobs"
"""What entries wait for while the values of one entry are read from the blob store."""


class OwnedJournal(ABC):
    """See the module. `_apply` and the hooks behind it are what a coordinator adds."""

    __slots__ = (
        "_context",
        "_early",
        "_losses",
        "_reading",
        "_unproven",
        "_unread_own",
        "_weigh_entry",
        "applied",
        "applied_ms",
        "canceled",
        "created_ms",
        "dropped",
        "entry_log",
        "run",
        "unconfirmed_entries",
        "workflow_id",
    )

    def __init__(
        self, context: NodeContext, workflow_id: str, run: int, weigh_entry: Callable[[int], None], applied: int
    ) -> None:
        self._context = context
        self.workflow_id = workflow_id
        self.run = run
        self.applied = applied  # in a later run, n continues from the run before
        self.applied_ms = 0
        self.created_ms = 0
        self.entry_log: EntryLog | None = None
        self.canceled: Cancel | None = None  # also where the code is blocked and cannot be told
        self.dropped = False
        self.unconfirmed_entries: dict[str, Body] = EMPTY
        self._early: dict[int, tuple[int, str, bytes]] = EMPTY
        self._unread_own: tuple[tuple[int, str, Body], ...] = ()  # appended by this node, to be read from the journal
        self._losses = 0  # how often Redis may have lost some of it
        self._reading = False
        self._weigh_entry = weigh_entry
        self._unproven = ALL_PROVEN

    # ── what a coordinator adds ──────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _apply(self, entry: Entry, data: bytes) -> None:
        """The next entry, in order."""

    @abstractmethod
    def acknowledged(self, name: str) -> None:
        """Something that entries waited for is done."""

    @abstractmethod
    def _rewritten(self, why: str) -> None:
        """The journal is not what was folded here."""

    @abstractmethod
    def _not_owner(self) -> None:
        """The head names another owner or another run."""

    @abstractmethod
    def _head_missing(self) -> None:
        """Redis does not know the workflow."""

    @abstractmethod
    def _head_unreadable(self, error: Unreadable) -> None:
        """The head's or the journal's key holds another kind of data."""

    @abstractmethod
    def _closed(self, close: Close) -> None:
        """`close` is in the journal."""

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, n: int, ms: int, name: str, data: bytes) -> None:
        """An entry, from a message: news only if it cannot have moved since."""
        if ms > self._context.status.rewritten_ms:
            self.feed(n, ms, name, data)
        else:
            self.catch_up()

    def feed(self, n: int, ms: int, name: str, data: bytes) -> None:
        """One stored entry, in any order."""
        if self.dropped or self._unproven:  # what arrives meanwhile is read again later
            return
        if n == self.applied + 1:
            if (blobs := self._context.blobs) is not None and blobs.has_reference(data):
                self._wait_for_values(blobs, n, ms, name, data)
                return
            self._apply(decode_entry(name, data, n, ms), data)
            if self._early:
                self._feed_early()
        elif n > self.applied:
            self._early = self._early or {}
            self._early[n] = (ms, name, data)
            self.catch_up()
        elif n == self.applied and ms != self.applied_ms:
            self._rewritten(f"entry {n} was rewritten")

    def feed_own(self, entry: Entry, data: bytes) -> None:
        """An entry that this node appended itself, in the form it was made from, and as it is stored."""
        if self.dropped or self._unproven:
            return
        if entry.time_ms <= self._context.status.rewritten_ms:
            self.catch_up()
        elif entry.n == self.applied + 1:
            self._apply(entry, data)
            if self._early:
                self._feed_early()
        elif entry.n > self.applied:
            self.catch_up()

    def _feed_early(self) -> None:
        """Apply what has arrived too early, in parts."""
        for _ in range(ENTRIES_AT_A_TIME):
            if self.dropped or self._unproven or (late := self._early.pop(self.applied + 1, None)) is None:
                return
            if (blobs := self._context.blobs) is not None and blobs.has_reference(late[2]):
                self._wait_for_values(blobs, self.applied + 1, *late)
                return
            self._apply(decode_entry(late[1], late[2], self.applied + 1, late[0]), late[2])
        asyncio.get_running_loop().call_soon(self._feed_early)

    def _wait_for_values(self, blobs: Blobs, n: int, ms: int, name: str, data: bytes) -> None:
        """The next entry has values in the blob store. What arrives meanwhile is read again after it."""
        self._unproven |= {BLOBS}
        self._context.spawn(self._feed_with_values(blobs, n, ms, name, data))

    async def _feed_with_values(self, blobs: Blobs, n: int, ms: int, name: str, data: bytes) -> None:
        entry, backoff, losses = None, Backoff(longest=BLOBS_RETRY), self._losses
        try:
            while entry is None and not self.dropped:
                try:
                    entry = await blobs.read_entry(name, data, n, ms, self.workflow_id)
                except LinkError as error:
                    _log.warning("%s: entry %d waits: %s", self.workflow_id, n, error)
                    await asyncio.sleep(backoff.next())
        finally:
            self._unproven -= {BLOBS}
            proven = losses == self._losses and not self._unproven
            if entry is not None and not self.dropped and proven and n == self.applied + 1:
                self._apply(entry, data)
            self.acknowledged(BLOBS)

    def catch_up(self) -> None:
        """An entry is missing: read the journal after the last applied entry. Only one read runs at a time."""
        if not self._reading and not self.dropped and not self._unproven:
            self._reading = True
            self._context.spawn(self._read())

    async def _read(self) -> None:
        try:
            while not self.dropped and not self._unproven:
                applied, losses = self.applied, self._losses
                page = await self._context.journal.read(self.workflow_id, self.last_id)
                # an earlier one was rewritten; after a later one, the next run has begun
                if page and page[0].n != applied + 1 and losses == self._losses:
                    self._rewritten(f"after entry {applied} comes {page[0].n}")
                    return
                for i, raw in enumerate(page, 1):
                    if losses != self._losses:  # Redis has lost something since, and these may have moved
                        break
                    if raw.n > self.applied:
                        self.feed(raw.n, raw.ms, raw.name, raw.data)
                    if i % ENTRIES_AT_A_TIME == 0:
                        await asyncio.sleep(0)  # the others' news
                else:
                    if len(page) < 2:
                        return
        finally:
            self._reading = False

    @property
    def last_id(self) -> str:
        """The id of the last applied entry. Reading continues after it."""
        return f"{self.applied_ms}-{self.applied}"

    def _at(self, entry: Entry, data: bytes) -> None:
        """This entry is folded now."""
        self.applied, self.applied_ms = entry.n, entry.time_ms
        self.entry_log = (self.entry_log, entry.time_ms, entry.name, data)
        self._weigh_entry(len(data))
        if self._unread_own:
            self._unread_own = tuple(one for one in self._unread_own if one[0] > entry.n)
        if entry.name == "start":
            self.created_ms = entry.time_ms
        elif entry.name == "cancel" and isinstance(entry.body, Cancel):
            self.canceled = entry.body

    def questions(self) -> list[tuple[str, int]]:
        """Step and k of every question that this run's journal knows, decided or not."""
        found, log = [], self.entry_log
        while log is not None:
            log, _, name, _ = log
            if name.startswith("escalated:"):
                step, _, k = name[10:].rpartition("#")
                if k.isdigit():  # the entry may be one that cannot be read
                    found.append((step, int(k)))
        return found

    # ── while Redis may have lost entries ────────────────────────────────────────────────────────────────────────────

    def suspend(self) -> None:
        """Redis may have lost what this machine has folded: take no entries until it is written back."""
        self._unproven |= {LOSS}
        for _, name, body in self._unread_own:
            self.not_confirmed(name, body)
        self._unread_own = ()
        self._early.clear()
        self._losses += 1

    def resume(self) -> None:
        """The journal holds what this machine has folded: take entries again."""
        self.acknowledged(LOSS)

    @property
    def awaiting_reconciliation(self) -> bool:
        return LOSS in self._unproven

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def append(self, name: str, body: Body) -> Appended:
        """Append an owner's entry. If another node owns the workflow now, the answer says it, and this node releases it."""
        context, node_id = self._context, self._context.status.node_id
        data = encode_entry(body, node_id)
        try:
            if context.blobs is not None and context.blobs.is_large(data):
                data = await context.blobs.store_entry(self.workflow_id, self.run, data)
            answer = await context.journal.append(self.workflow_id, self.run, name, data, owner=node_id)
        except LinkError as error:
            self.not_confirmed(name, body)
            if isinstance(error, Unreadable):
                self._head_unreadable(error)
            raise
        self._answered(name, body, answer, data)
        return answer

    def record(self, name: str, body: Body) -> None:
        """Append an owner's entry, and fold it when it is in."""
        self._context.spawn(self.append(name, body))

    def _answered(self, name: str, body: Body, answer: Appended, data: bytes) -> None:
        status = answer.status
        if self.awaiting_reconciliation:
            # Redis has lost something: repeat it when that is written back. If it is there by now, Redis may lose it before it is read
            self.not_confirmed(name, body)
        elif name.startswith("patch:") and answer.recorded:
            self.acknowledged(name)
        elif status == "new":
            ms, _, n = answer.id.partition(b"-")
            self._context.metrics.appended(body)
            self.feed_own(Entry(name, body, int(n), int(ms), self._context.status.node_id), data)
            self._keep_until_read(int(n), name, body)
        elif status == "exists":  # somebody was first: their entry is the fact
            self._keep_until_read(int(answer.id.partition(b"-")[2]), name, body)
            self.catch_up()
        elif status in ("not_owner", "stale"):
            self._not_owner()
        elif status == "unknown":
            self.not_confirmed(name, body)
            self._head_missing()

    def not_confirmed(self, name: str, body: Body) -> None:
        """It is not certain that the journal has this entry, or keeps it: append it again at the next look at the workflow."""
        self.unconfirmed_entries = self.unconfirmed_entries or {}
        self.unconfirmed_entries[name] = body

    def _keep_until_read(self, n: int, name: str, body: Body) -> None:
        """Redis may lose it before it is read from the journal: then append it again."""
        if n > self.applied and not self.dropped:
            self._unread_own += ((n, name, body),)

    def close_run(self, close: Close, failed_at: str, own_ms: int | None) -> None:
        """Append the end of this run. `failed_at`: the step that failed it, for the head. `own_ms`: the retention of its
        definition."""
        context, node_id = self._context, self._context.status.node_id
        data = encode_entry(close, node_id)
        if context.blobs is not None and context.blobs.is_large(data):
            context.spawn(self._store_and_close(context.blobs, close, data, failed_at, own_ms))
        else:
            self._close_stored(close, data, failed_at, own_ms)

    async def _store_and_close(
        self, blobs: Blobs, close: Close, data: bytes, failed_at: str, own_ms: int | None
    ) -> None:
        try:
            data = await blobs.store_entry(self.workflow_id, self.run, data)
        except LinkError:
            self.not_confirmed("close", close)
            raise
        if not self.dropped:
            self._close_stored(close, data, failed_at, own_ms)

    def _close_stored(self, close: Close, data: bytes, failed_at: str, own_ms: int | None) -> None:
        context, node_id = self._context, self._context.status.node_id
        config = context.config
        where = (self.workflow_id, self.run, node_id, data, close.state, own_ms or config.retention_ms, failed_at)
        command = (*where, _why(close))
        kept = _Kept(hold_ms=config.hold_ms, own_retention=own_ms is not None)
        reply = context.journal.close_nowait(*command, **kept)

        def answered(reply: asyncio.Future[Any]) -> None:
            if reply.cancelled() or reply.exception() is not None:
                context.spawn(self._close_patiently(close, command, kept))
            else:
                self._close_answered(close, Appended.parse(reply.result()), data)

        reply.add_done_callback(answered)

    async def _close_patiently(
        self, close: Close, command: tuple[str, int, str, bytes, State, int, str, str], kept: _Kept
    ) -> None:
        try:
            answer = await self._context.journal.close(*command, **kept)
        except LinkError:
            self.not_confirmed("close", close)
            raise
        self._close_answered(close, answer, command[3])

    def _close_answered(self, close: Close, answer: Appended, data: bytes) -> None:
        if answer.status != "closed":
            self._answered("close", close, answer, data)
            return
        self.not_confirmed("close", close)  # until it has been read: Redis may lose it before that
        if not self.awaiting_reconciliation:
            self._context.spawn(self._read_end(close))

    async def _read_end(self, close: Close) -> None:
        """It is closed already: by this node, and the answer was lost, or by another one. It ends as its journal says."""
        if await self._context.journal.has(self.workflow_id, "close"):
            self.catch_up()
        elif not self.dropped and not self.awaiting_reconciliation:  # it has expired, or begun again
            self._closed(close)

    # ── what people see ──────────────────────────────────────────────────────────────────────────────────────────────

    def write_state(self, state: State, at: str, note: str, blocked: Mismatch | None) -> None:
        """Write the state that people see into the head."""
        context, told = self._context, None
        if blocked is not None:
            if blocked.error:
                words = f"{blocked.where}: {blocked.error}\n{blocked.detail.rstrip()}"
            elif blocked.expected or blocked.found:
                words = f"journal {blocked.expected}, code {blocked.found} ({blocked.where})"
            else:
                words = blocked.detail
            _log.error("%s is BLOCKED: %s", self.workflow_id, words)
            told = blocked_json(blocked, context.clock.now_ms())
        context.spawn(
            context.journal.set_head(
                self.workflow_id, self.run, context.status.node_id, state=state, at=at, note=note, blocked=told
            )
        )

    def publish(self, view: Payload) -> None:
        """Write the view that the workflow publishes into the head."""
        context = self._context
        context.spawn(context.journal.set_head(self.workflow_id, self.run, context.status.node_id, view=view.data))


def blocked_json(blocked: Mismatch, now_ms: int) -> bytes:
    """As the head has it."""
    return json.dumps(
        {
            "expected": blocked.expected,
            "found": blocked.found,
            "where": blocked.where,
            "agreed": blocked.agreed,
            "detail": blocked.detail,
            "error": blocked.error,
            "time_ms": now_ms,
        }
    ).encode()


def _why(close: Close) -> str:
    """Why a run ended, in a few words for lists: `RateLimited: 429 from api (5 attempts)`."""
    failure = close.failure
    if failure is None:
        return ""
    words = ": ".join(filter(None, (failure.type, failure.message)))
    return f"{words} ({failure.attempt} attempts)" if failure.attempt > 1 else words
