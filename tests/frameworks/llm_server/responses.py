# SPDX-License-Identifier: Apache-2.0
"""The forms of the Responses API: a whole response, and the events of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.frameworks.llm_server.answer import Answer, Call
from tests.frameworks.llm_server.chat import CREATED, Event


def whole(answer: Answer) -> dict[str, Any]:
    cut = answer.finish == "length"
    return _frame(answer, "incomplete" if cut else "completed", _items(answer)) | {
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        },
    }


def stream(answer: Answer) -> Iterator[Event]:
    number = 0

    def event(kind: str, **fields: Any) -> dict[str, Any]:
        nonlocal number
        number += 1
        return {"type": kind, "sequence_number": number - 1, **fields}

    yield event("response.created", response=_frame(answer, "in_progress", [])), False
    yield event("response.in_progress", response=_frame(answer, "in_progress", [])), False
    items = _items(answer)
    for index, item in enumerate(items):
        at = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            yield (
                event(
                    "response.output_item.added",
                    output_index=index,
                    item={**item, "status": "in_progress", "content": []},
                ),
                False,
            )
            part = {"type": "output_text", "text": "", "annotations": []}
            yield event("response.content_part.added", **at, content_index=0, part=part), False
            for token in answer.tokens:
                yield event("response.output_text.delta", **at, content_index=0, delta=token, logprobs=[]), True
            yield event("response.output_text.done", **at, content_index=0, text=answer.text, logprobs=[]), False
            yield event("response.content_part.done", **at, content_index=0, part={**part, "text": answer.text}), False
        else:
            call = answer.calls[index - (1 if answer.tokens else 0)]
            yield (
                event(
                    "response.output_item.added",
                    output_index=index,
                    item={**item, "status": "in_progress", "arguments": ""},
                ),
                False,
            )
            for piece in call.pieces:
                yield event("response.function_call_arguments.delta", **at, delta=piece), True
            yield event("response.function_call_arguments.done", **at, name=call.name, arguments=call.arguments), False
        yield event("response.output_item.done", output_index=index, item=item), False
    done = whole(answer)
    yield event(f"response.{done['status']}", response=done), False


def _items(answer: Answer) -> list[dict[str, Any]]:
    items = [_function_call(call) for call in answer.calls]
    if not answer.tokens:
        return items
    content = [{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}]
    message = {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }
    return [message, *items]


def _function_call(call: Call) -> dict[str, Any]:
    return {
        "id": call.id.replace("call_", "fc_"),
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": "completed",
    }


def _frame(answer: Answer, status: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": items,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }
