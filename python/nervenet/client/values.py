# SPDX-License-Identifier: Apache-2.0
"""What a client gets to see: workflows, events, partial outputs, escalations; and what it says to an escalation.

Plain frozen values, made from the contract's messages once. JSON payloads are plain Python values here; `bytes` stay
bytes. Typed values come from `WorkflowHandle.result` and `partials`, which know the type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Literal

from typing_extensions import TypeVar

from nervenet.payloads import ANY
from nervenet.records import Failure
from nervenet.v1 import workflow_pb2
from nervenet.wire import failure_in, payload_in, payload_out

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from nervenet.v1 import common_pb2 as common

__all__ = ["Escalation", "Event", "Partial", "Resolution", "WorkflowInfo"]

T_co = TypeVar("T_co", covariant=True)

State = Literal["RUNNING", "WAITING_FOR_HUMAN", "BLOCKED", "CANCELING", "SUCCEEDED", "FAILED", "CANCELED", "TIMED_OUT"]
EscalationState = Literal["OPEN", "RESOLVED", "EXPIRED", "WITHDRAWN"]
Kind = Literal[
    "started",
    "task",
    "attempt",
    "timer",
    "signal",
    "patch",
    "child",
    "escalated",
    "decided",
    "cancel",
    "closed",
    "progress",
    "partial",
]


def plain(payload: common.Payload) -> Any:
    """A payload without a type: JSON as Python values, bytes and text as they are, None where there is none."""
    form, data, _ = payload_in(payload)
    if form == "json":
        return json.loads(data)
    return data if form == "bytes" else data.decode() if data else None


def moment(time: Timestamp) -> datetime:
    return datetime.fromtimestamp(time.seconds + time.nanos / 1e9, UTC)


@dataclass(slots=True, frozen=True)
class WorkflowInfo:
    """A workflow at one moment. `view` is what its code published last; `at` the step that it is at.

    `partial`: the owner was out of reach, so what is pending is not known. `message` is the contract's own answer.
    """

    id: str
    definition: str
    version: int
    state: State
    started: datetime
    closed: datetime | None
    labels: Mapping[str, str]
    view: Any
    failure: Failure | None
    run: int = 1
    at: str = ""
    note: str = ""
    node_id: str = ""
    trace_id: str = ""
    suppressed_duplicates: int = 0
    adoptions: int = 0
    partial: bool = False
    open_escalations: Sequence[str] = ()
    message: workflow_pb2.Workflow = field(default_factory=workflow_pb2.Workflow, repr=False, compare=False)

    @classmethod
    def of(cls, message: workflow_pb2.Workflow) -> WorkflowInfo:
        return cls(
            id=message.workflow_id,
            definition=message.definition,
            version=message.version,
            state=state_name(message.state),
            started=moment(message.start_time),
            closed=moment(message.close_time) if message.HasField("close_time") else None,
            labels=dict(message.labels),
            view=plain(message.view) if message.HasField("view") else None,
            failure=failure_in(message.failure) if message.HasField("failure") else None,
            run=message.run,
            at=message.at,
            note=message.note,
            node_id=message.node_id,
            trace_id=message.trace_id,
            suppressed_duplicates=message.suppressed_duplicates,
            adoptions=message.adoptions,
            partial=message.partial,
            open_escalations=tuple(message.open_escalations),
            message=message,
        )


def state_name(number: workflow_pb2.WorkflowState) -> Any:
    return workflow_pb2.WorkflowState.Name(number).removeprefix("WORKFLOW_STATE_")


@dataclass(slots=True, frozen=True)
class Event:
    """One thing that happened to a workflow; `sequence` is where to resume (0 for progress and partials).

    `data` by kind: the input of `started`, the output or Failure of `task`, the Failure or question of `attempt`, the
    value of `signal` and `decided`, the question of `escalated`, the output or Failure of `closed`,
    `{"fraction": …, "message": …}` of `progress`, the part of `partial`.
    """

    sequence: int
    name: str
    kind: Kind
    step: str | None
    attempt: int | None
    time: datetime
    data: Any
    actor: str = ""
    message: workflow_pb2.JournalEntry = field(default_factory=workflow_pb2.JournalEntry, repr=False, compare=False)

    @classmethod
    def of(cls, entry: workflow_pb2.JournalEntry) -> Event:
        prefix, _, rest = entry.name.partition(":")
        kind: Any = _KINDS.get(prefix, prefix)
        step: str | None = rest or None
        number: int | None = None
        if prefix in ("attempt", "escalated", "decided", "progress"):
            step, _, n = rest.rpartition("#")
            number = int(n)
        if prefix in ("timer", "signal", "patch"):
            step = None
        if prefix == "progress" and entry.progress.HasField("partial"):
            kind = "partial"
        attempt = number if prefix in ("attempt", "progress") else entry.task.attempt or None
        return cls(
            entry.sequence, entry.name, kind, step, attempt, moment(entry.time), _data(entry), entry.actor, entry
        )


_KINDS = {"start": "started", "close": "closed"}


def _data(entry: workflow_pb2.JournalEntry) -> Any:
    which = entry.WhichOneof("attributes")
    if which in ("task", "close"):
        body = entry.task if which == "task" else entry.close
        if body.HasField("failure"):
            return failure_in(body.failure)
        if which == "task" and entry.task.HasField("question"):
            return entry.task.question.text
        return plain(body.output) if body.HasField("output") else None
    if which == "progress":
        progress = entry.progress
        if progress.HasField("partial"):
            return plain(progress.partial)
        return {
            "fraction": progress.fraction if progress.HasField("fraction") else None,
            "message": progress.message,
        }
    return _SIMPLE[which](getattr(entry, which)) if which in _SIMPLE else None


_SIMPLE: Mapping[str | None, Any] = {
    "start": lambda body: plain(body.input),
    "signal": lambda body: plain(body.payload),
    "escalated": lambda body: body.question.text,
    "decided": lambda body: plain(body.value) if body.HasField("value") else None,
    "patch": lambda body: body.answer,
    "cancel": lambda body: body.reason,
}


@dataclass(frozen=True)  # no slots: 3.11 cannot make a slotted frozen Generic
class Partial(Generic[T_co]):
    """A piece of a step's output. `restarted`: a new attempt begins the output again with this piece."""

    value: T_co
    attempt: int
    restarted: bool


