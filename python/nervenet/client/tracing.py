# SPDX-License-Identifier: Apache-2.0
"""The client's spans: one around each start, also where many of them travel in one call.

The caller's own span is their parent. A process that has not set up tracing itself gets it from OTEL_*, like a node or
an agent; one that only uses OpenTelemetry's API still hands its context on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nervenet import telemetry
from nervenet.records import NO_TRACE
from nervenet.wire import trace_out

if TYPE_CHECKING:
    import asyncio

    from nervenet.client.nodes import Nodes
    from nervenet.telemetry import RpcSpan, Telemetry
    from nervenet.v1 import coordinator_service_pb2 as pb

__all__ = ["STARTS", "begin", "begin_start", "process_telemetry"]

STARTS: Final = frozenset({"StartWorkflow", "RunTask"})
_METHOD: Final = "nervenet.v1.CoordinatorService/"


def process_telemetry() -> Telemetry:
    """The telemetry of this process."""
    return telemetry.start("nervenet-client", "client")


def begin(spans: Telemetry, method: str, target: str, workflow_id: str = "") -> RpcSpan:
    """The CLIENT span of a start that will be sent now."""
    if not spans.on:
        return telemetry.RpcSpan(spans.here())
    attributes: dict[str, Any] = {"nervenet.workflow.id": workflow_id} if workflow_id else {}
    host, _, port = target.rpartition(":")
    attributes["server.address"] = host
    if port.isdigit():
        attributes["server.port"] = int(port)
    return spans.outgoing(_METHOD + method, attributes)


def begin_start(nodes: Nodes, request: pb.StartWorkflowRequest, future: asyncio.Future[bool]) -> None:
    """The CLIENT span of a start that is sent with others. Its context is in the request; it ends with the future."""
    if nodes.telemetry.on:
        call = begin(nodes.telemetry, "StartWorkflow", nodes.current, request.workflow_id)
        future.add_done_callback(lambda done: _end(call, done))
        trace = call.trace
    else:
        trace = nodes.telemetry.here()
    if trace is not NO_TRACE and (context := trace_out(trace)) is not None and not request.HasField("trace"):
        request.trace.MergeFrom(context)


def _end(call: RpcSpan, future: asyncio.Future[bool]) -> None:
    if future.cancelled():
        call.end("CANCELLED")
    elif (error := future.exception()) is None:
        call.end()
    else:
        call.fail(error)
