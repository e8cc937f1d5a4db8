# SPDX-License-Identifier: Apache-2.0
"""WatchWorkflow: the journal from any entry on, as it grows, to its end; news of running attempts on request.

The journal itself is what is followed: a hint only says when to read on, and it is read every few seconds without one.
The live stream has hints of its own, so that a token is here a few milliseconds after its agent sent it. Agents in other
languages may give none: for them the live stream is also polled, once a second, and five times a second once that found
something. What an attempt said is sent before the entry that ends the step, as far as the cap of the live stream left it
there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Final

from nervenet.errors import Unavailable
from nervenet.node.services.payloads import reshape
from nervenet.node.services.reads import blocked_out
from nervenet.records import State
from nervenet.timing import WATCH_KEEP_ALIVE, WATCH_POLL, WATCH_POLL_IDLE
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import task_pb2, workflow_pb2
from nervenet.wire import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.archive.record import ArchivedRun
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.close_notifier import Hints
    from nervenet.streams.answers import RawEntry
    from nervenet.v1 import common_pb2 as common


WATCHED_MS: Final = 30_000
RENEW: Final = 10.0
LIVE_PAGE: Final = 200


def entry_out(raw: RawEntry, form: common.PayloadFormat) -> workflow_pb2.JournalEntry:
    """A stored entry with what its id and name say."""
    entry = workflow_pb2.JournalEntry.FromString(raw.data)
    entry.sequence, entry.name = raw.n, raw.name
    entry.time.CopyFrom(timestamp(raw.ms))  # type: ignore[arg-type]  # a journal id has a time
    reshape(entry, form)
    return entry


def past(run: ArchivedRun, request: pb.WatchWorkflowRequest) -> Iterator[pb.WatchWorkflowResponse]:
    """What the watcher of an archived run gets: its entries, to the last one. Nothing else comes."""
    for raw in run.entries:
        if raw.n > request.after_sequence:
            yield pb.WatchWorkflowResponse(entry=entry_out(raw, request.payload_format))


class WatchStream:
    """One watcher."""

    def __init__(
        self, context: NodeContext, hints: Hints, request: pb.WatchWorkflowRequest, stopping: asyncio.Event
    ) -> None:
        self._context = context
        self._hints = hints
        self._request = request
        self._stopping = stopping
        self._wants_live = request.include_progress or request.include_partials
        self._news = asyncio.Event()
        self._entries_due = True
        self._poll = WATCH_POLL_IDLE
        self._polling = False  # whether this look is one without a hint
        self._last: bytes = b""
        self._live: bytes = b"-"
        self._over: set[str] = set()
        self._closed = False
        self._blocked: workflow_pb2.Blocked | None = None
        self._loop = asyncio.get_running_loop()

    async def run(self) -> AsyncGenerator[pb.WatchWorkflowResponse, None]:
        """Ends with the workflow; a node that stops says UNAVAILABLE, so that nobody takes it for the end."""
        request = self._request
        leave = self._follow()
        stopping = asyncio.create_task(self._stop())
        renew = said = self._loop.time()
        try:
            while not self._stopping.is_set():
                now = self._loop.time()
                if now >= renew:
                    await self._context.journal.watch(request.workflow_id, WATCHED_MS)
                    renew = now + RENEW
                async for answer in self._new():
                    yield answer
                    said = self._loop.time()
                if self._closed:
                    return
                if self._loop.time() - said >= WATCH_KEEP_ALIVE:
                    yield pb.WatchWorkflowResponse()
                    said = self._loop.time()
                await self._rest()
            raise Unavailable("this node is stopping: go on at another one", code="UNAVAILABLE")
        finally:
            leave()
            stopping.cancel()

    def _follow(self) -> Callable[[], None]:
        """Hear of the workflow; returns a function that ends it."""
        leave = [self._hints.follow(self._request.workflow_id, self._entries_came)]
        if self._wants_live:
            leave.append(self._hints.follow_progress(self._request.workflow_id, self._news.set))

        def leave_all() -> None:
            for each in leave:
                each()

        return leave_all

    def _entries_came(self) -> None:
        self._entries_due = True
        self._news.set()

    async def _stop(self) -> None:
        await self._stopping.wait()
        self._news.set()

    async def _rest(self) -> None:
        """Until there is a hint, or it is time to look without one."""
        try:
            async with asyncio.timeout(self._poll if self._wants_live else RENEW / 2):
                await self._news.wait()
        except TimeoutError:
            self._polling = self._wants_live
            self._entries_due |= not self._wants_live  # else the reminders of `Hints` see to the entries
            return
        self._polling = False
        self._news.clear()

    async def _new(self) -> AsyncGenerator[pb.WatchWorkflowResponse, None]:
        """What came since the last look: first what running attempts said, then the entries.

        The journal is read first: an agent sends what an attempt said before its outcome, so the live stream then has all
        of it.
        """
        fresh = not self._last
        look = self._entries_due
        entries = await self._read_entries()
        live = await self._read_live()
        for raw in entries:
            if raw.name.startswith("task:"):
                self._over.add(raw.name[5:])
        if not fresh:
            for answer in live:
                yield answer
        for raw in entries:
            self._last = raw.id
            self._closed = self._closed or raw.name == "close"
            if raw.n > self._request.after_sequence:
                yield pb.WatchWorkflowResponse(entry=entry_out(raw, self._request.payload_format))
        if fresh:  # the past of what still runs; what is over has its entry
            for answer in live:
                if answer.entry.progress.step not in self._over:
                    yield answer
        if look and not self._closed and (blocked := await self._newly_blocked()) is not None:
            yield pb.WatchWorkflowResponse(blocked=blocked)

    async def _newly_blocked(self) -> workflow_pb2.Blocked | None:
        """Why it is BLOCKED, if the watcher does not know it."""
        head = await self._context.journal.head(self._request.workflow_id, ("state", "blocked"))
        before, is_blocked = self._blocked, head is not None and head.state is State.BLOCKED
        self._blocked = blocked_out(head.blocked) if head is not None and is_blocked else None
        return None if self._blocked == before else self._blocked

    async def _read_entries(self) -> list[RawEntry]:
        entries: list[RawEntry] = []
        if not self._entries_due:
            return entries
        self._entries_due = False
        while page := await self._context.journal.read(
            self._request.workflow_id, entries[-1].id if entries else self._last
        ):
            entries += page
            if len(page) < 2:
                break
        return entries

    async def _read_live(self) -> list[pb.WatchWorkflowResponse]:
        request = self._request
        if not self._wants_live:
            return []
        found: list[pb.WatchWorkflowResponse] = []
        key, before = self._context.keys.live(request.workflow_id), self._live
        while True:
            page = await self._context.link.call("XRANGE", key, self._live, "+", "COUNT", LIVE_PAGE)
            for where, fields in page:
                self._live = b"(" + where
                for message in fields[1::2]:
                    progress = task_pb2.TaskProgress.FromString(message)
                    if request.include_partials if progress.HasField("partial") else request.include_progress:
                        found.append(self._progress(progress))
            if len(page) < LIVE_PAGE:
                break
        if self._polling:
            self._poll = WATCH_POLL if self._live != before else min(2 * self._poll, WATCH_POLL_IDLE)
        return found

    def _progress(self, progress: task_pb2.TaskProgress) -> pb.WatchWorkflowResponse:
        entry = workflow_pb2.JournalEntry(
            name=f"progress:{progress.step}#{progress.attempt}",
            time=progress.time,
            actor=progress.agent_id,
            progress=progress,
        )
        reshape(entry, self._request.payload_format)
        return pb.WatchWorkflowResponse(entry=entry)
