# SPDX-License-Identifier: Apache-2.0
"""Stored records (proto JSON of the contract's AgentRecord, Load, NodeRecord) → views.

Why `json` and not the generated messages: each node gets a few load reports a second of each agent, and protobuf's JSON
parser takes ten times as long. Unknown fields are ignored, so records of newer releases are readable. An invalid record
raises ValueError.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from nervenet.registry.views import AgentView, CapabilityView, DefinitionView, LoadView, NodeView

T = TypeVar("T")
V = TypeVar("V")


class Decoders(NamedTuple):
    """The functions that decode values for the table: (id from the key, stored bytes) → view. They raise ValueError."""

    agent: Callable[[str, bytes], AgentView]
    load: Callable[[str, bytes], LoadView]
    node: Callable[[str, bytes], NodeView]


def decode_agent(id: str, data: bytes) -> AgentView:
    raw = _object(data)
    capabilities = [_capability(_fields(c)) for c in _list(raw, "capabilities")]
    return AgentView(
        id=id,
        name=_text(raw, "name"),
        capabilities={one.name: one for one in capabilities},
        state=_enum(raw, "state", "AGENT_STATE_", "ACTIVE"),
        transport=_enum(raw, "transport", "TRANSPORT_", "REDIS"),
        control_endpoint=_text(raw, "controlEndpoint"),
        inbox=_text(raw, "inbox"),
        labels=_texts(raw, "labels"),
        slots=_whole(raw, "slots") or 1,
        record=data,
    )


def decode_load(id: str, data: bytes) -> LoadView:
    raw = _object(data)
    return LoadView(
        active=_whole(raw, "active"),
        queued=_whole(raw, "queued"),
        slots=_whole(raw, "slots"),
        sample_ms=_time_ms(_text(raw, "sampleTime")),
        active_by_capability=_counts(raw, "activeByCapability"),
        error_rate=_number(raw, "errorRate"),
        average_ms=_span_ms(_text(raw, "averageTaskTime")),
        record=data,
    )


def decode_node(id: str, data: bytes) -> NodeView:
    raw = _object(data)
    return NodeView(
        id=id,
        address=_text(raw, "address"),
        definitions=frozenset(_definition(_fields(d)) for d in _list(raw, "definitions")),
        state=_enum(raw, "state", "NODE_STATE_", "ACTIVE").removeprefix(
            "AGENT_STATE_"
        ),  # as releases before 1.0 wrote it
        owned=_whole(raw, "ownedWorkflows"),
        max_workflows=_whole(raw, "maxWorkflows"),
        refuses=raw.get("full") is True,
        record=data,
        release=release_of(_text(raw, "runtime")),
    )


def release_of(runtime: str) -> tuple[int, ...]:
    """The release of a node: (0, 2, 0) from `python 3.11.7, nervenet 0.2.0`; () if the text has none."""
    found = _RELEASE.search(runtime)
    return tuple(map(int, found[1].split("."))) if found is not None else ()


_RELEASE: Final = re.compile(r"\bnervenet (\d{1,6}(?:\.\d{1,6}){0,4})")


def _checked(decode: Callable[[str, bytes], V]) -> Callable[[str, bytes], V]:
    def checked(id: str, data: bytes) -> V:
        try:
            return decode(id, data)
        except (AttributeError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"record of {id} has another shape: {error!r}") from error

    return checked


PROTO_JSON: Final = Decoders(_checked(decode_agent), _checked(decode_load), _checked(decode_node))


# ── fields of a record: a missing one has its default, one of another type raises ValueError ─────────────────────────


def _object(data: bytes) -> dict[str, Any]:
    return _fields(json.loads(data))


def _fields(raw: Any) -> dict[str, Any]:
    if type(raw) is not dict:
        raise ValueError(f"{str(raw)[:40]!r} is not an object")
    return raw


def _of(raw: dict[str, Any], name: str, kind: type[T], default: T) -> T:
    value = raw.get(name)
    if value is None:
        return default
    if type(value) is not kind:
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    return value


def _text(raw: dict[str, Any], name: str) -> str:
    return _of(raw, name, str, "")


def _list(raw: dict[str, Any], name: str) -> list[Any]:
    return _of(raw, name, list, [])


def _whole(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name, 0)
    if type(value) is int:
        return value
    return int(_number(raw, name))  # proto JSON may write 3.0, or "3"


def _number(raw: dict[str, Any], name: str) -> float:
    value = raw.get(name)
    if value is not None and type(value) not in (int, float, str):
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    found = 0.0 if value is None else float(value)
    if not math.isfinite(found):
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    return found


def _texts(raw: dict[str, Any], name: str) -> dict[str, str]:
    found = _of(raw, name, dict, {})
    if not all(type(value) is str for value in found.values()):
        raise ValueError(f"{name} is {str(found)[:40]!r}")
    return found


def _counts(raw: dict[str, Any], name: str) -> dict[str, int]:
    found = _of(raw, name, dict, {})
    if not all(type(value) is int for value in found.values()):
        raise ValueError(f"{name} is {str(found)[:40]!r}")
    return found


def _capability(raw: dict[str, Any]) -> CapabilityView:
    schema = _text(raw, "inputSchema") if raw.get("schemasMarked") is True else ""
    return CapabilityView(
        _text(raw, "name"), _text(raw, "version"), _texts(raw, "labels"), _whole(raw, "slots"), schema
    )


def _definition(raw: dict[str, Any]) -> DefinitionView:
    return DefinitionView(
        _text(raw, "name"),
        _whole(raw, "version"),
        _text(raw, "runtime"),
        _text(raw, "fingerprint"),
        _text(raw, "inputSchema"),
        tuple((_text(signal, "name"), _text(signal, "schema")) for signal in map(_fields, _list(raw, "signals"))),
        raw.get("signalsComplete") is True,
        raw.get("schemasMarked") is True,
    )


def _enum(raw: dict[str, Any], name: str, prefix: str, unset: str) -> str:
    """The name of an enum value. One of a newer release stays as it is: no decision depends on it."""
    value = raw.get(name)
    found = str(value or "").removeprefix(prefix)
    return unset if found in ("", "UNSPECIFIED") else found


def _time_ms(value: str) -> int:
    return round(datetime.fromisoformat(value).timestamp() * 1000) if value else 0


def _span_ms(value: str) -> int:
    return round(float(value.removesuffix("s")) * 1000) if value else 0
