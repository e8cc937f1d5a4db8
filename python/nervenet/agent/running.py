# SPDX-License-Identifier: Apache-2.0
"""One attempt in this process, from the moment it was read: its task, its progress, and whether it must stop.

It is also the `Reporter` that a handler's `Task` calls, from any thread. It has plain attributes, written by one side
and read by the other, and makes one call into the loop when progress begins to wait.
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
"""Parts that may wait to be sent. Older ones are dropped; a gap in the sequence numbers shows it."""


class StopReason(enum.Enum):
    """Why an attempt must stop. The value is the message of the failure that is recorded."""

    GONE = "gone"  # the mesh no longer needs it, so nothing is recorded
    TIMEOUT = "it took longer than its attempt timeout"
    SILENT = "it gave no sign of life within its heartbeat timeout"
    DRAINED = "its agent was drained"

    def failure(self, capability: str) -> Failure | None:
        """The failure to record; None: nothing is recorded."""
        if self is StopReason.GONE:
            return None
        if self is StopReason.DRAINED:
            return Failure(FailureCode.AGENT_DRAINED, self.value, type="AgentDrained", source="agent")
        return Failure(FailureCode.TIMEOUT, f"{capability}: {self.value}", type="Timeout", source="agent")


class AttemptKey(NamedTuple):
    """Identifies an attempt: two deliveries with the same key are the same attempt."""

    workflow_id: str
    run: int
    step: str
    attempt: int


class Running:
    """One attempt. `stream` and `entry_id` are its delivery, which stays pending until the outcome is recorded."""

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
        self.ended = False  # the handler has ended, so it cannot be stopped
        self.recorded = False  # a failure is recorded in the journal although the handler still runs
        # sent with the renewals; times are monotonic seconds
        self._monotonic = monotonic
        self._saved: Payload | None = None
        self.beat = self.renewed_at = self.saved_at = 0.0
        self.fraction: float | None = None
        self.checkpoint_due = False
        # progress for watchers
        self.announce: Callable[[Running], None] | None = None
        self.message = ""
        self.news = False
        self.parts: deque[tuple[int, Payload]] | None = None
        self.sequence = self.live_bytes = self.live_entries = 0

    def __repr__(self) -> str:
        state = "ended" if self.ended else f"stopping: {self.stop.name}" if self.stop else "running"
        return f"<Running {self.envelope.task_id}#{self.envelope.attempt} {state}>"

    def cancel(self, why: StopReason) -> None:
        """Stop the handler. Only the first reason counts."""
        if self.stop is None and not self.ended:
            self.stop = why
            if self.interrupt is not None:
                self.interrupt()

    @property
    def to_save(self) -> Payload | None:
        """The checkpoint that is not stored yet."""
        return self._saved if self.checkpoint_due else None

    def saved(self, checkpoint: Payload, at: float) -> None:
        """The checkpoint is stored. A newer one may have come meanwhile."""
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
