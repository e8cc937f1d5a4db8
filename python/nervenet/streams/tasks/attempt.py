# SPDX-License-Identifier: Apache-2.0
"""One attempt at a task in this process, as far as claims, renewals and watchers are concerned; how it ends; averages."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.records import Failure, FailureCode
from nervenet.wire import task_id

if TYPE_CHECKING:
    from nervenet.records import Payload

MOST_PARTS: Final = 1_000
"""Parts of an output that wait for their publication; older ones are dropped, which their numbers show."""

LONGEST_TEXT: Final = 16_000
"""Characters of a stack trace, or of a message that an agent sends, that are recorded."""
_WEIGHT: Final = 0.1
"""Of the newest task in the averages: they cover about the last twenty."""


class AttemptKey(NamedTuple):
    """What makes two deliveries the same attempt; with an agent's id, what the scripts for claims take."""

    workflow_id: str
    run: int
    step: str
    attempt: int

    @property
    def task_id(self) -> str:
        return task_id(self.workflow_id, self.run, self.step)


class StopReason(enum.Enum):
    """Why an attempt has to stop, and what is recorded if its handler does not end well."""

    GONE = "nobody waits for it any more"
    TIMEOUT = "it took longer than its attempt timeout"
    SILENT = "it gave no sign of life within its heartbeat timeout"
    DRAINED = "its agent was drained"
    LEFT = "its agent has left"

    def failure(self, capability: str, source: str) -> Failure | None:
        """The failed attempt that this stop means; None: nothing is recorded."""
        if self is StopReason.GONE:
            return None
        code, kind = FailureCode.TIMEOUT, "Timeout"
        if self in (StopReason.DRAINED, StopReason.LEFT):
            code, kind = FailureCode.AGENT_DRAINED, "AgentDrained"
        return Failure(code, f"{capability}: {self.value}", type=kind, source=source)


class OutcomeEntry(NamedTuple):
    """A journal entry, ready to be appended. `failed` is for the agent's error rate (a question is no failure)."""

    name: str
    entry: bytes
    failed: bool
    result: str = "succeeded"
    """For metrics: `succeeded`, `asked`, or the code of the failure in small letters."""
    tokens: tuple[tuple[str, int, int], ...] = ()
    """Model, input tokens, output tokens."""


class TaskAttempt(ABC):
    """`capability` is what it is an attempt at, `enqueue_ms` when its owner sent it first, and `reply_to` the node that sent it, which
    owned its workflow then ("": its envelope does not say). `after_entry_id` is the last entry that this node had folded ("": the same).

    `agent_id` is the name under which it is claimed. `stream` and `entry_id` are the delivery that it came with, empty if an
    agent brought it along."""

    __slots__ = (
        "after_entry_id",
        "agent_id",
        "announced",
        "beat",
        "capability",
        "checkpoint_due",
        "enqueue_ms",
        "entry_id",
        "fraction",
        "key",
        "latest_checkpoint",
        "live_bytes",
        "live_entries",
        "message",
        "news",
        "outlived_loss",
        "parts",
        "renewed_at",
        "reply_to",
        "saved_at",
        "sequence",
        "started_ms",
        "stream",
    )

    def __init__(
        self,
        key: AttemptKey,
        capability: str,
        reply_to: str,
        enqueue_ms: int,
        agent_id: str,
        stream: bytes = b"",
        entry_id: bytes = b"",
        after_entry_id: str = "",
    ) -> None:
        self.key = key
        self.capability = capability
        self.reply_to = reply_to
        self.enqueue_ms = enqueue_ms
        self.after_entry_id = after_entry_id
        self.agent_id = agent_id
        self.stream = stream
        self.entry_id = entry_id
        self.started_ms = 0  # 0: not claimed yet
        self.outlived_loss = False  # Redis may have lost its workflow meanwhile, and the id may have been started again
        # what renewals carry; times are monotonic seconds
        self.beat = self.renewed_at = self.saved_at = 0.0
        self.fraction: float | None = None
        self.latest_checkpoint: Payload | bytes | None = None
        self.checkpoint_due = False
        # news for watchers
        self.announced = False
        self.message = ""
        self.news = False
        self.parts: deque[tuple[int, Payload]] | None = None
        self.sequence = self.live_bytes = self.live_entries = 0

    @property
    @abstractmethod
    def is_claimed(self) -> bool:
        """Whether its claim must be renewed."""

    def add_part(self, sequence: int, part: Payload) -> None:
        """Keep a part of the output until it is published. The caller announces it."""
        if self.parts is None:
            self.parts = deque(maxlen=MOST_PARTS)
        self.sequence = sequence
        self.parts.append((sequence, part))


class TaskAverages:
    """How long the tasks of an agent took lately, and how many of them failed."""

    def __init__(self) -> None:
        self.average_ms = self.error_rate = 0.0

    def ended(self, took_ms: int, failed: bool) -> None:
        """A task is over."""
        self.average_ms += (took_ms - self.average_ms) * _WEIGHT
        self.error_rate += (failed - self.error_rate) * _WEIGHT
