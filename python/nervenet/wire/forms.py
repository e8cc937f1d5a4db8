# SPDX-License-Identifier: Apache-2.0
"""A message of the contract from JSON that a person wrote, with the path of each mistake.

protobuf's own parser stops at the first mistake and hardly reports its place. This one first checks the whole text
against the message's descriptor. It also accepts short forms: `5m` and `7d` for a duration ("300s"), `escalate` for an
enum's value ("ON_EXHAUSTED_ESCALATE"). All else is proto JSON: field names in both spellings, null for "not set".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from nervenet.declarations import Problem

M = TypeVar("M", bound=Message)

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_KINDS: Final[dict[int, tuple[Any, str]]] = {
    FieldDescriptor.CPPTYPE_STRING: (str, "a text"),
    FieldDescriptor.CPPTYPE_BOOL: (bool, "true or false"),
    FieldDescriptor.CPPTYPE_INT32: (int, "a whole number"),
    FieldDescriptor.CPPTYPE_INT64: (int, "a whole number"),
    FieldDescriptor.CPPTYPE_DOUBLE: ((int, float), "a number"),
}


def from_json(data: Any, kind: type[M]) -> tuple[M, list[Problem]]:
    """The message, and its problems. With problems the message has the readable fields."""
    reading = _FormReader()
    ready = reading.message("", data, kind.DESCRIPTOR)
    message = kind()
    try:
        json_format.ParseDict(ready, message)
    except json_format.ParseError as error:
        reading.problems.append(Problem("", str(error)))
        message = kind()
    return message, reading.problems


class _FormReader:
    """Collects the problems, and returns data for protobuf's parser."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def message(self, path: str, data: Any, kind: Any) -> Any:
        if not isinstance(data, Mapping):
            self._wrong(path, data, "an object (names and values)")
            return {}
        known = {name: each for each in kind.fields for name in (each.name, each.json_name)}
        ready: dict[str, Any] = {}
        chosen: dict[str, str] = {}
        for key, value in data.items():
            at = f"{path}.{key}" if path else str(key)
            field = known.get(key) if isinstance(key, str) else None
            if field is None:
                self._unknown(at, key, [each.name for each in kind.fields])
                continue
            if field.name in ready:
                self.problems.append(Problem(at, f"{field.name} is given twice"))
            if value is None and not _is_value(field):
                continue
            oneof = field.containing_oneof
            if oneof is not None and len(oneof.fields) > 1 and chosen.setdefault(oneof.name, field.name) != field.name:
                self.problems.append(Problem(at, f"{chosen[oneof.name]} is given too: one of them"))
                continue
            before = len(self.problems)
            read = self._field(at, value, field)
            if len(self.problems) == before or _has_parts(field):
                ready[field.name] = read
        return ready

    def _field(self, path: str, data: Any, field: FieldDescriptor) -> Any:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return dict(self._pairs(path, data, field.message_type.fields_by_name["value"]))
        if field.is_repeated:
            if not isinstance(data, list):
                self._wrong(path, data, "a list")
                return []
            return [self._one(f"{path}[{i}]", each, field) for i, each in enumerate(data)]
        return self._one(path, data, field)

    def _pairs(self, path: str, data: Any, field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
        if not isinstance(data, Mapping):
            self._wrong(path, data, "an object (names and values)")
            return
        for key, value in data.items():
            if not isinstance(key, str):
                self._wrong(f"{path}.{key}", key, "a text as name")
            yield str(key), self._one(f"{path}.{key}", value, field)

    def _one(self, path: str, data: Any, field: FieldDescriptor) -> Any:
        if field.message_type is not None:
            name = field.message_type.full_name
            if name == "google.protobuf.Duration":
                return self._duration(path, data)
            if name == "google.protobuf.Struct" and not isinstance(data, Mapping):
                self._wrong(path, data, "an object (names and values)")
                return {}
            if name.startswith("google.protobuf."):
                return data
            return self.message(path, data, field.message_type)
        if field.enum_type is not None:
            return self._enum(path, data, field.enum_type)
        kind, words = _KINDS[field.cpp_type]
        if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
            self._wrong(path, data, words)
        elif kind is int and not -(1 << 31) <= data < 1 << 31:
            self.problems.append(Problem(path, f"{data} is too large"))
        return data

    def _duration(self, path: str, data: Any) -> str:
        text = data if isinstance(data, str) else ""
        parts = _SPAN.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self._wrong(path, data, 'a duration, e.g. "30s", "5m", "7d",')
            return "0s"
        return f"{sum(Decimal(number) * _SECONDS[unit] for number, unit in parts):f}s"

    def _enum(self, path: str, data: Any, kind: EnumDescriptor) -> Any:
        values = [value.name for value in kind.values]
        prefix = values[0].removesuffix("UNSPECIFIED")
        short = {name.removeprefix(prefix).lower(): name for name in values[1:]}
        if isinstance(data, str) and (data in values or data.lower() in short):
            return data if data in values else short[data.lower()]
        self._wrong(path, data, f"one of {', '.join(short)}")
        return values[0]

    def _wrong(self, path: str, data: Any, needed: str) -> None:
        cure = ""
        if needed == "a text" and isinstance(data, (bool, int, float)):
            cure = "; put it in quotes"
        elif needed == "a text" and isinstance(data, (Mapping, list)):
            cure = "; in YAML, quote a text with braces or brackets, or write it as a block below |"
        self.problems.append(Problem(path, f"{_shown(data)}, {needed} is needed{cure}"))

    def _unknown(self, path: str, key: Any, known: list[str]) -> None:
        near = difflib.get_close_matches(str(key), known, 1)
        ending = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
        self.problems.append(Problem(path, f"no field {str(key)!r}{ending}"))


def _has_parts(field: FieldDescriptor) -> bool:
    """Whether the other fields of this field can be read if one cannot: for our own messages, alone or in a list."""
    kind = field.message_type
    return kind is not None and not kind.full_name.startswith("google.protobuf.") and not kind.GetOptions().map_entry


def _is_value(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == "google.protobuf.Value"


def _shown(data: Any) -> str:
    kinds: dict[Any, str] = {dict: "an object", list: "a list", str: "a text"}
    if isinstance(data, (bool, int, float)) or data is None:
        return f"this is {str(data).lower() if isinstance(data, bool) or data is None else data}".replace(
            "none", "null"
        )
    if isinstance(data, str) and len(data) <= 30:
        return f"this is {data!r}"
    return f"this is {kinds.get(type(data), type(data).__name__)}"
