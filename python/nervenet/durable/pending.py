# SPDX-License-Identifier: Apache-2.0
"""One step that workflow code waits for, and the command that it still needs."""

from __future__ import annotations

import asyncio
import enum
from typing import Any, NamedTuple

from nervenet.durable.commands import Command, Dispatch, EscalateStep, Expire, FailStep, Withdraw
from nervenet.durable.lines import Site
from nervenet.durable.retry import AttemptTally
from nervenet.options import DEFAULTS, Resolved
from nervenet.payloads import Codec
from nervenet.records import NOTHING, Action, Attempt, Decided, Entry, Failure, FailureCode, Outcome, Payload, Question


class Phase(enum.Enum):
    """Where a pending step is."""

    SENT = "sent"
    """An agent works on it, or will."""
    FAILING = "failing"
    """It has no attempts left; its failure is not recorded yet."""
    ASKING = "asking"
    """A human must decide; the question is not recorded yet."""
    OPEN = "open"
    """The question is recorded; a human has not decided yet."""
    SETTLED = "settled"
    """A human has decided; the next entry is the step's outcome."""


SENT, FAILING, ASKING, OPEN, SETTLED = Phase  # as globals: `Phase.SENT` costs ten times as much, for each entry


class Contradiction(Exception):
    """The journal has `expected`, but this code asks for `found` (None: for the steps that it waits for now)."""

    def __init__(self, expected: str, found: str | None = None, site: Site | None = None) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found
        self.site = site


class FailedAttempt(NamedTuple):
    """The last failed attempt of a step: what people see of its failure, and when it was recorded."""

    failure: Failure
    at_ms: int


class Pending:
    """One step that the code waits for. The node reads step, kind, attempt, capability, input, options, phase, question,
    the times, lost, last_failed."""

    __slots__ = (
        "asked_ms",
        "at_ms",
        "attempt",
        "avoid",
        "born",
        "capability",
        "decided",
        "digests",
        "failure",
        "future",
        "hint",
        "input",
        "kind",
        "last_failed",
        "options",
        "output",
        "phase",
        "question",
        "question_number",
        "since_ms",
        "site",
        "step",
        "tally",
        "total_due_ms",
        "version",
    )

    def __init__(
        self,
        kind: str,
        capability: str,
        output: Codec[Any],
        site: Site,
        input: Payload = NOTHING,
        options: Resolved = DEFAULTS,
        version: str | None = None,
        question: Question | None = None,
        digests: tuple[bytes, ...] = (),
        tally: AttemptTally | None = None,
    ) -> None:
        self.step = ""
        self.kind = kind
        self.capability = capability
        self.version = version
        self.input = input
        self.digests = digests  # the first one is written; the journal may have any of them
        self.output = output
        self.options = options
        self.site = site
        self.attempt = 0
        self.tally = AttemptTally(options.max_attempts) if tally is None else tally
        self.since_ms = self.at_ms = self.asked_ms = self.born = self.question_number = 0
        self.last_failed: FailedAttempt | None = None
        self.total_due_ms: int | None = None
        self.hint = ""
        self.avoid: tuple[str, ...] = ()
        self.phase = SENT
        self.question = question
        self.decided: Decided | None = None
        self.failure: Failure | None = None
        self.future: asyncio.Future[Outcome]

    @property
    def digest(self) -> bytes:
        """What stands for the input in the journal. Empty: it has none."""
        return self.digests[0] if self.digests else b""

    @property
    def lost(self) -> int:
        """The number of agents that died with this step."""
        return self.tally.lost

    def __repr__(self) -> str:
        return f"<{self.kind} {self.step} #{self.attempt} {self.phase.value} since {self.since_ms}>"

    def wanted(self) -> Command | None:
        """The command that the node must still carry out for this step."""
        phase = self.phase
        if phase is SENT:
            return Dispatch(
                self.step,
                self.attempt,
                self.capability,
                self.version,
                self.input,
                self.digests[0] if self.digests else b"",
                self.options,
                self.at_ms,
                self.total_due_ms,
                self.hint,
                self.avoid,
            )
        if phase is FAILING:
            return FailStep(self.step, self._outcome(None, self.failure))
        if phase is ASKING:
            assert self.question is not None
            return EscalateStep(self.step, self.question_number, self.question)
        if phase is OPEN:
            return self._expiry()
        return None

    def fits(self, body: Outcome | Attempt) -> bool:
        """Whether the entry can be about this call: it has the same capability and input, if it has them."""
        if body.capability and body.capability != self.capability:
            return False
        return not body.digest or not self.digests or body.digest in self.digests

    def check(self, entry: Entry, body: Outcome | Attempt) -> None:
        """Raise Contradiction if the entry is about another call."""
        if not self.fits(body):
            both = ((body.capability, body.digest), (self.capability, self.digest))
            theirs, ours = (f"{name} {digest.hex()}" for name, digest in both)
            raise Contradiction(f"{entry.name} ({theirs})", f"{entry.name} ({ours})", self.site)

    def begin(self, step: str) -> None:
        """Begin the step under this name, with its first attempt or question."""
        self.step, self.at_ms = step, 0
        if self.kind == "ask":
            self.question_number, self.phase = 1, ASKING
        else:
            self.attempt, self.phase = 1, SENT

    def _expiry(self) -> Expire | None:
        question = self.question
        if question is None or question.deadline_ms is None:
            return None
        failure = None
        if question.default is None:
            failure = Failure(
                FailureCode.TIMEOUT, f"nobody answered in time: {question.text}", "TimeoutError", source=self.step
            )
        decided = Decided(Action.EXPIRED, question.default, resolver="deadline")
        return Expire(
            self.step, self.question_number, question.deadline_ms, decided, self._outcome(question.default, failure)
        )

    def _outcome(self, output: Payload | None, failure: Failure | None) -> Outcome:
        return Outcome(output, failure, self.capability, self.digest, self.attempt)

    def withdrawal(self) -> Withdraw:
        """The command that the node must carry out when the code gives this step up."""
        return Withdraw(self.step, self.attempt, self.options.on_cancel == "wait")
