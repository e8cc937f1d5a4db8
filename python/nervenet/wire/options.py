# SPDX-License-Identifier: Apache-2.0
"""Call options ⇄ the contract, for requests that carry them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nervenet.v1 import common_pb2 as common
from nervenet.wire.values import (
    duration,
    optional_ms,
)

if TYPE_CHECKING:
    from nervenet.options import Resolved


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_POLICIES = {
    common.SELECTION_POLICY_UNSPECIFIED: "least_loaded",
    common.SELECTION_POLICY_LEAST_LOADED: "least_loaded",
    common.SELECTION_POLICY_ROUND_ROBIN: "round_robin",
    common.SELECTION_POLICY_STICKY: "sticky",
    common.SELECTION_POLICY_QUEUE: "queue",
}


def policy_in(number: common.SelectionPolicy) -> Any:
    return _POLICIES[number]


def options_out(options: Resolved) -> tuple[common.RetryPolicy, common.Timeouts, common.Selection]:
    """The contract's form of resolved options, for requests that carry them (RunTask)."""
    retry = common.RetryPolicy(
        max_attempts=-1 if options.max_attempts is None else options.max_attempts,
        initial_interval=duration(options.initial_ms),
        max_interval=duration(options.max_ms),
        backoff_multiplier=options.multiplier,
        jitter=options.jitter,
        non_retryable_types=options.non_retryable,
        avoid_failed_agents=options.avoid_failed_agents,
        on_exhausted=common.ON_EXHAUSTED_ESCALATE if options.escalate else common.ON_EXHAUSTED_FAIL,
    )
    timeouts = common.Timeouts(
        queue=duration(options.queue_ms),
        accept=duration(options.accept_ms),
        attempt=duration(options.attempt_ms),
        total=duration(options.total_ms),
        heartbeat=duration(options.heartbeat_ms),
    )
    selection = common.Selection(
        policy=f"SELECTION_POLICY_{options.policy.upper()}",
        match_labels=options.match,
        sticky_key=options.sticky_key or "",
    )
    return retry, timeouts, selection


def retry_policy_in(message: common.RetryPolicy) -> dict[str, Any]:
    """Keyword arguments for options.RetryPolicy from what is set; times as timedelta."""
    given: dict[str, Any] = {}
    if message.max_attempts:
        given["max_attempts"] = None if message.max_attempts < 0 else message.max_attempts
    for name in ("initial_interval", "max_interval"):
        if (ms := optional_ms(message, name)) is not None:
            given[name] = timedelta(milliseconds=ms)
    if message.backoff_multiplier:
        given["multiplier"] = message.backoff_multiplier
    if message.jitter:
        given["jitter"] = message.jitter
    if message.non_retryable_types:
        given["non_retryable"] = tuple(message.non_retryable_types)
    if message.avoid_failed_agents:
        given["avoid_failed_agents"] = True
    if message.on_exhausted == common.ON_EXHAUSTED_ESCALATE:
        given["on_exhausted"] = "escalate"
    return given


def timeouts_in(message: common.Timeouts) -> dict[str, Any]:
    """Keyword arguments for options.Timeouts from what is set."""
    spans = {name: optional_ms(message, name) for name in ("queue", "accept", "attempt", "total", "heartbeat")}
    return {name: timedelta(milliseconds=ms) for name, ms in spans.items() if ms is not None}
