# SPDX-License-Identifier: Apache-2.0
"""Task envelopes, and the progress of a running attempt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from nervenet.records import (
    NO_TRACE,
    Payload,
    Trace,
)
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import task_pb2 as task
from nervenet.wire.values import (
    duration,
    optional_ms,
    payload_fields,
    payload_in,
    payload_out,
    timestamp,
    timestamp_fields,
    timestamp_ms,
    trace_in,
    trace_out,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


# ── task envelopes ───────────────────────────────────────────────────────────────────────────────────────────────────


def task_id(workflow_id: str, run: int, step: str) -> str:
    return f"{workflow_id}/{step}" if run == 1 else f"{workflow_id}~{run}/{step}"


@dataclass(slots=True)
class Envelope:
    """One attempt at one task, as it is sent to an agent. See TaskEnvelope in the contract for its fields."""

    workflow_id: str
    run: int
    step: str
    capability: str
    attempt: int
    input: Payload
    digest: bytes = b""
    reply_to: str = ""
    agent_id: str = ""
    trace: Trace = NO_TRACE
    deadline_ms: int | None = None
    attempt_timeout_ms: int | None = None
    heartbeat_timeout_ms: int | None = None
    enqueue_ms: int = 0
    after_entry_id: str = ""
    hint: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    avoid: tuple[str, ...] = ()
    claim_later: bool = False

    @property
    def task_id(self) -> str:
        return task_id(self.workflow_id, self.run, self.step)


def encode_envelope(envelope: Envelope) -> bytes:
    timeouts = None
    if envelope.attempt_timeout_ms or envelope.heartbeat_timeout_ms:
        timeouts = common.Timeouts(
            attempt=duration(envelope.attempt_timeout_ms), heartbeat=duration(envelope.heartbeat_timeout_ms)
        )
    return task.TaskEnvelope(
        task_id=envelope.task_id,
        workflow_id=envelope.workflow_id,
        step=envelope.step,
        capability=envelope.capability,
        attempt=envelope.attempt,
        input=payload_fields(envelope.input),
        trace=trace_out(envelope.trace),
        deadline=timestamp(envelope.deadline_ms),
        timeouts=timeouts,
        reply_to=envelope.reply_to,
        agent_id=envelope.agent_id,
        labels=envelope.labels or None,
        run=envelope.run,
        avoid_agents=envelope.avoid or None,
        hint=envelope.hint,
        enqueue_time=timestamp_fields(envelope.enqueue_ms),
        input_digest=envelope.digest,
        after_entry_id=envelope.after_entry_id,
        claim_later=envelope.claim_later,
    ).SerializeToString()


def encode_common(workflow_id: str, run: int, reply_to: str, labels: Mapping[str, str], trace: Trace) -> bytes:
    """The part of an envelope that all steps of a run have in common. With `encode_varying` behind it, it is a TaskEnvelope:
    messages in Protocol Buffers may be joined, and their fields may have any order."""
    return task.TaskEnvelope(
        workflow_id=workflow_id, run=run, reply_to=reply_to, labels=labels or None, trace=trace_out(trace)
    ).SerializeToString()


def encode_varying(
    task_id: str,
    step: str,
    capability: str,
    attempt: int,
    input: Payload,
    digest: bytes,
    agent_id: str,
    enqueue_ms: int,
    after_entry_id: str,
    claim_later: bool,
) -> bytes:
    """The other part, of an attempt without limits of time, hint and agents to avoid."""
    form, data, about = input
    return task.TaskEnvelope(
        task_id=task_id,
        step=step,
        capability=capability,
        attempt=attempt,
        input={"json": data.decode()} if form == "json" and not about else payload_fields(input),
        agent_id=agent_id,
        enqueue_time={"seconds": enqueue_ms // 1000, "nanos": enqueue_ms % 1000 * 1_000_000},
        input_digest=digest,
        after_entry_id=after_entry_id,
        claim_later=claim_later,
    ).SerializeToString()


def decode_envelope(data: bytes) -> Envelope:
    m = task.TaskEnvelope.FromString(data)
    timed = m.HasField("timeouts")
    return Envelope(
        workflow_id=m.workflow_id,
        run=m.run,
        step=m.step,
        capability=m.capability,
        attempt=m.attempt,
        input=payload_in(m.input),
        digest=m.input_digest,
        reply_to=m.reply_to,
        agent_id=m.agent_id,
        trace=trace_in(m.trace) if m.HasField("trace") else NO_TRACE,
        deadline_ms=optional_ms(m, "deadline"),
        attempt_timeout_ms=optional_ms(m.timeouts, "attempt") if timed else None,
        heartbeat_timeout_ms=optional_ms(m.timeouts, "heartbeat") if timed else None,
        enqueue_ms=timestamp_ms(m.enqueue_time),
        after_entry_id=m.after_entry_id,
        hint=m.hint,
        labels=dict(m.labels) if m.labels else {},
        avoid=tuple(m.avoid_agents) if m.avoid_agents else (),
        claim_later=m.claim_later,
    )


# ── progress of a running attempt ────────────────────────────────────────────────────────────────────────────────────


def encode_payload(payload: Payload) -> bytes:
    """A single payload, as for checkpoints."""
    return payload_out(payload).SerializeToString()


def decode_payload(data: bytes) -> Payload:
    return payload_in(common.Payload.FromString(data))


def encode_progress(
    step: str,
    attempt: int,
    agent_id: str,
    time_ms: int,
    *,
    fraction: float | None = None,
    message: str = "",
    partial: Payload | None = None,
    sequence: int = 0,
) -> bytes:
    """One TaskProgress, as stored in a live stream."""
    return task.TaskProgress(
        step=step,
        attempt=attempt,
        agent_id=agent_id,
        fraction=cast(float, fraction),  # None is "not set"
        message=message,
        partial=payload_out(partial) if partial is not None else None,
        partial_sequence=sequence,
        time=timestamp(time_ms),
    ).SerializeToString()
