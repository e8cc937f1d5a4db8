# SPDX-License-Identifier: Apache-2.0
"""A call of a model, and its answer, as JSON. No I/O.

A request and its answer:

    {"llm": ["Researcher", "llm"], "messages": […], "tools"?: […], "stop": […], "schema"?: {"name": …, "schema": {…}}}
    {"text": "…"} or {"object": {…}} or {"list": […]} or {"value": …}, with {"model": "gpt-4o", "usage": {…}}

Tool calls are objects of the provider's client library: they travel as the name of their class with their JSON, and become
objects of that class again. A class of structured output does not travel: its schema does (`FromSchema`), and the side that
called makes the object.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import json
import re
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, RootModel

from nervenet import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["decode", "digest_of", "encode", "encode_answer", "schema_class", "schema_of", "with_stable_ids"]

_CLASS, _DATA = "$class", "data"
_MADE_UP = re.compile(r"call_\d{6,}")
_LIBRARIES = ("openai.", "anthropic.", "google.genai.", "litellm.")
"""Whose objects travel. A class is imported by name, so no other library is named here."""


def digest_of(request: Mapping[str, Any]) -> str:
    """The same for two requests that ask the same."""
    text = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def encode(value: Any, path: str) -> Any:
    """A part of a request or of an answer as JSON.

    Args:
        value: The part.
        path: Where it is, for a message: "messages.3.files".

    Raises:
        AgentError: It cannot travel. It is not tried again.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [encode(one, f"{path}.{at}") for at, one in enumerate(cast("list[object]", value))]
    if isinstance(value, dict):
        return {str(key): encode(one, f"{path}.{key}") for key, one in cast("dict[object, object]", value).items()}
    kind: Any = type(cast("object", value))
    if isinstance(value, BaseModel) and kind.__module__.startswith(_LIBRARIES):
        return {_CLASS: f"{kind.__module__}:{kind.__qualname__}", _DATA: json.loads(value.model_dump_json())}
    raise AgentError(
        f"{path} is a {kind.__module__}.{kind.__qualname__}, which cannot travel to the agent that calls the model: "
        "make it text or plain JSON, or leave model_calls out of durable_crew",
        type="NotSupported",
        retryable=False,
    )


def decode(value: Any) -> Any:
    """What `encode` has encoded."""
    if isinstance(value, list):
        return [decode(one) for one in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    name = fields.get(_CLASS)
    if isinstance(name, str) and name.startswith(_LIBRARIES):
        return _class(name).model_validate_json(json.dumps(fields[_DATA]))
    return {key: decode(one) for key, one in fields.items()}


def with_stable_ids(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the same ids of tool calls in every attempt.

    Where a provider gives none, CrewAI makes one of an address in memory.
    """
    text = json.dumps(messages, ensure_ascii=False)
    renamed = {old: f"call_{at}" for at, old in enumerate(dict.fromkeys(_MADE_UP.findall(" ".join(_ids(messages)))), 1)}
    for old, new in renamed.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    return cast("list[dict[str, Any]]", json.loads(text))


def encode_answer(answer: Any) -> dict[str, Any]:
    """What `BaseLLM.call` returned.

    Raises:
        AgentError: It cannot travel. It is not tried again.
    """
    if isinstance(answer, str):
        return {"text": answer}
    if isinstance(answer, list):
        return {"list": encode(answer, "the answer of the model")}
    if isinstance(answer, BaseModel) and not type(answer).__module__.startswith(_LIBRARIES):
        return {"object": answer.model_dump(mode="json")}
    return {"value": encode(answer, "the answer of the model")}


def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """A class of structured output, as it travels."""
    return {"name": kind.__name__, "schema": kind.model_json_schema()}


def schema_class(sent: Mapping[str, Any]) -> type[BaseModel]:
    """A class with this name and schema for the client library, which takes any object: the side that called checks it."""
    schema = cast("dict[str, Any]", sent["schema"])

    class FromSchema(RootModel[dict[str, Any]]):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return copy.deepcopy(schema)

    FromSchema.__name__ = FromSchema.__qualname__ = sent["name"]
    FromSchema.__doc__ = schema.get("description")
    return FromSchema


def _ids(messages: list[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        yield str(message.get("tool_call_id", ""))
        for call in cast("list[Any]", message.get("tool_calls") or ()):
            yield str(cast("dict[str, Any]", call).get("id", "") if isinstance(call, dict) else "")


def _class(name: str) -> type[BaseModel]:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return cast("type[BaseModel]", found)
