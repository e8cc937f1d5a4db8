# SPDX-License-Identifier: Apache-2.0
"""Messages as ProtoJSON, three times faster than `json_format`: a workflow of 5,000 steps is 35,000 messages.

How a field is written is decided once for each field, not for each value. Google's own types, except moments and durations, are
left to `json_format`. Fields at their default are left out, as `json_format` does.
"""

from __future__ import annotations

import base64
import functools
import json
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["compact", "json_text", "plain"]

_Write = Callable[[Any], Any]

_AS_TEXT: Final = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
_AS_IT_IS: Final = frozenset(
    {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_BOOL}
)
_FIRST_SECOND, _LAST_SECOND = 0, 253_402_300_799
"""From 1970 to the year 9999."""
_LONGEST: Final = 315_576_000_000
"""Seconds of the longest duration."""


def compact(value: Any) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_text(message: Message) -> str:
    """A message as JSON in one line."""
    return compact(plain(message))


def plain(message: Message) -> Any:
    """A message as JSON's values."""
    return _message(message.DESCRIPTOR.full_name)(message)


@functools.cache
def _message(full_name: str) -> _Write:
    """How messages of this type are written."""
    if full_name == "google.protobuf.Timestamp":
        return _timestamp
    if full_name == "google.protobuf.Duration":
        return _duration
    if full_name.startswith("google.protobuf."):
        return json_format.MessageToDict
    return _fields


def _fields(message: Any) -> dict[str, Any]:
    found = {}
    for field, value in message.ListFields():
        name_and_write = _writers.get(field)
        if name_and_write is None:
            name_and_write = _writers[field] = field.json_name, _field(field)
        name, write = name_and_write
        found[name] = write(value)
    return found


_writers: dict[FieldDescriptor, tuple[str, _Write]] = {}
"""The name in JSON of a field, and how its value is written."""


def _field(field: Any) -> _Write:
    if not field.is_repeated:
        return _value(field)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        by_name = field.message_type.fields_by_name
        is_bool = by_name["key"].cpp_type == FieldDescriptor.CPPTYPE_BOOL
        write = _value(by_name["value"])
        return lambda entries: {(str(key).lower() if is_bool else str(key)): write(entries[key]) for key in entries}
    one = _value(field)
    return lambda values: [one(value) for value in values]


def _value(field: Any) -> _Write:
    """How one value of a field is written."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        return _message(field.message_type.full_name)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        is_null = field.enum_type.full_name == "google.protobuf.NullValue"
        if is_null:
            return lambda number: None
        return lambda number: names.get(number, number)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return _base64 if field.type == FieldDescriptor.TYPE_BYTES else str
    if kind == FieldDescriptor.CPPTYPE_DOUBLE:
        return _double
    if kind in _AS_TEXT:
        return str
    if kind in _AS_IT_IS:
        return lambda value: value
    raise TypeError(f"{field.full_name}: the contract has no numbers of single precision")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _timestamp(moment: Any) -> Any:
    seconds, nanos = moment.seconds, moment.nanos
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos < 1_000_000_000):
        return json_format.MessageToDict(moment)
    return f"{_second(seconds)}{_fraction(nanos)}Z"


def _duration(duration: Any) -> Any:
    seconds, nanos = duration.seconds, duration.nanos
    if not (0 <= seconds <= _LONGEST and 0 <= nanos < 1_000_000_000):
        return json_format.MessageToDict(duration)
    return f"{seconds}{_fraction(nanos)}s"


def _fraction(nanos: int) -> str:
    """Three, six or nine digits."""
    if not nanos:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03}"
    return f".{nanos // 1_000:06}" if nanos % 1_000 == 0 else f".{nanos:09}"


@functools.lru_cache(4096)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
