# SPDX-License-Identifier: Apache-2.0
"""Retries and timeouts of a node, as LangGraph writes them, turned into CallOptions.

A node without a policy is tried once, as in LangGraph. An agent that is lost is replaced in any case: that is no failure of the
node. Which errors a policy retries is decided where the error is: in the agent (`may_retry`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from langgraph.types import RetryPolicy as GraphRetryPolicy

from nervenet import CallOptions, RetryPolicy, Timeouts

_SHORTEST_PAUSE = 0.001
"""Seconds between two attempts, at least. LangGraph also takes 0."""


def policies_of(spec: Any) -> tuple[GraphRetryPolicy, ...]:
    """The retry policies of a node (`StateNodeSpec`), the first match counts."""
    policy = spec.retry_policy
    if policy is None:
        return ()
    return (policy,) if isinstance(policy, GraphRetryPolicy) else tuple(policy)


def options_of(spec: Any) -> CallOptions:
    """How the calls of this node are made."""
    return CallOptions(retry=_retry(policies_of(spec)), timeouts=_timeouts(spec))


def may_retry(policies: Sequence[GraphRetryPolicy], error: Exception) -> bool:
    """Whether a policy knows this error. How many attempts there are is an option of the call: an agent that is lost is not one
    of them, and only the workflow's node can tell."""
    return any(_matches(policy, error) for policy in policies)


def idle_timeout_of(spec: Any) -> Any:
    """The part of a TimeoutPolicy that LangGraph itself watches in the agent: the longest silence. None: there is none."""
    policy = getattr(spec, "timeout", None)
    if policy is None or policy.idle_timeout is None:
        return None
    return type(policy)(idle_timeout=policy.idle_timeout, refresh_on=policy.refresh_on)


def _retry(policies: Sequence[GraphRetryPolicy]) -> RetryPolicy:
    if not policies:
        return RetryPolicy(max_attempts=1)
    first = policies[0]
    longest = max(first.max_interval, _SHORTEST_PAUSE)
    return RetryPolicy(
        max_attempts=max(policy.max_attempts for policy in policies),
        initial_interval=timedelta(seconds=min(max(first.initial_interval, _SHORTEST_PAUSE), longest)),
        max_interval=timedelta(seconds=longest),
        multiplier=max(first.backoff_factor, 1),
        jitter=0.2 if first.jitter else 0,
    )


def _timeouts(spec: Any) -> Timeouts | None:
    policy = getattr(spec, "timeout", None)
    limit = None if policy is None else policy.run_timeout
    if limit is None:
        return None
    return Timeouts(attempt=limit if isinstance(limit, timedelta) else timedelta(seconds=limit))


def _matches(policy: GraphRetryPolicy, error: Exception) -> bool:
    kinds = policy.retry_on
    if isinstance(kinds, type):
        return isinstance(error, kinds)
    if isinstance(kinds, Sequence):
        return isinstance(error, tuple(kinds))
    return bool(kinds(error))
