# SPDX-License-Identifier: Apache-2.0
"""Journal entries ⇄ what is stored in the journal and served to watchers.

A stored entry has no name, sequence number or time, because its journal id and field `n` have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from nervenet.records import (
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
    UnreadableEntry,
    Usage,
)
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow
from nervenet.wire.values import (
    duration,
    failure_in,
    failure_out,
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


MOST_TOKENS: Final = 1 << 40
"""Tokens of one attempt. A handler may report any number, and sums of them must fit into the contract's 64 bits."""


def _tokens(number: int) -> int:
    return 0 if number < 0 else min(MOST_TOKENS, number)


def _usage_out(usage: tuple[Usage, ...]) -> list[common.TokenUsage]:
    return [
        common.TokenUsage(model=u.model, input_tokens=_tokens(u.input_tokens), output_tokens=_tokens(u.output_tokens))
        for u in usage
    ]


def _task_fields(body: Outcome | Attempt) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "start_time": timestamp_fields(body.started_ms),
        "end_time": timestamp_fields(body.ended_ms),
        "agent_id": body.agent_id,
        "capability": body.capability,
        "input_digest": body.digest,
        "schedule_time": timestamp_fields(body.scheduled_ms),
    }
    if body.failure is not None:
        fields["failure"] = failure_out(body.failure)
    if body.usage:
        fields["usage"] = _usage_out(body.usage)
    if isinstance(body, Outcome):
        fields["attempt"] = body.attempt
        if body.output is not None:
            fields["output"] = payload_fields(body.output)
    else:
        if body.question is not None:
            fields["question"] = question_out(body.question)
        if body.blame_percent is not None:
            fields["blame_percent"] = body.blame_percent
    return fields


def _task_in(name: str, message: task.TaskResult) -> Outcome | Attempt:
    """Raises NewerRelease for an outcome of a kind that this release does not know: the workflow's next steps depend on it."""
    usage = (
        tuple(Usage(u.model, _tokens(u.input_tokens), _tokens(u.output_tokens)) for u in message.usage)
        if message.usage
        else ()
    )
    which = message.WhichOneof("outcome")
    failure = _known(failure_in(message.failure), message.failure) if which == "failure" else None
    if which is None:
        raise NewerRelease("an outcome of an unknown kind")
    started, ended = timestamp_ms(message.start_time), timestamp_ms(message.end_time)
    scheduled = timestamp_ms(message.schedule_time)
    if name.startswith("attempt:"):
        question = question_in(message.question) if which == "question" else None
        return Attempt(
            failure,
            question,
            message.capability,
            message.input_digest,
            message.agent_id,
            started,
            ended,
            usage,
            scheduled,
            message.blame_percent if message.HasField("blame_percent") else None,
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
        scheduled,
    )


def _json_outcome(message: task.TaskResult, text: str) -> Outcome:
    """`_task_in` of a result with JSON output, in fewer calls."""
    start, end, scheduled = message.start_time, message.end_time, message.schedule_time
    return Outcome(
        Payload("json", text.encode()),
        None,
        message.capability,
        message.input_digest,
        message.attempt,
        message.agent_id,
        start.seconds * 1000 + start.nanos // 1_000_000,
        end.seconds * 1000 + end.nanos // 1_000_000,
        (),
        scheduled.seconds * 1000 + scheduled.nanos // 1_000_000,
    )