@dataclass(slots=True, frozen=True)
class Escalation:
    """A question to a human. `source` is workflow, agent or exhausted; `failure` is set for the last.

    `choices` are the answers to choose from, each as `Resolution.complete` takes it: those that were given, or what the
    type of the answer leaves (Enum, Literal, bool); empty where there are too many to list.
    """

    id: str
    workflow_id: str
    step: str | None
    question: str
    choices: Sequence[Any]
    context: Any
    suggestion: Any
    deadline: datetime | None
    state: EscalationState
    source: str = ""
    definition: str = ""
    assignee: str = ""
    created: datetime | None = None
    failure: Failure | None = None
    message: workflow_pb2.Escalation = field(default_factory=workflow_pb2.Escalation, repr=False, compare=False)

    @classmethod
    def of(cls, message: workflow_pb2.Escalation) -> Escalation:
        question = message.question
        state: Any = workflow_pb2.EscalationState.Name(message.state).removeprefix("ESCALATION_STATE_")
        return cls(
            id=message.escalation_id,
            workflow_id=message.workflow_id,
            step=message.step or None,
            question=question.text,
            choices=tuple(question.choices) or _choices(question.answer_schema),
            context=plain(question.context),
            suggestion=plain(question.suggestion),
            deadline=moment(question.deadline) if question.HasField("deadline") else None,
            state=state,
            source=_SOURCES.get(question.source, ""),
            definition=message.definition,
            assignee=question.assignee,
            created=moment(message.create_time),
            failure=failure_in(question.failure) if question.HasField("failure") else None,
            message=message,
        )


def _choices(schema: str) -> tuple[Any, ...]:
    """The few values that fit a JSON Schema, if it names them."""
    said = json.loads(schema or "{}")
    if not isinstance(said, dict):
        return ()
    if said.get("type") == "boolean":
        return (True, False)
    return tuple(said.get("enum", ())) or ((said["const"],) if "const" in said else ())


_SOURCES = {1: "workflow", 2: "agent", 3: "exhausted"}


@dataclass(slots=True, frozen=True)
class Resolution:
    """What a human decides about an escalation: made by one of the four functions below."""

    message: workflow_pb2.EscalationResolution

    @staticmethod
    def complete(value: object, /, *, comment: str = "", resolver: str = "") -> Resolution:
        """Take this value as the step's result; it must fit what was asked."""
        payload = payload_out(ANY.encode(value))
        return _resolution("COMPLETE", value=payload, comment=comment, resolver=resolver)

    @staticmethod
    def retry(attempts: int = 1, /, *, comment: str = "", resolver: str = "") -> Resolution:
        """Try again, with so many attempts more; the handler reads the comment as its hint."""
        return _resolution("RETRY", attempts=attempts, comment=comment, resolver=resolver)

    @staticmethod
    def fail(message: str, /, *, resolver: str = "") -> Resolution:
        """The step fails, with this message."""
        return _resolution("FAIL", comment=message, resolver=resolver)

    @staticmethod
    def cancel_workflow(*, comment: str = "", resolver: str = "") -> Resolution:
        """The step fails and the workflow is canceled."""
        return _resolution("CANCEL_WORKFLOW", comment=comment, resolver=resolver)


def _resolution(action: str, **fields: Any) -> Resolution:
    return Resolution(workflow_pb2.EscalationResolution(action=f"ESCALATION_ACTION_{action}", **fields))
