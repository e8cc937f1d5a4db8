# SPDX-License-Identifier: Apache-2.0
"""The tracing that is on: plain spans become OpenTelemetry's and go to its span processor.

It hides the SDK. Spans that are finished when we learn of them (a workflow's, at its close) are built as ReadableSpan
with the ids and times that they have, which is half the price of a tracer's span and the only way to give them ids
that were decided long before. A handler's span is a real one, so that the handler can add to it, with an id of ours.

If the process has a tracer provider of its own already (the user's code, or auto-instrumentation), spans go there, and
nothing is configured twice; else one is made from OTEL_*, and becomes the process's.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from importlib.metadata import entry_points, version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import context as contexts
from opentelemetry import trace as api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.status import Status, StatusCode

from nervenet.clock import SYSTEM
from nervenet.records import NO_TRACE, Trace
from nervenet.telemetry.ambient import activated, context_with, here, span_context, trace_of
from nervenet.telemetry.context import checked
from nervenet.telemetry.resource import resource
from nervenet.telemetry.spans import (
    LONGEST_DESCRIPTION,
    Attributes,
    Handling,
    Kind,
    RpcSpan,
    Span,
    Telemetry,
    is_error,
    rpc_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import AnyValue

    from nervenet.telemetry.otlp import Source

_log = logging.getLogger(__name__)

_KINDS: Final[dict[Kind, api.SpanKind]] = {
    "internal": api.SpanKind.INTERNAL,
    "server": api.SpanKind.SERVER,
    "client": api.SpanKind.CLIENT,
    "producer": api.SpanKind.PRODUCER,
    "consumer": api.SpanKind.CONSUMER,
}
_UNSET: Final = Status(StatusCode.UNSET)


class ExporterMissing(Exception):
    """OTEL_TRACES_EXPORTER names an exporter that is not installed."""


class Tracing(Telemetry):
    """Spans go to this provider's processors; its sampler decides where a trace begins."""

    on = True

    def __init__(self, provider: TracerProvider, *, ours: bool, source: type[Source] | None = None) -> None:
        """`source` makes spans that are encoded already, for an exporter that understands them. They are used as long as nobody
        adds a span processor of their own, which expects the SDK's.
        """
        self._provider = provider
        self._ours = ours
        self._sampler = provider.sampler
        self._ids = provider.id_generator
        # The provider's own door is a tracer, which takes neither ids nor end times of somebody else's making.
        self._processor: SpanProcessor = provider._active_span_processor  # noqa: SLF001
        self._resource = provider.resource
        self.service = str(self._resource.attributes.get("service.name", ""))
        self._scope = InstrumentationScope("nervenet", version("nervenet"))
        self._limits = SpanLimits()
        self._source = None if source is None else source(self._resource, self._scope)

    def export(self, spans: Iterable[Span]) -> None:
        trace, known = None, api.INVALID_SPAN_CONTEXT
        for span in spans:
            if span.trace is not trace:  # all spans of a workflow have the same
                trace, known = span.trace, span_context(span.trace, remote=False)
            self._processor.on_end(self.finished(span, known))

    def finished(self, span: Span, known: api.SpanContext) -> ReadableSpan:
        """A span for the processor; `known` is any context of its trace."""
        if self._source is not None and len(getattr(self._processor, "_span_processors", ())) == 1:
            encoded = self._source.encoded(span, known)
            if encoded is not None:
                return cast("ReadableSpan", encoded)
        return self._readable(span, known)

    def _readable(self, span: Span, known: api.SpanContext) -> ReadableSpan:
        """`known` is any context of its trace."""
        trace_id, flags, state = known.trace_id, known.trace_flags, known.trace_state
        parent = None
        if span.parent_id:
            parent = api.SpanContext(trace_id, int.from_bytes(span.parent_id), span.remote, flags, state)
        return ReadableSpan(
            name=span.name,
            context=api.SpanContext(trace_id, int.from_bytes(span.span_id), False, flags, state),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            links=[api.Link(api.SpanContext(trace_id, int.from_bytes(i), True, flags, state)) for i in span.links],
            kind=_KINDS[span.kind],
            status=_UNSET if span.error is None else Status(StatusCode.ERROR, span.error[:LONGEST_DESCRIPTION]),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def outgoing(self, method: str, attributes: Attributes | None = None) -> RpcSpan:
        return self._call(method, "client", here(), attributes)

    def incoming(self, method: str, trace: Trace, attributes: Attributes | None = None) -> RpcSpan:
        return self._call(method, "server", checked(trace), attributes)

    def _call(self, method: str, kind: Kind, parent: Trace, attributes: Attributes | None) -> RpcSpan:
        """Asks the sampler as a tracer would; what it does not take goes on as it came."""
        if parent.traceparent:
            above = span_context(parent, remote=kind == "server")
            context, trace_id = api.set_span_in_context(api.NonRecordingSpan(above)), above.trace_id
            flags = api.TraceFlags(above.trace_flags | api.TraceFlags.SAMPLED)
        else:
            context, trace_id = contexts.Context(), self._ids.generate_trace_id()
            flags = api.TraceFlags(api.TraceFlags.SAMPLED)
        answer = self._sampler.should_sample(context, trace_id, method, _KINDS[kind], attributes, ())
        if answer.decision is not Decision.RECORD_AND_SAMPLE:
            return RpcSpan(parent)
        mine = api.SpanContext(trace_id, self._ids.generate_span_id(), False, flags, answer.trace_state)
        return _TracedCall(self, method, kind, parent, trace_of(mine, parent.baggage), attributes or {})

    # ── handlers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def handling(
        self, name: str, trace: Trace, span_id: bytes, attributes: Attributes, *, start_ns: int | None = None
    ) -> Handling:
        trace = checked(trace)
        if not trace.traceparent:
            return super().handling(name, trace, span_id, attributes)
        parent = span_context(trace)
        if not trace.sampled:  # the user's own spans heed the caller's decision too
            return _TracedHandling(api.NonRecordingSpan(parent), trace.baggage)
        own = api.SpanContext(parent.trace_id, int.from_bytes(span_id), False, parent.trace_flags, parent.trace_state)
        span = _OwnSpan(
            self,
            name,
            own,
            parent,
            attributes,
            resource=self._resource,
            links=(api.Link(parent),),
            kind=api.SpanKind.CONSUMER,
            span_processor=self._processor,
            instrumentation_scope=self._scope,
            limits=self._limits,
        )
        span.start(start_ns)
        return _TracedHandling(span, trace.baggage)

    def activated(self, trace: Trace) -> AbstractContextManager[Any]:
        trace = checked(trace)
        return activated(trace) if trace.traceparent else super().activated(trace)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def shutdown(self, grace: float = 3.0) -> None:
        """A collector that is out of reach does not hold up the end of the process for longer than the grace."""
        atexit.unregister(self.shutdown)
        work = self._provider.shutdown if self._ours else self._provider.force_flush
        sending = threading.Thread(target=work, name="nervenet-last-spans", daemon=True)
        try:
            sending.start()
        except RuntimeError:  # the interpreter is ending: no thread may begin any more
            work()
        else:
            sending.join(grace)
            if sending.is_alive():
                _log.warning("the last spans were not sent within %g s", grace)


