# SPDX-License-Identifier: Apache-2.0
"""Lists: workflows newest first, and the pages of a journal.

Workflows lie in `running` and in a bucket for each day on which some closed, all sorted by start time; a page is a
merge of all of these behind one cursor (start time, id), so what closes between two pages is neither lost nor told
twice. Filters read heads, at most 2,000 a page: a short page with a token says that there may be more.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Collection, Iterable
from typing import TYPE_CHECKING, Final

from nervenet.node.services.pages import Room, page_size, token_in, token_out
from nervenet.node.services.reads import from_head, labels_of
from nervenet.node.services.watches import entry_out
from nervenet.node.workflows.close_notifier import before
from nervenet.records import CLOSED, Close, State
from nervenet.rpc.status import invalid, not_found
from nervenet.streams.listing import Listed, Listing
from nervenet.streams.ownership import day_of
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2
from nervenet.wire import decode_entry, failure_out, state_in, timestamp_ms

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.streams.answers import RawEntry
    from nervenet.streams.heads import Head


MOST_HEADS: Final = 2_000
CHUNK: Final = 250
DAY_MS: Final = 86_400_000


class Lists:
    """One for each node."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._listing = Listing(context.link, context.keys)

    # ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def workflows(self, request: pb.ListWorkflowsRequest) -> pb.ListWorkflowsResponse:
        size = page_size(request.page_size)
        cursor = token_in(request, float, str)
        after = Listed(*cursor) if cursor is not None else None
        try:
            states = {state_in(number) for number in request.states}
        except ValueError:
            raise invalid("states", f"{list(request.states)}: not all are states") from None
        total = asyncio.create_task(self._total())
        found: dict[str, tuple[Listed, Head]] = {}  # one that was just started again may have a second row for a moment
        read, more = 0, True
        while more and len(found) < size and read < MOST_HEADS:
            rows, more = await self._rows(states, after, min(CHUNK, MOST_HEADS - read), request)
            heads = dict(await self._context.journal.heads(row.member for row in rows))
            read += len(rows)
            for row in rows:
                head = heads.get(row.member)
                if len(found) == size:
                    more = True
                    break
                after = row
                if head is not None and _fits(head, request, states):
                    found.setdefault(row.member, (row, head))
        return pb.ListWorkflowsResponse(
            workflows=await self._told(found.values()),
            next_page_token=token_out(request, after.score, after.member) if more and after is not None else "",
            namespace_count=await total,
        )

    async def _rows(
        self, states: Collection[State], after: Listed | None, count: int, request: pb.ListWorkflowsRequest
    ) -> tuple[list[Listed], bool]:
        """The next rows of all sources together, newest first, and whether there are more."""
        wanted = []
        if not states or set(states) - CLOSED:
            wanted.append(self._listing.running(after, count, newest=True))
        if not states or set(states) & CLOSED:
            wanted += [self._listing.closed(day, after, count) for day in self._days()]
        pages = await asyncio.gather(*wanted)
        merged = heapq.merge(*pages, reverse=True)
        rows = list(dict.fromkeys(merged))[:count]  # one that closes right now may be in two of them
        more = sum(map(len, pages)) > len(rows) or any(len(page) == count for page in pages)
        if request.HasField("started_after"):
            least = timestamp_ms(request.started_after)
            recent = [row for row in rows if row.score >= least]
            return recent, more and len(recent) == len(rows)
        return rows, more

    def _days(self) -> list[str]:
        now = self._context.clock.now_ms()
        days = int(self._context.config.retention_ms * 1.1) // DAY_MS + 2
        return [day_of(now - back * DAY_MS) for back in range(-1, days)]

    async def _total(self) -> int:
        return await self._listing.count(self._context.keys.running, *map(self._context.keys.closed, self._days()))

    async def _told(self, found: Iterable[tuple[Listed, Head]]) -> list[workflow_pb2.Workflow]:
        """With the failure of those that failed, which their last entry has."""
        told = [(from_head(row.member, head), head) for row, head in found]
        failed = [(workflow, head) for workflow, head in told if head.closed and head.state is not State.SUCCEEDED]
        reads = [self._context.journal.read(workflow.workflow_id, before(head.last), 1) for workflow, head in failed]
        for (workflow, _), page in zip(failed, await asyncio.gather(*reads), strict=True):
            for raw in page:
                body = decode_entry(raw.name, raw.data, raw.n, raw.ms).body
                if isinstance(body, Close) and body.failure is not None:
                    workflow.failure.CopyFrom(failure_out(body.failure))
                    workflow.failure.ClearField("details")
                    workflow.failure.ClearField("stack_trace")
        return [workflow for workflow, _ in told]

    # ── a journal ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def journal(self, request: pb.ListJournalRequest) -> pb.ListJournalResponse:
        size = page_size(request.page_size)
        cursor = token_in(request, str)
        head = await self._context.journal.head(request.workflow_id, ("last",))
        if head is None:
            raise not_found("workflow", request.workflow_id, namespace=self._context.config.namespace)
        entries: list[workflow_pb2.JournalEntry] = []
        last, room = "" if cursor is None else cursor[0], Room()
        async for raw in self._entries(request.workflow_id, last):
            if raw.n <= request.after_sequence:
                continue
            if len(entries) == size or not room.takes(len(raw.data)):
                return pb.ListJournalResponse(entries=entries, next_page_token=token_out(request, last))
            entries.append(entry_out(raw, request.payload_format))
            last = raw.id.decode()
        return pb.ListJournalResponse(entries=entries)

    async def _entries(self, workflow_id: str, last: str) -> AsyncIterator[RawEntry]:
        while page := await self._context.journal.read(workflow_id, last):
            for raw in page:
                yield raw
            last = page[-1].id.decode()


def _fits(head: Head, request: pb.ListWorkflowsRequest, states: Collection[State]) -> bool:
    if states and head.state not in states:
        return False
    if request.definition and head.definition != request.definition:
        return False
    if request.labels:
        labels = labels_of(head)
        return all(labels.get(key) == value for key, value in request.labels.items())
    return True
