# SPDX-License-Identifier: Apache-2.0
"""The faster encoder makes the messages that the SDK's makes, for our spans and for any others."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.status import Status, StatusCode

from nervenet.telemetry.otlp import encoded

RESOURCE = Resource({"service.name": "mesh", "nervenet.role": "node"})
OURS = InstrumentationScope("nervenet", "1")


def context(span_id: int, *, remote: bool = False, state: api.TraceState | None = None) -> api.SpanContext:
    return api.SpanContext((1 << 127) + 5, span_id, remote, api.TraceFlags(1), state)


def span(name: str = "send queue:a", **more: Any) -> ReadableSpan:
    given: dict[str, Any] = {
        "context": context(7),
        "parent": context(3, remote=True),
        "resource": RESOURCE,
        "instrumentation_scope": OURS,
        "start_time": 1_700_000_000_000_000_000,
        "end_time": 1_700_000_000_123_456_789,
        "kind": api.SpanKind.PRODUCER,
    }
    return ReadableSpan(name, **{**given, **more})


def messages(request: Any) -> list[tuple[bytes, bytes, list[bytes]]]:
    """Resource, scope and spans of each scope, in an order that does not matter."""
    return sorted(
        (
            resource.resource.SerializeToString(deterministic=True),
            scope.scope.SerializeToString(deterministic=True),
            sorted(one.SerializeToString(deterministic=True) for one in scope.spans),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
    )


def test_our_spans() -> None:
    attributes = {
        "text": "é🙂",
        "long": "x" * 400,
        "empty": "",
        "yes": True,
        "no": False,
        "one": 1,
        "negative": -3,
        "large": 1 << 62,
        "zero": 0,
        "half": 0.5,
        "one point zero": 1.0,
    }
    spans = [
        span(attributes=attributes),
        span("n" * 300, parent=None, kind=api.SpanKind.INTERNAL),
        span(parent=context(3), kind=api.SpanKind.CLIENT, status=Status(StatusCode.ERROR, "no model")),
        span(status=Status(StatusCode.OK), kind=api.SpanKind.SERVER),
        span(links=[api.Link(context(9, remote=True)), api.Link(context(10))], kind=api.SpanKind.CONSUMER),
        span(context=context(8, state=api.TraceState([("a", "1"), ("b", "2")]))),
    ]
    request = ExportTraceServiceRequest.FromString(encoded(spans))
    assert messages(request) == messages(encode_spans(spans))
    (resource,) = request.resource_spans
    assert [one.SerializeToString() for one in resource.scope_spans[0].spans] == [
        one.SerializeToString() for one in encode_spans(spans).resource_spans[0].scope_spans[0].spans
    ], "even byte for byte"


def test_spans_of_other_code_beside_ours() -> None:
    class Keep(SpanExporter):
        def __init__(self) -> None:
            self.spans: list[ReadableSpan] = []

        def export(self, spans: Any) -> SpanExportResult:
            self.spans += spans
            return SpanExportResult.SUCCESS

    keep = Keep()
    provider = TracerProvider(resource=RESOURCE, span_limits=SpanLimits(max_attributes=2))
    provider.add_span_processor(SimpleSpanProcessor(keep))
    tracer = provider.get_tracer("a.library", "3")
    with tracer.start_as_current_span("outer", attributes={"list": ["a", "b"]}) as outer:
        outer.add_event("it happened", {"at": 3})
        with tracer.start_as_current_span("inner", links=[api.Link(context(4), {"why": "so"})]) as inner:
            inner.set_attributes({"one": 1, "two": 2, "three": 3})
        with tracer.start_as_current_span("plain"):
            pass
    spans = [*keep.spans, span(), span(resource=Resource({"service.name": "another"}))]
    assert messages(merged(ExportTraceServiceRequest.FromString(encoded(spans)))) == messages(
        merged(encode_spans(spans))
    )


def merged(request: Any) -> Any:
    """Scopes of the same name and resource joined."""
    found: dict[tuple[bytes, bytes], Any] = {}
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            key = (
                resource.resource.SerializeToString(deterministic=True),
                scope.scope.SerializeToString(deterministic=True),
            )
            if key in found:
                found[key].scope_spans[0].spans.extend(scope.spans)
            else:
                copy = type(resource)()
                copy.resource.CopyFrom(resource.resource)
                copy.scope_spans.add().CopyFrom(scope)
                found[key] = copy
    whole = type(request)()
    whole.resource_spans.extend(found.values())
    return whole


def test_nothing_at_all() -> None:
    assert encoded([]) == b""
