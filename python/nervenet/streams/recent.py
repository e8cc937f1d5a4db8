# SPDX-License-Identifier: Apache-2.0
"""The outcomes that an agent, or a gateway for its agents, recorded in the last seconds: written again if Redis loses
them.

With `appendfsync everysec` Redis may acknowledge an outcome and lose it in a crash, before the workflow's owner has
read it. Then the step would run again. That is allowed, but unnecessary: when Redis is back, each remembered outcome is
appended again under its name, which has no effect where it survived. Where somebody has started the workflow again
since Redis lost it, it is of another life and counts for nothing. Where the journal lacks what came before it, it waits
for that (docs/decisions/0012). Five seconds are longer than Redis can lose; the memory
is limited to 16 MiB.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.records import State
from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.redis_link.replies import ignore_error
from nervenet.streams.answers import Appended
from nervenet.streams.pages import Pages
from nervenet.streams.queues import LOOK, OutgoingWake

if TYPE_CHECKING:
    from nervenet.clock import Clock
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.streams.heads import Head
    from nervenet.streams.journal import JournalStore
    from nervenet.streams.queues import Queues

REMEMBER_SECONDS: Final = 5.0
"""Seconds for which an outcome is remembered."""
PAGE_SECONDS: Final = 0.5
"""Seconds that one page of them covers at most."""
REMEMBER_BYTES: Final = 16 * 1024 * 1024
OUTCOMES_AT_ONCE: Final = 500
"""Outcomes that are written again at the same time."""
WAITING: Final = frozenset({"unknown", "gap"})
"""Answers to an outcome that has to wait: its owner has yet to write back the head, or entries before it."""
APPEND_TRIES: Final = 20
APPEND_PAUSE: Final = 0.25

_ID: Final = re.compile(r"([0-9]{1,19})-[0-9]{1,19}")

_log = logging.getLogger(__name__)


def _began_later(head: Head, after_ms: int) -> bool:
    """Whether the id was started again since that entry: Redis had lost the workflow meanwhile. By the time of the first entry, because
    a start that waits for Redis may have taken its `created` before."""
    return int(head.start_id.partition(b"-")[0]) > after_ms


class OutcomeOfTask(NamedTuple):
    """What an attempt ended with, and after which entry its task was sent ("": unknown)."""

    workflow_id: str
    run: int
    name: str
    entry: bytes
    after_entry_id: str


class RecentWrites:
    """One for each process that records outcomes."""

    def __init__(self, journal: JournalStore, queues: Queues, clock: Clock) -> None:
        self._journal = journal
        self._queues = queues
        self._clock = clock
        self._pages = Pages(PAGE_SECONDS)
        self.written_back = 0

    def recorded(self, workflow_id: str, run: int, name: str, entry: bytes, after_entry_id: str) -> None:
        """Remember an outcome: Redis has acknowledged its append."""
        pages, now = self._pages, self._clock.monotonic()
        if pages.put(now, (workflow_id, run, name, entry, after_entry_id), len(entry)):
            pages.forget(now - REMEMBER_SECONDS)
        while pages.size > REMEMBER_BYTES:
            pages.forget_oldest()

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """Append all of them again. Where Redis does not know the workflow, or the entry after which the task was sent, its
        owner has not written it back yet: retry."""
        remembered, before = itertools.starmap(OutcomeOfTask, self._pages.records()), self.written_back
        while some := list(itertools.islice(remembered, OUTCOMES_AT_ONCE)):
            await asyncio.gather(*map(self._append_again, some))
        if self.written_back > before:
            _log.warning("Redis is back: %d outcomes were written again", self.written_back - before)

    async def append(self, one: OutcomeOfTask) -> Appended:
        """One try to append an outcome where Redis may have lost something since its task was sent.

        Code that is replayed asks for the step behind the entry after which its task was sent. So where the journal lacks that entry, the
        answer is `gap`, and the owner looks at its workflow: it has the entry to write back, unless it has died. `stale` if the id was
        started again, or a later run began. Raises `LinkError`; `ConnectionLost` also where another server answers than the one that was
        asked for the entry.
        """
        journal = self._journal
        head = await journal.head(one.workflow_id, ("owner", "run", "state", "start_id"))
        if head is None:
            return Appended("unknown", b"", "", 0, State.RUNNING)
        after = _ID.fullmatch(one.after_entry_id)  # None: an older release sent it, or the envelope is damaged
        if head.run > one.run or (head.run == one.run and after and _began_later(head, int(after[1]))):
            return Appended("stale", b"", head.owner, head.run, head.state)
        if head.run < one.run or (after and await journal.entry(one.workflow_id, one.after_entry_id.encode()) is None):
            look = OutgoingWake(head.owner, one.workflow_id, one.run, b"0-0", LOOK, b"")
            self._queues.wake_nowait(look).add_done_callback(ignore_error)
            return Appended("gap", b"", head.owner, head.run, head.state)
        return await journal.append_here(*one[:4])

    async def _append_again(self, one: OutcomeOfTask) -> None:
        for _ in range(APPEND_TRIES):
            try:
                appended = await self.append(one)
                if appended.status not in WAITING:
                    self._wake_owner(one, appended)
                    return
            except LinkClosed:
                return
            except LinkError as error:
                _log.debug("not yet written back: %s", error)
            await asyncio.sleep(APPEND_PAUSE)

    def _wake_owner(self, one: OutcomeOfTask, appended: Appended) -> None:
        if appended.status == "new":
            self.written_back += 1
            wake = OutgoingWake(appended.owner, one.workflow_id, one.run, appended.id, one.name, one.entry)
            self._queues.wake_nowait(wake).add_done_callback(ignore_error)
