# SPDX-License-Identifier: Apache-2.0
"""Lists: workflows newest first, and the pages of a journal.

Workflows lie in `running` and in a bucket for each day on which some closed, all sorted by start time; a page is a
merge of all of these behind one cursor (start time, id), so what closes between two pages is neither lost nor told
twice. Filters read heads, at most 2,000 a page: a short page with a token says that there may be more.

What open workflows wait for is asked only where the caller wants it, or filters by it: each owner once for a chunk.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from nervenet.archive.reader import Period
from nervenet.blobs import weight_of
from nervenet.node.services.archived import archived_page, archived_run
from nervenet.node.services.pages import Room, page_size, token_in, token_out
from nervenet.node.services.reads import from_head, labels_of
from nervenet.node.services.state_counts import StateCounts
from nervenet.node.services.waits import MOST_WORKFLOWS, StuckAfter
from nervenet.node.services.watches import entry_out
from nervenet.node.workflows.close_notifier import before
from nervenet.records import CLOSED, Close, State
from nervenet.rpc.status import invalid
from nervenet.security.permit import HIDDEN_WORKFLOWS, LISTABLE
from nervenet.streams.listing import Listed, Listing
from nervenet.streams.ownership import day_of
from nervenet.timing import SLOW_MS
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2
from nervenet.wire import decode_entry, failure_out, optional_ms, state_in, timestamp_ms

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.services.waits import Waits
    from nervenet.streams.answers import RawEntry
    from nervenet.streams.heads import Head


MOST_HEADS: Final = 2_000
CHUNK: Final = 250
DAY_MS: Final = 86_400_000
SAMPLE: Final = 1_000
"""The closed workflows whose durations tell what is slow."""
LEAST_SAMPLE: Final = 20
"""Of one definition; with fewer nothing is known about it."""


class Lists:
    """One for each node."""

    def __init__(self, context: NodeContext, waits: Waits) -> None:
        self._context = context
        self._waits = waits
        self._listing = Listing(context.link, context.keys)
        self._counts = StateCounts(context, self._listing, self._days)

    # ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def workflows(self, request: pb.ListWorkflowsRequest) -> pb.ListWorkflowsResponse:
        if request.archived:
            return await self._archived(request)
        size = page_size(request.page_size)
        cursor = token_in(request, float, str)
        after = Listed(*cursor) if cursor is not None else None
        states = _states(request)
        wanted = _Wanted(request, states)
        if wanted.open_only:
            states = (states or set(State)) - CLOSED or {State.RUNNING}
        days = await self._days()
        total = asyncio.create_task(self._total(days))
        total.add_done_callback(
            lambda task: task.cancelled() or task.exception()
        )  # nobody awaits it if a read below fails
        slow = await self._slow_after() if request.slow and not request.HasField("slow_after") else {}
        found: dict[str, tuple[Listed, Head]] = {}  # one that was just started again may have a second row for a moment
        waits: dict[str, pb.WorkflowWaits | None] = {}
        read, more = 0, True
        while more and len(found) < size and read < MOST_HEADS:
            rows, more = await self._rows(states, after, min(CHUNK, MOST_HEADS - read), request, days)
            heads = dict(await self._context.journal.heads(row.member for row in rows))
            read += len(rows)
            now = self._context.clock.now_ms()
            fit = {each: head for each, head in heads.items() if head is not None and wanted.fits(head, now, slow)}
            if wanted.by_waits:
                told = await self._told_waits(fit, request)
                waits.update(told)
                fit = {each: head for each, head in fit.items() if wanted.waits_fit(told.get(each))}
            for row in rows:
                head = fit.get(row.member)
                if len(found) == size:
                    more = True
                    break
                after = row
                if head is not None:
                    found.setdefault(row.member, (row, head))
        if request.include_waits and not wanted.by_waits:
            waits = await self._told_waits({each: head for each, (_, head) in found.items()}, request)
        answer = pb.ListWorkflowsResponse(
            workflows=await self._told(found.values()),
            next_page_token=token_out(request, after.score, after.member) if more and after is not None else "",
            namespace_count=await total,
        )
        if request.include_waits:
            _add_waits(answer.workflows, waits)
        if request.include_counts:
            counts = await self._counts.now()
            answer.state_counts.extend(counts.messages())
            answer.uncounted = max(0, answer.namespace_count - counts.counted)
        return answer

    async def waits(self, request: pb.ListWaitsRequest) -> pb.ListWaitsResponse:
        if len(request.workflow_ids) > MOST_WORKFLOWS:
            raise invalid("workflow_ids", f"{len(request.workflow_ids)} ids; at most {MOST_WORKFLOWS} at once")
        limits = StuckAfter.given(optional_ms(request, "stuck_after"))
        hidden = HIDDEN_WORKFLOWS.get()
        shown = [workflow_id for workflow_id in request.workflow_ids if workflow_id not in hidden]
        return pb.ListWaitsResponse(workflows=await self._waits.here(shown, limits))

    async def _told_waits(
        self, heads: Mapping[str, Head], request: pb.ListWorkflowsRequest
    ) -> dict[str, pb.WorkflowWaits | None]:
        """What the open ones of these wait for; None: nobody can tell."""
        open_ = {each: head for each, head in heads.items() if not head.closed}
        return await self._waits.of(open_, optional_ms(request, "stuck_after"))

    async def _slow_after(self) -> dict[str, int]:
        """By definition, how long 95 % of its last runs took."""
        pages = await asyncio.gather(*(self._listing.closed(day, None, SAMPLE) for day in await self._days()))
        rows = list(heapq.merge(*pages, reverse=True))[:SAMPLE]
        fields = ("definition", "created_ms", "closed_ms")
        took: dict[str, list[int]] = {}
        for _, head in await self._context.journal.heads((row.member for row in rows), fields):
            if head is not None and head.closed:
                took.setdefault(head.definition, []).append(head.closed_ms - head.created_ms)
        return {name: sorted(all_)[len(all_) * 95 // 100] for name, all_ in took.items() if len(all_) >= LEAST_SAMPLE}

    async def _rows(
        self,
        states: Collection[State],
        after: Listed | None,
        count: int,
        request: pb.ListWorkflowsRequest,
        days: Iterable[str],
    ) -> tuple[list[Listed], bool]:
        """The next rows of all sources together, newest first, and whether there are more."""
        wanted = []
        if not states or set(states) - CLOSED:
            wanted.append(self._listing.running(after, count, newest=True))
        if not states or set(states) & CLOSED:
            wanted += [self._listing.closed(day, after, count) for day in days]
        pages = await asyncio.gather(*wanted)
        merged = heapq.merge(*pages, reverse=True)
        rows = list(dict.fromkeys(merged))[:count]  # one that closes right now may be in two of them
        more = sum(map(len, pages)) > len(rows) or any(len(page) == count for page in pages)
        if request.HasField("started_after"):
            least = timestamp_ms(request.started_after)
            recent = [row for row in rows if row.score >= least]
            return recent, more and len(recent) == len(rows)
        return rows, more

    async def _days(self) -> list[str]:
        """The days of which closed workflows may be in Redis: by the longest retention, and what waits for the archive."""
        now, config = self._context.clock.now_ms(), self._context.config
        longest = max(config.retention_ms, await self._listing.longest_retention())
        days = int(longest * 1.1 + config.hold_ms) // DAY_MS + 2
        return [day_of(now - back * DAY_MS) for back in range(-1, days)]

    async def _total(self, days: Iterable[str]) -> int:
        return await self._listing.count(self._context.keys.running, *map(self._context.keys.closed, days))

    async def _archived(self, request: pb.ListWorkflowsRequest) -> pb.ListWorkflowsResponse:
        """A page of what is in the archive."""
        for name in ("stuck", "retrying", "slow", "waiting_for"):
            if getattr(request, name):
                raise invalid(
                    name, "it concerns open workflows, and the archive has closed ones: leave it out, or `archived`"
                )
        wanted = _Wanted(request, _states(request))
        now = self._context.clock.now_ms()
        least = optional_ms(request, "started_after") or 0

        def fits(head: Head) -> bool:
            return head.created_ms >= least and wanted.fits(head, now, {})

        cursor = token_in(request, str, int)
        page = await archived_page(self._context, page_size(request.page_size), fits, wanted.period, cursor)
        return pb.ListWorkflowsResponse(
            workflows=[_archived_row(row.workflow_id, row.head) for row in page.rows],
            next_page_token="" if page.cursor is None else token_out(request, *page.cursor),
        )

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
        kept: list[RawEntry] | None = None
        if head is None:
            found = await archived_run(self._context, request.workflow_id)
            if found is None:
                raise self._context.no_workflow(request.workflow_id)
            kept = found.entries
        entries: list[workflow_pb2.JournalEntry] = []
        last, room = "" if cursor is None else cursor[0], Room()
        async for raw in self._entries(request.workflow_id, last, kept):
            if raw.n <= request.after_sequence:
                continue
            if len(entries) == size or not room.takes(weight_of(raw.data)):
                return pb.ListJournalResponse(entries=entries, next_page_token=token_out(request, last))
            entries.append(entry_out(raw, request.payload_format))
            last = raw.id.decode()
        return pb.ListJournalResponse(entries=entries)

    async def _entries(self, workflow_id: str, last: str, kept: list[RawEntry] | None) -> AsyncIterator[RawEntry]:
        """Behind `last`. `kept`: what the archive has."""
        if kept is not None:
            after = int(last.partition("-")[2] or 0)
            for raw in kept:
                if raw.n > after:
                    yield raw
            return
        while page := await self._context.journal.read(workflow_id, last):
            for raw in page:
                yield raw
            last = page[-1].id.decode()


def _states(request: pb.ListWorkflowsRequest) -> set[State]:
    try:
        return {state_in(number) for number in request.states}
    except ValueError:
        raise invalid("states", f"{list(request.states)}: not all are states") from None


def _archived_row(workflow_id: str, head: Head) -> workflow_pb2.Workflow:
    told = from_head(workflow_id, head)
    told.archived = True
    return told


class _Wanted:
    """The filters of a request."""

    def __init__(self, request: pb.ListWorkflowsRequest, states: Collection[State]) -> None:
        self._request = request
        self._states = states
        self._text = request.waiting_for.casefold()
        self._slow_ms = optional_ms(request, "slow_after")
        self._listable = LISTABLE.get()
        self.by_waits = bool(request.stuck or request.retrying or self._text)
        """Whether it depends on what workflows wait for."""
        self.open_only = self.by_waits or request.slow
        after, before = optional_ms(request, "closed_after"), optional_ms(request, "closed_before")
        self.period = Period(after or 0, Period().before_ms if before is None else before)
        self._by_close = after is not None or before is not None

    def fits(self, head: Head, now_ms: int, slow: Mapping[str, int]) -> bool:
        """By its head alone. `slow`: by definition, the age from which it is slow."""
        request = self._request
        if self._states and head.state not in self._states:
            return False
        if self.open_only and head.closed:
            return False
        if self._by_close and not self.period.after_ms <= (head.closed_ms or -1) < self.period.before_ms:
            return False
        if request.definition and head.definition != request.definition:
            return False
        if request.slow:
            limit = slow.get(head.definition, SLOW_MS) if self._slow_ms is None else self._slow_ms
            if now_ms - head.created_ms <= limit:
                return False
        if not request.labels and self._listable is None:
            return True
        labels = labels_of(head)
        if self._listable is not None and not self._listable.allows(head.definition, labels):
            return False
        return all(labels.get(key) == value for key, value in request.labels.items())

    def waits_fit(self, told: pb.WorkflowWaits | None) -> bool:
        if told is None:
            return False
        request, waits = self._request, told.waits
        if request.stuck and not any(wait.stuck for wait in waits):
            return False
        if request.retrying and not any(wait.HasField("last_failure") for wait in waits):
            return False
        return not self._text or any(self._text in wait.words.casefold() for wait in waits)


def _add_waits(workflows: Iterable[workflow_pb2.Workflow], waits: Mapping[str, pb.WorkflowWaits | None]) -> None:
    for workflow in workflows:
        told = waits.get(workflow.workflow_id)
        if told is not None:
            workflow.waits.extend(told.waits)
            workflow.more_waits = told.more_waits
        elif workflow.workflow_id in waits:
            workflow.partial = True
