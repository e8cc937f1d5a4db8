# SPDX-License-Identifier: Apache-2.0
"""From what an endpoint says to our errors: a table of statuses, `Retry-After`, and words without the key. No I/O.

Retried are 408, 409, 429 and 5xx, as the official clients do, and whatever the endpoint itself asks to retry
(`x-should-retry`). RFC 9110, 10.2.3 has `Retry-After`: seconds or a date; `retry-after-ms` is OpenAI's addition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast

from nervenet.integrations.llm.errors import (
    ContextTooLong,
    KeyRefused,
    LLMError,
    ModelNotFound,
    ModelUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
)

__all__ = ["Place", "of_connection", "of_status", "of_stream", "retry_after"]

_RETRIED = (408, 409, 429)
_STATUS_OF = {"rate_limit_exceeded": 429, "insufficient_quota": 429}
"""The status that an endpoint gives for a code. Inside a stream there is no status."""
_TOO_LONG = "maximum context length"
_LONGEST_PAUSE = timedelta(days=1)
"""The longest `Retry-After` that counts. The limits of providers end within a day."""
_LONGEST_WORDS = 500
_HIDDEN = "[API key]"


@dataclass(frozen=True, repr=False)
class Place:
    """Where a call went, for the words of an error.

    Attributes:
        host: Host and port of the endpoint.
        model: The model that was asked.
        key: The API key, which no message may have.
        key_from: Where the key comes from.
    """

    host: str
    model: str
    key: str
    key_from: str

    def words(self, text: str) -> str:
        """What the endpoint said, in one line and without the key."""
        line = " ".join(text.split())
        return (line.replace(self.key, _HIDDEN) if self.key else line)[:_LONGEST_WORDS]


def of_status(place: Place, status: int, headers: Mapping[str, str], body: object, now: datetime) -> LLMError:
    """The error of an answer with this status."""
    code, said = _code_and_words(body)
    words = f"{status}: {place.words(said)}" if said else str(status)
    details = {"status": status, "code": code}
    kind, cure = _kind(place, status, code, said)
    retryable = kind in (RateLimited, ModelUnavailable)
    if (asked := headers.get("x-should-retry")) in ("true", "false"):
        retryable = asked == "true"
    pause = retry_after(headers, now) if retryable else None
    return kind(f"{place.host}: {cure} ({words})", retryable=retryable, retry_after=pause, details=details)


def of_stream(place: Place, body: object) -> LLMError:
    """The error that came inside a stream, after the status 200."""
    code, said = _code_and_words(body)
    words = place.words(said) or "no reason given"
    status = 400 if code == "context_length_exceeded" or _TOO_LONG in said else _STATUS_OF.get(code or "", 500)
    kind, cure = _kind(place, status, code, said)
    retryable = kind in (RateLimited, ModelUnavailable)
    broken = f"the answer of {place.model} broke off: {words}"
    text = broken if retryable else f"{cure} ({broken})"
    return kind(f"{place.host}: {text}", retryable=retryable, details={"status": 200, "code": code})


def of_connection(place: Place, what: str) -> LLMError:
    """The error of a connection that failed, or of an answer that is no answer."""
    return ModelUnavailable(f"{place.host}: {place.words(what)}", details={"status": None, "code": None})


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long the endpoint asks to wait. None: it does not say, or nothing that can be read."""
    asked = _pause(headers, now)
    return None if asked is None else min(max(asked, timedelta(0)), _LONGEST_PAUSE)


def _pause(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    ms = _number(headers.get("retry-after-ms"))
    if ms is not None:
        return timedelta(milliseconds=ms)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return timedelta(seconds=seconds)
    then = _date(text)
    return (
        None if then is None else then - (_date(headers.get("date")) or now)
    )  # by the clock of the server, if it tells it


def _kind(place: Place, status: int, code: str | None, said: str) -> tuple[type[LLMError], str]:
    """Which error a status is, and the words that say what to do."""
    if status in (401, 403):
        return KeyRefused, f"the API key is not accepted; set {place.key_from} to a valid key and start the agent again"
    if code == "insufficient_quota" or status == 402:
        return QuotaExceeded, "the account has no credit left; add credit"
    if status == 429:
        return RateLimited, "too many requests"
    if status in _RETRIED or status >= 500:
        return ModelUnavailable, "the server failed"
    if code == "context_length_exceeded" or _TOO_LONG in said:
        return ContextTooLong, (
            f"the messages are too long for {place.model}; send fewer or shorter ones, or take a model with a larger context"
        )
    if status == 404 and (code == "model_not_found" or "model" in said):
        return ModelNotFound, f"there is no model {place.model!r}; take one that GET /models of the endpoint lists"
    if status == 404:
        return RequestRefused, "there is no Chat Completions API at this base_url; most end in /v1"
    return RequestRefused, "the request is not accepted; correct it"


def _code_and_words(body: object) -> tuple[str | None, str]:
    """`error.code` and `error.message` in OpenAI's form and those of servers that are nearly compatible."""
    if not isinstance(body, Mapping):
        return None, "" if body is None else str(body)
    fields = cast("Mapping[str, Any]", body)
    inner: Any = fields.get("error", fields)
    if not isinstance(inner, Mapping):
        return None, str(inner)
    error = cast("Mapping[str, Any]", inner)
    code = error.get("code")
    return None if code is None else str(code), str(error.get("message") or error.get("detail") or "")


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e12 else None


def _date(text: str | None) -> datetime | None:
    try:
        then = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return then if then.tzinfo else then.replace(tzinfo=UTC)
