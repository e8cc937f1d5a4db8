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

from nervenet.codecs import PLAIN, Codecs
from nervenet.options import EMPTY
from nervenet.payloads import ANY, Codec, check_size
from nervenet.records import Usage
from nervenet.signatures import TaskBase

if TYPE_CHECKING:
    from nervenet.records import Payload

R_co = TypeVar("R_co", covariant=True, default=None)
T = TypeVar("T")

_log = logging.getLogger("nervenet.task")


@dataclass(slots=True, frozen=True)
class TaskFacts:
    """What an attempt is about. `deadline_ms` is the earlier of the call's deadline and this attempt's."""

    task_id: str
    workflow_id: str
    capability: str
    attempt: int = 1
    deadline_ms: int | None = None
    labels: Mapping[str, str] = EMPTY
    hint: str = ""
    checkpoint: Payload | None = None
    payload_limit: int = 1 << 20
    codecs: Codecs = PLAIN


class Reporter(Protocol):
    """Receives what a Task reports. Called from the thread of the handler; returns at once."""

    @property
    def cancelled(self) -> bool: ...
    def alive(self) -> None:
        """The handler gave a sign of life."""

    def progress(self, fraction: float | None, message: str) -> None: ...
    def emit(self, part: Payload) -> None: ...
    def checkpoint(self, value: Payload) -> None: ...


class Task(TaskBase, Generic[R_co]):
    """One attempt, as its handler sees it: the optional first parameter of a handler.

    `Task[R]` names the type `R` of the lifespan's resource. All methods return at once and work the same in a
    coroutine, a thread and a pool process.

        @mesh.agent
        def transcribe(task: Task, recording: str) -> str:
            done = task.restore(list[str]) or []
            for minute in range(len(done), 10):
                done.append(hear(recording, minute))
                task.checkpoint(done)
            return " ".join(done)
    """

    def __init__(self, facts: TaskFacts, reporter: Reporter, resource: R_co) -> None:
        self._facts = facts
        self._reporter = reporter
        self._resource = resource
        self._usage: list[Usage] = []

    def __repr__(self) -> str:
        return f"<Task {self.id} attempt {self.attempt}>"

    @property
    def resource(self) -> R_co:
        """What the agent's `lifespan` yielded."""
        return self._resource

    @property
    def id(self) -> str:
        """`<workflow id>/<step>`, the same on every attempt."""
        return self._facts.task_id

    @property
    def workflow_id(self) -> str:
        """Id of the workflow that called."""
        return self._facts.workflow_id

    @property
    def attempt(self) -> int:
        """Number of this attempt: 1, 2, …"""
        return self._facts.attempt

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt. Pass it to outside systems, so that a repeated attempt has no second effect
        there.
        """
        return self._facts.task_id

    @property
    def deadline(self) -> datetime | None:
        """When this attempt is stopped, in UTC. None: never."""
        ms = self._facts.deadline_ms
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the workflow that called."""
        return self._facts.labels

    @property
    def hint(self) -> str | None:
        """What a human wrote when they granted this attempt. None: nothing."""
        return self._facts.hint or None

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must stop. A coroutine is cancelled anyway; a thread or process finds out here."""
        return self._reporter.cancelled

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry workflow, task and attempt. In the processes of nervenet, records of every other
        logger carry workflow, step, attempt and trace too."""
        facts = self._facts
        known = {"workflow_id": facts.workflow_id, "task_id": facts.task_id, "attempt": facts.attempt}
        return logging.LoggerAdapter(_log, known)

    def check(self) -> None:
        """Give a sign of life (see `Timeouts.heartbeat`).

        Raises:
            asyncio.CancelledError: The attempt must stop. Let it pass.
        """
        self._reporter.alive()
        if self._reporter.cancelled:
            raise asyncio.CancelledError(f"{self.id} was cancelled")

    def progress(self, fraction: float | None = None, message: str = "", /) -> None:
        """Report progress. Watchers see the last report only.

        Args:
            fraction: From 0 to 1. None: not known.
            message: What is going on, in words.

        Raises:
            asyncio.CancelledError: The attempt must stop. Let it pass.
        """
        self.check()
        if fraction is not None:
            fraction = min(max(float(fraction), 0.0), 1.0)
        self._reporter.progress(fraction, self._facts.codecs.encode_text(message))

    def emit(self, part: object, /) -> None:
        """Send a piece of the output to watchers (`handle.partials`), for example a token. In order, best effort.

        The returned value is what counts: pieces can be lost, and a new attempt begins again.

        Args:
            part: Any JSON value, or `bytes`.

        Raises:
            asyncio.CancelledError: The attempt must stop. Let it pass.
            PayloadTooLarge: The piece is above the setting `payload_limit`.
        """
        self.check()
        self._reporter.emit(self._encoded(part, "part"))

    def checkpoint(self, value: object, /) -> None:
        """Save a value from which the next attempt can continue (`restore`). The last second of them can be lost.

        Args:
            value: Any JSON value, or `bytes`. It replaces the last one.

        Raises:
            asyncio.CancelledError: The attempt must stop. Let it pass.
            PayloadTooLarge: The value is above the setting `payload_limit`.
        """
        self.check()
        self._reporter.checkpoint(self._encoded(value, "checkpoint"))

    @overload
    def restore(self, type: type[T], /) -> T | None: ...
    @overload
    def restore(self, type: TypeForm[T], /) -> T | None: ...
    def restore(self, type: Any, /) -> Any:
        """The last checkpoint of an earlier attempt.

        Args:
            type: Type of the value that was saved.

        Returns:
            The value. None: there is no checkpoint.

        Raises:
            InvalidPayload: The checkpoint is of another type.
            CodecError: It is encrypted with a key that this agent does not have.
        """
        saved = self._facts.checkpoint
        return None if saved is None else Codec.of(type).decode(self._facts.codecs.decode_received(saved), "checkpoint")

    def usage(self, model: str, /, *, input_tokens: int, output_tokens: int) -> None:
        """Report tokens that a model used. Several reports about one model are added up, see `ctx.usage`.

        Args:
            model: Name of the model.
            input_tokens: Tokens in the prompt.
            output_tokens: Tokens in the answer.
        """
        for at, one in enumerate(self._usage):
            if one.model == model:
                self._usage[at] = Usage(model, one.input_tokens + input_tokens, one.output_tokens + output_tokens)
                return
        self._usage.append(Usage(model, input_tokens, output_tokens))

    @property
    def spent(self) -> tuple[Usage, ...]:
        """What `usage` has reported so far."""
        return tuple(self._usage)

    def _encoded(self, value: object, what: str) -> Payload:
        payload = self._facts.codecs.encode(ANY.encode(value))
        check_size(payload, self._facts.payload_limit, f"{self._facts.capability}: {what}")
        return payload
