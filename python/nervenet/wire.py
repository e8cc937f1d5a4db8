# SPDX-License-Identifier: Apache-2.0
"""Records ⇄ the contract's messages: the one place where journal entries and task envelopes become bytes and back.

It hides protobuf from everything that only thinks in records (`records.py`): the replay machine, the agent runtime,
the node's coordinators. What a stored entry leaves out (name, sequence, time) is what its journal id and field `n`
say already. Decoding is strict about nothing: bytes in a journal were checked when they were written, and an unknown
field of a newer version is carried along by protobuf.

These functions are on the hot path. Messages are built in one constructor call, since setting a message field by
field costs half as much again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from nervenet.records import (
    NO_TRACE,
    NOTHING,
    Action,
    Attempt,
    Body,
    Cancel,
    ChildStarted,
    Close,
    Decided,
    Entry,
    Escalated,
    Failure,
    FailureCode,
    Outcome,
    ParentStep,
    Patched,
    Payload,
    Question,
    Signaled,
    SignalSent,
    Start,
    State,
    TimerFired,
    Trace,
    Usage,
)
from nervenet.v1 import agent_pb2 as agent
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message

    from nervenet.definitions import Workflow
    from nervenet.options import Resolved

# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def timestamp(ms: int | None) -> Timestamp | None:
    """None and 0 are "not set"."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000) if ms else None


def timestamp_ms(message: Timestamp) -> int:
    return message.seconds * 1000 + message.nanos // 1_000_000


