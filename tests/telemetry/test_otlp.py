# SPDX-License-Identifier: Apache-2.0
"""The faster encoder makes the messages that the SDK's makes, and leaves to the SDK what it does not know."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from nervenet.records import Trace
from nervenet.telemetry import Span
from nervenet.telemetry.otlp import EncodedSpan, Source, request_bytes
from nervenet.telemetry.sdk import Tracing

CALLER = Trace("00-84bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01")
WITH_STATE = Trace(CALLER.traceparent, "a=1,b=2")
OWN, PARENT = b"own-span", b"parents!"
BEGAN, ENDED = 1_700_000_000_000_000_000, 1_700_000_000_123_456_789
ATTRIBUTES: dict[str, Any] = {
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


class Kept(SpanExporter):
    """Keeps what a process would send."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


class Process:
    """The tracing of a process that sends to one exporter, encoded by us or not."""

    def __init__(self, source: type[Source] | None) -> None:
        self.kept = Kept()
        self.provider = TracerProvider(resource=Resource({"service.name": "mesh", "nervenet.role": "node"}))
        self.provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.tracing = Tracing(self.provider, ours=True, source=source)

    @property
    def encoded_here(self) -> list[bool]:
        return [isinstance(span, EncodedSpan) for span in self.kept.spans]

    def sent(self) -> ExportTraceServiceRequest:
        if any(self.encoded_here):
            return ExportTraceServiceRequest.FromString(request_bytes(self.kept.spans))
        return encode_spans(self.kept.spans)


@pytest.fixture
def fast() -> Process:
    return Process(Source)


@pytest.fixture
def plain() -> Process:
    return Process(None)


def span(name: str = "send queue:a", kind: Any = "producer", trace: Trace = CALLER, **more: Any) -> Span:
    given: dict[str, Any] = {"parent_id": PARENT, "attributes": {}} | more
    return Span(name, kind, trace, OWN, start_ns=BEGAN, end_ns=ENDED, **given)


def contents(request: ExportTraceServiceRequest) -> list[tuple[bytes, bytes, list[bytes]]]:
    """Resource, scope and spans of each scope, without their order."""
    found: dict[tuple[bytes, bytes], list[bytes]] = {}
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            key = (
                resource.resource.SerializeToString(deterministic=True),
                scope.scope.SerializeToString(deterministic=True),
            )
            found.setdefault(key, []).extend(one.SerializeToString(deterministic=True) for one in scope.spans)
    return [(*key, sorted(spans)) for key, spans in sorted(found.items())]


def test_finished_spans_are_the_same_messages(fast: Process, plain: Process) -> None:
    spans = [
        span(attributes=ATTRIBUTES),
        span("n" * 300, "internal", parent_id=b""),
        span("call", "client", error="no model", remote=True),
        span("answer", "server", error="e" * 5_000),
        span("quiet", "server", error=""),
        span("process", "consumer", links=(b"a-link..", b"another.")),
        span(trace=WITH_STATE),
    ]
    for process in (fast, plain):
        process.tracing.export(spans)
    assert all(fast.encoded_here)
    assert fast.sent().SerializeToString() == plain.sent().SerializeToString(), "byte for byte"


def test_a_handlers_span_is_the_same_message_whatever_the_handler_adds(fast: Process, plain: Process) -> None:
    times = {"start_ns": BEGAN}
    for process in (fast, plain):
        with process.tracing.handling("process queue:a", CALLER, OWN, ATTRIBUTES, **times) as handling:
            handling.note("nervenet.task.outcome", "SUCCEEDED")
        with process.tracing.handling("process queue:b", CALLER, OWN, ATTRIBUTES, **times) as handling:
            handling.note("one", 2)
            handling.failed("RateLimited", "429")
        with process.tracing.handling("process queue:c", CALLER, OWN, ATTRIBUTES, **times):
            api.get_current_span().add_event("it happened", {"at": 3}, timestamp=ENDED)
        with process.tracing.handling("process queue:d", CALLER, OWN, ATTRIBUTES, **times):
            api.get_current_span().set_attribute("list", ["a", "b"])
        with process.tracing.handling("process queue:e", CALLER, OWN, ATTRIBUTES, **times):
            api.get_current_span().set_status(api.Status(api.StatusCode.OK))
        with process.tracing.handling("process queue:f", CALLER, OWN, ATTRIBUTES, **times):
            for number in range(200):
                api.get_current_span().set_attribute(f"attribute {number}", number)
    assert fast.encoded_here == [True, True, False, False, False, False], "the SDK's encoder has the rest"
    assert timeless(fast.sent()) == timeless(plain.sent())


def timeless(request: ExportTraceServiceRequest) -> list[tuple[bytes, bytes, list[bytes]]]:
    """Without the ends of spans, which are read from the clock."""
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for one in scope.spans:
                assert one.end_time_unix_nano > BEGAN
                one.end_time_unix_nano = ENDED
    return contents(request)


def test_a_handler_reads_the_attributes_that_its_span_began_with(fast: Process) -> None:
    with fast.tracing.handling("process queue:a", CALLER, OWN, {"one": 1}):
        here: Any = api.get_current_span()
        here.set_attribute("two", 2)
        assert dict(here.attributes) == {"one": 1, "two": 2}


def test_spans_of_other_code_go_beside_ours(fast: Process, plain: Process) -> None:
    for process in (fast, plain):
        process.tracing.export([span(attributes=ATTRIBUTES)])
        tracer = process.provider.get_tracer("a.library", "3")
        with tracer.start_as_current_span("outer", attributes={"list": ["a", "b"]}) as outer:
            outer.add_event("it happened", {"at": 3})
    assert fast.encoded_here == [True, False]
    sent = fast.sent()
    assert [scope.scope.name for resource in sent.resource_spans for scope in resource.scope_spans] == [
        "nervenet",
        "a.library",
    ]
    assert contents(sent)[0] == contents(plain.sent())[0], "ours; the others have ids of their own"


def test_a_span_processor_of_the_users_own_gets_spans_of_the_sdk(fast: Process) -> None:
    theirs = Kept()
    fast.tracing.export([span()])
    fast.provider.add_span_processor(SimpleSpanProcessor(theirs))
    fast.tracing.export([span(attributes={"one": 1})])
    assert fast.encoded_here == [True, False]
    assert [(one.name, dict(one.attributes)) for one in theirs.spans] == [("send queue:a", {"one": 1})]


def test_nothing_at_all() -> None:
    assert request_bytes([]) == b""
