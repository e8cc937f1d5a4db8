# SPDX-License-Identifier: Apache-2.0
"""The outcomes that an agent, or a gateway for its agents, recorded in the last seconds: written again if Redis loses
them.

With `appendfsync everysec` Redis may acknowledge an outcome and lose it in a crash, before the workflow's owner has
read it. Then the step would run again. That is allowed, but unnecessary: when Redis is back, each remembered outcome is
appended again under its name, which has no effect where it survived. Where somebody has started the workflow again
since Redis lost it, it is of another life and counts for nothing. Five seconds are longer than Redis can lose; the memory
is limited to 16 MiB.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.redis_link.replies import ignore_error
from nervenet.streams.pages import Pages
from nervenet.streams.queues import OutgoingWake

if TYPE_CHECKING:
    from nervenet.clock import Clock
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.streams.answers import Appended
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
CLOCKS_APART_MS: Final = 50
"""How much later than a task was sent its workflow may have begun, because two clocks say so."""
APPEND_TRIES: Final = 20
APPEND_PAUSE: Final = 0.25

_log = logging.getLogger(__name__)


def of_another_life(head: Head, sent_ms: int) -> bool:
    """Whether the id was started again since a task was sent at `sent_ms` (0: unknown): Redis had lost the workflow meanwhile. By the time
    of its first entry, because a start that waits for Redis may have taken its `created` before."""
    start_ms = int(head.start_id.partition(b"-")[0])
    return sent_ms != 0 and start_ms > sent_ms + CLOCKS_APART_MS


class Recorded(NamedTuple):
    """One outcome whose append was acknowledged. `sent_ms`: when its task was sent."""

    workflow_id: str
    run: int
    name: str
    entry: bytes
    sent_ms: int


class RecentWrites:
    """One for each process that records outcomes."""

    def __init__(self, journal: JournalStore, queues: Queues, clock: Clock) -> None:
        self._journal = journal
        self._queues = queues
        self._clock = clock
        self._pages = Pages(PAGE_SECONDS)
        self.written_back = 0

    def recorded(self, workflow_id: str, run: int, name: str, entry: bytes, sent_ms: int) -> None:
        """Remember an outcome: Redis has acknowledged its append."""
        pages, now = self._pages, self._clock.monotonic()
        if pages.put(now, (workflow_id, run, name, entry, sent_ms), len(entry)):
            pages.forget(now - REMEMBER_SECONDS)
        while pages.size > REMEMBER_BYTES:
            pages.forget_oldest()

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """Append all of them again. Where Redis does not know the workflow, its owner has not written it back yet:
        retry."""
        remembered, before = itertools.starmap(Recorded, self._pages.records()), self.written_back
        while some := list(itertools.islice(remembered, OUTCOMES_AT_ONCE)):
            await asyncio.gather(*map(self._append_again, some))
        if self.written_back > before:
            _log.warning("Redis is back: %d outcomes were written again", self.written_back - before)

    async def _append_again(self, one: Recorded) -> None:
        for _ in range(APPEND_TRIES):
            try:
                head = await self._journal.head(one.workflow_id, ("run", "start_id"))
                if head is not None and head.run >= one.run:
                    if head.run == one.run and not of_another_life(head, one.sent_ms):
                        self._wake_owner(one, await self._journal.append_here(*one[:4]))
                    return
            except LinkClosed:
                return
            except LinkError as error:
                _log.debug("not yet written back: %s", error)
            await asyncio.sleep(APPEND_PAUSE)

    def _wake_owner(self, one: Recorded, appended: Appended) -> None:
        if appended.status == "new":
            self.written_back += 1
            wake = OutgoingWake(appended.owner, one.workflow_id, one.run, appended.id, one.name, one.entry)
            self._queues.wake_nowait(wake).add_done_callback(ignore_error)
