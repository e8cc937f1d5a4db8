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
    """Base class of every error that nervenet raises on purpose."""


# ── raised by user code ──────────────────────────────────────────────────────────────────────────────────────────────


class AgentError(NervenetError):
    """Raise it in a handler: this attempt failed.

    Any other exception fails the attempt too. This one also says how. Subclass it to give the failure a type.

        raise AgentError("429 from the API", retry_after=timedelta(seconds=30))

    Args:
        message: What went wrong, in words.
        type: Name of the failure, which `CallFailed.is_a` compares. Default: the name of the class.
        retryable: False ends the step at once, whatever its RetryPolicy allows.
        retry_after: Shortest pause before the next attempt.
        details: Any JSON value, for the code that catches CallFailed (`error.failure.details`).
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
    """Raise it in a handler to ask a human instead of answering. The agent's slot is free while the question is open.

    The human can accept the suggestion, give another value of the handler's output type, grant another attempt with
    a hint (`task.hint`), or fail the step.

        raise Escalate("Confidence 0.41: is this BSD-3?", suggestion=Licence("BSD-3-Clause"))

    Args:
        question: The question, in words.
        choices: Answers to choose from. Default: any value of the handler's output type.
        suggestion: The handler's own proposal, a value of its output type.
        context: Any JSON value that helps to decide.
        deadline: How long the question stays open. After that the step fails. Default: no limit.
    """

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
    """A step failed for good: its attempts are used up, or its failure is never retried.

    Catch it in a workflow around `ctx.call`, or outside around `client.call`.

        try:
            await ctx.call(charge, trip)
        except CallFailed as error:
            if not error.is_a(CardDeclined):
                raise

    Args:
        failure: The failure. Without it a test's stub gets one with the code APPLICATION.
        step: Name of the step.

    Attributes:
        failure: The failure as data: code, message, type, details, cause, agent and attempt.
        step: Name of the step.
    """

    def __init__(self, failure: Failure | None = None, step: str = "", /) -> None:
        if failure is None:
            from nervenet.records import Failure, FailureCode  # not before: `import nervenet.errors` is for everybody

            failure = Failure(FailureCode.APPLICATION, "made up by a test", type(self).__name__)
        super().__init__(f"{step or 'call'} failed: {failure.type or failure.code}: {failure.message}")
        self.failure = failure
        self.step = step

    def is_a(self, error: type[BaseException] | str, /) -> bool:
        """Whether the failure, or one of its causes, has this type.

        Args:
            error: An exception class, or its name. Only names are compared: agents in other languages have no Python
                classes.
        """
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
    """A step ran out of its time (`Timeouts`), or a question out of its deadline. It is a `TimeoutError` too."""


class WorkflowFailed(NervenetError):
    """The workflow that was awaited failed or timed out. Its journal (`nervenet show ID`) has the history.

    Attributes:
        failure: Why it failed.
        workflow_id: Which workflow it was.
    """

    def __init__(self, failure: Failure, workflow_id: str = "", /) -> None:
        super().__init__(self._words(failure, workflow_id))
        self.failure = failure
        self.workflow_id = workflow_id

    def _words(self, failure: Failure, workflow_id: str) -> str:
        return f"workflow {workflow_id} failed: {failure.type or failure.code}: {failure.message}"


class WorkflowBlocked(NervenetError):
    """The workflow that was awaited is BLOCKED: its code has an error, or does not fit its journal. It has not ended.

    Correct the code and deploy it: the workflow continues, and no step runs twice. Then await it again, or await it with
    `wait_while_blocked=True` in the first place.

    Attributes:
        workflow_id: Which workflow it is.
        where: File and line of the code (`order.py:12`).
        cause: The programming error (`KeyError: 'price'`), or what the code asks for that its journal does not have.
        detail: The frames of the code, or what to do.
    """

    def __init__(self, workflow_id: str, where: str = "", cause: str = "", detail: str = "", /) -> None:
        at = f" at {where}" if where else ""
        cure = "Correct the code and deploy it: it continues where it is"
        super().__init__(
            f"workflow {workflow_id} is BLOCKED{at}: {cause}. {cure}; nervenet show {workflow_id} says more"
        )
        self.workflow_id = workflow_id
        self.where = where
        self.cause = cause
        self.detail = detail


class WorkflowCanceled(WorkflowFailed):
    """The workflow that was awaited was canceled. `failure.message` has the reason that was given."""

    def _words(self, failure: Failure, workflow_id: str) -> str:
        return f"workflow {workflow_id} was canceled" + (f": {failure.message}" if failure.message else "")


class NotDurable(NervenetError):
    """Workflow code used something that cannot be replayed after a crash, such as a thread or a socket.

    The message names the line. Move that code into an agent and call the agent.
    """


# ── the mesh refused ─────────────────────────────────────────────────────────────────────────────────────────────────


class RequestError(NervenetError):
    """The mesh refused a request. Catch a subclass where you can do something about it.

    Args:
        message: What is wrong and what to do.
        code: Name of the gRPC status.
        reason: The ErrorInfo reason.
        metadata: Ids and numbers that belong to the reason.

    Attributes:
        message: What is wrong and what to do.
        code: Name of the gRPC status (`NOT_FOUND`).
        reason: Which refusal it is (`WORKFLOW_NOT_FOUND`), see the reference of reasons.
        metadata: Ids and numbers that belong to the reason.
        retry_after: How long to wait before you send the request again. None: waiting does not help.
        fields: Path and problem of each wrong field, for InvalidRequest.
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
    """The input is wrong. The message names the field. Correct it before you send the request again."""


class NotFound(RequestError, LookupError):
    """There is no such workflow, agent, node, escalation or definition, or its retention has passed."""


class AlreadyExists(RequestError):
    """The workflow id is taken by a run with another definition or input. Choose another id, or send the same input."""


class AlreadyClosed(RequestError):
    """The workflow or escalation has ended, so the request has no effect. Look at its result instead."""


class PreconditionFailed(RequestError):
    """The state of the mesh or agent does not allow this request: it drains, or has too little durability."""


class Overloaded(RequestError):
    """A node or queue is full, or a payload is too large. Where `retry_after` is set, wait and send it again."""


class Unavailable(RequestError, ConnectionError):
    """No node answered, or it has lost Redis or etcd. The client has retried: check address and servers."""


class Unauthorized(RequestError, PermissionError):
    """The credentials or the namespace are not accepted, or do not allow the call. Set the right ones (`NERVENET_TOKEN`,
    `NERVENET_TOKEN_FILE`, `NERVENET_TLS_CERT`, `NERVENET_NAMESPACE`)."""


class ConfigError(NervenetError, ValueError):
    """A setting is wrong or missing. The message names it, its source and the values that it takes."""


def detail(error: BaseException) -> str:
    """One line about an error for logs and messages: `Type: message`, or the type where there is no message."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
