# SPDX-License-Identifier: Apache-2.0
"""`Task`, what a handler may know and say about the attempt that it runs.

    @mesh.agent(lifespan=model)
    def transcribe(task: Task[Model], recording: str) -> str:
        done = task.restore(Progress) or Progress(0, [])
        for at in range(done.at, 10):
            done = Progress(at + 1, [*done.words, task.resource.hear(recording, at)])
            task.progress(at / 10, f"minute {at}")
            task.checkpoint(done)
        return " ".join(done.words)

Everything here is synchronous and never blocks, so that it reads the same in a coroutine, a thread and a pool process.
Its calls go to a `Reporter`: the runtime's record of the attempt, the pipe of a pool worker, or the one of the test
kit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, overload

from typing_extensions import TypeForm, TypeVar

from nervenet.definitions import TaskBase
from nervenet.options import EMPTY
from nervenet.payloads import ANY, Codec, check_size
from nervenet.records import Usage

if TYPE_CHECKING:
    from nervenet.records import Payload

R_co = TypeVar("R_co", covariant=True, default=None)
T = TypeVar("T")

_log = logging.getLogger("nervenet.task")


@dataclass(slots=True, frozen=True)
class Facts:
    """What an attempt is about; `deadline_ms` is the earlier of the call's end and this attempt's."""

    task_id: str
    workflow_id: str
    capability: str
    attempt: int = 1
    deadline_ms: int | None = None
    labels: Mapping[str, str] = EMPTY
    hint: str = ""
    checkpoint: Payload | None = None
    payload_limit: int = 1 << 20


class Reporter(Protocol):
    """Whom a Task tells. Called from whatever thread the handler runs in; returns at once."""

    @property
    def cancelled(self) -> bool: ...
    def alive(self) -> None:
        """The handler gave a sign of life."""

    def progress(self, fraction: float | None, message: str) -> None: ...
    def emit(self, part: Payload) -> None: ...
    def checkpoint(self, value: Payload) -> None: ...


class Task(TaskBase, Generic[R_co]):
    """One attempt, as its handler sees it. `R` is the type of the lifespan's resource."""

    def __init__(self, facts: Facts, reporter: Reporter, resource: R_co) -> None:
        self._facts = facts
        self._reporter = reporter
        self._resource = resource
        self._usage: list[Usage] = []

    def __repr__(self) -> str:
        return f"<Task {self.id} attempt {self.attempt}>"

    @property
    def resource(self) -> R_co:
        """What the agent's `lifespan` gave."""
        return self._resource

    @property
    def id(self) -> str:
        """`<workflow id>/<step>`, equal on every attempt."""
        return self._facts.task_id

    @property
    def workflow_id(self) -> str:
        return self._facts.workflow_id

    @property
    def attempt(self) -> int:
        """1, 2, …"""
        return self._facts.attempt

    @property
    def idempotency_key(self) -> str:
        """Equal on every attempt: hand it to the outside system that must not do a thing twice."""
        return self._facts.task_id

    @property
    def deadline(self) -> datetime | None:
        """When this attempt is given up; None: never."""
        ms = self._facts.deadline_ms
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)

    @property
    def labels(self) -> Mapping[str, str]:
        """The workflow's labels."""
        return self._facts.labels

    @property
    def hint(self) -> str | None:
        """What a human wrote when granting this attempt."""
        return self._facts.hint or None

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is to stop. A coroutine is cancelled anyway; a thread or process finds out here."""
        return self._reporter.cancelled

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records have the task id and the attempt."""
        facts = self._facts
        return logging.LoggerAdapter(_log, {"task_id": facts.task_id, "attempt": facts.attempt})

    def check(self) -> None:
        """A sign of life (see `Timeouts.heartbeat`); raises asyncio.CancelledError when the attempt is to stop."""
        self._reporter.alive()
        if self._reporter.cancelled:
            raise asyncio.CancelledError(f"{self.id} was cancelled")

    def progress(self, fraction: float | None = None, message: str = "", /) -> None:
        """How far it is, from 0 to 1, and in words; the last one wins."""
        self.check()
        if fraction is not None:
            fraction = min(max(float(fraction), 0.0), 1.0)
        self._reporter.progress(fraction, message)

    def emit(self, part: object, /) -> None:
        """Send a part of the output to watchers: in order, best effort."""
        self.check()
        self._reporter.emit(self._encoded(part, "part"))

    def checkpoint(self, value: object, /) -> None:
        """Store a value for the next attempt to continue from. A crash loses at most the last second of checkpoints."""
        self.check()
        self._reporter.checkpoint(self._encoded(value, "checkpoint"))

    @overload
    def restore(self, type: type[T], /) -> T | None: ...
    @overload
    def restore(self, type: TypeForm[T], /) -> T | None: ...
    def restore(self, type: Any, /) -> Any:
        """The last attempt's checkpoint as that type; None: there is none. Raises InvalidPayload where it is
        another."""
        saved = self._facts.checkpoint
        return None if saved is None else Codec.of(type).decode(saved, "checkpoint")

    def usage(self, model: str, /, *, input_tokens: int, output_tokens: int) -> None:
        """Tokens that a model took; those of one model are added up."""
        for at, one in enumerate(self._usage):
            if one.model == model:
                self._usage[at] = Usage(model, one.input_tokens + input_tokens, one.output_tokens + output_tokens)
                return
        self._usage.append(Usage(model, input_tokens, output_tokens))

    @property
    def spent(self) -> tuple[Usage, ...]:
        """The tokens that `usage` has counted so far."""
        return tuple(self._usage)

    def _encoded(self, value: object, what: str) -> Payload:
        payload = ANY.encode(value)
        check_size(payload, self._facts.payload_limit, f"{self._facts.capability}: {what}")
        return payload
