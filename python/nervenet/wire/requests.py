# SPDX-License-Identifier: Apache-2.0
"""The check of all times, enums and numbers of a request, before any code reads them.

protobuf accepts any integer for a duration, a timestamp or an enum's value. `mistakes` returns each value that is out
of bounds, with its path. After it reading a value cannot fail, and arithmetic with it cannot overflow:

- a duration is from 0 to 10 years,
- a timestamp is one that protobuf knows: the years 1 to 9999,
- an enum has a value that this version knows,
- a floating-point number is finite.

The fields to check follow from the descriptors, so a new field cannot be forgotten. They are determined once for each
type of message, because the start of a workflow is on the hot path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from nervenet.declarations import Problem

__all__ = ["LONGEST_SECONDS", "clear_mistakes", "has_checks", "mistakes"]

LONGEST_SECONDS: Final = 3653 * 86_400
"""The longest duration that a request may carry: 10 years."""

_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799
_NANOS: Final = 1_000_000_000

_EACH_ON_ITS_OWN: Final = frozenset(
    {
        "nervenet.v1.StartWorkflowsRequest.requests",
        "nervenet.v1.StreamStartsRequest.requests",
        "nervenet.v1.PutDefinitionRequest.definition",
        "nervenet.v1.ConnectRequest.items",
    }
)
"""Fields whose parts are checked by the code that reads them: it refuses one of many alone, or reports more
problems."""


def mistakes(message: Message, at: str = "") -> list[Problem]:
    """All values that are out of bounds. `at` is a prefix of the paths (`requests[3].`)."""
    plan = _plan_of(message.DESCRIPTOR)
    return [Problem(path, words) for path, words, _, _ in _find(message, plan, at)] if plan else []


def clear_mistakes(message: Message) -> None:
    """Clear the fields that are out of bounds, in a message that must not be refused, such as the result of a task."""
    for _, _, where, name in list(_find(message, _plan_of(message.DESCRIPTOR), "")):
        where.ClearField(name)


def has_checks(kind: type[Message]) -> bool:
    """Whether messages of this type have fields to check."""
    return bool(_plan_of(kind.DESCRIPTOR))


class _FieldCheck(NamedTuple):
    """One field to check. `wrong` returns the mistake of its value ("": none), or the fields of its message are
    checked."""

    name: str
    wrong: Callable[[Any], str] | None
    nested: list[_FieldCheck]
    is_message: bool
    is_repeated: bool
    is_map: bool


def _find(message: Any, plan: list[_FieldCheck], at: str) -> Iterator[tuple[str, str, Message, str]]:
    for look in plan:
        name = look.name
        if look.is_message and not look.is_repeated and not message.HasField(name):
            continue
        value = getattr(message, name)
        if not value and not look.is_message:  # 0 is always valid
            continue
        for path, part in _parts(f"{at}{name}", value, look):
            if look.wrong is None:
                yield from _find(part, look.nested, f"{path}.")
            elif words := look.wrong(part):
                yield path, words, message, name


def _parts(path: str, value: Any, look: _FieldCheck) -> Iterable[tuple[str, Any]]:
    if not look.is_repeated:
        return ((path, value),)
    return ((f"{path}[{key}]", part) for key, part in (value.items() if look.is_map else enumerate(value)))


# ── the mistake of a value ───────────────────────────────────────────────────────────────────────────────────────────


def _wrong_duration(value: Any) -> str:
    if 0 <= value.seconds <= LONGEST_SECONDS and 0 <= value.nanos < _NANOS:
        return ""
    return f"a duration of {value.seconds} s and {value.nanos} ns: from 0 to 10 years, with 0 to 999,999,999 ns"


def _wrong_timestamp(value: Any) -> str:
    if _FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos < _NANOS:
        return ""
    return f"a time of {value.seconds} s and {value.nanos} ns: in the years 1 to 9999, with 0 to 999,999,999 ns"


def _wrong_number(value: float) -> str:
    return "" if isfinite(value) else f"{value}: a finite number"


def _wrong_enum(kind: EnumDescriptor) -> Callable[[int], str]:
    known = frozenset(kind.values_by_number)
    prefix = kind.values[0].name.removesuffix("UNSPECIFIED")
    words = ", ".join(value.name.removeprefix(prefix) for value in kind.values[1:])

    def wrong(value: int) -> str:
        return "" if value in known else f"{value} is not one of {kind.name}: {words}"

    return wrong


_TIMES: Final[dict[str, Callable[[Any], str]]] = {
    "google.protobuf.Duration": _wrong_duration,
    "google.protobuf.Timestamp": _wrong_timestamp,
}


# ── the fields to check ──────────────────────────────────────────────────────────────────────────────────────────────

_plans: dict[str, list[_FieldCheck]] = {}


def _plan_of(kind: Any) -> list[_FieldCheck]:  # a Descriptor, of either implementation
    plan = _plans.get(kind.full_name)
    if plan is None:
        plan = _plans[kind.full_name] = []  # set before it is complete: a failure has a cause, which is a failure
        plan += [look for field in kind.fields if (look := _look_at(field)) is not None]
    return plan


def _look_at(field: FieldDescriptor) -> _FieldCheck | None:
    entry = field.message_type if _is_map(field) else None
    is_map, value = entry is not None, field if entry is None else entry.fields_by_name["value"]
    kind, shape = value.message_type, (value.message_type is not None, bool(field.is_repeated), is_map)
    if (wrong := _leaf(value)) is not None:
        return _FieldCheck(field.name, wrong, [], *shape)
    if kind is None or field.full_name in _EACH_ON_ITS_OWN or not _has_checked_fields(kind, set()):
        return None
    return _FieldCheck(field.name, None, _plan_of(kind), *shape)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _leaf(field: FieldDescriptor) -> Callable[[Any], str] | None:
    if field.enum_type is not None:
        return _wrong_enum(field.enum_type)
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return _wrong_number
    return None if field.message_type is None else _TIMES.get(field.message_type.full_name)


def _has_checked_fields(kind: Descriptor, seen: set[str]) -> bool:
    """Whether any field inside such a message, at any depth, is checked. google.protobuf.Value is not checked."""
    if kind.full_name in seen or kind.file.package != "nervenet.v1":
        return False
    seen.add(kind.full_name)
    return any(
        _leaf(field) is not None or (field.message_type is not None and _has_checked_fields(field.message_type, seen))
        for field in kind.fields
    )
