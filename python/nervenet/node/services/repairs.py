# SPDX-License-Identifier: Apache-2.0
"""Calls that repair: RetryWorkflow, which its owner answers, and RestartWorkflow, which any node answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nervenet.errors import RequestError, Unavailable
from nervenet.node.services.starts import refused_start
from nervenet.rpc.guard import trace_of
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.services.peers import Peers
    from nervenet.node.services.reads import Reads
    from nervenet.node.workflows.repair import Repair
    from nervenet.v1 import workflow_pb2


class Repairs:
    """One for each node."""

    def __init__(self, context: NodeContext, repair: Repair, reads: Reads, peers: Peers) -> None:
        self._context = context
        self._repair = repair
        self._reads = reads
        self._peers = peers

    async def retry(self, request: pb.RetryWorkflowRequest, *, hopped: bool) -> pb.RetryWorkflowResponse:
        """Replay a BLOCKED workflow again, at the node that has it."""
        context, workflow_id = self._context, request.workflow_id
        owner = await self._repair.owner(workflow_id)
        if owner != context.status.node_id:
            node = context.table.nodes.get(owner)
            if hopped or node is None:
                words = f"{workflow_id} moves from one node to another, which replays it; try again"
                raise Unavailable(words, code="UNAVAILABLE", reason="BACKEND_DOWN")
            return await self._peers.retry(node.address, request)
        retried = await self._repair.retry(workflow_id)
        return pb.RetryWorkflowResponse(workflow=await self._told(workflow_id), retried=retried)

    async def restart(self, request: pb.RestartWorkflowRequest, call: Any) -> pb.RestartWorkflowResponse:
        """Begin a workflow again that is over or BLOCKED."""
        try:
            started = await self._repair.restart(
                request.workflow_id,
                request.run,
                version=request.version,
                reason=request.reason,
                requester=request.requester,
                trace=trace_of(call),
            )
        except RequestError as error:
            raise refused_start(error) from None
        created = started is not None and started.created
        return pb.RestartWorkflowResponse(workflow=await self._told(request.workflow_id), created=created)

    async def _told(self, workflow_id: str) -> workflow_pb2.Workflow:
        question = pb.GetWorkflowRequest(workflow_id=workflow_id, payload_format=common.PAYLOAD_FORMAT_OMIT)
        told = await self._reads.workflow(question)
        del told.waits[:]  # it has begun a moment ago: what it waits for is not known yet, or just now
        return told
