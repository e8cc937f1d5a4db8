# SPDX-License-Identifier: Apache-2.0
"""Retry decisions as a table: they are pure, and equal on every node."""

from __future__ import annotations

import pytest

from nervenet.durable.retry import (
    LOST_MOST,
    AgentLoss,
    AttemptTally,
    RetriesExhausted,
    RetryAt,
    SuspectedStep,
    backoff_ms,
    next_attempt,
)
from nervenet.options import Resolved
from nervenet.records import Failure, FailureCode

NOW = 1_000_000
EVEN = Resolved(jitter=0)


def fail(code: FailureCode = FailureCode.APPLICATION, **more: object) -> Failure:
    return Failure(code, "no", **more)  # type: ignore[arg-type]


def row(*blames: int, limit: int | None = None) -> AttemptTally:
    """So many agents lost in a row, with these blames."""
    return AttemptTally(limit, 0, len(blames), tuple(AgentLoss(NOW, "a-1", "no", blame) for blame in blames))


@pytest.mark.parametrize(
    ("options", "failure", "tally", "total_due_ms", "expected"),
    [
        (EVEN, fail(), AttemptTally(5, 1), None, RetryAt(NOW + 1_000)),
        (EVEN, fail(), AttemptTally(5, 2), None, RetryAt(NOW + 2_000)),
        (EVEN, fail(), AttemptTally(5, 4), None, RetryAt(NOW + 8_000)),
        (EVEN, fail(), AttemptTally(5, 5), None, None),
        (EVEN, fail(), AttemptTally(None, 500), None, RetryAt(NOW + 60_000)),
        (EVEN, fail(retry_after_ms=9_000), AttemptTally(5, 1), None, RetryAt(NOW + 9_000)),
        (EVEN, fail(retry_after_ms=10), AttemptTally(5, 1), None, RetryAt(NOW + 1_000)),
        (EVEN, fail(retryable=False), AttemptTally(5, 1), None, None),
        (EVEN, fail(cause=fail(retryable=False)), AttemptTally(5, 1), None, None),
        (EVEN, fail(FailureCode.INVALID_INPUT), AttemptTally(5, 1), None, None),
        (EVEN, fail(FailureCode.PAYLOAD_TOO_LARGE), AttemptTally(5, 1), None, None),
        (EVEN, fail(FailureCode.POLICY_DENIED), AttemptTally(5, 1), None, None),
        (EVEN, fail(FailureCode.CANCELED), AttemptTally(5, 1), None, None),
        (EVEN, fail(FailureCode.TIMEOUT), AttemptTally(5, 1), None, RetryAt(NOW + 1_000)),
        (EVEN, fail(FailureCode.RATE_LIMITED), AttemptTally(5, 1), None, RetryAt(NOW + 1_000)),
        (EVEN, fail(FailureCode.AGENT_LOST), row(100, limit=1), None, RetryAt(0)),
        (EVEN, fail(FailureCode.AGENT_LOST), row(100, 100, limit=1), None, RetryAt(NOW + 1_000)),
        (EVEN, fail(FailureCode.AGENT_LOST), row(1, 1, 1), None, RetryAt(NOW + 2_000)),
        (EVEN, fail(FailureCode.AGENT_LOST), row(100, 100), NOW + 1_000, None),
        (EVEN, fail(FailureCode.AGENT_DRAINED), AttemptTally(1, 0, 0), None, RetryAt(0)),
        (EVEN, fail(FailureCode.AGENT_DRAINED), AttemptTally(1, 0, 0), NOW, None),
        (Resolved(jitter=0, non_retryable=("Torn",)), fail(type="Torn"), AttemptTally(5, 1), None, None),
        (Resolved(jitter=0, non_retryable=("Torn",)), fail(cause=fail(type="Torn")), AttemptTally(5, 1), None, None),
        (Resolved(jitter=0, multiplier=1e300), fail(), AttemptTally(None, 9), None, RetryAt(NOW + 60_000)),
        (EVEN, fail(), AttemptTally(5, 1), NOW + 1_001, RetryAt(NOW + 1_000)),
        (EVEN, fail(), AttemptTally(5, 1), NOW + 1_000, None),
    ],
)
def test_what_follows_a_failed_attempt(
    options: Resolved, failure: Failure, tally: AttemptTally, total_due_ms: int | None, expected: RetryAt | None
) -> None:
    found = next_attempt(options, failure, tally, now_ms=NOW, total_due_ms=total_due_ms, seed="s")
    assert isinstance(found, RetriesExhausted) if expected is None else found == expected


def test_running_out_of_time_is_a_timeout_that_names_the_last_failure() -> None:
    found = next_attempt(EVEN, fail(type="Busy"), AttemptTally(5, 1), now_ms=NOW, total_due_ms=NOW + 10, seed="s")
    assert isinstance(found, RetriesExhausted)
    assert found.failure.code is FailureCode.TIMEOUT and "Busy: no" in found.failure.message
    assert found.failure.cause == fail(type="Busy")


def test_the_tally_counts_failures_lost_agents_and_grants_apart() -> None:
    tally = AttemptTally(2)
    assert tally.after(fail()) == AttemptTally(2, 1)
    lost = tally.after(fail(FailureCode.AGENT_LOST), at_ms=NOW, agent_id="a-1", blame=40)
    assert lost == AttemptTally(2, 0, 1, (AgentLoss(NOW, "a-1", "no", 40),))
    assert lost.after(fail()) == AttemptTally(2, 1, 1), "the agent lived: the row is over"
    assert lost.after(fail(FailureCode.AGENT_LOST), blame=0) == lost._replace(lost=2)
    assert lost.after(fail(FailureCode.AGENT_DRAINED)) == lost
    assert tally.after(fail(FailureCode.AGENT_DRAINED)) == tally
    assert AttemptTally(2, 2, 2).grant(3) == AttemptTally(5, 2, 0)
    assert AttemptTally(None, 7).grant(0) == AttemptTally(8, 7, 0)


@pytest.mark.parametrize(
    ("blames", "suspected"),
    [
        ((100, 100), False),
        ((100, 100, 100), True),
        ((12, 25, 100), True),  # shared twice, then alone
        ((12, 25, 50), False),
        ((12, 25, 50, 50), True),
        ((50, 50, 50), False),
        ((50, 50, 50, 50), True),  # silence weighs half
        ((100, 100, 20), False),  # a storm has begun
        ((100, 100, 20, 20, 20), False),
        ((100, 100, 20, 20, 20, 60), True),
        ((1,) * (LOST_MOST - 1), False),
        ((1,) * LOST_MOST, True),
    ],
)
def test_from_the_third_loss_in_a_row_on_blame_adds_up(blames: tuple[int, ...], suspected: bool) -> None:
    assert row(*blames).suspected() is suspected
    assert row(*blames[:-1]).suspected(blames[-1]) is suspected
    found = next_attempt(EVEN, fail(FailureCode.AGENT_LOST), row(*blames), now_ms=NOW, total_due_ms=None, seed="s")
    assert isinstance(found, SuspectedStep) is suspected


def test_jitter_is_bounded_spread_and_the_same_everywhere() -> None:
    options = Resolved(jitter=0.2)
    delays = [backoff_ms(options, 1, None, f"wf-{n}~1/step#1") for n in range(500)]
    assert all(800 <= delay <= 1_200 for delay in delays) and len(set(delays)) > 200
    assert delays == [backoff_ms(options, 1, None, f"wf-{n}~1/step#1") for n in range(500)]
