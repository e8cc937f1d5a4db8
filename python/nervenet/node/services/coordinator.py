# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802  # methods carry the contract's names
"""CoordinatorService: starts, reads, watches and steers workflows; every node answers for every workflow.

It hands each call to the part that answers it. No method waits beyond what its caller allows, and none makes up a
DEADLINE_EXCEEDED (docs/architecture.md, How to add an RPC).
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from nervenet.node.services.peers import HOP_KEY
from nervenet.node.services.watches import past
from nervenet.v1 import coordinator_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nervenet.node.services.awaits import Awaits
    from nervenet.node.services.definitions import Definitions
    from nervenet.node.services.fact_calls import FactCalls
    from nervenet.node.services.listing import Lists
    from nervenet.node.services.people import People
    from nervenet.node.services.reads import Reads
    from nervenet.node.services.repairs import Repairs
    from nervenet.node.services.start_calls import StartCalls
    from nervenet.node.services.watches import WatchStream


class Coordinators:
    """The servicer. `watch`: opens the stream of one watcher."""

    def __init__(
        self,
        starts: StartCalls,
        facts: FactCalls,
        repairs: Repairs,
        reads: Reads,
        lists: Lists,
        people: People,
        definitions: Definitions,
        awaits: Awaits,
        watch: Callable[[pb.WatchWorkflowRequest], WatchStream],
    ) -> None:
        self._starts = starts
        self._facts = facts
        self._repairs = repairs
        self._reads = reads
        self._lists = lists
        self._people = people
        self._definitions = definitions
        self._awaits = awaits
        self._watch = watch

    # ── start and await ──────────────────────────────────────────────────────────────────────────────────────────────

    async def StartWorkflow(self, request: pb.StartWorkflowRequest, context: Any) -> pb.StartWorkflowResponse:
        return await self._starts.one(request, context)

    async def StartWorkflows(self, request: pb.StartWorkflowsRequest, context: Any) -> pb.StartWorkflowsResponse:
        return pb.StartWorkflowsResponse(outcomes=await self._starts.many(request.requests, context))

    async def StreamStarts(self, request: pb.StreamStartsRequest, context: Any) -> pb.StreamStartsResponse:
        return pb.StreamStartsResponse(outcomes=await self._starts.many(request.requests, context))

    async def RunTask(self, request: pb.RunTaskRequest, context: Any) -> pb.RunTaskResponse:
        return await self._starts.task(request, context)

    async def AwaitWorkflows(
        self, requests: AsyncIterator[pb.AwaitWorkflowsRequest], context: Any
    ) -> AsyncIterator[pb.AwaitWorkflowsResponse]:
        async with aclosing(self._awaits.stream().run(requests)) as answers:
            async for answer in answers:
                yield answer

    # ── read and watch ───────────────────────────────────────────────────────────────────────────────────────────────

    async def GetWorkflow(self, request: pb.GetWorkflowRequest, context: Any) -> pb.GetWorkflowResponse:
        hopped = _is_hopped(context)
        if request.HasField("wait") and await self._reads.exists(request.workflow_id):
            await self._awaits.one(request.workflow_id, request.wait, context)
        return pb.GetWorkflowResponse(workflow=await self._reads.workflow(request, hopped=hopped))

    async def ListWorkflows(self, request: pb.ListWorkflowsRequest, context: Any) -> pb.ListWorkflowsResponse:
        return await self._lists.workflows(request)

    async def ListWaits(self, request: pb.ListWaitsRequest, context: Any) -> pb.ListWaitsResponse:
        return await self._lists.waits(request)

    async def ListJournal(self, request: pb.ListJournalRequest, context: Any) -> pb.ListJournalResponse:
        return await self._lists.journal(request)

    async def WatchWorkflow(
        self, request: pb.WatchWorkflowRequest, context: Any
    ) -> AsyncIterator[pb.WatchWorkflowResponse]:
        archived = await self._reads.archived(request.workflow_id)
        if archived is not None:
            for answer in past(archived, request):
                yield answer
            return
        async with aclosing(self._watch(request).run()) as answers:
            async for answer in answers:
                yield answer

    # ── steer ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def SignalWorkflow(self, request: pb.SignalWorkflowRequest, context: Any) -> pb.SignalWorkflowResponse:
        return await self._facts.signal(request)

    async def CancelWorkflow(self, request: pb.CancelWorkflowRequest, context: Any) -> pb.CancelWorkflowResponse:
        return await self._facts.cancel(request)

    async def RetryWorkflow(self, request: pb.RetryWorkflowRequest, context: Any) -> pb.RetryWorkflowResponse:
        return await self._repairs.retry(request, hopped=_is_hopped(context))

    async def RestartWorkflow(self, request: pb.RestartWorkflowRequest, context: Any) -> pb.RestartWorkflowResponse:
        return await self._repairs.restart(request, context)

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


def _is_hopped(context: Any) -> bool:
    """Whether another node asks, for its own caller."""
    return any(key == HOP_KEY for key, _ in context.invocation_metadata() or ())
