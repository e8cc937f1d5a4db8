# SPDX-License-Identifier: Apache-2.0
"""Plain values that travel between the parts: payloads, failures, journal entries.

Nothing here does I/O or knows protobuf: `wire.py` turns these into the contract's messages and back, the replay
machine folds them. They are slotted dataclasses without validation, because they are made on the hot path from
data that was checked at the border.

Times are integers, milliseconds since the Unix epoch by Redis' clock (the one clock of the mesh), and their names
end in `_ms`; the public face turns them into `datetime` and `timedelta`.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _checked_record(cls: type[_T]) -> type[_T]:
    """A slotted dataclass that type checkers hold to be frozen, and that nobody changes.

    CPython does not enforce it: a frozen dataclass calls `object.__setattr__` for each of its fields, which makes an `Outcome` cost
    1.7 µs and not 0.3. Every step has one, in the node and in the agent.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


class Payload(NamedTuple):
    """One value on the wire: `form` is `json` (UTF-8 JSON text), `bytes` (raw), `text`, `uri` (claim check) or `none`.

    `about` is what came with it and is only passed on, in the contract's form: media type, encoding, size and SHA-256 of
    what a `uri` points to.
    """

    form: str
    data: bytes
    about: bytes = b""

    @property
    def size(self) -> int:
        return len(self.data)

    def digest(self) -> bytes:
        """Eight bytes that stand for this value in `task:` and `attempt:` entries (found to differ = blocked)."""
        return hashlib.blake2b(self.data, digest_size=8, key=self.form.encode()).digest()


NOTHING = Payload("none", b"")


class FailureCode(enum.StrEnum):
    """Why a task or workflow failed; the contract's FailureCode without its prefix."""

    APPLICATION = "APPLICATION"
    INVALID_INPUT = "INVALID_INPUT"
    TIMEOUT = "TIMEOUT"
    CANCELED = "CANCELED"
    AGENT_LOST = "AGENT_LOST"
    NO_AGENT = "NO_AGENT"
    RATE_LIMITED = "RATE_LIMITED"
    DEPENDENCY = "DEPENDENCY"
    AGENT_DRAINED = "AGENT_DRAINED"
    POLICY_DENIED = "POLICY_DENIED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    INTERNAL = "INTERNAL"
    UNRECOGNIZED = "UNRECOGNIZED"
    """One that a newer release knows. Only readers see it: a workflow that would have to act on it is blocked."""


@dataclass(slots=True, frozen=True)
class Failure:
    """A failure as data. Exceptions are never pickled or rebuilt.

    Attributes:
        code: What kind of failure it is: APPLICATION, INVALID_INPUT, TIMEOUT, CANCELED, AGENT_LOST, NO_AGENT,
            RATE_LIMITED, DEPENDENCY, AGENT_DRAINED, POLICY_DENIED, PAYLOAD_TOO_LARGE or INTERNAL.
        message: What went wrong, in words.
        type: Name of the exception class, or what the agent called it.
        retryable: False: never retried. None: the RetryPolicy decides.
        retry_after_ms: Shortest pause before the next attempt, in milliseconds.
        source: The agent or step where it happened.
        stack_trace: Where it happened in the code.
        details: What `AgentError(details=…)` carried.
        cause: The failure that led to this one.
        attempt: The attempt that failed.
        agent_id: The agent that ran it.
    """

    code: FailureCode
    message: str
    type: str = ""
    retryable: bool | None = None
    retry_after_ms: int | None = None
    source: str = ""
    stack_trace: str = ""
    details: Payload | None = None
    cause: Failure | None = None
    attempt: int = 0
    agent_id: str = ""


@dataclass(slots=True, frozen=True)
class Trace:
    """W3C trace context as it travels in envelopes and `start`; empty when nobody traces."""

    traceparent: str = ""
    tracestate: str = ""
    baggage: str = ""

    @property
    def sampled(self) -> bool:
        """The lowest bit of the flags; the others (W3C level 2 has `random`) do not matter here."""
        return self.traceparent[-1:] in _ODD


