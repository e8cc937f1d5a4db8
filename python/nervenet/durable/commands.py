# SPDX-License-Identifier: Apache-2.0
"""The commands of a workflow to the node that owns it: the results of `Machine.apply`.

The node carries them out. Each command may be carried out twice without harm, because its result is a journal entry
under a deterministic name. They are named tuples, because each step creates one on the hot path, and a frozen dataclass
costs four times as much.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from nervenet.options import Resolved, ResolvedStart
from nervenet.records import Close, Decided, Outcome, Payload, Question


class Dispatch(NamedTuple):
    """Send this attempt of the step to an agent, not before `at_ms` (0: now).

    The owner enforces the timeouts: after `options.attempt_ms`, or at `total_due_ms` if that is earlier, it appends the
    attempt's entry with TIMEOUT.
    """

    step: str
    attempt: int
    capability: str
    version: str | None
    input: Payload
    digest: bytes
    options: Resolved
    at_ms: int = 0
    total_due_ms: int | None = None
    hint: str = ""
    avoid: tuple[str, ...] = ()


class Withdraw(NamedTuple):
    """The code has given the step up: append `task:<step>` CANCELED and stop the agent.

    `attempt` is the current one (0: a question to a human). With `wait` the code continues only at `task:<step>`: stop
    the agent first, and append when it has stopped.
    """

    step: str
    attempt: int
    wait: bool = False


class StartTimer(NamedTuple):
    """Append `timer:<k>` (TimerFired(due_ms)) at `due_ms`, or as soon as possible after it."""

    number: int
    due_ms: int


class StopTimer(NamedTuple):
    """Forget that timer. If its entry exists already, it is ignored."""

    number: int


class FailStep(NamedTuple):
    """The step has no attempts left: append `task:<step>` with this outcome. A late success may get the name first."""

    step: str
    outcome: Outcome


class EscalateStep(NamedTuple):
    """Append `escalated:<step>#<k>`: a human decides how the step continues."""

    step: str
    question_number: int
    question: Question


class Expire(NamedTuple):
    """At `at_ms`, if no human has decided, append `decided:<step>#<k>` and `task:<step>` with these values, in one
    script."""

    step: str
    question_number: int
    at_ms: int
    decided: Decided
    outcome: Outcome


class Publish(NamedTuple):
    """The value that the code shows to watchers now."""

    view: Payload


class StartChild(NamedTuple):
    """Start this workflow as a child, append `child:<step>`, and append its outcome as `task:<step>`."""

    step: str
    workflow_id: str
    definition: str
    version: int
    input: Payload
    options: ResolvedStart


class CancelChild(NamedTuple):
    """Append `cancel` to the child's journal. A repetition has no effect."""

    step: str
    workflow_id: str


class SendSignal(NamedTuple):
    """Append `signal:<signal_id>` to the other workflow's journal, then `sent:<step>` here."""

    step: str
    workflow_id: str
    signal: str
    payload: Payload
    signal_id: str
    undeclared: bool = False


class RecordPatch(NamedTuple):
    """Append `patch:<change>` (true). The run continues only when this is acknowledged."""

    change: str


class ContinueRun(NamedTuple):
    """The code continues with an empty journal: begin the next run with this input.

    The next run gets the unread signals: those in `unread`, up to the last entry of this run, `folded` (both are
    journal ids), and the entries from outside after it.
    """

    definition: str
    version: int
    input: Payload
    folded: str = ""
    unread: tuple[str, ...] = ()


class CloseRun(NamedTuple):
    """The code has ended: append `close`. All other commands of this run are obsolete."""

    close: Close


Command: TypeAlias = (
    Dispatch
    | Withdraw
    | StartTimer
    | StopTimer
    | FailStep
    | EscalateStep
    | Expire
    | Publish
    | StartChild
    | CancelChild
    | SendSignal
    | RecordPatch
    | ContinueRun
    | CloseRun
)
