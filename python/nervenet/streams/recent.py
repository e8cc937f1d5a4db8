# SPDX-License-Identifier: Apache-2.0
"""What an agent (or a gateway for its agents) has recorded lately: a Redis that came back may have lost it, and nobody
else may have heard of it.

With `appendfsync everysec` an outcome can be acknowledged and lost a moment later, before its owner read the news. The
step would be done again, which is allowed, but need not be: the outcome is appended once more under its name, which is
a no-op where it survived. Five seconds are more than a crash takes; 16 MiB are the most that is kept.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.streams.pages import Pages
from nervenet.streams.queues import OutgoingWake

if TYPE_CHECKING:
    from nervenet.clock import Clock
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.streams.answers import Appended
    from nervenet.streams.journal import JournalStore
    from nervenet.streams.queues import Queues

KEEP_S: Final = 5.0
SPAN_S: Final = 0.5
KEEP_BYTES: Final = 16 * 1024 * 1024
PAGE: Final = 500
TRIES: Final = 20
PAUSE: Final = 0.25

_log = logging.getLogger(__name__)


class Recorded(NamedTuple):
    """One append that was acknowledged."""

    workflow_id: str
    run: int
    name: str
    entry: bytes


class Recent:
    """One for each process that records outcomes."""

    def __init__(self, journal: JournalStore, queues: Queues, clock: Clock) -> None:
        self._journal = journal
        self._queues = queues
        self._clock = clock
        self._kept = Pages(SPAN_S)
        self.written_back = 0

    def recorded(self, workflow_id: str, run: int, name: str, entry: bytes) -> None:
        """It is in the journal now, says Redis."""
        kept, now = self._kept, self._clock.monotonic()
        if kept.put(now, (workflow_id, run, name, entry), len(entry)):
            kept.forget(now - KEEP_S)
        while kept.size > KEEP_BYTES:
            kept.forget_oldest()

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """Append all of it again; a workflow that Redis does not know (yet) is one that its owner still writes back."""
        kept, before = itertools.starmap(Recorded, self._kept.records()), self.written_back
        while some := list(itertools.islice(kept, PAGE)):
            await asyncio.gather(*map(self._again, some))
        if self.written_back > before:
            _log.warning("Redis came back, and %d outcomes were written back", self.written_back - before)

    async def _again(self, one: Recorded) -> None:
        for _ in range(TRIES):
            try:
                appended = await self._journal.append(one.workflow_id, one.run, one.name, one.entry)
            except LinkClosed:
                return
            except LinkError as error:
                _log.debug("not yet written back: %s", error)
            else:
                if appended.status != "unknown":
                    self._told(one, appended)
                    return
            await asyncio.sleep(PAUSE)

    def _told(self, one: Recorded, appended: Appended) -> None:
        if appended.status == "new":
            self.written_back += 1
            news = OutgoingWake(appended.owner, one.workflow_id, one.run, appended.id, one.name, one.entry)
            self._queues.wake_nowait(news).add_done_callback(_heard)


def _heard(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()
