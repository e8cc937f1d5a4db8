# SPDX-License-Identifier: Apache-2.0
"""AwaitWorkflows: ids in as they are started, each workflow out when it closes, thousands over one stream.

No task, timer or connection belongs to an awaited workflow: its closing lands in the stream's list, and whatever has
come together when the stream is ready to send goes out as one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from nervenet.blobs import size_of
from nervenet.node.services.reads import blocked_workflow, closed_workflow
from nervenet.node.workflows.close_notifier import BlockedRun, Closed
from nervenet.rpc.guard import time_to_wait
from nervenet.security.permit import HIDDEN_WORKFLOWS
from nervenet.streams.keys import check_workflow_id
from nervenet.timing import BLOCKED_WAIT
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import duration_ms

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from nervenet.node.workflows.close_notifier import CloseNotifier
    from nervenet.v1 import workflow_pb2


ANSWER_BYTES: Final = 4 << 20
ANSWER_MOST: Final = 500
MANY: Final = 16
LINGER: Final = 0.005
"""Seconds for which results wait for each other when many are under way: a message costs both sides more than its results,
and what a client starts after them comes in larger batches too."""


class AwaitStream:
    """One stream of one client."""

    def __init__(self, closings: CloseNotifier, stopping: asyncio.Event) -> None:
        self._closings = closings
        self._stopping = stopping
        self._awaited: set[str] = set()
        self._closed: list[Closed] = []
        self._blocked: dict[str, BlockedRun] = {}
        self._news = asyncio.Event()
        self._form: common.PayloadFormat | None = None
        self._error: BaseException | None = None
        self._ended = False

    async def run(
        self, requests: AsyncIterator[pb.AwaitWorkflowsRequest]
    ) -> AsyncGenerator[pb.AwaitWorkflowsResponse, None]:
        """Until the client has said all and heard all, or the node stops."""
        reading = asyncio.create_task(self._read(requests))
        stopping = asyncio.create_task(self._stop())
        try:
            while True:
                await self._news.wait()
                if len(self._awaited) > MANY:
                    await asyncio.sleep(LINGER)
                self._news.clear()
                if self._error is not None:
                    raise self._error
                while self._closed or self._blocked:
                    yield self._answer()
                if self._stopping.is_set() or (self._ended and not self._awaited):
                    return
        finally:
            for task in (reading, stopping):
                task.cancel()
            for workflow_id in self._awaited:
                self._closings.forget(workflow_id, self._tell)

    async def _stop(self) -> None:
        await self._stopping.wait()
        self._news.set()

    async def _read(self, requests: AsyncIterator[pb.AwaitWorkflowsRequest]) -> None:
        try:
            async for request in requests:
                if self._form is None:
                    self._form = request.payload_format
                for workflow_id in request.forget_workflow_ids:  # first: an id in both is awaited again
                    self._awaited.discard(workflow_id)
                    self._blocked.pop(workflow_id, None)
                    self._closings.forget(workflow_id, self._tell)
                for workflow_id in request.workflow_ids:
                    self._add(workflow_id)
            self._ended = True
        except Exception as error:  # noqa: BLE001  # whatever ends the reading ends the stream, with that error
            self._error = error
        self._news.set()

    def _add(self, workflow_id: str) -> None:
        if workflow_id not in self._awaited:
            try:
                check_workflow_id(workflow_id)
            except ValueError:
                self._tell(Closed(workflow_id, 0, None))
                return
            if workflow_id in HIDDEN_WORKFLOWS.get():
                self._tell(Closed(workflow_id, 0, None))
                return
            self._awaited.add(workflow_id)
            self._closings.when_closed(workflow_id, self._tell, self._tell_blocked)

    def _tell_blocked(self, blocked: BlockedRun) -> None:
        self._blocked[blocked.workflow_id] = blocked
        self._news.set()

    def _tell(self, closed: Closed) -> None:
        self._awaited.discard(closed.workflow_id)
        self._blocked.pop(closed.workflow_id, None)
        self._closed.append(closed)
        self._news.set()

    def _answer(self) -> pb.AwaitWorkflowsResponse:
        workflows: list[workflow_pb2.Workflow] = []
        unknown: list[str] = []
        size = 0
        form = self._form or common.PAYLOAD_FORMAT_VALUE
        taken = 0
        for closed in self._closed[:ANSWER_MOST]:
            if closed.close is None:
                unknown.append(closed.workflow_id)
            else:
                size += 0 if closed.close.output is None else size_of(closed.close.output)
                if size > ANSWER_BYTES and taken:
                    break
                workflows.append(closed_workflow(closed, form))
            taken += 1
        del self._closed[:taken]
        blocked = [blocked_workflow(self._blocked.pop(each)) for each in list(self._blocked)[:ANSWER_MOST]]
        return pb.AwaitWorkflowsResponse(workflows=workflows, unknown_workflow_ids=unknown, blocked_workflows=blocked)


class Awaits:
    """Waits for ends of workflows, for all callers. A node that stops does not let them wait."""

    def __init__(self, closings: CloseNotifier, stopping: asyncio.Event) -> None:
        self._closings = closings
        self._stopping = stopping
        self._waiting: set[asyncio.Future[Closed | None]] = set()
        self._until_stop: asyncio.Task[None] | None = None

    def stream(self) -> AwaitStream:
        """For a client that awaits many."""
        return AwaitStream(self._closings, self._stopping)

    async def one(self, workflow_id: str, wait: Duration, call: Any) -> Closed | None:
        """Wait until one workflow closes or is BLOCKED, for as long as its caller wants and allows. Returns how it has closed;
        None: it has not, as far as is known here."""
        seconds = time_to_wait(duration_ms(wait) / 1000, call) if wait.seconds or wait.nanos else 0
        if seconds <= 0 or self._stopping.is_set():
            return None
        loop = asyncio.get_running_loop()
        closed: asyncio.Future[Closed | None] = loop.create_future()
        earliest = loop.time() + BLOCKED_WAIT

        def tell(told: Closed | None) -> None:
            if not closed.done():
                closed.set_result(told)

        def tell_blocked(_: BlockedRun) -> None:
            loop.call_at(earliest, tell, None)

        if self._until_stop is None:
            self._until_stop = loop.create_task(self._end_all())
        timeout = loop.call_later(seconds, tell, None)
        self._closings.when_closed(workflow_id, tell, tell_blocked)
        self._waiting.add(closed)
        try:
            return await closed
        finally:
            timeout.cancel()
            self._waiting.discard(closed)
            self._closings.forget(workflow_id, tell)

    async def _end_all(self) -> None:
        """When the node stops, nobody waits here any longer. One task for all callers."""
        await self._stopping.wait()
        for closed in self._waiting:
            if not closed.done():
                closed.set_result(None)
