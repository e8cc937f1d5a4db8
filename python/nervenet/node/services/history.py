# SPDX-License-Identifier: Apache-2.0
"""A journal folded for reading: which steps there were, how each went, who was asked and what was said.

Pure: entries in, plain values out. It knows nothing of workflow code, so it can tell the past of any workflow on any
node; what is pending and why only the owner's machine knows, and `reads.py` adds that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from nervenet.records import (
    Action,
    Attempt,
    Cancel,
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
            case Cancel() as body:
                self.cancel = body
            case Close() as body:
                self.close, self.close_ms = body, entry.time_ms
                self._closed()
            case _:
                pass

    def _outcome(self, step: Step, body: Outcome, time_ms: int) -> None:
        step.outcome = body
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

    def _attempt(self, step: Step, n: int, body: Attempt, time_ms: int) -> None:
        step.capability = body.capability or step.capability
        step.attempt = max(step.attempt, n)
        step.agent_id = body.agent_id or step.agent_id
        step.scheduled_ms = step.scheduled_ms or body.scheduled_ms
        step.started_ms, step.ended_ms = body.started_ms, body.ended_ms or time_ms
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
        step.state = "QUEUED"

    def _closed(self) -> None:
        for step in self.steps.values():
            if step.outcome is None:
                step.state = "CANCELED"
        for asked in self.asked:
            if asked.state == "OPEN":
                asked.state = "WITHDRAWN"
