# SPDX-License-Identifier: Apache-2.0
"""What a request asks, in one form for both APIs: Chat Completions and Responses."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any


class BadRequest(Exception):
    """The stand-in refuses the body with 400 and these words."""


@dataclass(frozen=True)
class Message:
    """One message. `calls` are the tools that an assistant called: name and arguments as JSON."""

    role: str
    text: str
    calls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Conversation:
    """What a request asks.

    Attributes:
        api: "chat" or "responses".
        schema: Name of the JSON schema of the answer. "": none.
        with_usage: A stream ends with the usage.
    """

    api: str
    model: str
    messages: tuple[Message, ...]
    tools: tuple[str, ...] = ()
    schema: str = ""
    max_tokens: int | None = None
    stream: bool = False
    with_usage: bool = True

    @property
    def last(self) -> Message:
        return self.messages[-1]

    @property
    def key(self) -> str:
        """The same for two requests that ask the same: ids of earlier calls do not count."""
        asked = [self.model, [asdict(one) for one in self.messages], self.tools, self.schema]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]

    @property
    def input_tokens(self) -> int:
        """A token is a word."""
        return sum(
            len(one.text.split()) + sum(len(arguments.split()) for _, arguments in one.calls) for one in self.messages
        )


def from_chat(body: dict[str, Any]) -> Conversation:
    """A body of POST /v1/chat/completions."""
    if body.get("n") not in (None, 1):
        raise BadRequest("the stand-in gives one choice")
    stream = bool(body.get("stream"))
    if body.get("stream_options") and not stream:
        raise BadRequest("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    form = body.get("response_format") or {}
    return Conversation(
        api="chat",
        model=_model(body),
        messages=_some([_chat_message(one) for one in body.get("messages") or ()]),
        tools=tuple(one["function"]["name"] for one in body.get("tools") or ()),
        schema=form.get("json_schema", {}).get("name", "") or ("json" if form.get("type") == "json_object" else ""),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stream=stream,
        with_usage=not stream or bool((body.get("stream_options") or {}).get("include_usage")),
    )


def from_responses(body: dict[str, Any]) -> Conversation:
    """A body of POST /v1/responses."""
    if body.get("previous_response_id"):
        raise BadRequest("the stand-in keeps no responses: send the whole input")
    asked = body.get("input")
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked or []
    first = [Message("system", body["instructions"])] if body.get("instructions") else []
    form = (body.get("text") or {}).get("format") or {}
    return Conversation(
        api="responses",
        model=_model(body),
        messages=_some(first + [one for item in items if (one := _item(item))]),
        tools=tuple(one["name"] for one in body.get("tools") or () if one.get("type") == "function"),
        schema=form.get("name", "") or ("json" if form.get("type") == "json_object" else ""),
        max_tokens=body.get("max_output_tokens"),
        stream=bool(body.get("stream")),
    )


def _model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter")
    return model


def _some(messages: list[Message]) -> tuple[Message, ...]:
    if not messages:
        raise BadRequest("[] is too short - 'messages'")
    return tuple(messages)


def _chat_message(one: dict[str, Any]) -> Message:
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in one.get("tool_calls") or ()]
    return Message(one["role"], _text(one.get("content")), tuple(calls))


def _item(item: dict[str, Any]) -> Message | None:
    match item.get("type", "message"):
        case "message":
            return Message(item["role"], _text(item.get("content")))
        case "function_call":
            return Message("assistant", "", ((item["name"], item["arguments"]),))
        case "function_call_output":
            return Message("tool", _text(item.get("output")))
        case _:  # reasoning, references to stored items
            return None


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text") or part.get("refusal") or "" for part in content)