NO_TRACE = Trace()
_ODD = frozenset("13579bdf")


class Usage(NamedTuple):
    """Tokens that one model took for one attempt."""

    model: str
    input_tokens: int
    output_tokens: int


class ParentStep(NamedTuple):
    """The step of another workflow that a child is: its outcome becomes `task:<step>` there."""

    workflow_id: str
    run: int
    step: str


# ── the bodies of journal entries (docs/architecture.md, Law 2) ─────────────────────────────────────────────────────────────


@dataclass(slots=True, frozen=True)
class Start:
    """`start`: what a run begins with; `seed` is 16 random bytes for `ctx.random` and `ctx.uuid`."""

    definition: str
    version: int
    runtime: str  # what replays alike: "3.11" (one minor version of Python) or "declared-1"
    input: Payload
    seed: bytes
    labels: Mapping[str, str] = field(default_factory=dict)
    timeout_ms: int | None = None
    trace: Trace = NO_TRACE
    span_id: bytes = b""
    starter: str = ""
    parent: ParentStep | None = None


@_checked_record
class Outcome:
    """`task:<step>`: the step's result (`output`) or its failure; the one write-once name that ends a step."""

    output: Payload | None
    failure: Failure | None
    capability: str = ""
    digest: bytes = b""
    attempt: int = 0
    agent_id: str = ""
    started_ms: int = 0
    ended_ms: int = 0
    usage: tuple[Usage, ...] = ()
    scheduled_ms: int = 0  # when this attempt was sent (0: its agent did not tell)


@dataclass(slots=True, frozen=True)
class Question:
    """What a human is asked: by an agent instead of answering, by workflow code, or because attempts ran out.

    `source` is `workflow`, `agent` or `exhausted`. `schema` is the JSON Schema of the answer (b"" = any of `choices`,
    or any JSON). `default` is what stands when `deadline_ms` passes (None: the step fails with TIMEOUT).
    """

    text: str
    source: str
    choices: tuple[str, ...] = ()
    context: Payload = NOTHING
    suggestion: Payload = NOTHING
    schema: bytes = b""
    default: Payload | None = None
    deadline_ms: int | None = None
    assignee: str = ""
    failure: Failure | None = None


@dataclass(slots=True, frozen=True)
class Attempt:
    """`attempt:<step>#<n>`: a failed attempt, or an agent's request to ask a human (then `question` is set)."""

    failure: Failure | None
    question: Question | None = None
    capability: str = ""
    digest: bytes = b""
    agent_id: str = ""
    started_ms: int = 0
    ended_ms: int = 0
    usage: tuple[Usage, ...] = ()
    scheduled_ms: int = 0
    blame_percent: int | None = None  # AGENT_LOST: how much its owner blames the step for it (None: not told, so fully)


@dataclass(slots=True, frozen=True)
class TimerFired:
    """`timer:<k>`."""

    due_ms: int


@dataclass(slots=True, frozen=True)
class Signaled:
    """`signal:<signal_id>`: came in."""

    signal: str
    payload: Payload
    sender: str = ""


@dataclass(slots=True, frozen=True)
class SignalSent:
    """`sent:<step>`: went out, or did not arrive (`failure`)."""

    workflow_id: str
    signal: str
    failure: Failure | None = None


@dataclass(slots=True, frozen=True)
class ChildStarted:
    """`child:<step>`: a child runs, or could not be started (`failure`, and the step ends here)."""

    workflow_id: str
    definition: str
    failure: Failure | None = None


@dataclass(slots=True, frozen=True)
class Escalated:
    """`escalated:<step>#<k>`: the question of the k-th escalation of that step."""

    question: Question


class Action(enum.StrEnum):
    """What a human (or, at the deadline, the owner) decided; the contract's EscalationAction plus EXPIRED."""

    RETRY = "RETRY"
    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    CANCEL_WORKFLOW = "CANCEL_WORKFLOW"
    EXPIRED = "EXPIRED"


