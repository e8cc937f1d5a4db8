# SPDX-License-Identifier: Apache-2.0
"""The one tree of errors. Each docstring says whose fault it is and what to do next.

Foreign errors (gRPC statuses, Redis replies, pydantic's) are translated into these once, at the border where they
come in. Three groups: what user code raises, what user code catches, what the mesh refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nervenet.records import Failure


class NervenetError(Exception):
    """Root of everything that nervenet raises on purpose."""


# ── raised by user code ──────────────────────────────────────────────────────────────────────────────────────────────


class AgentError(NervenetError):
    """Raise it in a handler: the attempt failed.

    `type` names the failure (default: the class name), `retryable=False` forbids further attempts, `retry_after` is
    the least delay before the next one, `details` is any JSON value for whoever catches `CallFailed`.
    """

    def __init__(
        self,
        message: str,
        /,
        *,
        type: str | None = None,
        retryable: bool = True,
        retry_after: timedelta | None = None,
        details: object = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.type = type or self.__class__.__name__
        self.retryable = retryable
        self.retry_after = retry_after
        self.details = details


class Escalate(NervenetError):
    """Raise it in a handler: ask a human instead of answering. The slot is free meanwhile."""

    def __init__(
        self,
        question: str,
        /,
        *,
        choices: Sequence[str] = (),
        suggestion: object = None,
        context: object = None,
        deadline: timedelta | None = None,
    ) -> None:
        super().__init__(question)
        self.question = question
        self.choices = tuple(choices)
        self.suggestion = suggestion
        self.context = context
        self.deadline = deadline


# ── caught by user code ──────────────────────────────────────────────────────────────────────────────────────────────


class CallFailed(NervenetError):
    """A step failed for good. `failure` is the record of it, `step` its name; `is_a` asks for the failure's type."""

    def __init__(self, failure: Failure | None = None, step: str = "", /) -> None:
        """Without a failure it is one that a test makes up, for a stub to raise."""
        if failure is None:
            from nervenet.records import Failure, FailureCode  # not before: `import nervenet.errors` is for everybody

            failure = Failure(FailureCode.APPLICATION, "made up by a test", type(self).__name__)
        super().__init__(f"{step or 'call'} failed: {failure.type or failure.code}: {failure.message}")
        self.failure = failure
        self.step = step

    def is_a(self, error: type[BaseException] | str, /) -> bool:
        """Whether the failure, or any cause of it, has this type (an exception class or its name)."""
        name = error if isinstance(error, str) else error.__name__
        failure: Failure | None = self.failure
        while failure is not None:
            if failure.type == name or (failure.code == "TIMEOUT" and name in _TIMED_OUT):
                return True
            failure = failure.cause
        return False


_TIMED_OUT = ("CallTimedOut", "TimeoutError")
"""What Python calls a failure with the code TIMEOUT, whatever type the agent's language gave it."""


class CallTimedOut(CallFailed, TimeoutError):
    """A step ran out of its time, or a question out of its deadline."""


class WorkflowFailed(NervenetError):
    """The workflow that was awaited failed; `failure` says why."""

    def __init__(self, failure: Failure, workflow_id: str = "", /) -> None:
        super().__init__(self._words(failure, workflow_id))
        self.failure = failure
        self.workflow_id = workflow_id

    def _words(self, failure: Failure, workflow_id: str) -> str:
        return f"workflow {workflow_id} failed: {failure.type or failure.code}: {failure.message}"


class WorkflowCanceled(WorkflowFailed):
    """The workflow that was awaited was canceled."""

    def _words(self, failure: Failure, workflow_id: str) -> str:
        return f"workflow {workflow_id} was canceled" + (f": {failure.message}" if failure.message else "")


class NotDurable(NervenetError):
    """Workflow code asked for what cannot be replayed after a crash; the message names the line and the cure."""


# ── the mesh refused ─────────────────────────────────────────────────────────────────────────────────────────────────


class RequestError(NervenetError):
    """The mesh refused a request.

    `code` is the gRPC status name (`NOT_FOUND`), `reason` the ErrorInfo reason (`WORKFLOW_NOT_FOUND`), `metadata`
    what the mesh added.
    """

    def __init__(
        self, message: str, /, *, code: str = "INTERNAL", reason: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.retry_after: timedelta | None = None
        self.fields: Sequence[tuple[str, str]] = ()


class InvalidRequest(RequestError, ValueError):
    """The caller's input is wrong; the message names the field. Do not repeat it unchanged."""


class NotFound(RequestError, LookupError):
    """There is no such workflow, agent, escalation or definition (any more)."""


class AlreadyExists(RequestError):
    """The workflow id is taken by a run with another input. Choose another id, or the same input."""


class AlreadyClosed(RequestError):
    """The workflow or escalation is over; what was asked can't happen any more."""


class PreconditionFailed(RequestError):
    """The state of the agent or mesh forbids this (draining, durability that the mesh does not have)."""


class Overloaded(RequestError):
    """A queue or node is full, or a payload too large. `retry_after` says when to come again, where that helps."""


class Unavailable(RequestError, ConnectionError):
    """No node answered, or the mesh lost its Redis or etcd. Already retried by the rules of the contract."""


class Unauthorized(RequestError, PermissionError):
    """The token or namespace is not accepted."""


class ConfigError(NervenetError, ValueError):
    """A setting is wrong or missing; the message names it, where it came from and what it should look like."""


def detail(error: BaseException) -> str:
    """One line about an error for logs and messages: `Type: message`, or the type where there is no message."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
