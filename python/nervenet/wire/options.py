# SPDX-License-Identifier: Apache-2.0
"""Call options ⇄ the contract, for requests that carry them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nervenet.v1 import common_pb2 as common
from nervenet.wire.values import (
    duration,
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


_REFUSED = re.compile(r"(\w+)\.(\w+) is (.*)", re.DOTALL)
_GROUPS = {"RetryPolicy": "retry", "Timeouts": "timeouts", "Selection": "selection"}
_FIELDS = {"multiplier": "backoff_multiplier", "non_retryable": "non_retryable_types", "match": "match_labels"}


def refused_option(error: Exception) -> tuple[str, str]:
    """The contract's path of the value that an option's class refused (`retry.backoff_multiplier`; "": unknown), and
    the reason."""
    refused = _REFUSED.fullmatch(str(error))
    if refused is None:
        return "", str(error)
    kind, name, words = refused.groups()
    group = _GROUPS.get(kind)
    field = _FIELDS.get(name, name)
    return (f"{group}.{field}" if group else field), words.replace("UNSET", "unset")


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
        on_agent_loss=common.ON_EXHAUSTED_ESCALATE if options.escalate_loss else common.ON_EXHAUSTED_FAIL,
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
