# SPDX-License-Identifier: Apache-2.0
"""What follows a failed attempt: another one and when, or the end. Pure, so that it is the same on every replay.

Chance comes in only as jitter, and that is derived from the names of workflow, run, step and attempt: two nodes that
fold the same entry arrive at the same millisecond.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import NamedTuple

from nervenet.options import Resolved
from nervenet.records import Failure, FailureCode

LOST_LIMIT = 3
"""Agents that a step may take down with it before that counts as the step's fault."""

NEVER_AGAIN = frozenset(
    {
        FailureCode.INVALID_INPUT,
        FailureCode.PAYLOAD_TOO_LARGE,
        FailureCode.POLICY_DENIED,
        FailureCode.CANCELED,
    }
)


class Tally(NamedTuple):
    """How a step has fared so far; `limit` is None without one, and moves when a human grants more."""

    limit: int | None
    used: int = 0
    lost: int = 0

    def after(self, failure: Failure) -> Tally:
        """This tally with one more failed attempt."""
        if failure.code is FailureCode.AGENT_DRAINED:
            return self
        if failure.code is FailureCode.AGENT_LOST:
            return self._replace(lost=self.lost + 1)
        return self._replace(used=self.used + 1)

    def grant(self, attempts: int) -> Tally:
        """A human allows that many more."""
        return Tally(self.used + max(1, attempts), self.used, 0)


class Again(NamedTuple):
    """Send the next attempt, not before `at_ms` (0: at once)."""

    at_ms: int


class Exhausted(NamedTuple):
    """No further attempt; `failure` is what the step fails with, unless the policy asks a human."""

    failure: Failure


def next_attempt(
    options: Resolved, failure: Failure, tally: Tally, *, now_ms: int, total_due_ms: int | None, seed: str
) -> Again | Exhausted:
    """Decide after `failure`, which `tally` has counted; `seed` names workflow, run, step and attempt."""
    if not may_repeat(failure, options.non_retryable):
        return Exhausted(failure)
    at_once = failure.code in (FailureCode.AGENT_DRAINED, FailureCode.AGENT_LOST)
    if failure.code is FailureCode.AGENT_LOST and tally.lost >= LOST_LIMIT:
        return Exhausted(failure)
    if not at_once and tally.limit is not None and tally.used >= tally.limit:
        return Exhausted(failure)
    at_ms = now_ms if at_once else now_ms + backoff_ms(options, tally.used, failure.retry_after_ms, seed)
    if total_due_ms is not None and at_ms >= total_due_ms:
        return Exhausted(_out_of_time(failure))
    return Again(0 if at_once else at_ms)


def may_repeat(failure: Failure, non_retryable: tuple[str, ...]) -> bool:
    """Whether neither the failure nor any of its causes forbids another attempt."""
    if failure.code in NEVER_AGAIN:
        return False
    cause: Failure | None = failure
    while cause is not None:
        if cause.retryable is False or cause.type in non_retryable:
            return False
        cause = cause.cause
    return True


def backoff_ms(options: Resolved, used: int, retry_after_ms: int | None, seed: str) -> int:
    """The pause after the `used`-th failure: exponential, capped, jittered; never shorter than the agent asked for."""
    try:
        delay = min(float(options.max_ms), options.initial_ms * options.multiplier ** (max(used, 1) - 1))
    except OverflowError:
        delay = float(options.max_ms)
    delay *= 1 + options.jitter * (2 * chance(seed) - 1)
    return max(round(delay), retry_after_ms or 0)


def chance(seed: str) -> float:
    """A number in [0, 1) that depends on nothing but the seed."""
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
