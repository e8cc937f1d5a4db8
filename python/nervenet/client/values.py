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
    "blocked",
    "progress",
    "partial",
]


def plain(payload: common.Payload) -> Any:
    """A payload without a type: JSON as Python values, bytes and text unchanged, None if there is no value."""
    form, data, _ = payload_in(payload)
    if form == "json":
        return json.loads(data)
    return data if form == "bytes" else data.decode() if data else None


def moment(time: Timestamp) -> datetime:
    return datetime.fromtimestamp(time.seconds + time.nanos / 1e9, UTC)


@dataclass(slots=True, frozen=True)
class WorkflowInfo:
    """A workflow at one moment.

    Attributes:
        id: Its workflow id.
        definition: Name of its definition.
        version: Version of its definition.
        state: RUNNING, WAITING_FOR_HUMAN, BLOCKED, CANCELING, SUCCEEDED, FAILED, CANCELED or TIMED_OUT.
        started: When it started.
        closed: When it ended. None: it is open.
        labels: Its labels.
        view: What its code published last (`ctx.publish`).
        failure: Why it failed.
        run: 1, 2, …: which run of the id this is.
        at: The step that it is at.
        note: What people must know about it, for example why it is blocked.
        node_id: The node that owns it.
        trace_id: Its trace. Empty: it is not traced.
        suppressed_duplicates: Results that arrived a second time and were dropped.
        adoptions: How often another node took it over.
        partial: The owner could not be reached, so the pending steps are not known.
        open_escalations: Ids of its open questions.
        waits_for: What it waits for, one sentence for each, the most urgent first: "waits for signal paid since …". Empty in
            lists; `message.waits` has the same as data.
        message: The contract's own message.
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
    waits_for: Sequence[str] = ()
    message: workflow_pb2.Workflow = field(default_factory=workflow_pb2.Workflow, repr=False, compare=False)

    @classmethod
    def of(cls, message: workflow_pb2.Workflow) -> WorkflowInfo:
        """The value of a contract message.

        Args:
            message: The message.
        """
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
            waits_for=tuple(wait.words for wait in message.waits),
            message=message,
        )


def state_name(number: workflow_pb2.WorkflowState) -> Any:
    return workflow_pb2.WorkflowState.Name(number).removeprefix("WORKFLOW_STATE_")


@dataclass(slots=True, frozen=True)
class Event:
    """One thing that happened to a workflow.

    Attributes:
        sequence: Number of the journal entry, to continue from (`watch(after=…)`). 0 for what is no entry: `blocked`,
            `progress` and `partial`.
        name: Name of the entry (`task:extract`).
        kind: started, task, attempt, timer, signal, patch, child, escalated, decided, cancel, closed, blocked,
            progress or partial.
        step: The step that it belongs to.
        attempt: The attempt that it belongs to.
        time: When it happened.
        data: By kind: the input (`started`), the output or Failure (`task`, `closed`), the Failure or question
            (`attempt`), the value (`signal`, `decided`), the question (`escalated`), the reason (`cancel`),
            `{"fraction": …, "message": …}` (`progress`), the piece (`partial`), `{"error": …, "where": …, "detail": …}`
            (`blocked`).
        actor: Who did it: an agent, a person or another workflow.
        message: The contract's own message.
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
        """The value of a contract message.

        Args:
            entry: The message.
        """
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

    @classmethod
    def of_blocked(cls, blocked: workflow_pb2.Blocked) -> Event:
        """The value of a contract message that says that the workflow is BLOCKED.

        Args:
            blocked: The message.
        """
        data = {"error": blocked.error, "where": blocked.where, "detail": blocked.detail}
        return cls(0, "blocked", "blocked", None, None, moment(blocked.time), data)


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
    """A piece of a step's output, from `handle.partials`.

    Attributes:
        value: The piece.
        attempt: The attempt that sent it.
        restarted: Whether a new attempt begins the output again with this piece: drop the earlier ones.
    """

    value: T_co
    attempt: int
    restarted: bool


@dataclass(slots=True, frozen=True)
class Escalation:
    """A question to a human.

    Attributes:
        id: Its id: `<workflow id>/<step>`, with `#2`, `#3`, … if the step asks again.
        workflow_id: The workflow that asks.
        step: The step that asks.
        question: The question, in words.
        choices: The answers to choose from, as `Resolution.complete` takes them. Empty: any value of the asked type.
        context: What helps to decide.
        suggestion: The handler's own proposal.
        deadline: Until when the question is open. None: no limit.
        state: OPEN, RESOLVED, EXPIRED or WITHDRAWN.
        source: `"workflow"` (`ctx.ask`), `"agent"` (`raise Escalate`) or `"exhausted"` (no attempts are left).
        definition: Name of the workflow's definition.
        assignee: Who should answer.
        created: When it was asked.
        failure: The last failure, for the source `"exhausted"`.
        message: The contract's own message.
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
        """The value of a contract message.

        Args:
            message: The message.
        """
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
    """The answer to a question. Make one with `complete`, `retry`, `fail` or `cancel_workflow`.

        await client.resolve(e.id, Resolution.complete("yes", comment="checked"))

    Attributes:
        message: The contract's own message.
    """

    message: workflow_pb2.EscalationResolution

    @staticmethod
    def complete(value: object, /, *, comment: str = "", resolver: str = "") -> Resolution:
        """Use this value as the result of the step.

        Args:
            value: The value. It must fit what was asked.
            comment: Why, for people.
            resolver: Who answers, in words that people know. Default: not said.
        """
        payload = payload_out(ANY.encode(value))
        return _resolution("COMPLETE", value=payload, comment=comment, resolver=resolver)

    @staticmethod
    def retry(attempts: int = 1, /, *, comment: str = "", resolver: str = "") -> Resolution:
        """Grant more attempts.

        Args:
            attempts: How many.
            comment: A hint for the handler (`task.hint`).
            resolver: Who answers, in words that people know. Default: not said.
        """
        return _resolution("RETRY", attempts=attempts, comment=comment, resolver=resolver)

    @staticmethod
    def fail(message: str, /, *, resolver: str = "") -> Resolution:
        """Let the step fail.

        Args:
            message: Why. The workflow gets it in CallFailed.
            resolver: Who answers, in words that people know. Default: not said.
        """
        return _resolution("FAIL", comment=message, resolver=resolver)

    @staticmethod
    def cancel_workflow(*, comment: str = "", resolver: str = "") -> Resolution:
        """Let the step fail and cancel the workflow.

        Args:
            comment: Why, for people.
            resolver: Who answers, in words that people know. Default: not said.
        """
        return _resolution("CANCEL_WORKFLOW", comment=comment, resolver=resolver)


def _resolution(action: str, **fields: Any) -> Resolution:
    return Resolution(workflow_pb2.EscalationResolution(action=f"ESCALATION_ACTION_{action}", **fields))
