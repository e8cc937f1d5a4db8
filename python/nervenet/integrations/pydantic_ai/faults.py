# SPDX-License-Identifier: Apache-2.0
"""Errors on their way between agent and workflow: which are retried, how long they wait, and what the run sees.

An error of a model is raised in the run as Pydantic AI's own class again, so that its hooks and fallbacks see what they know. The
failure with all its attempts is its cause. Providers repeat an API key that they refuse: the words of a 401 or 403 stay in the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from pydantic_ai import exceptions
from pydantic_ai.exceptions import (
    AgentRunError,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_core import PydanticSerializationError, to_jsonable_python

from nervenet import AgentError, CallFailed
from nervenet.errors import NervenetError
from nervenet.integrations.refusals import NotEncodable, NotSupported
from nervenet.payloads import ANY

_FINAL = (ModelRequestRejectedError, ModelQuotaExceededError, ModelRequestTimeout)
"""Errors that another attempt of the same request cannot fix: the request, the account, the time that was left."""
_RETRIED_STATUSES = (408, 409, 429)
_KEY_STATUSES = (401, 403)
_KEY_REFUSED = "the provider does not accept the API key; give the agent process a valid key and start it again"
_DETAILS = "model_error"


def raise_as_agent_error(error: Exception, *, of_model: bool) -> None:
    """Raise what tells nervenet how an attempt failed, in place of this error. Nothing is raised if the error does that itself.

    Args:
        error: The error.
        of_model: Whether a request to a model raised it.

    Raises:
        AgentError: With the error as its cause, unless that may have an API key in its words.
    """
    raised = to_agent_error(error, of_model=of_model)
    if raised is not None:
        raise raised from (None if _has_key(error) else error)


def to_agent_error(error: Exception, *, of_model: bool = True) -> AgentError | None:
    """What a handler raises in place of an error. None: the error as it is."""
    if isinstance(error, (UserError, NotEncodable, NotSupported, PydanticSerializationError)):
        return AgentError(str(error), type=type(error).__name__, retryable=False)
    if not of_model and not isinstance(error, ModelAPIError):
        return None
    if isinstance(error, NervenetError):
        return None
    wait = error.retry_after if isinstance(error, ModelAPIError) else None
    return AgentError(
        _words(error),
        type=_class_of(error),
        retryable=_may_retry(error),
        retry_after=None if wait is None else timedelta(seconds=wait),
        details={_DETAILS: _described(error)} if isinstance(error, (AgentRunError, FallbackExceptionGroup)) else None,
    )


def to_model_error(failed: CallFailed) -> Exception:
    """What the run sees when a request to a model has failed for good."""
    details: Any = None if failed.failure.details is None else ANY.decode(failed.failure.details)
    if not isinstance(details, dict) or _DETAILS not in details:
        return failed
    return _rebuilt(cast("dict[str, dict[str, Any]]", details)[_DETAILS], failed.failure.message)


def _may_retry(error: Exception) -> bool:
    if isinstance(error, FallbackExceptionGroup):
        return any(_may_retry(one) for one in error.exceptions)
    if isinstance(error, ModelAPIError):
        status = error.status_code if isinstance(error, ModelHTTPError) else None
        return not isinstance(error, _FINAL) and (status is None or status >= 500 or status in _RETRIED_STATUSES)
    return isinstance(error, (ConnectionError, TimeoutError)) and not isinstance(error, AgentRunError)


def _has_key(error: BaseException) -> bool:
    """Whether the words of an error may contain an API key."""
    if isinstance(error, FallbackExceptionGroup):
        return any(_has_key(one) for one in error.exceptions)
    if isinstance(error, ModelHTTPError) and error.status_code in _KEY_STATUSES:
        return True
    return isinstance(error, ModelAuthenticationError)


def _words(error: Exception) -> str:
    if isinstance(error, ModelAPIError) and _has_key(error):
        status = f"status_code: {error.status_code}, " if isinstance(error, ModelHTTPError) else ""
        return f"{status}model_name: {error.model_name}: {_KEY_REFUSED}"
    return str(error)


def _class_of(error: Exception) -> str:
    return type(error).__name__.removeprefix("_HTTP")


def _described(error: Exception) -> dict[str, Any]:
    """An error as JSON, from which `_rebuilt` makes it again."""
    about: dict[str, Any] = {"class": _class_of(error), "message": _words(error)}
    match error:
        case FallbackExceptionGroup():
            about |= {"message": error.message, "errors": [_described(one) for one in error.exceptions]}
        case ModelAPIError():
            about |= _of_provider(error)
        case UnexpectedModelBehavior():
            about |= {"message": error.message, "body": error.body}
        case _:
            pass
    return {key: value for key, value in about.items() if value}


def _of_provider(error: ModelAPIError) -> dict[str, Any]:
    about = {"model": error.model_name, "retry_after": error.retry_after, "in_stream": error.in_stream}
    if isinstance(error, ModelHTTPError):
        about |= {"status": error.status_code, "hint": error.hint, "suggested": error.suggested_model_id}
    if isinstance(error, ModelConnectionError):
        about |= {"connection": True, "phase": error.phase}
    if isinstance(error, ModelRequestTimeout):
        about |= {"timeout": error.timeout, "setting": error.setting}
    if _has_key(error):
        return about | {"hint": _KEY_REFUSED}
    return about | {
        "body": to_jsonable_python(error.body, fallback=str),
        "code": error.provider_error_code,
        "type": error.provider_error_type,
    }


def _rebuilt(about: Mapping[str, Any], message: str) -> Exception:
    """The error of `_described`.

    Args:
        about: What `_described` returned.
        message: Its words, if it has none.
    """
    kind: Any = getattr(exceptions, about.get("class", ""), None)
    message = about.get("message", message)
    if "errors" in about:
        return FallbackExceptionGroup(message, [_rebuilt(one, "") for one in about["errors"]])
    if "model" in about:
        return _rebuilt_of_provider(kind, about, message)
    if not (isinstance(kind, type) and issubclass(kind, AgentRunError)):
        return RuntimeError(f"{about.get('class')}: {message}")
    if issubclass(kind, UnexpectedModelBehavior):
        return kind(message, about.get("body"))
    return kind(message)


def _rebuilt_of_provider(kind: Any, about: Mapping[str, Any], message: str) -> Exception:
    more: dict[str, Any] = {
        "body": about.get("body"),
        "provider_error_code": about.get("code"),
        "provider_error_type": about.get("type"),
        "retry_after": about.get("retry_after"),
        "in_stream": about.get("in_stream", False),
    }
    if not (isinstance(kind, type) and issubclass(kind, ModelAPIError)):
        kind = ModelConnectionError if about.get("connection") else ModelAPIError
    if "status" in about:
        category: Any = None if kind in (ModelHTTPError, ModelAPIError) else kind
        return ModelHTTPError.for_category(
            category,
            status_code=about["status"],
            model_name=about["model"],
            hint=about.get("hint"),
            suggested_model_id=about.get("suggested"),
            headers=None if more["retry_after"] is None else {"retry-after": str(more["retry_after"])},
            **more,
        )
    if kind is ModelRequestTimeout:
        return ModelRequestTimeout(about["model"], about["timeout"], setting=about["setting"])
    if issubclass(kind, ModelConnectionError):
        more["phase"] = about.get("phase")
    made: Exception = kind(about["model"], message, **more)
    return made
