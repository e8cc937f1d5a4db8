# SPDX-License-Identifier: Apache-2.0
"""The values of a graph as plain JSON and back: what a node gets and returns, states, commands, messages.

    values = Values([Plan])
    values.encode({"messages": [HumanMessage("hi")], "at": (1, 2)})
    # {"messages": [{"~": "message", "type": "HumanMessage", "fields": {"content": "hi"}}], "at": {"~": "tuple", "items": [1, 2]}}

JSON that is only JSON travels as it is; everything else is an object with a tag under the key `~`. The journal keeps a digest of
each call's input, so equal values must be equal bytes in every process and in every later release of a library:

- Messages, pydantic models and dataclasses travel without the fields that have their defaults. A release of langchain-core that
  adds a field with a default changes no byte of what is written already.
- Sets are sorted by their JSON.

Decoding looks a class up among those that the graph's schemas name (`classes`); it never imports what a payload names.

Rejected: LangGraph's JsonPlusSerializer. It turns tuples into lists (`("ai", "hi")` is another message than `["ai", "hi"]`), refuses
integers above 64 bits, writes fields with defaults, and its format may change from one release to the next.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from langchain_core import messages
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langgraph.types import Command, Overwrite, Send
from pydantic import BaseModel

from nervenet.integrations.langgraph.fields import build, fields_of
from nervenet.integrations.refusals import NotEncodable

TAG = "~"
_FACTORIES: Mapping[str, Callable[[], Any]] = {
    "list": list,
    "dict": dict,
    "set": set,
    "int": int,
    "float": float,
    "str": str,
}
_TEXTS: Mapping[type, Callable[[str], Any]] = {
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    UUID: UUID,
    Decimal: Decimal,
}
"""Classes whose text is exact."""
_OF_TEXT = {type_.__name__.lower(): make for type_, make in _TEXTS.items()}


class Values:
    """The codec of one graph.

    Args:
        classes: The models, dataclasses, enums and named tuples that may travel.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self._classes = {key_of(one): one for one in (Document, *classes)}

    def encode(self, value: Any, /) -> Any:
        """The value as JSON.

        Raises:
            NotEncodable: A part of it cannot travel.
        """
        try:
            return self._encode(value)
        except RecursionError:
            raise NotEncodable("the value contains itself or is nested too deeply") from None

    def decode(self, value: Any, /) -> Any:
        """What `encode` was given. JSON that is only JSON comes back as it is.

        Raises:
            NotEncodable: It names a class that is not among those of the graph.
        """
        kind = type(value)
        if kind is list:
            return [self.decode(one) for one in value]
        if kind is not dict:
            return value
        tag = value.get(TAG)
        if tag is None:
            return {key: self.decode(one) for key, one in value.items()}
        return self._tagged(tag, value)

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _encode(self, value: Any) -> Any:
        kind: Any = type(value)
        if kind is str or kind is bool or kind is int or value is None:
            return value
        if kind is dict:
            return self._mapping(value)
        if kind is list:
            return self._items(value)
        if kind is tuple:
            return {TAG: "tuple", "items": self._items(value)}
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
        if isinstance(value, BaseMessage) and _is_message(kind):
            return {TAG: "message", "type": kind.__name__, "fields": self._fields(value)}
        if kind in _TEXTS:
            return self._text(value)
        return self._rare(value)

    def _items(self, values: Iterable[Any]) -> list[Any]:
        items = []
        for index, one in enumerate(values):
            try:
                items.append(self._encode(one))
            except NotEncodable as error:
                raise error.below(index) from None
        return items

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        if TAG in value or not all(type(key) is str for key in value):
            return {TAG: "dict", "items": [[self._encode(key), self._encode(one)] for key, one in value.items()]}
        return self._named(value)

    def _named(self, value: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for key, one in value.items():
            try:
                found[key] = self._encode(one)
            except NotEncodable as error:
                raise error.below(key) from None
        return found

    def _fields(self, value: Any) -> dict[str, Any]:
        return self._named(fields_of(value))

    def _text(self, value: Any) -> dict[str, Any]:
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
        said = {TAG: type(value).__name__.lower(), "value": text}
        zone = getattr(value, "tzinfo", None)
        if isinstance(zone, ZoneInfo) and zone.key:
            said["zone"] = zone.key
        return said

    def _rare(self, value: Any) -> Any:  # noqa: C901  # one case for each kind of value
        match value:
            case Enum():
                return self._of_class(value)
            case str() | int() | float():  # a subclass, as the text of a message or a number of numpy
                base = str if isinstance(value, str) else int if isinstance(value, int) else float
                return self._encode(base(value))
            case set() | frozenset():
                items = sorted(self._items(value), key=lambda one: json.dumps(one, sort_keys=True))
                return {TAG: "set" if isinstance(value, set) else "frozenset", "items": items}
            case bytes() | bytearray():
                return {TAG: "bytes", "value": base64.b64encode(value).decode()}
            case timedelta():
                return {TAG: "timedelta", "value": [value.days, value.seconds, value.microseconds]}
            case Send():
                if getattr(value, "timeout", None) is not None:
                    raise NotEncodable(
                        f"Send({value.node!r}) has a timeout: give it to the node, add_node(…, timeout=…)"
                    )
                return {TAG: "send", "node": value.node, "arg": self._encode(value.arg)}
            case Command():
                parts = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
                return {TAG: "command", **{k: self._encode(v) for k, v in parts.items() if v not in (None, ())}}
            case Overwrite():
                return {TAG: "overwrite", "value": self._encode(value.value)}
            case deque():
                return {TAG: "deque", "items": self._items(value), "maxlen": value.maxlen}
            case PurePath():
                return {TAG: "path", "value": str(value)}
            case Counter() | OrderedDict() | defaultdict():
                return self._special_mapping(value)
        return self._of_class(value)

    def _special_mapping(self, value: Any) -> dict[str, Any]:
        said = {TAG: type(value).__name__.lower(), "items": [self._items(pair) for pair in value.items()]}
        if isinstance(value, defaultdict):
            made = getattr(value.default_factory, "__name__", "")
            if _FACTORIES.get(made) is not value.default_factory:
                raise NotEncodable(
                    f"defaultdict({made or None}) cannot travel: use a plain dict, or one of {[*_FACTORIES]}"
                )
            said["factory"] = made
        return said

    def _of_class(self, value: Any) -> dict[str, Any]:
        kind = type(value)
        key = key_of(kind)
        if self._classes.get(key) is not kind:
            raise NotEncodable(_why_not(value))
        if isinstance(value, Enum):
            return {TAG: "enum", "type": key, "name": value.name}
        if isinstance(value, tuple):
            return {TAG: "named", "type": key, "items": self._items(value)}
        return {TAG: "object", "type": key, "fields": self._fields(value)}

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tagged(self, tag: str, value: dict[str, Any]) -> Any:
        match tag:
            case "message":
                kind = getattr(messages, value["type"], None)
                if not (isinstance(kind, type) and issubclass(kind, BaseMessage)):
                    raise NotEncodable(
                        f"langchain-core has no message {value['type']!r} here: install the same version everywhere"
                    )
                return build(kind, self._decoded_fields(value))
            case "tuple":
                return tuple(self.decode(one) for one in value["items"])
            case "dict":
                return {self.decode(key): self.decode(one) for key, one in value["items"]}
            case "object" | "enum" | "named":
                return self._instance(tag, value)
            case "send":
                return Send(value["node"], self.decode(value["arg"]))
            case "command":
                return Command(**{key: self.decode(one) for key, one in value.items() if key != TAG})
            case "overwrite":
                return Overwrite(self.decode(value["value"]))
        return self._scalar(tag, value)

    def _scalar(self, tag: str, value: dict[str, Any]) -> Any:
        match tag:
            case "set" | "frozenset":
                return (set if tag == "set" else frozenset)(self.decode(one) for one in value["items"])
            case "bytes":
                return base64.b64decode(value["value"])
            case "float":
                return float(value["value"])
            case "timedelta":
                return timedelta(*value["value"])
            case "path":
                return PurePath(value["value"])
            case "deque":
                return deque((self.decode(one) for one in value["items"]), value["maxlen"])
            case "counter" | "ordereddict" | "defaultdict":
                pairs = {self.decode(key): self.decode(one) for key, one in value["items"]}
                plain = Counter(pairs) if tag == "counter" else OrderedDict(pairs)
                return plain if tag != "defaultdict" else defaultdict(_FACTORIES[value["factory"]], pairs)
        if tag not in _OF_TEXT:
            raise NotEncodable(f"the tag {tag!r} is not known here: install the same version of nervenet everywhere")
        found: Any = _OF_TEXT[tag](value["value"])
        return found.replace(tzinfo=ZoneInfo(value["zone"])) if "zone" in value else found

    def _instance(self, tag: str, value: dict[str, Any]) -> Any:
        kind: Any = self._classes.get(value["type"])
        if kind is None:
            raise NotEncodable(
                f"{value['type']} is not among the classes of this graph: annotate the state with it, or pass it in types=[…]"
            )
        if tag == "enum":
            return kind[value["name"]]
        if tag == "named":
            return kind(*(self.decode(one) for one in value["items"]))
        return build(kind, self._decoded_fields(value))

    def _decoded_fields(self, value: dict[str, Any]) -> dict[str, Any]:
        return {key: self.decode(one) for key, one in value["fields"].items()}


@lru_cache(maxsize=256)
def _is_message(kind: Hashable) -> bool:
    return getattr(messages, getattr(kind, "__name__", ""), None) is kind


def key_of(kind: type) -> str:
    """The name under which a class travels."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _why_not(value: Any) -> str:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, (BaseModel, Enum, tuple)) or dataclasses.is_dataclass(kind):
        return f"{name} is not named in the graph's schemas: annotate the state with it, or pass durable_graph(…, types=[{kind.__name__}])"
    return (
        f"a value of {name} cannot travel to another process: keep JSON, messages, dataclasses or pydantic models in the state, "
        "and make other things in the node that needs them"
    )
