# SPDX-License-Identifier: Apache-2.0
"""Durations that several processes rely on together, and the relations between them.

All are seconds, except names that end in `_MS`. What an agent in another language has to know travels in
`Welcome` (`status_interval`, `reconnect_within`, `lease_ttl`); it never has to be a constant there.

Two relations matter most. They are asserted at the end of this module, so that nobody can change one value alone:

- A node stops (SIGSTOP, a lost network). Its gateway agents hear nothing, take it for dead and connect to another node,
  which renews their claims. That must happen before the claims end:
  `CLAIM_TTL > GATEWAY_RENEW_MOST + SILENT_AFTER + RECONNECT_WITHIN`.
- A stream breaks. Its agent was told to be back within `RECONNECT_WITHIN`. The node that saw the break waits a little
  longer (`RETURN_WINDOW`), and long enough that a node which has the agent by then has renewed each claim once:
  `RETURN_WINDOW >= GATEWAY_RENEW_MOST`.
"""

from __future__ import annotations

from typing import Final

# ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────────

CLAIM_TTL: Final = 6.0
"""How long a claim lives after its last renewal."""
CLAIM_TTL_MS: Final = round(CLAIM_TTL * 1000)
CLAIM_TICK: Final = 0.5
"""How often the holders of claims look which of them are due."""
AGENT_RENEW_EVERY: Final = 1.5
"""Between two renewals by an agent on Redis."""
GATEWAY_RENEW_EVERY: Final = 1.0
"""Between two renewals by the node that an agent is connected to: shorter, since the node may stop in between."""
GATEWAY_RENEW_MOST: Final = GATEWAY_RENEW_EVERY + CLAIM_TICK / 2
"""The longest time between two renewals of a connected agent's claim."""
CHECKPOINT_EVERY: Final = 1.0
"""Between two checkpoints of a task that are stored."""

# ── the data plane ───────────────────────────────────────────────────────────────────────────────────────────────────

DATA_PLANE_RETRY: Final = 1.0
"""Before a claim, an outcome or a deletion is tried again, when Redis refused it or did not know the workflow yet."""
POLL_SOONEST: Final = 0.05
"""Between two looks at the shared queues, when the last one found tasks."""
POLL_LATEST: Final = 1.0
"""The same, when there have been none for a while."""
QUEUE_NAMES_EVERY: Final = 1.0
"""How often a process learns which queues its capabilities have."""
PROGRESS_EVERY: Final = 0.05
"""News of a running attempt are collected for so long."""

# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────

NODE_LEASE: Final = 5
AGENT_LEASE: Final = 5
GATEWAY_AGENT_LEASE: Final = 15
"""Longer than the others: it must outlive the change from one node to another, and a restart of etcd."""

# ── streams of gateway agents ────────────────────────────────────────────────────────────────────────────────────────

STATUS_INTERVAL: Final = 1.0
"""The longest that a connected agent may say nothing."""
HEARD_WITHIN: Final = 1.5 * STATUS_INTERVAL
"""A claim is renewed only while its agent was heard so lately."""
SILENT_AFTER: Final = 3 * STATUS_INTERVAL
"""Silence after which node and agent each take the other for gone. Every agent reckons it so (protos/README.md)."""
RECONNECT_WITHIN: Final = 1.0
"""An agent whose stream broke is to be connected again after this, here or at another node."""
RETURN_GRACE: Final = 0.25
"""How much later the node gives it up: the agent may have noticed the break later, and its hello takes its time."""
RETURN_WINDOW: Final = RECONNECT_WITHIN + RETURN_GRACE
HELLO_COST: Final = 0.005
"""For each further agent that is away at the same time: they say hello one after the other."""
FORGET_AFTER: Final = float(GATEWAY_AGENT_LEASE)
"""A node forgets an agent that did not come back, and whose death nothing proves."""
TASK_STOP_GRACE: Final = 5.0
"""After this a task that was told to stop is recorded without its agent's answer."""

CLAIM_RESERVE: Final = CLAIM_TTL - (GATEWAY_RENEW_MOST + SILENT_AFTER + RECONNECT_WITHIN)
"""What is left of a claim when an agent of a stopped node is back in time: for a busy machine."""

assert CLAIM_RESERVE >= 0.5
assert RETURN_WINDOW >= GATEWAY_RENEW_MOST
assert HEARD_WITHIN > STATUS_INTERVAL
assert HEARD_WITHIN < SILENT_AFTER
assert CLAIM_TTL > 3 * (AGENT_RENEW_EVERY + CLAIM_TICK / 2) / 2
assert GATEWAY_AGENT_LEASE > CLAIM_TTL + RECONNECT_WITHIN
assert CLAIM_TICK / 2 < GATEWAY_RENEW_EVERY < AGENT_RENEW_EVERY < CLAIM_TTL / 3