def duration(ms: int | None) -> Duration | None:
    return None if ms is None else Duration(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def duration_ms(message: Duration) -> int:
    return message.seconds * 1000 + message.nanos // 1_000_000


def optional_ms(message: Message, name: str) -> int | None:
    """A Duration or Timestamp field as milliseconds, None where it is not set."""
    if not message.HasField(name):
        return None
    value = getattr(message, name)
    return value.seconds * 1000 + value.nanos // 1_000_000  # type: ignore[no-any-return]


def to_datetime(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def ms_of(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


# ── payloads and failures ────────────────────────────────────────────────────────────────────────────────────────────


def payload_out(payload: Payload) -> common.Payload:
    return common.Payload(**_payload_fields(payload))


def _payload_fields(payload: Payload) -> dict[str, Any]:
    """A message within another is filled from a dict in place, for half of what making and copying it costs."""
    form, data = payload
    if form == "bytes":
        return {"data": data}
    return {} if form == "none" else {form: data.decode()}


def _timestamp_fields(ms: int | None) -> dict[str, int] | None:
    return {"seconds": ms // 1000, "nanos": ms % 1000 * 1_000_000} if ms else None


def payload_in(message: common.Payload) -> Payload:
    form = message.WhichOneof("body")
    if form == "json":
        return Payload("json", message.json.encode())
    if form is None:
        return NOTHING
    if form == "data":
        return Payload("bytes", message.data)
    if form == "value":
        return Payload("json", _json_of(message.value))
    return Payload(form, getattr(message, form).encode())


def _json_of(value: Value) -> bytes:
    """Compact JSON; a Value knows only doubles, so what is whole becomes an integer again."""
    import json  # only requests of people come here

    return json.dumps(_whole(json_format.MessageToDict(value)), separators=(",", ":"), ensure_ascii=False).encode()


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and -EXACT <= value <= EXACT:
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {key: _whole(each) for key, each in value.items()} if isinstance(value, dict) else value


VALUE_LIMIT = 64 * 1024
EXACT = 1 << 53


def payload_for_people(payload: Payload) -> common.Payload:
    """As google.protobuf.Value where that loses nothing and stays small, else as it is."""
    if payload.form != "json" or payload.size > VALUE_LIMIT:
        return payload_out(payload)
    value = json.loads(payload.data)
    if not _exact(value):
        return payload_out(payload)
    return common.Payload(value=json_format.ParseDict(value, Value()))


def _exact(value: Any) -> bool:
    if isinstance(value, int):
        return -EXACT <= value <= EXACT
    if isinstance(value, list):
        return all(map(_exact, value))
    return all(map(_exact, value.values())) if isinstance(value, dict) else True


def failure_out(failure: Failure) -> common.Failure:
    return common.Failure(
        code=f"FAILURE_CODE_{failure.code}",
        message=failure.message,
        type=failure.type,
        retryable=cast(bool, failure.retryable),  # None is "not set", which the generated types do not say
        retry_after=duration(failure.retry_after_ms),
        source=failure.source,
        stack_trace=failure.stack_trace,
        details=payload_out(failure.details) if failure.details is not None else None,
        cause=failure_out(failure.cause) if failure.cause is not None else None,
        attempt=failure.attempt,
        agent_id=failure.agent_id,
    )


def failure_in(message: common.Failure) -> Failure:
    name = common.FailureCode.Name(message.code).removeprefix("FAILURE_CODE_")
    return Failure(
        code=FailureCode.APPLICATION if name == "UNSPECIFIED" else FailureCode(name),
        message=message.message,
        type=message.type,
        retryable=message.retryable if message.HasField("retryable") else None,
        retry_after_ms=optional_ms(message, "retry_after"),
        source=message.source,
        stack_trace=message.stack_trace,
        details=payload_in(message.details) if message.HasField("details") else None,
        cause=failure_in(message.cause) if message.HasField("cause") else None,
        attempt=message.attempt,
        agent_id=message.agent_id,
    )


def trace_out(trace: Trace) -> common.TraceContext | None:
    if not trace.traceparent:
        return None
    return common.TraceContext(traceparent=trace.traceparent, tracestate=trace.tracestate, baggage=trace.baggage)


def trace_in(message: common.TraceContext) -> Trace:
    return Trace(message.traceparent, message.tracestate, message.baggage) if message.traceparent else NO_TRACE


# ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────────

_SOURCES = {
    "workflow": task.QUESTION_SOURCE_WORKFLOW,
    "agent": task.QUESTION_SOURCE_AGENT,
    "exhausted": task.QUESTION_SOURCE_EXHAUSTED,
}
_SOURCE_NAMES = {number: name for name, number in _SOURCES.items()}


def question_out(question: Question) -> task.Question:
    return task.Question(
        text=question.text,
        source=_SOURCES[question.source],
        choices=question.choices,
        context=payload_out(question.context),
        suggestion=payload_out(question.suggestion),
        answer_schema=question.schema.decode(),
        default_answer=payload_out(question.default) if question.default is not None else None,
        deadline=timestamp(question.deadline_ms),
        assignee=question.assignee,
        failure=failure_out(question.failure) if question.failure is not None else None,
    )


def question_in(message: task.Question) -> Question:
    return Question(
        text=message.text,
        source=_SOURCE_NAMES.get(message.source, "agent"),
        choices=tuple(message.choices),
        context=payload_in(message.context),
        suggestion=payload_in(message.suggestion),
        schema=message.answer_schema.encode(),
        default=payload_in(message.default_answer) if message.HasField("default_answer") else None,
        deadline_ms=optional_ms(message, "deadline"),
        assignee=message.assignee,
        failure=failure_in(message.failure) if message.HasField("failure") else None,
    )


# ── journal entries ──────────────────────────────────────────────────────────────────────────────────────────────────


def _usage_out(usage: tuple[Usage, ...]) -> list[common.TokenUsage]:
    return [common.TokenUsage(model=u.model, input_tokens=u.input_tokens, output_tokens=u.output_tokens) for u in usage]


def _task_fields(body: Outcome | Attempt) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "start_time": _timestamp_fields(body.started_ms),
        "end_time": _timestamp_fields(body.ended_ms),
        "agent_id": body.agent_id,
        "capability": body.capability,
        "input_digest": body.digest,
    }
    if body.failure is not None:
        fields["failure"] = failure_out(body.failure)
    if body.usage:
        fields["usage"] = _usage_out(body.usage)
    if isinstance(body, Outcome):
        fields["attempt"] = body.attempt
        if body.output is not None:
            fields["output"] = _payload_fields(body.output)
    elif body.question is not None:
        fields["question"] = question_out(body.question)
    return fields


def _task_in(name: str, message: task.TaskResult) -> Outcome | Attempt:
    usage = tuple(Usage(u.model, u.input_tokens, u.output_tokens) for u in message.usage) if message.usage else ()
    which = message.WhichOneof("outcome")
    failure = failure_in(message.failure) if which == "failure" else None
    started, ended = timestamp_ms(message.start_time), timestamp_ms(message.end_time)
    if name.startswith("attempt:"):
        question = question_in(message.question) if which == "question" else None
        return Attempt(
            failure, question, message.capability, message.input_digest, message.agent_id, started, ended, usage
        )
    return Outcome(
        payload_in(message.output) if which == "output" else None,
        failure,
        message.capability,
        message.input_digest,
        message.attempt,
        message.agent_id,
        started,
        ended,
        usage,
    )


def _start_out(body: Start) -> workflow.StartAttributes:
    return workflow.StartAttributes(
        definition=body.definition,
        version=body.version,
        runtime=body.python,
        input=_payload_fields(body.input),
        seed=body.seed,
        labels=body.labels or None,
        timeout=duration(body.timeout_ms),
        trace=trace_out(body.trace),
        span_id=body.span_id,
        starter=body.starter,
        parent=workflow.ParentStep(**body.parent._asdict()) if body.parent is not None else None,
    )


def _start_in(message: workflow.StartAttributes) -> Start:
    return Start(
        definition=message.definition,
        version=message.version,
        python=message.runtime,
        input=payload_in(message.input),
        seed=message.seed,
        labels=dict(message.labels),
        timeout_ms=optional_ms(message, "timeout"),
        trace=trace_in(message.trace),
        span_id=message.span_id,
        starter=message.starter,
        parent=_parent_in(message.parent) if message.HasField("parent") else None,
    )


def _parent_in(message: workflow.ParentStep) -> ParentStep:
    return ParentStep(message.workflow_id, message.run, message.step)


def _decided_out(body: Decided) -> workflow.DecidedAttributes:
    expired = body.action is Action.EXPIRED
    return workflow.DecidedAttributes(
        action=workflow.ESCALATION_ACTION_UNSPECIFIED if expired else action_out(body.action),
        value=payload_out(body.value) if body.value is not None else None,
        attempts=body.attempts,
        comment=body.comment,
        resolver=body.resolver,
        expired=expired,
    )


def _decided_in(message: workflow.DecidedAttributes) -> Decided:
    return Decided(
        action=Action.EXPIRED if message.expired else action_in(message.action),
        value=payload_in(message.value) if message.HasField("value") else None,
        attempts=message.attempts,
        comment=message.comment,
        resolver=message.resolver,
    )


def action_out(action: Action) -> workflow.EscalationAction:
    return cast(workflow.EscalationAction, workflow.EscalationAction.Value(f"ESCALATION_ACTION_{action}"))


def action_in(number: workflow.EscalationAction) -> Action:
    return Action(workflow.EscalationAction.Name(number).removeprefix("ESCALATION_ACTION_"))


_STATES: Mapping[State, Any] = {state: workflow.WorkflowState.Value(f"WORKFLOW_STATE_{state}") for state in State}
_STATES_IN = {number: state for state, number in _STATES.items()}


def state_out(state: State) -> workflow.WorkflowState:
    return _STATES[state]  # type: ignore[no-any-return]


def state_in(number: workflow.WorkflowState) -> State:
    state = _STATES_IN.get(number)
    if state is None:
        raise ValueError(f"{number} is not a WorkflowState")
    return state


def entry_message(body: Body, actor: str = "") -> workflow.JournalEntry:
    """The entry without what its journal id and name say."""
    match body:
        case Outcome() | Attempt():
            return workflow.JournalEntry(actor=actor, task=_task_fields(body))
        case Start():
            return workflow.JournalEntry(actor=actor, start=_start_out(body))
        case TimerFired():
            return workflow.JournalEntry(actor=actor, timer=workflow.TimerAttributes(due_time=timestamp(body.due_ms)))
        case Signaled():
            signal = workflow.SignalAttributes(
                signal=body.signal, payload=payload_out(body.payload), sender=body.sender
            )
            return workflow.JournalEntry(actor=actor, signal=signal)
        case SignalSent():
            sent = workflow.SentAttributes(
                workflow_id=body.workflow_id, signal=body.signal, failure=_optional_failure(body.failure)
            )
            return workflow.JournalEntry(actor=actor, sent=sent)
        case ChildStarted():
            child = workflow.ChildAttributes(
                workflow_id=body.workflow_id, definition=body.definition, failure=_optional_failure(body.failure)
            )
            return workflow.JournalEntry(actor=actor, child=child)
        case Escalated():
            asked = workflow.EscalatedAttributes(question=question_out(body.question))
            return workflow.JournalEntry(actor=actor, escalated=asked)
        case Decided():
            return workflow.JournalEntry(actor=actor, decided=_decided_out(body))
        case Patched():
            return workflow.JournalEntry(actor=actor, patch=workflow.PatchAttributes(answer=body.answer))
        case Cancel():
            cancel = workflow.CancelAttributes(reason=body.reason, requester=body.requester, timeout=body.timeout)
            return workflow.JournalEntry(actor=actor, cancel=cancel)
        case Close():
            close = {
                "state": state_out(body.state),
                "output": _payload_fields(body.output) if body.output is not None else None,
                "failure": failure_out(body.failure) if body.failure is not None else None,
            }
            return workflow.JournalEntry(actor=actor, close=close)


def _optional_failure(failure: Failure | None) -> common.Failure | None:
    return None if failure is None else failure_out(failure)


def encode_entry(body: Body, actor: str = "") -> bytes:
    """What is stored in the journal's field `e`."""
    return entry_message(body, actor).SerializeToString()


def decode_entry(name: str, data: bytes, n: int, time_ms: int) -> Entry:
    """A stored entry with what its id (`<ms>-<n>`) and name say."""
    return _entry_in(workflow.JournalEntry.FromString(data), name, n, time_ms)


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """An entry as its JournalEntry in proto JSON, name, number and time included; payloads keep their very bytes."""
    message = entry_message(entry.body, entry.actor)
    message.name, message.sequence = entry.name, entry.n
    message.time.CopyFrom(timestamp(entry.time_ms) or Timestamp())
    return json_format.MessageToDict(message)


def entry_from_json(data: Mapping[str, Any]) -> Entry:
    """What `entry_to_json` made, or any other JournalEntry in proto JSON."""
    message = json_format.ParseDict(dict(data), workflow.JournalEntry())
    return _entry_in(message, message.name, message.sequence, timestamp_ms(message.time))


def _entry_in(message: workflow.JournalEntry, name: str, n: int, time_ms: int) -> Entry:
    kind = message.WhichOneof("attributes")
    body: Body
    if kind == "task":
        body = _task_in(name, message.task)
    elif kind is None:
        raise ValueError(f"journal entry {name!r} has no attributes")
    else:
        body = _BODIES[kind](getattr(message, kind))
    return Entry(name, body, n, time_ms, message.actor)


def _close_in(message: workflow.CloseAttributes) -> Close:
    return Close(
        state=state_in(message.state),
        output=payload_in(message.output) if message.HasField("output") else None,
        failure=failure_in(message.failure) if message.HasField("failure") else None,
    )


_BODIES: Mapping[str, Any] = {
    "start": _start_in,
    "timer": lambda m: TimerFired(timestamp_ms(m.due_time)),
    "signal": lambda m: Signaled(m.signal, payload_in(m.payload), m.sender),
    "sent": lambda m: SignalSent(m.workflow_id, m.signal, failure_in(m.failure) if m.HasField("failure") else None),
    "child": lambda m: ChildStarted(
        m.workflow_id, m.definition, failure_in(m.failure) if m.HasField("failure") else None
    ),
    "escalated": lambda m: Escalated(question_in(m.question)),
    "decided": _decided_in,
    "patch": lambda m: Patched(m.answer),
    "cancel": lambda m: Cancel(m.reason, m.requester, m.timeout),
    "close": _close_in,
}


# ── task envelopes ───────────────────────────────────────────────────────────────────────────────────────────────────


def task_id(workflow_id: str, run: int, step: str) -> str:
    return f"{workflow_id}/{step}" if run == 1 else f"{workflow_id}~{run}/{step}"


@dataclass(slots=True)
class Envelope:
    """One attempt at one task, as it travels; see TaskEnvelope in the contract for what the fields mean."""

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
    hint: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    avoid: tuple[str, ...] = ()

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
        input=_payload_fields(envelope.input),
        trace=trace_out(envelope.trace),
        deadline=timestamp(envelope.deadline_ms),
        timeouts=timeouts,
        reply_to=envelope.reply_to,
        agent_id=envelope.agent_id,
        labels=envelope.labels or None,
        run=envelope.run,
        avoid_agents=envelope.avoid or None,
        hint=envelope.hint,
        enqueue_time=_timestamp_fields(envelope.enqueue_ms),
        input_digest=envelope.digest,
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
        hint=m.hint,
        labels=dict(m.labels) if m.labels else {},
        avoid=tuple(m.avoid_agents) if m.avoid_agents else (),
    )


# ── what a running attempt says ──────────────────────────────────────────────────────────────────────────────────────


def encode_payload(payload: Payload) -> bytes:
    """A payload alone, as checkpoints are stored."""
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
    """One TaskProgress, as it lies in a live stream."""
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


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_POLICIES = {
    common.SELECTION_POLICY_UNSPECIFIED: "least_loaded",
    common.SELECTION_POLICY_LEAST_LOADED: "least_loaded",
    common.SELECTION_POLICY_ROUND_ROBIN: "round_robin",
    common.SELECTION_POLICY_STICKY: "sticky",
    common.SELECTION_POLICY_QUEUE: "queue",
}


def policy_in(number: common.SelectionPolicy) -> Any:
    return _POLICIES[number]


def options_out(options: Resolved) -> tuple[common.RetryPolicy, common.Timeouts, common.Selection]:
    """The contract's form of resolved options, for requests that carry them (RunTask)."""
    retry = common.RetryPolicy(
        max_attempts=-1 if options.max_attempts is None else options.max_attempts,
        initial_interval=duration(options.initial_ms),
        max_interval=duration(options.max_ms),
        backoff_multiplier=options.multiplier,
        jitter=options.jitter,
        non_retryable_types=options.non_retryable,
        avoid_failed_agents=options.avoid_failed_agents,
        on_exhausted=common.ON_EXHAUSTED_ESCALATE if options.escalate else common.ON_EXHAUSTED_FAIL,
    )
    timeouts = common.Timeouts(
        queue=duration(options.queue_ms),
        accept=duration(options.accept_ms),
        attempt=duration(options.attempt_ms),
        total=duration(options.total_ms),
        heartbeat=duration(options.heartbeat_ms),
    )
    selection = common.Selection(
        policy=f"SELECTION_POLICY_{options.policy.upper()}",
        match_labels=options.match,
        sticky_key=options.sticky_key or "",
    )
    return retry, timeouts, selection


def retry_policy_in(message: common.RetryPolicy) -> dict[str, Any]:
    """Keyword arguments for options.RetryPolicy from what is set; times as timedelta."""
    given: dict[str, Any] = {}
    if message.max_attempts:
        given["max_attempts"] = None if message.max_attempts < 0 else message.max_attempts
    for name in ("initial_interval", "max_interval"):
        if (ms := optional_ms(message, name)) is not None:
            given[name] = timedelta(milliseconds=ms)
    if message.backoff_multiplier:
        given["multiplier"] = message.backoff_multiplier
    if message.jitter:
        given["jitter"] = message.jitter
    if message.non_retryable_types:
        given["non_retryable"] = tuple(message.non_retryable_types)
    if message.avoid_failed_agents:
        given["avoid_failed_agents"] = True
    if message.on_exhausted == common.ON_EXHAUSTED_ESCALATE:
        given["on_exhausted"] = "escalate"
    return given


def timeouts_in(message: common.Timeouts) -> dict[str, Any]:
    """Keyword arguments for options.Timeouts from what is set."""
    spans = {name: optional_ms(message, name) for name in ("queue", "accept", "attempt", "total", "heartbeat")}
    return {name: timedelta(milliseconds=ms) for name, ms in spans.items() if ms is not None}


def encode_node_record(
    node_id: str,
    address: str,
    definitions: Iterable[Workflow[Any, Any]],
    *,
    state: str,
    max_workflows: int,
    owned: int,
    now_ms: int,
    python: str,
    runtime: str,
    pid: int,
) -> bytes:
    """A NodeRecord as it stands in etcd. `python` is the minor that replays alike, `runtime` is for people."""
    refs = [
        agent.DefinitionRef(
            name=d.name,
            version=d.version,
            runtime=python,
            fingerprint=d.fingerprint(),
            input_schema=d.input.schema().decode(),
            output_schema=d.output.schema().decode(),
            description=d.description,
        )
        for d in definitions
    ]
    record = agent.NodeRecord(
        node_id=node_id,
        address=address,
        definitions=refs,
        state=f"AGENT_STATE_{state}",
        register_time=timestamp(now_ms),
        max_workflows=max_workflows,
        owned_workflows=owned,
        runtime=runtime,
        pid=pid,
    )
    return to_json(record)


def to_json(message: Message) -> bytes:
    """Proto JSON, as stored in etcd and printed by the CLI; compact."""
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()
