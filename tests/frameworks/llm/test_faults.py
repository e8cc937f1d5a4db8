# SPDX-License-Identifier: Apache-2.0
"""What each answer of an endpoint means: which error, whether it is tried again and when, and words without the key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from nervenet.integrations.llm import (
    ChatReply,
    ContextTooLong,
    InvalidAnswer,
    KeyRefused,
    LLMError,
    ModelNotFound,
    ModelUnavailable,
    OutputSchema,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
)
from nervenet.integrations.llm.collecting import Collected
from nervenet.integrations.llm.endpoint import _check
from nervenet.integrations.llm.faults import Place, of_connection, of_status, of_stream, retry_after

KEY = "sk-secret-123456"
PLACE = Place("api.example.com", "big-model", KEY, "OPENAI_API_KEY")
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def body(message: str = "no", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "t", "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "retryable"),
    [
        (400, None, "bad", RequestRefused, False),
        (400, "context_length_exceeded", "too long", ContextTooLong, False),
        (400, None, "This model's maximum context length is 8192 tokens.", ContextTooLong, False),
        (401, "invalid_api_key", f"Incorrect API key provided: {KEY}.", KeyRefused, False),
        (402, None, "pay", QuotaExceeded, False),
        (403, None, "country", KeyRefused, False),
        (404, "model_not_found", "The model does not exist", ModelNotFound, False),
        (404, None, "model 'x' not found, try pulling it first", ModelNotFound, False),
        (404, None, "Not Found", RequestRefused, False),
        (408, None, "slow", ModelUnavailable, True),
        (409, None, "conflict", ModelUnavailable, True),
        (413, None, "large", RequestRefused, False),
        (422, None, "odd", RequestRefused, False),
        (429, None, "busy", RateLimited, True),
        (429, "insufficient_quota", "no credit", QuotaExceeded, False),
        (500, None, "broken", ModelUnavailable, True),
        (502, None, "gateway", ModelUnavailable, True),
        (503, None, "overloaded", ModelUnavailable, True),
        (529, None, "overloaded", ModelUnavailable, True),
    ],
)
def test_each_status_is_one_error(
    status: int, code: str | None, message: str, kind: type[LLMError], retryable: bool
) -> None:
    error = of_status(PLACE, status, {}, body(message, code), NOW)
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.type == kind.__name__
    assert error.message.startswith("api.example.com: ") and str(status) in error.message
    assert KEY not in error.message
    assert error.details == {"status": status, "code": code}


@pytest.mark.parametrize(
    "other", [None, "", "<html>503</html>", {"error": "plain"}, {"message": "flat"}, [], {"error": {}}]
)
def test_bodies_in_other_forms_are_no_trouble(other: object) -> None:
    assert type(of_status(PLACE, 503, {}, other, NOW)) is ModelUnavailable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 15:00:10 GMT", "date": "Thu, 01 Jan 2026 15:00:00 GMT"}, 10.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    pause = retry_after(headers, NOW)
    assert pause == (None if seconds is None else timedelta(seconds=seconds))


def test_a_pause_belongs_only_to_what_is_tried_again() -> None:
    headers = {"retry-after": "3"}
    assert of_status(PLACE, 429, headers, body(), NOW).retry_after == timedelta(seconds=3)
    assert of_status(PLACE, 503, headers, body(), NOW).retry_after == timedelta(seconds=3)
    assert of_status(PLACE, 400, headers, body(), NOW).retry_after is None


@pytest.mark.parametrize("headers", [{"retry-after": "978307200"}, {"retry-after": "Fri, 01 Jan 2500 00:00:00 GMT"}])
def test_a_pause_is_at_most_a_day(headers: dict[str, str]) -> None:
    assert retry_after(headers, NOW) == timedelta(days=1)


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_was_cut_is_not_paid_for_again(finish: str) -> None:
    form = OutputSchema(name="f", definition={"type": "object"})
    with pytest.raises(InvalidAnswer) as cut:
        _check(form, ChatReply(text='{"a": ', finish=finish))
    assert not cut.value.retryable
    collected = Collected()
    function = SimpleNamespace(name="look", arguments='{"a": "x')
    call = SimpleNamespace(index=0, id="1", function=function)
    delta = SimpleNamespace(content=None, tool_calls=[call])
    collected.add(SimpleNamespace(model="m", choices=[SimpleNamespace(finish_reason=finish, delta=delta)]))
    with pytest.raises(InvalidAnswer, match="look") as cut:
        collected.reply()
    assert not cut.value.retryable
    collected.finish = "tool_calls"
    with pytest.raises(InvalidAnswer) as broken:
        collected.reply()
    assert broken.value.retryable, "a model that writes no JSON may write it next time"


def test_the_endpoint_itself_may_say_whether_to_try_again() -> None:
    assert of_status(PLACE, 500, {"x-should-retry": "false"}, body(), NOW).retryable is False
    assert of_status(PLACE, 400, {"x-should-retry": "true"}, body(), NOW).retryable is True


def test_errors_inside_a_stream_and_of_connections_are_tried_again() -> None:
    inside = of_stream(PLACE, {"message": f"engine died with {KEY}", "code": "server_error"})
    assert type(inside) is ModelUnavailable and inside.retryable and KEY not in inside.message
    assert type(of_stream(PLACE, {"error": {"message": "busy", "code": "rate_limit_exceeded"}})) is RateLimited
    quota = of_stream(PLACE, {"message": "no credit", "code": "insufficient_quota"})
    assert type(quota) is QuotaExceeded and not quota.retryable
    for said in (
        {"code": "context_length_exceeded"},
        {"message": "This model's maximum context length is 8192 tokens."},
    ):
        long = of_stream(PLACE, said)
        assert type(long) is ContextTooLong and not long.retryable
    away = of_connection(PLACE, "Connection refused")
    assert type(away) is ModelUnavailable and away.retryable


def test_the_words_of_an_endpoint_are_one_line_and_not_too_long() -> None:
    error = of_status(PLACE, 500, {}, body("a\nb" + "x" * 5000), NOW)
    assert "\n" not in error.message and len(error.message) < 700
