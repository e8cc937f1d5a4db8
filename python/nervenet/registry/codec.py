# SPDX-License-Identifier: Apache-2.0
"""Stored records (proto JSON of the contract's AgentRecord, Load, NodeRecord) → views.

Why `json` and not the generated messages: a load report arrives for every agent some times a second on every node, and
protobuf's JSON parser takes ten times as long. Fields that we do not know are ignored, so newer writers do no harm.
A record that makes no sense raises ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from nervenet.registry.views import AgentView, CapabilityView, DefinitionView, LoadView, NodeView

V = TypeVar("V")


class Decoders(NamedTuple):
    """How the table reads values: (id from the key, stored bytes) → view, or ValueError."""

    agent: Callable[[str, bytes], AgentView]
    load: Callable[[str, bytes], LoadView]
    node: Callable[[str, bytes], NodeView]


def decode_agent(id: str, data: bytes) -> AgentView:
    raw = _object(data)
    return AgentView(
        id=id,
        name=raw.get("name", ""),
        capabilities={c["name"]: _capability(c) for c in raw.get("capabilities", ())},
        state=_enum(raw.get("state"), "AGENT_STATE_", "ACTIVE"),
        transport=_enum(raw.get("transport"), "TRANSPORT_", "REDIS"),
        control_endpoint=raw.get("controlEndpoint", ""),
        inbox=raw.get("inbox", ""),
        labels=raw.get("labels", {}),
        slots=raw.get("slots", 0) or 1,
        record=data,
    )


def decode_load(id: str, data: bytes) -> LoadView:
    raw = _object(data)
    return LoadView(
        active=raw.get("active", 0),
        queued=raw.get("queued", 0),
        slots=raw.get("slots", 0),
        sample_ms=_time_ms(raw.get("sampleTime")),
        active_by_capability=raw.get("activeByCapability", {}),
        error_rate=raw.get("errorRate", 0.0),
        average_ms=_span_ms(raw.get("averageTaskTime")),
        record=data,
    )


def decode_node(id: str, data: bytes) -> NodeView:
    raw = _object(data)
    return NodeView(
        id=id,
        address=raw.get("address", ""),
        definitions=frozenset(_definition(d) for d in raw.get("definitions", ())),
        state=_enum(raw.get("state"), "AGENT_STATE_", "ACTIVE"),
        owned=raw.get("ownedWorkflows", 0),
        max_workflows=raw.get("maxWorkflows", 0),
        record=data,
    )


def _checked(decode: Callable[[str, bytes], V]) -> Callable[[str, bytes], V]:
    def checked(id: str, data: bytes) -> V:
        try:
            return decode(id, data)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"record of {id} has another shape: {error!r}") from error

    return checked


PROTO_JSON: Final = Decoders(_checked(decode_agent), _checked(decode_load), _checked(decode_node))


def _object(data: bytes) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(data)
    return raw


def _capability(raw: dict[str, Any]) -> CapabilityView:
    schema = str(raw.get("inputSchema", "")) if raw.get("schemasMarked") is True else ""
    return CapabilityView(raw["name"], raw.get("version", ""), raw.get("labels", {}), raw.get("slots", 0), schema)


def _definition(raw: dict[str, Any]) -> DefinitionView:
    return DefinitionView(
        raw["name"],
        raw.get("version", 0),
        raw.get("runtime", ""),
        raw.get("fingerprint", ""),
        str(raw.get("inputSchema", "")),
        tuple((signal["name"], str(signal.get("schema", ""))) for signal in raw.get("signals", ())),
        raw.get("signalsComplete") is True,
        raw.get("schemasMarked") is True,
    )


def _enum(value: Any, prefix: str, unset: str) -> str:
    name = str(value or "").removeprefix(prefix)
    return unset if name in ("", "UNSPECIFIED") else name


def _time_ms(value: Any) -> int:
    return round(datetime.fromisoformat(value).timestamp() * 1000) if value else 0


def _span_ms(value: Any) -> int:
    return round(float(value.removesuffix("s")) * 1000) if value else 0
