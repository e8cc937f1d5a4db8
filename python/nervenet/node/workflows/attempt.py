# SPDX-License-Identifier: Apache-2.0
"""One attempt of a task as its owner sees it: what was sent where, and what is known of its claim.

It is the one thing of a coordinator that the journal cannot rebuild. A look at Redis can replace it (`tasks/pending_monitor.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nervenet.durable import Dispatch
    from nervenet.node.timers import RoundItem, Timer


class DispatchedAttempt:
    """See the module."""

    __slots__ = (
        "agent_id",
        "claim_later",
        "claimed_by",
        "dispatch",
        "due_ms",
        "entry_id",
        "lost_ms",
        "over",
        "sent_ms",
        "started_ms",
        "stream",
        "timers",
    )

    def __init__(self, dispatch: Dispatch, now_ms: int) -> None:
        self.dispatch = dispatch
        self.due_ms = max(now_ms, dispatch.at_ms)
        self.sent_ms = now_ms
        self.lost_ms = 0  # when its agent was first seen to be lost
        self.started_ms = 0
        self.stream = b""
        self.entry_id = b""
        self.agent_id = ""
        self.claimed_by = ""
        self.claim_later = False  # the agent `agent_id` may run it before it claims it
        self.over = False
        self.timers: list[Timer | RoundItem[Any]] = []

    def end(self) -> None:
        self.over = True
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()

    def __repr__(self) -> str:
        return f"<DispatchedAttempt {self.dispatch.step}#{self.dispatch.attempt} to {self.agent_id or self.stream!r}>"
