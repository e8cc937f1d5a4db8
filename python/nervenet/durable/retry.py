# SPDX-License-Identifier: Apache-2.0
"""The decision after a failed attempt: another one, and when; or the end. Pure, so it is the same on each replay.

The only random part is the jitter. It is derived from the names of workflow, run, step and attempt, so two nodes that
fold the same entry get the same millisecond.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from nervenet.options import Resolved
from nervenet.records import Failure, FailureCode

LOST_LIMIT = 3
"""From this consecutive loss on, the blame of a step is added up. At `FULL_BLAME` it is suspected of ending its agents
(decision 0026)."""

FULL_BLAME = 100
"""Percent: the loss can only be explained by this step. Also the blame of an entry that has none."""

LOST_MOST = 20
"""A step that has lost this number of agents in a row is suspected, even with little blame, so that its retries end."""

NEVER_AGAIN = frozenset(
    {
        FailureCode.INVALID_INPUT,
        FailureCode.PAYLOAD_TOO_LARGE,
        FailureCode.POLICY_DENIED,
        FailureCode.CANCELED,
    }
)


class AgentLoss(NamedTuple):
    """One agent that a step has lost: the time, the agent, the message, and the blame of the step in percent."""

    at_ms: int
    agent_id: str
    words: str
    blame: int = FULL_BLAME


class AttemptTally(NamedTuple):
    """The attempts of a step so far. `limit` is their maximum, None without one; it rises when a human grants more.

    `lost` counts all lost agents. `row` has the consecutive losses that blame the step: a failed attempt whose agent is
    alive ends the row; a loss without blame (its agent was stopped) neither ends nor extends it.
    """

    limit: int | None
    used: int = 0
    lost: int = 0
    row: tuple[AgentLoss, ...] = ()

    def after(self, failure: Failure, *, at_ms: int = 0, agent_id: str = "", blame: int | None = None) -> AttemptTally:
        """The tally after one more failed attempt, recorded at `at_ms`."""
        if failure.code is FailureCode.AGENT_DRAINED:
            return self
        if failure.code is FailureCode.AGENT_LOST:
            loss = AgentLoss(at_ms, agent_id, failure.message, FULL_BLAME if blame is None else blame)
            return self._replace(lost=self.lost + 1, row=(*self.row, loss) if loss.blame else self.row)
        return self._replace(used=self.used + 1, row=())

    def grant(self, attempts: int) -> AttemptTally:
        """The tally after a human has granted more attempts."""
        return AttemptTally(self.used + max(1, attempts), self.used)

    def suspected(self, *more: int) -> bool:
        """Whether the step is suspected of ending its agents. `more` is the blame of losses to come."""
        blames = [*(loss.blame for loss in self.row), *more]
        return sum(blames[LOST_LIMIT - 1 :]) >= FULL_BLAME or len(blames) >= LOST_MOST


class RetryAt(NamedTuple):
    """Send the next attempt, not before `at_ms` (0: at once)."""

    at_ms: int


class RetriesExhausted(NamedTuple):
    """No further attempt. The step fails with `failure`, unless the policy asks a human."""

    failure: Failure


class SuspectedStep(NamedTuple):
    """No further attempt: the step is suspected of ending its agents. `failure` lists them."""

    failure: Failure


def next_attempt(
    options: Resolved, failure: Failure, tally: AttemptTally, *, now_ms: int, total_due_ms: int | None, seed: str
) -> RetryAt | RetriesExhausted | SuspectedStep:
    """Decide after `failure`, which `tally` includes. `seed` has the names of workflow, run, step and attempt.

    A lost or drained agent uses up no attempt. After the first loss in a row the next attempt follows at once, after
    each further one with the policy's pause.
    """
    if not may_repeat(failure, options.non_retryable):
        return RetriesExhausted(failure)
    lost = failure.code is FailureCode.AGENT_LOST
    if lost and tally.suspected():
        return SuspectedStep(replace(failure, message=_suspicion(tally.row)))
    of_agent = lost or failure.code is FailureCode.AGENT_DRAINED
    if not of_agent and tally.limit is not None and tally.used >= tally.limit:
        return RetriesExhausted(failure)
    at_once = of_agent and (not lost or len(tally.row) < 2)
    used = len(tally.row) - 1 if lost else tally.used
    at_ms = now_ms if at_once else now_ms + backoff_ms(options, used, failure.retry_after_ms, seed)
    if total_due_ms is not None and at_ms >= total_due_ms:
        return RetriesExhausted(_out_of_time(failure))
    return RetryAt(0 if at_once else at_ms)


def _suspicion(row: tuple[AgentLoss, ...]) -> str:
    """`3 agents in a row were lost with it: 12:00:01 UTC: agent a-1 died; …`, at most the last few."""
    latest = [f"{datetime.fromtimestamp(loss.at_ms / 1000, UTC):%H:%M:%S} UTC: {loss.words}" for loss in row[-5:]]
    earlier = [f"{len(row) - len(latest)} earlier"] if len(row) > len(latest) else []
    return f"{len(row)} agents in a row were lost with it: {'; '.join([*earlier, *latest])}"


def may_repeat(failure: Failure, non_retryable: tuple[str, ...]) -> bool:
    """Whether the failure and its causes allow another attempt."""
    if failure.code in NEVER_AGAIN:
        return False
    cause: Failure | None = failure
    while cause is not None:
        if cause.retryable is False or cause.type in non_retryable:
            return False
        cause = cause.cause
    return True


def backoff_ms(options: Resolved, used: int, retry_after_ms: int | None, seed: str) -> int:
    """The pause after the `used`-th failure: exponential, with a limit and jitter; at least what the agent asked
    for."""
    try:
        delay = min(float(options.max_ms), options.initial_ms * options.multiplier ** (max(used, 1) - 1))
    except OverflowError:
        delay = float(options.max_ms)
    delay *= 1 + options.jitter * (2 * chance(seed) - 1)
    return max(round(delay), retry_after_ms or 0)


def chance(seed: str) -> float:
    """A number in [0, 1) that depends only on the seed."""
    return int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=6).digest(), "big") / (1 << 48)


def _out_of_time(failure: Failure) -> Failure:
    if failure.code is FailureCode.TIMEOUT:
        return failure
    last = f"{failure.type or failure.code}: {failure.message}"
    return replace(
        failure,
        code=FailureCode.TIMEOUT,
        type="TimeoutError",
        message=f"the step's total time leaves no room for another attempt; the last one failed: {last}",
        cause=failure,
    )
