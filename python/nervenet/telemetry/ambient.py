# SPDX-License-Identifier: Apache-2.0
"""The current context of the code that calls us ⇄ `Trace`. Only OpenTelemetry's API, no SDK."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context as contexts
from opentelemetry import trace as api
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from nervenet.records import NO_TRACE, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

_baggage = W3CBaggagePropagator()


def here() -> Trace:
    """The current span of any library, and the current baggage."""
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return NO_TRACE
    carrier: dict[str, str] = {}
    _baggage.inject(carrier)
    return trace_of(context, carrier.get("baggage", ""))


def trace_of(context: api.SpanContext, baggage: str = "") -> Trace:
    """A span's context in W3C's form."""
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return Trace(parent, context.trace_state.to_header() if context.trace_state else "", baggage)


def span_context(trace: Trace, *, remote: bool = True) -> api.SpanContext:
    """The same as OpenTelemetry knows it; `trace` is well-formed."""
    text = trace.traceparent
    state = api.TraceState.from_header([trace.tracestate]) if trace.tracestate else None
    flags = api.TraceFlags(int(text[53:55], 16))
    return api.SpanContext(int(text[3:35], 16), int(text[36:52], 16), remote, flags, state)


def context_with(span: api.Span, baggage: str) -> contexts.Context:
    """A context in which that span is the current one."""
    context = api.set_span_in_context(span)
    return _baggage.extract({"baggage": baggage}, context) if baggage else context


@contextmanager
def _activated(context: contexts.Context) -> Iterator[None]:
    token = contexts.attach(context)
    try:
        yield
    finally:
        contexts.detach(token)


def activated(trace: Trace) -> AbstractContextManager[None]:
    """`trace` is current inside: spans started there are its children."""
    return _activated(context_with(api.NonRecordingSpan(span_context(trace)), trace.baggage))