class _OwnSpan(SdkSpan):
    """A recording span with an id that we choose: the SDK's constructor is open to subclasses only.

    The attributes that it begins with are ours and known to be valid. They join those that the handler sets when somebody
    reads them, because checking each of them would cost as much as the rest of the span.
    """

    def __init__(
        self,
        tracing: Tracing,
        name: str,
        context: api.SpanContext,
        parent: api.SpanContext,
        ours: Attributes,
        **rest: Any,
    ) -> None:
        super().__init__(name, context, parent, **rest)
        self._tracing = tracing
        self._own = context
        self._above = parent
        self._ours = ours

    @property
    def attributes(self) -> Mapping[str, AnyValue]:
        return MappingProxyType(self._merged())

    def _merged(self) -> dict[str, AnyValue]:
        return {**self._ours, **(self._attributes or {})}

    def _readable_span(self) -> ReadableSpan:
        dropped = self._attributes.dropped if isinstance(self._attributes, BoundedAttributes) else 0
        as_it_began = not self._events and len(self._links) == 1 and self._status.status_code is not StatusCode.OK
        if as_it_began and not dropped:
            return self._tracing.finished(self._plain(), self._own)
        span = super()._readable_span()
        merged: Any = self._merged()
        if dropped:
            merged = BoundedAttributes(None, merged)
            merged.dropped = dropped
        span._attributes = merged  # noqa: SLF001 - the SDK's own class
        return span

    def _plain(self) -> Span:
        parent = self._above.span_id.to_bytes(8)
        return Span(
            self._name,
            "consumer",
            NO_TRACE,  # not read: the context is known
            self._own.span_id.to_bytes(8),
            parent,
            self._start_time or 0,
            self._end_time or 0,
            cast("Attributes", self._merged()),
            (parent,),
            error=(self._status.description or "") if self._status.status_code is StatusCode.ERROR else None,
            remote=True,
        )