@dataclass(slots=True, frozen=True)
class Decided:
    """`decided:<step>#<k>`; COMPLETE, FAIL and EXPIRED come together with `task:<step>`, which carries the value."""

    action: Action
    value: Payload | None = None
    attempts: int = 0  # RETRY: how many more
    comment: str = ""  # RETRY: also the hint that the handler reads
    resolver: str = ""


@dataclass(slots=True, frozen=True)
class Patched:
    """`patch:<name>`."""

    answer: bool


@dataclass(slots=True, frozen=True)
class Cancel:
    """`cancel`; `timeout` is true when the workflow's own time ran out (it closes TIMED_OUT), `journal_full` when its
    journal must not grow further (it closes FAILED)."""

    reason: str = ""
    requester: str = ""
    timeout: bool = False
    journal_full: bool = False

    @property
    def forced(self) -> bool:
        """The mesh wants it to end: its clean-up has a limit."""
        return self.timeout or self.journal_full


class State(enum.StrEnum):
    """A workflow's state as people see it; `CLOSED` are those of a workflow that is over."""

    RUNNING = "RUNNING"
    WAITING_FOR_HUMAN = "WAITING_FOR_HUMAN"
    BLOCKED = "BLOCKED"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    TIMED_OUT = "TIMED_OUT"
    UNRECOGNIZED = "UNRECOGNIZED"
    """One that a newer release wrote. Lists show it; nothing is decided by it."""

    @property
    def closed(self) -> bool:
        return self in CLOSED


CLOSED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED, State.TIMED_OUT})


@dataclass(slots=True, frozen=True)
class Close:
    """`close`: how the run ended."""

    state: State
    output: Payload | None = None
    failure: Failure | None = None


@dataclass(slots=True, frozen=True)
class UnreadableEntry:
    """An entry that this release cannot read: `why`, and whether a newer release wrote it (else it is damaged).

    A workflow that would have to apply it is blocked; readers skip it. It is never written.
    """

    why: str
    newer: bool = False


Body: TypeAlias = (
    Start
    | Outcome
    | Attempt
    | TimerFired
    | Signaled
    | SignalSent
    | ChildStarted
    | Escalated
    | Decided
    | Patched
    | Cancel
    | Close
    | UnreadableEntry
)


@_checked_record
class Entry:
    """One journal entry. `n` is dense from 1; `time_ms` is the journal id's clock part."""

    name: str
    body: Body
    n: int = 0
    time_ms: int = 0
    actor: str = ""

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]


ERROR_CURE: Final = (
    "Nothing is lost, and no step runs twice: correct the code and save or deploy it, and the run continues where it is. "
    "If the cause was not the code: nervenet retry"
)
"""What to do about a programming error. The workflow's id follows."""


@dataclass(slots=True, frozen=True)
class Mismatch:
    """Why a run is BLOCKED: what the journal has, what the code asks for, and where (`review.py:27`).

    Without `expected` and `found` code and journal do not disagree; `detail` says what is wrong and what to do.
    `unreadable`: the journal holds what this release cannot read; a node of another release may.
    `error`: the programming error that the code raised (`KeyError: 'price'`); `detail` has its frames.
    """

    expected: str
    found: str
    where: str = ""
    agreed: int = 0
    detail: str = ""
    unreadable: bool = False
    error: str = ""

    @property
    def note(self) -> str:
        """In a list's few words."""
        if self.error:
            return f"{self.where}: {self.error}" if self.where else self.error
        if not self.expected and not self.found:
            return self.detail
        return f"code and journal disagree, {self.where}".rstrip(", ")

    @property
    def cure(self) -> str:
        """What to do about it. The change has the name of what the code asks for, as one would name it."""
        if self.error:
            return ERROR_CURE
        asked = re.match(r"(?:task|child|sent|escalated):([A-Za-z][A-Za-z0-9_-]*)", self.found)
        change = f"{asked[1][:57]}-first" if asked is not None else "what-changed"
        before = "Nothing is lost or retried. Deploy the code that ran before"
        return f'{before}, or guard the change: if ctx.patched("{change}"): …'


JSON: TypeAlias = Any  # a JSON value: str, int, float, bool, None, list, dict
