# SPDX-License-Identifier: Apache-2.0
"""One attempt in this process, from the moment it was read: what it is, how far it is, and whether it is to stop.

It is also the `Reporter` that a handler's `Task` talks to, from whatever thread: plain attributes, written by one side
and read by the other, and one call into the loop when news for watchers begin to wait.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from nervenet.records import Failure, FailureCode

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from nervenet.definitions import Agent
    from nervenet.records import Payload
    from nervenet.wire import Envelope

MOST_PARTS = 1_000
"""Parts that wait for their 50 ms; older ones are dropped, which their numbers show."""


class StopReason(enum.Enum):
    """Why an attempt is to stop, and what is recorded if it does."""

    GONE = "gone"  # the mesh does not want it any more: nothing
    TIMEOUT = "it took longer than its attempt timeout"
    SILENT = "it gave no sign of life within its heartbeat timeout"
    DRAINED = "its agent was drained"

    def failure(self, capability: str) -> Failure | None:
        """The failed attempt that this stop means."""
        if self is StopReason.GONE:
            return None
        if self is StopReason.DRAINED:
            return Failure(FailureCode.AGENT_DRAINED, self.value, type="AgentDrained", source="agent")
        return Failure(FailureCode.TIMEOUT, f"{capability}: {self.value}", type="Timeout", source="agent")


class AttemptKey(NamedTuple):
    """What makes two deliveries the same attempt."""

    workflow_id: str
    run: int
    step: str
    attempt: int


class Running:
    """One attempt. `stream` and `entry_id` are the delivery that stands for it until the outcome is recorded."""

    def __init__(
        self,
        envelope: Envelope,
        agent: Agent[Any, Any],
        agent_id: str,
        stream: bytes,
        entry_id: bytes,
        monotonic: Callable[[], float],
    ) -> None:
        self.envelope = envelope
        self.agent = agent
        self.agent_id = agent_id
        self.stream = stream
        self.entry_id = entry_id
        self.key = AttemptKey(envelope.workflow_id, envelope.run, envelope.step, envelope.attempt)
        self.started_ms = 0  # 0: not yet claimed
        self.restored: Payload | None = None
        self.task: asyncio.Task[None] | None = None
        self.stop: StopReason | None = None
        self.interrupt: Callable[[], object] | None = None  # the executor's way to end the handler
        self.ended = False  # the handler is over: nothing can be stopped any more
        self.recorded = False  # a verdict stands in the journal though the handler still runs
        # what renewals carry; times are monotonic seconds
        self._monotonic = monotonic
        self._saved: Payload | None = None
        self.beat = self.renewed_at = self.saved_at = 0.0
        self.fraction: float | None = None
        self.checkpoint_due = False
        # news for watchers
        self.announce: Callable[[Running], None] | None = None
        self.message = ""
        self.news = False
        self.parts: deque[tuple[int, Payload]] | None = None
        self.sequence = self.live_bytes = self.live_entries = 0

    def __repr__(self) -> str:
        state = "ended" if self.ended else f"stopping: {self.stop.name}" if self.stop else "running"
        return f"<Running {self.envelope.task_id}#{self.envelope.attempt} {state}>"

    def cancel(self, why: StopReason) -> None:
        """Have the handler stop. The first reason holds."""
        if self.stop is None and not self.ended:
            self.stop = why
            if self.interrupt is not None:
                self.interrupt()

    @property
    def to_save(self) -> Payload | None:
        """The checkpoint that was not stored yet."""
        return self._saved if self.checkpoint_due else None

    def saved(self, checkpoint: Payload, at: float) -> None:
        """It is stored; another may have come meanwhile."""
        self.saved_at = at
        if self._saved is checkpoint:
            self.checkpoint_due = False

    # ── as the handler's Reporter ────────────────────────────────────────────────────────────────────────────────────

    @property
    def cancelled(self) -> bool:
        return self.stop is not None

    def alive(self) -> None:
        self.beat = self._monotonic()

    def progress(self, fraction: float | None, message: str) -> None:
        self.fraction, self.message, self.news = fraction, message, True
        self._announce()

    def emit(self, part: Payload) -> None:
        if self.parts is None:
            self.parts = deque(maxlen=MOST_PARTS)
        self.sequence += 1
        self.parts.append((self.sequence, part))
        self._announce()

    def checkpoint(self, value: Payload) -> None:
        self._saved = value
        self.checkpoint_due = True

    def _announce(self) -> None:
        announce, self.announce = self.announce, None
        if announce is not None:
            announce(self)
