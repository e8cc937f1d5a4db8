# SPDX-License-Identifier: Apache-2.0
"""Errors on their way between agent and workflow: which are retried, how long they wait, and what the run sees.

An error of a model is raised in the run as Pydantic AI's own class again, so that its hooks and fallbacks see what they know. The
failure with all its attempts is its cause.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    UserError,
)
from pydantic_core import PydanticSerializationError, to_jsonable_python

from nervenet import AgentError, CallFailed
from nervenet.integrations.pydantic_ai.refusals import NotEncodable
from nervenet.payloads import ANY

_FINAL = (ModelRequestRejectedError, ModelQuotaExceededError, ModelRequestTimeout)
"""Errors that another attempt of the same request cannot fix: the request, the account, the time that was left."""
_RETRIED_STATUSES = (408, 409, 429)
_DETAILS = "model_error"


def to_agent_error(error: Exception) -> AgentError | None:
    """What a handler raises in place of an error. None: the error as it is."""
    if isinstance(error, ModelAPIError):
        return _of_model(error)
    if isinstance(error, (UserError, NotEncodable, PydanticSerializationError)):
        return AgentError(str(error), type=type(error).__name__, retryable=False)
    return None


def to_model_error(failed: CallFailed) -> Exception:
    """What the run sees when a request to a model has failed for good."""
    details: Any = None if failed.failure.details is None else ANY.decode(failed.failure.details)
    if not isinstance(details, dict) or _DETAILS not in details:
        return failed
    said = cast("dict[str, dict[str, Any]]", details)[_DETAILS]
    if said.get("status") is not None:
        headers = {"retry-after": str(said["retry_after"])} if said.get("retry_after") is not None else None
        return ModelHTTPError(said["status"], said["model"], said.get("body"), headers=headers)
    if said.get("connection"):
        return ModelConnectionError(said["model"], failed.failure.message)
    return ModelAPIError(said["model"], failed.failure.message)


def _of_model(error: ModelAPIError) -> AgentError:
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    wait = error.retry_after
    said = {
        "model": error.model_name,
        "status": status,
        "body": to_jsonable_python(error.body, fallback=str),
        "retry_after": wait,
        "connection": isinstance(error, ModelConnectionError),
    }
    return AgentError(
        str(error),
        type=type(error).__name__.removeprefix("_HTTP"),
        retryable=not isinstance(error, _FINAL) and _may_retry(status),
        retry_after=None if wait is None else timedelta(seconds=wait),
        details={_DETAILS: {key: value for key, value in said.items() if value}},
    )


def _may_retry(status: int | None) -> bool:
    return status is None or status >= 500 or status in _RETRIED_STATUSES
