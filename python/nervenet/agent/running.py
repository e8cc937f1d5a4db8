# SPDX-License-Identifier: Apache-2.0
"""One attempt in this process, from the moment it was read: its task, its progress, and whether it must stop.

It is also the `Reporter` that a handler's `Task` calls, from any thread. It has plain attributes, written by one side
and read by the other, and makes one call into the loop when progress begins to wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nervenet.streams.tasks.attempt import AttemptKey, StopReason, TaskAttempt

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from nervenet.definitions import Agent
    from nervenet.records import Payload
    from nervenet.wire import Envelope


class Running(TaskAttempt):
    """One attempt that this agent has read."""

    def __init__(
        self,
        envelope: Envelope,
        agent: Agent[Any, Any],
        agent_id: str,
        stream: bytes,
        entry_id: bytes,
        monotonic: Callable[[], float],
    ) -> None:
        key = AttemptKey(envelope.workflow_id, envelope.run, envelope.step, envelope.attempt)
        sent = (envelope.capability, envelope.reply_to, envelope.enqueue_ms)
        super().__init__(key, *sent, agent_id, stream, entry_id, envelope.after_entry_id)
        self.envelope = envelope
        self.agent = agent
        self.restored: Payload | None = None
        self.task: asyncio.Task[None] | None = None
        self.stop: StopReason | None = None
        self.interrupt: Callable[[], object] | None = None  # the executor's way to end the handler
        self.ended = False  # the handler has ended, so it cannot be stopped
        self.recorded = False  # a failure is recorded in the journal although the handler still runs
        self.announce: Callable[[Running], None] | None = None  # None: its progress is not published
        self._monotonic = monotonic

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
    def is_claimed(self) -> bool:
        return self.started_ms != 0 and not self.recorded

    # ── as the handler's Reporter ────────────────────────────────────────────────────────────────────────────────────

    @property
    def cancelled(self) -> bool:
        return self.stop is not None

    def alive(self) -> None:
        self.beat = self._monotonic()

    def progress(self, fraction: float | None, message: str) -> None:
        self.fraction, self.message, self.news = fraction, message, True
        if self.announce is not None:
            self.announce(self)

    def emit(self, part: Payload) -> None:
        self.add_part(self.sequence + 1, part)
        if self.announce is not None:
            self.announce(self)

    def checkpoint(self, value: Payload) -> None:
        self.latest_checkpoint = value
        self.checkpoint_due = True
