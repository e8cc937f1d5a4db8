# SPDX-License-Identifier: Apache-2.0
"""How values travel: the JSON of their own schemas, without what differs from process to process or from release to release.

A request of a workflow must be the same on every replay, also after an upgrade that gives a message another field with a default. So
of Pydantic AI's own classes only what differs from its default travels; the discriminators (`kind`, `part_kind`, …) always do.
The user's values travel whole, since the model reads them and a union may need any field to find its class. Dependencies, the
arguments of tools and the output leave out defaults too, if the short form decodes to an equal value. Sets are sorted.
Pydantic AI stamps each request with the clock of its process: these times stay where they are, and answers keep theirs, which the
journal has. Results are in the journal, so they travel whole.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_ai.durable_exec import JSON_CODEC, DurabilityCodec
from pydantic_ai.messages import (
    ModelRequest,
    RetryFeedbackPart,
    SystemPromptPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_core import PydanticSerializationError, to_jsonable_python

from nervenet.integrations.defaults import defaults_of, has_fields, same
from nervenet.integrations.refusals import NotEncodable

_STAMPED = (ModelRequest, SystemPromptPart, UserPromptPart, ToolReturnPart, RetryFeedbackPart)
"""What a process makes and stamps with its own clock."""

_DISCRIMINATORS = frozenset({"kind", "part_kind", "part_delta_kind", "event_kind"})
"""Fields that say of which class a value is."""


class WholeCodec(DurabilityCodec):
    """Pydantic AI's JSON codec, with sorted sets. For results."""

    def dump(self, tp: Any, value: Any) -> Any:
        """The JSON value of an object of this type."""
        return slim(value, JSON_CODEC.dump(tp, value), _no_class)

    def load(self, tp: Any, payload: Any) -> Any:
        """The object again."""
        return JSON_CODEC.load(tp, payload)


class SlimCodec(WholeCodec):
    """The same without the defaults of Pydantic AI's own classes. For requests."""

    def dump(self, tp: Any, value: Any) -> Any:
        """The JSON value of an object of this type."""
        return slim(value, JSON_CODEC.dump(tp, value))


CODEC = SlimCodec()
RESULTS = WholeCodec()


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
    """The JSON value of anything that has one, without the defaults of Pydantic AI's own classes."""
    try:
        return slim(value, to_jsonable_python(value))
    except (PydanticSerializationError, TypeError, ValueError) as error:
        raise NotEncodable(f"{what} cannot travel to an agent ({error}): {_cure(what)}") from None


def shortest(value: Any, whole: Any, decode: Callable[[Any], Any]) -> Any:
    """The JSON of a user's value without defaults if that decodes to an equal value, else the whole JSON.

    Args:
        value: The object.
        whole: Its whole JSON.
        decode: Makes the object of the JSON.
    """
    short = slim(value, whole, _any_class)
    if short == whole:
        return short
    try:
        again = decode(copy.deepcopy(short))
    except Exception:  # noqa: BLE001  # a validator of the user, who may raise anything
        return slim(value, whole)
    return short if same(again, value) else slim(value, whole)


def shortest_of(adapter: TypeAdapter[Any], value: Any, what: str) -> Any:
    """The same for a value of this type.

    Raises:
        NotEncodable: It has no JSON value.
    """
    try:
        whole = adapter.dump_python(value, mode="json")
    except (PydanticSerializationError, TypeError, ValueError) as error:
        raise NotEncodable(f"{what} cannot travel to an agent ({error}): {_cure(what)}") from None
    return shortest(value, whole, adapter.validate_python)


def slim(value: Any, dumped: Any, drops: Callable[[type], bool] | None = None) -> Any:
    """What is left of an object's JSON without defaults, with sorted sets.

    Args:
        value: The object.
        dumped: Its whole JSON.
        drops: Of which classes the defaults are left out. Default: Pydantic AI's own.
    """
    drops = drops or _own_class
    if isinstance(dumped, dict):
        return _slim_fields(value, cast("dict[str, Any]", dumped), drops)
    if isinstance(dumped, list) and isinstance(value, (set, frozenset, list, tuple)):
        items, members = _list(cast("object", dumped)), [*cast("list[Any]", value)]
        if len(members) == len(items):
            items = [slim(member, item, drops) for member, item in zip(members, items, strict=True)]
        return sorted(items, key=_sort_key) if isinstance(value, (set, frozenset)) else items
    return cast("object", dumped)


def _slim_fields(value: Any, whole: dict[str, Any], drops: Callable[[type], bool]) -> dict[str, Any]:
    if isinstance(value, Mapping):
        inner = {str(key): one for key, one in _mapping(cast("object", value)).items()}
        return {key: slim(inner.get(key), one, drops) for key, one in whole.items()}
    kind: Any = type(cast("object", value))
    if not has_fields(kind):
        return whole
    defaults, may_drop = defaults_of(kind), drops(kind)
    kept: dict[str, Any] = {}
    for key, one in whole.items():
        field: Any = getattr(value, key, None)
        if drops is not _no_class and key == "timestamp" and _is_stamped(value, whole):
            continue
        if may_drop and key not in _DISCRIMINATORS and key in defaults and same(field, defaults[key]()):
            continue
        kept[key] = slim(field, one, drops)
    return kept


def _is_stamped(value: object, whole: Mapping[str, Any]) -> bool:
    return isinstance(value, _STAMPED) or (_own_class(type(value)) and whole.get("part_kind") == "retry-prompt")


def _own_class(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "pydantic_ai"


def _any_class(_: type) -> bool:
    return True


def _no_class(_: type) -> bool:
    return False


def _sort_key(item: object) -> str:
    return json.dumps(item, sort_keys=True)


def _mapping(value: object) -> Mapping[Any, Any]:
    return cast("Mapping[Any, Any]", value)


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value)


def _cure(what: str) -> str:
    if what == "deps":
        return "make deps a dataclass or a model of plain values, and open connections where they are used"
    return "use values that have a JSON form"
