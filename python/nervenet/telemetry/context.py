# SPDX-License-Identifier: Apache-2.0
"""W3C trace context as plain values, and which span is whose: computed, never stored. No OpenTelemetry here.

A workflow's span id is in its `start` entry; a task's, a send's and a handler's follow from trace id, task id, attempt
and agent, so every node that ever owns the workflow names the same spans, and one trace stays one trace across a crash.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from nervenet.records import NO_TRACE, Trace

if TYPE_CHECKING:
    from collections.abc import Iterable

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_KEYS = ("traceparent", "tracestate", "baggage")
_LONGEST_STATE = 512  # what W3C asks everybody to carry
_LONGEST_BAGGAGE = 8192


def checked(trace: Trace) -> Trace:
    """A context from outside, made safe: a malformed one is dropped, and parts that are too long are left out."""
    if not trace.traceparent:
        return NO_TRACE
    if not _TRACEPARENT.fullmatch(trace.traceparent) or trace.traceparent.startswith("ff"):
        return NO_TRACE
    if len(trace.tracestate) > _LONGEST_STATE or len(trace.baggage) > _LONGEST_BAGGAGE:
        state = trace.tracestate if len(trace.tracestate) <= _LONGEST_STATE else ""
        return Trace(trace.traceparent, state, trace.baggage if len(trace.baggage) <= _LONGEST_BAGGAGE else "")
    return trace


def from_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> Trace:
    """The caller's context in the metadata of a call. Repeated headers are joined (W3C Trace Context)."""
    found: dict[str, str] = {}
    for key, value in metadata or ():
        if key in _KEYS and isinstance(value, str):
            found[key] = f"{found[key]},{value}" if key in found else value
    return checked(Trace(*(found.get(key, "") for key in _KEYS))) if "traceparent" in found else NO_TRACE


def to_metadata(trace: Trace) -> list[tuple[str, str]]:
    """Metadata that carries a context. Empty without a context."""
    if not trace.traceparent:
        return []
    values = (trace.traceparent, trace.tracestate, trace.baggage)
    return [(key, value) for key, value in zip(_KEYS, values, strict=True) if value]


def trace_id(trace: Trace) -> str:
    """The trace id in hex. `""` without a trace."""
    return trace.traceparent[3:35]


def span_of(trace: Trace) -> bytes:
    """The span of this context. `b""` without a trace."""
    return bytes.fromhex(trace.traceparent[36:52])


def continued(trace: Trace, span: bytes) -> Trace:
    """The same trace, inside another span."""
    return Trace(f"{trace.traceparent[:36]}{span.hex()}{trace.traceparent[52:]}", trace.tracestate, trace.baggage)


def span_id(trace: Trace, *parts: str | int) -> bytes:
    """Eight bytes, computed from the trace id and what the span is about."""
    text = "\0".join([trace_id(trace), *map(str, parts)])
    return hashlib.sha256(text.encode()).digest()[:8]


def task_span_id(trace: Trace, task_id: str) -> bytes:
    """Id of `invoke_agent`, the span of a task from dispatch to outcome."""
    return span_id(trace, task_id)


def send_span_id(trace: Trace, task_id: str, attempt: int) -> bytes:
    """Id of `send queue:…`, the PRODUCER span of one attempt. The envelope carries its context."""
    return span_id(trace, task_id, attempt)


def process_span_id(trace: Trace, task_id: str, attempt: int, agent_id: str) -> bytes:
    """Id of `process queue:…`, the CONSUMER span in one agent. A retry's send can link to it without a lookup."""
    return span_id(trace, task_id, attempt, agent_id)


def producer(trace: Trace, task_id: str, attempt: int) -> Trace:
    """The context that an envelope carries."""
    return continued(trace, send_span_id(trace, task_id, attempt))
