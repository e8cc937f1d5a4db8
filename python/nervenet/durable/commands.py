# SPDX-License-Identifier: Apache-2.0
"""What a workflow wants from the world: the answers of `Machine.apply`.

A command is a wish, not a deed: the node that owns the workflow carries it out, and every one of them may be carried
out twice without harm, because what comes of it is a journal entry under a deterministic name. They are named tuples
because a workflow makes one per step on the hot path, where a frozen dataclass costs four times as much.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from nervenet.options import Resolved, ResolvedStart
from nervenet.records import Close, Decided, Outcome, Payload, Question


class Dispatch(NamedTuple):
    """Send this attempt of the step to an agent, not before `at_ms` (0: now).

    The owner times it: after `options.attempt_ms`, or at `total_due_ms` whatever comes first, it appends the attempt's
    entry with TIMEOUT itself.
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
    """The code gave the step up: append `task:<step>` CANCELED and tell the agent to stop.

    `attempt` is the current one (0: a question to a human). With `wait` the code goes on only at `task:<step>`: tell
    the agent first, append when it has stopped.
    """

    step: str
    attempt: int
    wait: bool = False


class StartTimer(NamedTuple):
    """Append `timer:<k>` (TimerFired(due_ms)) at `due_ms` or as soon after it as possible."""

    k: int
    due_ms: int


class StopTimer(NamedTuple):
    """Forget that timer; if its entry is there already, it will be ignored."""

    k: int


class FailStep(NamedTuple):
    """The step is out of attempts: append `task:<step>` with this outcome. A late success may win the name."""

    step: str
    outcome: Outcome


class EscalateStep(NamedTuple):
    """Append `escalated:<step>#<k>`: a human decides how the step goes on."""

    step: str
    k: int
    question: Question


class Expire(NamedTuple):
    """At `at_ms`, if nobody has decided, decide `decided:<step>#<k>` and `task:<step>` like this, in one script."""

    step: str
    k: int
    at_ms: int
    decided: Decided
    outcome: Outcome


class Publish(NamedTuple):
    """What the code shows to watchers now."""

    view: Payload


class StartChild(NamedTuple):
    """Start this workflow as a child, append `child:<step>`, and see to it that its outcome becomes `task:<step>`."""

    step: str
    workflow_id: str
    definition: str
    version: int
    input: Payload
    options: ResolvedStart


class CancelChild(NamedTuple):
    """Append `cancel` to the child's journal. Once is enough, however often it is asked."""

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
    """Append `patch:<change>` (answer true). Nothing else of this run goes on before that is acknowledged."""

    change: str


class ContinueRun(NamedTuple):
    """The code goes on with a fresh journal: begin the next run with this input.

    What nobody has read goes along: the `unread` signals up to the entry `folded`, which was the code's last (both as
    journal ids), and what came from outside after it.
    """

    definition: str
    version: int
    input: Payload
    folded: str = ""
    unread: tuple[str, ...] = ()


class CloseRun(NamedTuple):
    """The code is done: append `close`. Nothing else of this run matters any more."""

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
