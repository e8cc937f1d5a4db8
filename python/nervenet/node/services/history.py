# SPDX-License-Identifier: Apache-2.0
"""A journal folded for reading: which steps there were, how each went, who was asked and what was said.

Pure: entries in, plain values out. It knows nothing of workflow code, so it can tell the past of any workflow on any
node; what is pending and why only the owner's machine knows, and `reads.py` adds that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from nervenet.records import (
    Action,
    Attempt,
    Cancel,
    ChildStarted,
    Close,
    Decided,
    Entry,
    Escalated,
    Failure,
    FailureCode,
    Outcome,
    Question,
    Start,
)

AskedState: TypeAlias = Literal["OPEN", "RESOLVED", "EXPIRED", "WITHDRAWN"]


@dataclass(slots=True)
class Asked:
    """One escalation. `state` is that of the journal as far as it was read."""

    step: str
    k: int
    question: Question
    asked_ms: int
    decided: Decided | None = None
    decided_ms: int = 0
    state: AskedState = "OPEN"


PhaseName: TypeAlias = Literal["QUEUED", "RUNNING", "RETRY", "HUMAN"]
"""What a step spends its time with: TaskPhase's name."""
MOST_SPANS: Final = 24


class Span(NamedTuple):
    """A part of a step's time. `end_ms` 0: it goes on."""

    phase: PhaseName
    start_ms: int
    end_ms: int


@dataclass(slots=True)
class Step:
    """One step. `state` is TaskState's name; of a step without an outcome the owner knows more."""

    name: str
    capability: str = ""
    state: str = "QUEUED"
    attempt: int = 0
    agent_id: str = ""
    scheduled_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    outcome: Outcome | None = None
    failed: list[Failure] = field(default_factory=list)
    asked: Asked | None = None
    child: str = ""
    spans: list[Span] = field(default_factory=list)

    def spent(self, phase: PhaseName, start_ms: int, end_ms: int) -> None:
        """Add a part of its time that is over. One that begins before the part before it ended begins there."""
        start_ms = max(start_ms, self.spans[-1].end_ms) if self.spans else start_ms
        if 0 < start_ms < end_ms + (phase == "RUNNING"):  # a handler of less than a millisecond ran too
            self.spans.append(Span(phase, start_ms, end_ms))

    def attempted(self, body: Outcome | Attempt, time_ms: int) -> None:
        """Add an attempt: what it waited before it was sent, in the queue, and how long it ran."""
        last = self.spans[-1].end_ms if self.spans else 0
        sent, began = body.scheduled_ms, body.started_ms
        if last and sent:
            self.spent("RETRY", last, sent)
        if began:
            self.spent("QUEUED", sent or last or began, began)
            self.spent("RUNNING", began, body.ended_ms or time_ms)
        elif sent:
            self.spent("QUEUED", sent, body.ended_ms or time_ms)


class History:
    """Feed it the entries in order."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.start: Start | None = None
        self.start_ms = 0
        self.cancel: Cancel | None = None
        self.close: Close | None = None
        self.close_ms = 0
        self.steps: dict[str, Step] = {}
        self.asked: list[Asked] = []
        for entry in entries:
            self.add(entry)

    def step(self, name: str) -> Step:
        found = self.steps.get(name)
        if found is None:
            found = self.steps[name] = Step(name)
        return found

    def add(self, entry: Entry) -> None:
        rest = entry.name.partition(":")[2]
        match entry.body:
            case Start() as body:
                self.start, self.start_ms = body, entry.time_ms
            case Outcome() as body:
                self._outcome(self.step(rest), body, entry.time_ms)
            case Attempt() as body:
                name, _, n = rest.rpartition("#")
                self._attempt(self.step(name), int(n), body, entry.time_ms)
            case Escalated() as body:
                name, _, k = rest.rpartition("#")
                self._asked(self.step(name), int(k), body, entry.time_ms)
            case Decided() as body:
                name, _, k = rest.rpartition("#")
                self._decided(self.step(name), int(k), body, entry.time_ms)
            case ChildStarted() as body:
                self._child(self.step(rest), body, entry.time_ms)
            case Cancel() as body:
                self.cancel = body
            case Close() as body:
                self.close, self.close_ms = body, entry.time_ms
                self._closed()
            case _:
                pass

    def _outcome(self, step: Step, body: Outcome, time_ms: int) -> None:
        step.outcome = body
        if step.child:
            step.spent("RUNNING", step.started_ms, time_ms)
        elif not self._is_answer(step, body):
            step.attempted(body, time_ms)
        step.capability = body.capability or step.capability
        step.attempt = body.attempt or step.attempt
        step.agent_id = body.agent_id or step.agent_id
        step.scheduled_ms = step.scheduled_ms or body.scheduled_ms
        step.started_ms = body.started_ms or step.started_ms
        step.ended_ms = body.ended_ms or time_ms
        if body.failure is None:
            step.state = "SUCCEEDED"
        else:
            step.state = "CANCELED" if body.failure.code is FailureCode.CANCELED else "FAILED"
        if step.asked is not None and step.asked.state == "OPEN":
            step.asked.state = "WITHDRAWN"

    def _is_answer(self, step: Step, body: Outcome) -> bool:
        """Whether the outcome is what a human decided, or came of a deadline that passed: no agent worked for it."""
        asked = step.asked
        return asked is not None and asked.decided is not None and body.started_ms <= asked.asked_ms

    def _child(self, step: Step, body: ChildStarted, time_ms: int) -> None:
        step.child, step.capability = body.workflow_id, body.definition
        step.scheduled_ms = step.started_ms = time_ms
        if body.failure is not None:
            step.outcome = Outcome(None, body.failure)
            step.state, step.ended_ms = "FAILED", time_ms
        elif step.outcome is None:
            step.state = "RUNNING"

    def _attempt(self, step: Step, n: int, body: Attempt, time_ms: int) -> None:
        step.capability = body.capability or step.capability
        step.attempt = max(step.attempt, n)
        step.agent_id = body.agent_id or step.agent_id
        step.scheduled_ms = step.scheduled_ms or body.scheduled_ms
        step.started_ms, step.ended_ms = body.started_ms, body.ended_ms or time_ms
        step.attempted(body, time_ms)
        if body.failure is not None:
            step.failed.append(body.failure)

    def _asked(self, step: Step, k: int, body: Escalated, time_ms: int) -> None:
        step.asked = Asked(step.name, k, body.question, time_ms)
        step.scheduled_ms = step.scheduled_ms or time_ms
        step.state = "WAITING_FOR_HUMAN"
        step.started_ms = (
            step.started_ms or time_ms
        )  # a step without attempts, which is a question of the workflow itself
        self.asked.append(step.asked)

    def _decided(self, step: Step, k: int, body: Decided, time_ms: int) -> None:
        asked = step.asked
        if asked is None or asked.k != k:
            return
        asked.decided, asked.decided_ms = body, time_ms
        asked.state = "EXPIRED" if body.action is Action.EXPIRED else "RESOLVED"
        step.spent("HUMAN", asked.asked_ms, time_ms)
        step.state = "QUEUED"

    def _closed(self) -> None:
        for step in self.steps.values():
            if step.outcome is None:
                step.state = "CANCELED"
        for asked in self.asked:
            if asked.state == "OPEN":
                asked.state = "WITHDRAWN"
