# SPDX-License-Identifier: Apache-2.0
"""How values travel: the JSON of Pydantic AI's own schemas, without defaults and without the times at which a process made them.

A request of a workflow must be the same on every replay, also after an upgrade that gives a message another field with a default. So
only what differs from its default travels; the discriminators (`kind`, `part_kind`, …) always do. Sets are sorted. Pydantic AI stamps
each request with the clock of its process: these times stay where they are, and answers keep theirs, which the journal has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_ai.durable_exec import JSON_CODEC, DurabilityCodec
from pydantic_ai.messages import (
    ModelRequest,
    RetryFeedbackPart,
    SystemPromptPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_core import PydanticSerializationError, PydanticUndefined, to_jsonable_python

from nervenet.integrations.pydantic_ai.refusals import NotEncodable

_STAMPED = (ModelRequest, SystemPromptPart, UserPromptPart, ToolReturnPart, RetryFeedbackPart)
"""What a process makes and stamps with its own clock."""

_DISCRIMINATORS = frozenset({"kind", "part_kind", "part_delta_kind", "event_kind"})
"""Fields that say of which class a value is."""


class SlimCodec(DurabilityCodec):
    """Pydantic AI's JSON codec, without defaults."""

    def dump(self, tp: Any, value: Any) -> Any:
        """The JSON value of an object of this type."""
        return slim(value, JSON_CODEC.dump(tp, value))

    def load(self, tp: Any, payload: Any) -> Any:
        """The object again."""
        return JSON_CODEC.load(tp, payload)


CODEC = SlimCodec()


def encoded(tp: Any, value: Any, what: str) -> Any:
    """The JSON value of an object of this type.

    Args:
        tp: Its type.
        value: The object.
        what: What it is, for the error.

    Raises:
        NotEncodable: It has none.
    """
    try:
        return CODEC.dump(tp, value)
    except (PydanticSerializationError, TypeError, ValueError) as error:
        raise NotEncodable(f"{what} cannot travel to an agent ({error}): {_cure(what)}") from None


def decoded(tp: Any, payload: Any, what: str) -> Any:
    """The object of a JSON value.

    Raises:
        NotEncodable: It does not fit the type.
    """
    try:
        return TypeAdapter[Any](tp).validate_python(payload)
    except ValidationError as error:
        raise NotEncodable(f"{what} does not fit its type: {error}") from None


def plain(value: Any, what: str) -> Any:
    """The JSON value of anything that has one, without defaults."""
    try:
        return slim(value, to_jsonable_python(value))
    except (PydanticSerializationError, TypeError, ValueError) as error:
        raise NotEncodable(f"{what} cannot travel to an agent ({error}): {_cure(what)}") from None


def slim(value: Any, dumped: Any) -> Any:
    """What is left of an object's JSON without its defaults.

    Args:
        value: The object.
        dumped: Its whole JSON.
    """
    if isinstance(dumped, dict):
        whole = cast("dict[str, Any]", dumped)
        if isinstance(value, Mapping):
            inner = {str(key): one for key, one in _mapping(cast("object", value)).items()}
            return {key: slim(inner.get(key), one) for key, one in whole.items()}
        defaults = defaults_of(cast("Hashable", type(value)))
        if defaults is None:
            return whole
        kept: dict[str, Any] = {}
        for key, one in whole.items():
            field: Any = getattr(cast("Any", value), key, None)
            if key == "timestamp" and (isinstance(value, _STAMPED) or whole.get("part_kind") == "retry-prompt"):
                continue
            if key in _DISCRIMINATORS or key not in defaults or not _same(field, defaults[key]()):
                kept[key] = slim(field, one)
        return kept
    if isinstance(dumped, list):
        items = _list(cast("object", dumped))
        if isinstance(value, (set, frozenset)):
            return sorted(items, key=repr)
        if isinstance(value, (list, tuple)):
            members: list[Any] = [*value]
            if len(members) == len(items):
                return [slim(member, item) for member, item in zip(members, items, strict=True)]
    return cast("object", dumped)


def _mapping(value: object) -> Mapping[Any, Any]:
    return cast("Mapping[Any, Any]", value)


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value)


@lru_cache(maxsize=1024)
def defaults_of(kind: Any) -> Mapping[str, Callable[[], Any]] | None:
    """How to make the default of each field that has one. None: the class has no fields that we know of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        found: dict[str, Callable[[], Any]] = {}
        for name, info in kind.model_fields.items():
            factory = info.default_factory
            if factory is not None and not info.default_factory_takes_validated_data:
                found[name] = cast("Callable[[], Any]", factory)
            elif factory is None and info.default is not PydanticUndefined:
                found[name] = _constant(info.default)
        return found
    if dataclasses.is_dataclass(cast("object", kind)):
        return {
            one.name: one.default_factory if one.default_factory is not dataclasses.MISSING else _constant(one.default)
            for one in dataclasses.fields(cast("Any", kind))
            if one.default_factory is not dataclasses.MISSING or one.default is not dataclasses.MISSING
        }
    return None


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    if type(value) is not type(default):
        return False
    try:
        return bool(value == default)
    except Exception:  # noqa: BLE001  # an array, or a class whose comparison fails: it is not the default then
        return False


def _cure(what: str) -> str:
    if what == "deps":
        return "make deps a dataclass or a model of plain values, and open connections where they are used"
    return "use values that have a JSON form"
