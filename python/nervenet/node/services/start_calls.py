# SPDX-License-Identifier: Apache-2.0
"""Calls that start something: workflows, many at once, and tasks alone. Each start is a SERVER span, the workflow's parent.

`starts` checks the messages, `Starter` starts. A caller may wait for the end in the same call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nervenet.errors import RequestError
from nervenet.node.services.reads import closed_workflow
from nervenet.node.services.starts import refused_start, start_of, task_start_of
from nervenet.registry.selection import require
from nervenet.rpc.guard import trace_of
from nervenet.rpc.status import check_values, id_reused, invalid_all, to_outcome
from nervenet.security.permit import REFUSED_ITEMS
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import payload_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.duration_pb2 import Duration

    from nervenet.node.context import NodeContext
    from nervenet.node.services.awaits import Awaits
    from nervenet.node.services.reads import Reads
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.checks import Checks
    from nervenet.node.workflows.start import Started, Starter
    from nervenet.node.workflows.start_plan import StartRequest
    from nervenet.telemetry import RpcSpan
    from nervenet.v1 import common_pb2 as common
    from nervenet.v1 import workflow_pb2


class StartCalls:
    """One for each node."""

    def __init__(
        self,
        context: NodeContext,
        starter: Starter,
        admission: Admission,
        checks: Checks,
        reads: Reads,
        awaits: Awaits,
    ) -> None:
        self._context = context
        self._starter = starter
        self._admission = admission
        self._checks = checks
        self._reads = reads
        self._awaits = awaits

    async def one(self, request: pb.StartWorkflowRequest, call: Any) -> pb.StartWorkflowResponse:
        """Start a workflow, and wait for its end if the caller wants that."""
        start = start_of(request, self._context.config, trace_of(call))
        with self._incoming("StartWorkflow", start) as span:
            created, workflow = await self._start(_inside(span, start), request.wait, request.payload_format, call)
        return pb.StartWorkflowResponse(workflow=workflow, created=created)

    async def _start(
        self, start: StartRequest, wait: Duration, form: common.PayloadFormat, call: Any
    ) -> tuple[bool, workflow_pb2.Workflow]:
        try:
            started = await self._starter.start(start)
        except RequestError as error:
            raise refused_start(error) from None
        await self._awaits.one(start.workflow_id, wait, call)
        question = pb.GetWorkflowRequest(workflow_id=start.workflow_id, payload_format=form)
        return started.created, await self._reads.workflow(question)

    async def many(self, requests: Sequence[pb.StartWorkflowRequest], call: Any) -> list[pb.StartOutcome]:
        """Start many workflows: each has its own outcome."""
        trace, config, denied = trace_of(call), self._context.config, REFUSED_ITEMS.get()
        starts: list[StartRequest] = []
        outcomes: list[pb.StartOutcome | None] = []
        for i, message in enumerate(requests):
            try:
                if i in denied:
                    raise denied[i]
                check_values(message, f"requests[{i}].")
                starts.append(start_of(message, config, trace, f"requests[{i}]."))
                outcomes.append(None)
            except RequestError as error:
                outcomes.append(pb.StartOutcome(workflow_id=message.workflow_id, error=to_outcome(error)))
        answers = iter(zip(starts, await self._start_many(starts), strict=True))
        found = [
            _outcome(*next(answers), f"requests[{i}].") if outcome is None else outcome
            for i, outcome in enumerate(outcomes)
        ]
        if len(found) == 1 and not found[0].HasField("error") and requests[0].HasField("wait"):
            await self._add_end(found[0], requests[0], call)
        return found

    async def _add_end(self, outcome: pb.StartOutcome, request: pb.StartWorkflowRequest, call: Any) -> None:
        """Wait for the end of the only workflow of a batch, and tell it as AwaitWorkflows does (decision 0051)."""
        closed = await self._awaits.one(outcome.workflow_id, request.wait, call)
        if closed is not None and closed.close is not None:
            outcome.workflow.CopyFrom(closed_workflow(closed, request.payload_format))

    async def _start_many(self, starts: Sequence[StartRequest]) -> list[Started | RequestError]:
        """Starts that came in one batch: a span each, as if they had come alone."""
        if not self._context.telemetry.on:
            return await self._starter.start_many(starts)
        spans = [self._incoming("StartWorkflow", start) for start in starts]
        answers = await self._starter.start_many(
            [_inside(span, start) for span, start in zip(spans, starts, strict=True)]
        )
        for span, answer in zip(spans, answers, strict=True):
            if isinstance(answer, RequestError):
                span.fail(answer)
            else:
                span.end()
        return answers

    async def task(self, request: pb.RunTaskRequest, call: Any) -> pb.RunTaskResponse:
        """Run a task alone: a workflow of one step."""
        start = task_start_of(request, self._context.config, trace_of(call), self._context.codecs)
        await self._check_task(request, start.workflow_id)
        try:
            with self._incoming("RunTask", start) as span:
                _, workflow = await self._start(_inside(span, start), request.wait, request.payload_format, call)
        except RequestError as error:
            if error.reason != "WORKFLOW_EXISTS":
                raise
            words = "a task with another capability or input was started with it"
            raise id_reused(request.request_id, words, **error.metadata) from None
        return pb.RunTaskResponse(workflow=workflow)

    async def _check_task(self, request: pb.RunTaskRequest, workflow_id: str) -> None:
        """A new task is refused while its queue is full, or if no live agent takes its input; one that is there already
        is answered."""
        requirement = require(request.capability, request.selection.match_labels)
        wrong = self._checks.task(request.capability, payload_in(request.input))
        if wrong or self._admission.queue_full(requirement):
            head = await self._context.journal.head(workflow_id, ("owner",))
            if head is None:
                if wrong:
                    raise invalid_all(wrong)
                self._admission.check_queue(requirement)

    def _incoming(self, method: str, start: StartRequest) -> RpcSpan:
        """The span of a call. A trace begins here where the caller has none and the sampler takes it."""
        attributes = {"nervenet.workflow.id": start.workflow_id}
        return self._context.telemetry.incoming(f"nervenet.v1.CoordinatorService/{method}", start.trace, attributes)


def _inside(span: RpcSpan, start: StartRequest) -> StartRequest:
    """The start as a child of its call."""
    return start if span.trace is start.trace else replace(start, trace=span.trace)


def _outcome(start: StartRequest, answer: Started | RequestError, at: str) -> pb.StartOutcome:
    if isinstance(answer, RequestError):
        return pb.StartOutcome(workflow_id=start.workflow_id, error=to_outcome(refused_start(answer, at)))
    return pb.StartOutcome(workflow_id=start.workflow_id, created=answer.created)
