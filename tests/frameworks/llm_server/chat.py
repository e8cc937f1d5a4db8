# SPDX-License-Identifier: Apache-2.0
"""The forms of Chat Completions: a whole answer, and the chunks of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.frameworks.llm_server.answer import Answer

CREATED = 1_700_000_000
Event = tuple[dict[str, Any], bool]
"""What is sent, and whether it carries a token."""


def whole(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
    return _frame(answer, "chat.completion", [choice], _usage(answer) if answer.with_usage else None)


def stream(answer: Answer) -> Iterator[Event]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _frame(answer, "chat.completion.chunk", [choice], None)

    yield chunk({"role": "assistant", "content": ""}), False
    for token in answer.tokens:
        yield chunk({"content": token}), True
    for index, call in enumerate(answer.calls):
        first = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield chunk({"tool_calls": [first]}), False
        for piece in call.pieces:
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), True
    yield chunk({}, answer.finish), False
    if answer.with_usage:
        yield _frame(answer, "chat.completion.chunk", [], _usage(answer)), False


def _frame(answer: Answer, kind: str, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": kind,
        "created": CREATED,
        "model": answer.model,
        "system_fingerprint": "fp_stand_in",
        "choices": choices,
        "usage": usage,
    }


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
