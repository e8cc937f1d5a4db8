# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802  # methods carry the contract's names
"""CoordinatorService: starts, reads, watches and steers workflows; every node answers for every workflow.

A thin face: what is asked is checked here or beside (`starts`, `people`), done by the parts of the node, and read by `reads`. No
method waits beyond what its caller allows, and none makes up a DEADLINE_EXCEEDED (docs/architecture.md, How to add an RPC).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from nervenet.clock import SYSTEM, uuid7
from nervenet.errors import AlreadyExists, Overloaded, RequestError
from nervenet.node.services.awaits import AwaitStream, one_close
from nervenet.node.services.definitions import Definitions
from nervenet.node.services.peers import HOP_KEY
from nervenet.node.services.start_tracing import incoming, inside, start_traced
from nervenet.node.services.starts import (
    checked_json,
    checked_payload,
    refused_start,
    start_of,
    task_start_of,
)
from nervenet.node.services.watches import WatchStream
from nervenet.node.workflows.close_notifier import before
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import Cancel, Signaled, State
from nervenet.registry.selection import require
from nervenet.rpc.guard import time_to_wait, trace_of
from nervenet.rpc.status import already_closed, check_values, invalid, invalid_all, not_found, to_outcome
from nervenet.streams.keys import check_name, check_signal_id
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import decode_entry, duration_ms, payload_in, state_out

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from nervenet.node.context import NodeContext
    from nervenet.node.services.definitions import Definitions
    from nervenet.node.services.listing import Lists
    from nervenet.node.services.people import People
    from nervenet.node.services.reads import Reads
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.checks import Checks
    from nervenet.node.workflows.close_notifier import CloseNotifier, Hints
    from nervenet.node.workflows.facts import Facts
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.start import Starter
    from nervenet.records import Body
    from nervenet.streams.answers import Appended
    from nervenet.v1 import common_pb2 as common
    from nervenet.v1 import workflow_pb2

__all__ = ["Coordinators"]


class Coordinators:
    """The servicer."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        starter: Starter,
        facts: Facts,
        admission: Admission,
        checks: Checks,
        definitions: Definitions,
        reads: Reads,
        lists: Lists,
        people: People,
        hints: Hints,
        closings: CloseNotifier,
        stopping: asyncio.Event,
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._starter = starter
        self._facts = facts
        self._admission = admission
        self._checks = checks
        self._reads = reads
        self._lists = lists
        self._people = people
        self._hints = hints
        self._closings = closings
        self._stopping = stopping
        self._definitions = definitions

    # ── start and await ──────────────────────────────────────────────────────────────────────────────────────────────

    async def StartWorkflow(self, request: pb.StartWorkflowRequest, context: Any) -> pb.StartWorkflowResponse:
        start = start_of(request, self._context.config, trace_of(context))
        with incoming(self._context.telemetry, "StartWorkflow", start) as call:
            start = inside(call, start)
            created, workflow = await self._start(start, request.wait, request.payload_format, context)
        return pb.StartWorkflowResponse(workflow=workflow, created=created)

    async def _start(
        self, start: StartRequest, wait: Duration, form: common.PayloadFormat, context: Any
    ) -> tuple[bool, workflow_pb2.Workflow]:
        try:
            started = await self._starter.start(start)
        except RequestError as error:
            raise refused_start(error) from None
        await self._wait(start.workflow_id, wait, context)
        question = pb.GetWorkflowRequest(workflow_id=start.workflow_id, payload_format=form)
        return started.created, await self._reads.workflow(question)

    async def _wait(self, workflow_id: str, wait: Duration, context: Any) -> None:
        if wait.seconds or wait.nanos:
            seconds = time_to_wait(duration_ms(wait) / 1000, context)
            await one_close(self._closings, workflow_id, seconds, self._stopping)

    async def StartWorkflows(self, request: pb.StartWorkflowsRequest, context: Any) -> pb.StartWorkflowsResponse:
        trace, config = trace_of(context), self._context.config
        starts: list[StartRequest] = []
        outcomes: list[pb.StartOutcome | None] = []
        for i, message in enumerate(request.requests):
            try:
                check_values(message, f"requests[{i}].")
                starts.append(start_of(message, config, trace, f"requests[{i}]."))
                outcomes.append(None)
            except RequestError as error:
                outcomes.append(pb.StartOutcome(workflow_id=message.workflow_id, error=to_outcome(error)))
        answers = iter(zip(starts, await start_traced(self._context.telemetry, self._starter, starts), strict=True))
        return pb.StartWorkflowsResponse(
            outcomes=[
                _outcome(*next(answers), f"requests[{i}].") if outcome is None else outcome
                for i, outcome in enumerate(outcomes)
            ]
        )

    async def AwaitWorkflows(
        self, requests: AsyncIterator[pb.AwaitWorkflowsRequest], context: Any
    ) -> AsyncIterator[pb.AwaitWorkflowsResponse]:
        async with aclosing(AwaitStream(self._closings, self._stopping).run(requests)) as answers:
            async for answer in answers:
                yield answer

    # ── read and watch ───────────────────────────────────────────────────────────────────────────────────────────────

    async def GetWorkflow(self, request: pb.GetWorkflowRequest, context: Any) -> pb.GetWorkflowResponse:
        hopped = any(key == HOP_KEY for key, _ in context.invocation_metadata() or ())
        if request.HasField("wait"):
            await self._reads.head(request.workflow_id)
            await self._wait(request.workflow_id, request.wait, context)
        return pb.GetWorkflowResponse(workflow=await self._reads.workflow(request, hopped=hopped))

    async def ListWorkflows(self, request: pb.ListWorkflowsRequest, context: Any) -> pb.ListWorkflowsResponse:
        return await self._lists.workflows(request)

    async def ListJournal(self, request: pb.ListJournalRequest, context: Any) -> pb.ListJournalResponse:
        return await self._lists.journal(request)

    async def WatchWorkflow(
        self, request: pb.WatchWorkflowRequest, context: Any
    ) -> AsyncIterator[pb.WatchWorkflowResponse]:
        await self._reads.head(request.workflow_id)
        watch = WatchStream(self._context, self._hints, request, self._stopping)
        async with aclosing(watch.run()) as answers:
            async for answer in answers:
                yield answer

    # ── steer ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def SignalWorkflow(self, request: pb.SignalWorkflowRequest, context: Any) -> pb.SignalWorkflowResponse:
        try:
            signal_id = check_signal_id(request.request_id) if request.request_id else str(uuid7(SYSTEM.now_ms()))
        except ValueError as error:
            raise invalid("request_id", str(error)) from None
        try:
            signal = check_name(request.signal, "signal", step=False)
        except ValueError as error:
            raise invalid("signal", str(error)) from None
        payload = checked_payload(request.payload, self._context.config.payload_limit, "payload", signal)
        name = f"signal:{signal_id}"
        try:
            await self._admission.check_signal(request.workflow_id)
        except Overloaded:
            if not await self._context.journal.entry_id(request.workflow_id, name):
                raise
        body = Signaled(signal, checked_json(payload, "payload.json"), request.sender)
        wrong = await self._checks.signal(
            request.workflow_id, signal, payload, signal_id, undeclared=request.undeclared
        )
        if wrong is not None:
            raise wrong
        answer = await self._record(request.workflow_id, name, body, request.sender)
        if answer.status != "new":
            await self._check_same(request, answer.id, body)
        return pb.SignalWorkflowResponse(sequence=_sequence(answer.id), created=answer.status == "new")

    async def _check_same(self, request: pb.SignalWorkflowRequest, journal_id: bytes, body: Signaled) -> None:
        (raw,) = await self._context.journal.read(request.workflow_id, before(journal_id), 1)
        there = decode_entry(raw.name, raw.data, raw.n, raw.ms).body
        if isinstance(there, Signaled) and (there.signal, there.payload) != (body.signal, body.payload):
            words = f"another {there.signal!r} signal was sent to {request.workflow_id} with it"
            raise _reused(request.request_id, words, workflow_id=request.workflow_id)

    async def CancelWorkflow(self, request: pb.CancelWorkflowRequest, context: Any) -> pb.CancelWorkflowResponse:
        body = Cancel(request.reason, request.requester)
        answer = await self._record(request.workflow_id, "cancel", body, request.requester)
        created = answer.status == "new"
        return pb.CancelWorkflowResponse(state=state_out(State.CANCELING if created else answer.state), created=created)

    async def _record(self, workflow_id: str, name: str, body: Body, actor: str) -> Appended:
        """A fact from outside; the run is the current one, which the first answer tells.

        What was recorded before is answered so, also when the workflow has closed since.
        """
        coordinator = self._hosted.get(workflow_id)
        run = 1 if coordinator is None else coordinator.run
        answer = await self._facts.record(workflow_id, run, name, body, actor)
        if answer.status == "stale":
            answer = await self._facts.record(workflow_id, answer.run, name, body, actor)
        if answer.status == "unknown":
            raise not_found("workflow", workflow_id, namespace=self._context.config.namespace)
        if answer.status == "closed" and not answer.recorded:
            words = f"workflow {workflow_id} is {answer.state} and no longer accepts a {name.partition(':')[0]}"
            raise already_closed("workflow", workflow_id, words, state=str(answer.state))
        return answer

    # ── a task alone ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def RunTask(self, request: pb.RunTaskRequest, context: Any) -> pb.RunTaskResponse:
        start = task_start_of(request, self._context.config, trace_of(context))
        await self._check_task(request, start.workflow_id)
        try:
            with incoming(self._context.telemetry, "RunTask", start) as call:
                start = inside(call, start)
                _, workflow = await self._start(start, request.wait, request.payload_format, context)
        except RequestError as error:
            if error.reason != "WORKFLOW_EXISTS":
                raise
            words = "a task with another capability or input was started with it"
            raise _reused(request.request_id, words, **error.metadata) from None
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

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def ListEscalations(self, request: pb.ListEscalationsRequest, context: Any) -> pb.ListEscalationsResponse:
        return await self._people.listed(request)

    async def GetEscalation(self, request: pb.GetEscalationRequest, context: Any) -> pb.GetEscalationResponse:
        return pb.GetEscalationResponse(escalation=await self._people.get(request.escalation_id))

    async def ResolveEscalation(
        self, request: pb.ResolveEscalationRequest, context: Any
    ) -> pb.ResolveEscalationResponse:
        escalation = await self._people.resolve(request.escalation_id, request.resolution)
        return pb.ResolveEscalationResponse(escalation=escalation)

    # ── workflows as data ────────────────────────────────────────────────────────────────────────────────────────────

    async def PutDefinition(self, request: pb.PutDefinitionRequest, context: Any) -> pb.PutDefinitionResponse:
        return await self._definitions.put(request)

    async def GetDefinition(self, request: pb.GetDefinitionRequest, context: Any) -> pb.GetDefinitionResponse:
        return await self._definitions.get(request)

    async def ListDefinitions(self, request: pb.ListDefinitionsRequest, context: Any) -> pb.ListDefinitionsResponse:
        return await self._definitions.list(request)


def _outcome(start: StartRequest, answer: Any, at: str) -> pb.StartOutcome:
    if isinstance(answer, RequestError):
        return pb.StartOutcome(workflow_id=start.workflow_id, error=to_outcome(refused_start(answer, at)))
    return pb.StartOutcome(workflow_id=start.workflow_id, created=answer.created)


def _reused(request_id: str, words: str, **metadata: str) -> AlreadyExists:
    return AlreadyExists(
        f"request_id {request_id!r} was used before: {words}. Choose another request_id",
        code="ALREADY_EXISTS",
        reason="REQUEST_ID_REUSED",
        metadata={"request_id": request_id, **metadata},
    )


def _sequence(journal_id: bytes) -> int:
    return int(journal_id.partition(b"-")[2])