def _start_out(body: Start) -> workflow.StartAttributes:
    return workflow.StartAttributes(
        definition=body.definition,
        version=body.version,
        runtime=body.runtime,
        input=payload_fields(body.input),
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
        runtime=message.runtime,
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


_ACTIONS = {
    workflow.EscalationAction.Value(f"ESCALATION_ACTION_{action}"): action
    for action in Action
    if action is not Action.EXPIRED
}


def action_in(number: workflow.EscalationAction) -> Action:
    """Raises NewerRelease (a ValueError) for a body that this release does not know."""
    action = _ACTIONS.get(number)
    if action is None:
        raise NewerRelease(f"action {number}")
    return action


_STATES: Mapping[State, Any] = {
    state: workflow.WORKFLOW_STATE_UNSPECIFIED
    if state is State.UNRECOGNIZED
    else workflow.WorkflowState.Value(f"WORKFLOW_STATE_{state}")
    for state in State
}
_STATES_IN = {number: state for state, number in _STATES.items() if state is not State.UNRECOGNIZED}


def state_out(state: State) -> workflow.WorkflowState:
    return _STATES[state]  # type: ignore[no-any-return]


def state_in(number: workflow.WorkflowState) -> State:
    state = _STATES_IN.get(number)
    if state is None:
        raise ValueError(f"{number} is not a WorkflowState")
    return state


def entry_message(body: Body, actor: str = "") -> workflow.JournalEntry:  # noqa: C901  # one case for each kind of entry
    """The entry without the parts that its journal id and name have."""
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
            cancel = workflow.CancelAttributes(
                reason=body.reason, requester=body.requester, timeout=body.timeout, journal_full=body.journal_full
            )
            return workflow.JournalEntry(actor=actor, cancel=cancel)
        case Close():
            close = {
                "state": state_out(body.state),
                "output": payload_fields(body.output) if body.output is not None else None,
                "failure": failure_out(body.failure) if body.failure is not None else None,
            }
            return workflow.JournalEntry(actor=actor, close=close)
        case UnreadableEntry():
            raise ValueError("an entry that could not be read is never written")


def _optional_failure(failure: Failure | None) -> common.Failure | None:
    return None if failure is None else failure_out(failure)


def encode_entry(body: Body, actor: str = "") -> bytes:
    """The bytes for the journal's field `e`."""
    return entry_message(body, actor).SerializeToString()


def decode_entry(name: str, data: bytes, n: int, time_ms: int) -> Entry:
    """A stored entry, with its journal id (`<ms>-<n>`) and name. Never raises: an unreadable body is
    `UnreadableEntry`."""
    try:
        message = workflow.JournalEntry.FromString(data)
        if name.startswith("task:") and message.HasField("task"):
            result = message.task
            if (text := result.output.json) and not result.usage:  # a step's JSON: nearly all entries
                return Entry(name, _json_outcome(result, text), n, time_ms, message.actor)
        return _entry_in(message, name, n, time_ms)
    except NewerRelease as error:
        return Entry(name, UnreadableEntry(str(error), newer=True), n, time_ms)
    except (DecodeError, ValueError) as error:
        return Entry(name, UnreadableEntry(str(error) or "it is no JournalEntry"), n, time_ms)


class NewerRelease(ValueError):
    """A value that a newer release of the contract may know. The message names it."""


def _known(failure: Failure, message: common.Failure) -> Failure:
    """The failure. Raises NewerRelease for an unknown code: retries and the workflow's code depend on it."""
    if failure.code is FailureCode.UNRECOGNIZED:
        raise NewerRelease(f"failure code {message.code}")
    return failure


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """An entry as JournalEntry in proto JSON, with name, number and time. Payloads keep their exact bytes."""
    message = entry_message(entry.body, entry.actor)
    message.name, message.sequence = entry.name, entry.n
    message.time.CopyFrom(timestamp(entry.time_ms) or Timestamp())
    return json_format.MessageToDict(message)


def entry_from_json(data: Mapping[str, Any]) -> Entry:
    """An entry from the result of `entry_to_json`, or any other JournalEntry in proto JSON."""
    message = json_format.ParseDict(dict(data), workflow.JournalEntry())
    return _entry_in(message, message.name, message.sequence, timestamp_ms(message.time))


def _entry_in(message: workflow.JournalEntry, name: str, n: int, time_ms: int) -> Entry:
    kind = message.WhichOneof("attributes")
    body: Body
    if kind == "task":
        body = _task_in(name, message.task)
    elif kind is None:
        raise NewerRelease("attributes of an unknown kind")
    elif kind not in _BODIES:
        raise ValueError(f"{kind} attributes, which no journal has")
    else:
        body = _BODIES[kind](getattr(message, kind))
    if not (kind == "task" and name.startswith("task:")):
        _check_name(name, kind)
    return Entry(name, body, n, time_ms, message.actor)


def _check_name(name: str, kind: str) -> None:
    """Raise ValueError if an entry's name does not match its attributes."""
    if _ATTRIBUTES.get(name.partition(":")[0]) != kind:
        raise ValueError(f"{kind} attributes under the name {name!r}" if name else "an entry without a name")
    if kind in _NUMBERED and not _is_numbered(name):
        raise ValueError(f"there is no number in the name {name!r}")


_ATTRIBUTES = {"task": "task", "attempt": "task"} | {
    kind: kind
    for kind in ("start", "timer", "signal", "sent", "child", "escalated", "decided", "patch", "cancel", "close")
}
"""The part of an entry's name before the colon → the attributes of such an entry."""
_NUMBERED = frozenset({"task", "escalated", "decided"})


def _is_numbered(name: str) -> bool:
    """Whether `<kind>:<step>#<number>` has its number."""
    number = name.rpartition("#")[2]
    return number.isascii() and number.isdigit() and len(number) < 10


def _close_in(message: workflow.CloseAttributes) -> Close:
    """The state of a closed run. Nothing follows it, so a state of a newer release is only shown."""
    return Close(
        state=_STATES_IN.get(message.state, State.UNRECOGNIZED),
        output=payload_in(message.output) if message.HasField("output") else None,
        failure=failure_in(message.failure) if message.HasField("failure") else None,
    )


def _known_failure_in(message: workflow.SentAttributes | workflow.ChildAttributes) -> Failure | None:
    return _known(failure_in(message.failure), message.failure) if message.HasField("failure") else None


_BODIES: Mapping[str, Any] = {
    "start": _start_in,
    "timer": lambda m: TimerFired(timestamp_ms(m.due_time)),
    "signal": lambda m: Signaled(m.signal, payload_in(m.payload), m.sender),
    "sent": lambda m: SignalSent(m.workflow_id, m.signal, _known_failure_in(m)),
    "child": lambda m: ChildStarted(m.workflow_id, m.definition, _known_failure_in(m)),
    "escalated": lambda m: Escalated(question_in(m.question)),
    "decided": _decided_in,
    "patch": lambda m: Patched(m.answer),
    "cancel": lambda m: Cancel(m.reason, m.requester, m.timeout, m.journal_full),
    "close": _close_in,
}
