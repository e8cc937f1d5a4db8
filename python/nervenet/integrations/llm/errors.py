# SPDX-License-Identifier: Apache-2.0
"""How a model call can fail. Workflows catch `CallFailed` and ask `error.is_a(RateLimited)`."""

from __future__ import annotations

from nervenet import AgentError

__all__ = [
    "ContextTooLong",
    "InvalidAnswer",
    "KeyRefused",
    "LLMError",
    "ModelNotFound",
    "ModelUnavailable",
    "QuotaExceeded",
    "RateLimited",
    "RequestRefused",
]


class LLMError(AgentError):
    """A model call failed. The subclasses say why.

    `details` has the HTTP status and the code that the endpoint gave: `{"status": 429, "code": "rate_limit_exceeded"}`.
    """


class RateLimited(LLMError):
    """The endpoint is busy (429). nervenet tries again, not before the time that the endpoint names (`Retry-After`)."""


class ModelUnavailable(LLMError):
    """No connection, an answer that broke off, silence, or a fault of the server (408, 409, 5xx). nervenet tries again."""


class InvalidAnswer(LLMError):
    """The answer has not the form that was asked for. nervenet tries again, and pays again."""


class KeyRefused(LLMError):
    """The endpoint does not accept the API key (401, 403). Correct the key, then start the agent again."""


class QuotaExceeded(LLMError):
    """The account has no credit left (429 with `insufficient_quota`, 402). Add credit."""


class ModelNotFound(LLMError):
    """The endpoint has no such model (404). Correct the name."""


class ContextTooLong(LLMError):
    """The messages are longer than the model can read. Send fewer or shorter ones, or take another model."""


class RequestRefused(LLMError):
    """The endpoint does not take the request (other 4xx). Correct it."""
