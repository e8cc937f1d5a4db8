# SPDX-License-Identifier: Apache-2.0
"""From what a provider's client library raised to our errors, and back to what CrewAI expects. No I/O.

The libraries that CrewAI uses (OpenAI, Anthropic, Google, LiteLLM) raise errors with `status_code`, mostly with the response, and
CrewAI wraps some of them. So the whole chain of causes is read. The table of statuses is that of `nervenet.integrations.llm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from crewai.hooks.dispatch import HookAborted
from crewai.utilities.exceptions.context_window_exceeding_exception import LLMContextLengthExceededError

from nervenet import AgentError, CallFailed, RequestError
from nervenet.errors import Unavailable
from nervenet.integrations.llm.errors import ContextTooLong
from nervenet.integrations.llm.faults import Place, of_connection, of_status

if TYPE_CHECKING:
    from datetime import datetime

    from crewai.llms.base_llm import BaseLLM

__all__ = ["ModelCallFailed", "as_crewai_expects", "translated"]


class ModelCallFailed(AgentError, HookAborted):
    """A call of a model failed for good. The task of the crew ends with it, and its own retry policy decides.

    It is a `HookAborted`, the error that CrewAI passes on. Any other one makes CrewAI run the task again from its beginning.
    """

    def __init__(self, message: str, **how: Any) -> None:
        AgentError.__init__(self, message, **how)
        self.reason, self.source = message, "nervenet"


def translated(error: Exception, llm: BaseLLM, now: datetime) -> Exception:
    """The error to record for a call that raised `error`.

    Args:
        error: What the call raised.
        llm: The model that was called. No message has its API key.
        now: The time, for `Retry-After` with a date.
    """
    place = Place(llm.base_url or llm.provider, llm.model, llm.api_key or "", "the API key of this model")
    for one in _chain(error):
        if isinstance(one, AgentError):
            return one
        if isinstance(one, LLMContextLengthExceededError):
            return ContextTooLong(place.words(one.original_error_message), retryable=False)
        status = getattr(one, "status_code", None)
        if isinstance(status, int):
            return of_status(place, status, _headers(one), _body(one), now)
    if isinstance(error, ConnectionError | TimeoutError):
        return of_connection(place, f"no answer: {error}")
    return AgentError(place.words(f"{type(error).__name__}: {error}"), type=type(error).__name__)


def as_crewai_expects(error: Exception) -> Exception:
    """The error that `BaseLLM.call` raises where the crew's task runs.

    Args:
        error: What the client of the mesh raised.
    """
    if isinstance(error, CallFailed):
        failure = error.failure
        if error.is_a(ContextTooLong):  # CrewAI then makes the conversation shorter, if the agent allows it
            return LLMContextLengthExceededError(failure.message)
        kind, retryable = failure.type or str(failure.code), failure.retryable is not False
        return ModelCallFailed(failure.message, type=kind, retryable=retryable)
    if isinstance(error, RequestError):
        may_pass = isinstance(error, Unavailable) or error.retry_after is not None
        return ModelCallFailed(
            f"the call of the model could not be made a task of the mesh: {error.message}",
            type=type(error).__name__,
            retryable=may_pass,
            retry_after=error.retry_after,
        )
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _headers(error: BaseException) -> Mapping[str, str]:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return {str(name).lower(): str(value) for name, value in cast("Mapping[Any, Any]", headers or {}).items()}


def _body(error: BaseException) -> Any:
    """What the endpoint said. The clients give the inner object, or the words of the error."""
    body: object = getattr(error, "body", None)
    return str(error) if body is None else body