class _TracedCall(RpcSpan):
    __slots__ = ("_attributes", "_kind", "_method", "_over", "_parent", "_start_ns", "_tracing")

    def __init__(
        self, tracing: Tracing, method: str, kind: Kind, parent: Trace, trace: Trace, attributes: Attributes
    ) -> None:
        super().__init__(trace)
        self._tracing = tracing
        self._method = method
        self._kind: Kind = kind
        self._parent = parent
        self._attributes = attributes
        self._over = False
        self._start_ns = SYSTEM.now_ns()

    def end(self, code: str = "OK", message: str = "") -> None:
        if self._over:
            return
        self._over = True
        attributes = {**rpc_attributes(self._method, code), **self._attributes}
        error = None
        if is_error(self._kind, code):
            error, attributes["error.type"] = message or code, code
        parent = bytes.fromhex(self._parent.traceparent[36:52])
        own = bytes.fromhex(self.trace.traceparent[36:52])
        span = Span(
            self._method,
            self._kind,
            self.trace,
            own,
            parent,
            self._start_ns,
            SYSTEM.now_ns(),
            attributes,
            error=error,
            remote=self._kind == "server",
        )
        self._tracing.export((span,))


class _TracedHandling(Handling):
    __slots__ = ("_baggage", "_span", "_token")

    def __init__(self, span: api.Span, baggage: str) -> None:
        self._span = span
        self._baggage = baggage
        self._token: Any = None

    def __enter__(self) -> _TracedHandling:
        self._token = contexts.attach(context_with(self._span, self._baggage))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        contexts.detach(self._token)
        if error is not None:
            self.failed(type(error).__name__, str(error))
        self._span.end()

    def failed(self, type: str, message: str) -> None:
        self._span.set_attribute("error.type", type)
        self._span.set_status(Status(StatusCode.ERROR, message[:LONGEST_DESCRIPTION]))

    def note(self, key: str, value: str | float | bool) -> None:
        self._span.set_attribute(key, value)


# ── making one ───────────────────────────────────────────────────────────────────────────────────────────────────────


def existing() -> Tracing | None:
    """Tracing with the provider that the process has already."""
    provider = api.get_tracer_provider()
    return Tracing(provider, ours=False) if isinstance(provider, TracerProvider) else None


def configured(service_name: str, role: str, instance_id: str) -> Tracing:
    """Tracing as OTEL_* configure it. Raises ExporterMissing."""
    exporters = [_exporter(name.strip()) for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",")]
    provider = TracerProvider(resource=resource(service_name, role, instance_id), shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    api.set_tracer_provider(provider)
    source = getattr(exporters[0], "source", None) if len(exporters) == 1 else None
    tracing = Tracing(provider, ours=True, source=source)
    atexit.register(tracing.shutdown)
    return tracing


def _exporter(name: str) -> SpanExporter:
    """An exporter from OpenTelemetry's registry. OTLP over gRPC comes with nervenet; others work if they are
    installed.
    """
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        name = "otlp_proto_http" if (protocol or "grpc").startswith("http") else "otlp_proto_grpc"
    if name == "otlp_proto_grpc":
        from nervenet.telemetry.otlp import FastExporter

        return FastExporter()
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        made: SpanExporter = found.load()()
        return made
    raise ExporterMissing(f"no exporter {name!r} is installed (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_PROTOCOL)")
