# SPDX-License-Identifier: Apache-2.0
"""An OTLP collector: receives spans over gRPC as Jaeger would, and keeps them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.waiting import wait_until

DEADLINE = 30.0


@dataclass
class Seen:
    """One span as it came over the wire; ids in hex."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: list[str]
    error: str | None
    events: int
    service: dict[str, Any]
    children: list[Seen] = field(default_factory=list, repr=False)

    def below(self, name: str, **attributes: Any) -> Seen:
        """The one child of that name (and those attributes, `_` for `.`)."""
        found = [
            child
            for child in self.children
            if child.name == name
            and all(child.attributes.get(k.replace("__", ".")) == v for k, v in attributes.items())
        ]
        assert len(found) == 1, f"{len(found)} of {name!r} below {self.name!r}: {[c.name for c in self.children]}"
        return found[0]

    def drawn(self, depth: int = 0) -> str:
        mark = "" if self.error is None else "  ERROR " + self.error
        line = f"{'  ' * depth}{self.name}  {self.kind}{mark}\n"
        return line + "".join(c.drawn(depth + 1) for c in sorted(self.children, key=lambda c: c.start_ns))


class Collector(rpc.TraceServiceServicer):
    """`spans` in the order of their arrival, and the `requests` that brought them."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.requests: list[pb.ExportTraceServiceRequest] = []
        self.endpoint = ""

    def Export(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        for resource in request.resource_spans:
            service = {one.key: _value(one.value) for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_seen(span, service) for span in scope.spans]
        return pb.ExportTraceServiceResponse()

    def wait(self, enough: Callable[[list[Seen]], Any], what: str, within: float = DEADLINE) -> list[Seen]:
        wait_until(lambda: enough(list(self.spans)), what, within, self)
        return list(self.spans)

    def logs(self) -> str:
        """The names of all spans."""
        return f"there are {sorted(span.name for span in self.spans)}"

    def tree(self, workflow_id: str) -> Seen:
        """The root of that workflow's trace, children joined; every span must have its parent there, once."""
        trace_ids = {s.trace_id for s in self.spans if s.attributes.get("nervenet.workflow.id") == workflow_id}
        assert len(trace_ids) == 1, f"{workflow_id} is in traces {trace_ids}"
        spans = [span for span in self.spans if span.trace_id in trace_ids]
        by_id = {span.span_id: span for span in spans}
        assert len(by_id) == len(spans), f"exported twice: {sorted(s.name for s in spans)}"
        for span in spans:
            span.children = sorted((s for s in spans if s.parent_id == span.span_id), key=lambda s: s.start_ns)
        roots = [span for span in spans if span.parent_id not in by_id]
        assert len(roots) == 1, f"several roots: {[(r.name, r.parent_id) for r in roots]}"
        return roots[0]


@contextmanager
def collector() -> Iterator[Collector]:
    """Listens on a free port; `endpoint` is what OTEL_EXPORTER_OTLP_ENDPOINT wants."""
    served = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    rpc.add_TraceServiceServicer_to_server(served, server)
    served.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield served
    finally:
        server.stop(0).wait()


def _seen(span: Wire, service: dict[str, Any]) -> Seen:
    return Seen(
        span.name,
        Wire.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        {one.key: _value(one.value) for one in span.attributes},
        [link.span_id.hex() for link in span.links],
        span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
        len(span.events),
        service,
    )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))
