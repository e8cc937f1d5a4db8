# SPDX-License-Identifier: Apache-2.0
"""The only door to OpenTelemetry. So far: which span is whose, computed and never stored (DESIGN, CONTRACT 5).

A workflow's span id is in its `start` entry; a task's and a send's follow from trace id, task id and attempt, so every
node that ever owns the workflow names the same spans, and one trace stays one trace across a crash.
"""

from __future__ import annotations

import hashlib

from nervenet.records import Trace


def span_id(trace: Trace, *parts: str | int) -> bytes:
    """Eight bytes that follow from the trace id and what the span is about."""
    text = "\0".join([trace_id(trace), *map(str, parts)])
    return hashlib.sha256(text.encode()).digest()[:8]


def trace_id(trace: Trace) -> str:
    """The trace id in hex; "" where nobody traces."""
    return trace.traceparent[3:35]


def task_span_id(trace: Trace, task_id: str) -> bytes:
    """Of `invoke_agent`, which spans a task from dispatch to outcome."""
    return span_id(trace, task_id)


def send_span_id(trace: Trace, task_id: str, attempt: int) -> bytes:
    """Of `send queue:…`, the PRODUCER of one attempt; its context travels in the envelope."""
    return span_id(trace, task_id, attempt)


def continued(trace: Trace, span: bytes) -> Trace:
    """The same trace, seen from inside another span."""
    return Trace(f"00-{trace_id(trace)}-{span.hex()}-{trace.traceparent[-2:]}", trace.tracestate, trace.baggage)


def producer(trace: Trace, task_id: str, attempt: int) -> Trace:
    """What an envelope carries; costs nothing where nobody traces."""
    return continued(trace, send_span_id(trace, task_id, attempt)) if trace.sampled else trace
