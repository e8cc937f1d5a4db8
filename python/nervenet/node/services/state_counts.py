# SPDX-License-Identifier: Apache-2.0
"""How many workflows of the namespace have which state.

No index has it, so the states in the heads are counted: of the newest open and the newest closed workflows, a limited
number. A count is given again for fifty times as long as it took, so a small namespace has it at once, and a large one costs at
most two percent of a processor, however many ask. Rejected: a counter for each state in Redis. It would be one
more thing that a crash between two writes leaves wrong.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.records import State
from nervenet.timing import STATES_FRESH_MS
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import state_out

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.streams.listing import Listed, Listing


MOST_COUNTED: Final = 5_000
"""Of the open and of the closed workflows."""
FRESH_FOR: Final = 50
"""How many times as long as it took a count is given again."""
AT_A_TIME: Final = 500
"""Heads that are read without a pause."""


class Counts(NamedTuple):
    """How many there are of each state. `fresh_until_ms`: until when this is given again."""

    by_state: Mapping[State, int]
    fresh_until_ms: int

    @property
    def counted(self) -> int:
        return sum(self.by_state.values())

    def messages(self) -> list[pb.StateCount]:
        return [
            pb.StateCount(state=state_out(state), count=number) for state, number in self.by_state.items() if number
        ]


class StateCounts:
    """One for each node. `days`: of which closed workflows are listed."""

    def __init__(self, context: NodeContext, listing: Listing, days: Callable[[], Awaitable[Iterable[str]]]) -> None:
        self._context = context
        self._listing = listing
        self._days = days
        self._counts: Counts | None = None
        self._lock = asyncio.Lock()

    async def now(self) -> Counts:
        async with self._lock:
            began = self._context.clock.now_ms()
            if self._counts is None or began > self._counts.fresh_until_ms:
                found = await self._count()
                now = self._context.clock.now_ms()
                self._counts = Counts(found, now + min(FRESH_FOR * (now - began), STATES_FRESH_MS))
            return self._counts

    async def _count(self) -> Counter[State]:
        running = await self._listing.running(None, MOST_COUNTED, newest=True)
        ids = list(dict.fromkeys(row.member for row in [*running, *await self._closed()]))
        counts: Counter[State] = Counter()
        for start in range(0, len(ids), AT_A_TIME):
            for _, head in await self._context.journal.heads(ids[start : start + AT_A_TIME], ("state",)):
                if head is not None:
                    counts[head.state] += 1
        return counts

    async def _closed(self) -> list[Listed]:
        """Of the days on which they closed the last one first, in pages: some days have a million."""
        rows: list[Listed] = []
        for day in await self._days():
            after: Listed | None = None
            while len(rows) < MOST_COUNTED:
                page = await self._listing.closed(day, after, AT_A_TIME)
                rows += page
                if len(page) < AT_A_TIME:
                    break
                after = page[-1]
        return rows[:MOST_COUNTED]
