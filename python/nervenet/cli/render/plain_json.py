# SPDX-License-Identifier: Apache-2.0
"""Messages of the contract as plain JSON: what `--json` prints.

It is proto JSON with the contract's names, except where that is made for programs that know the contract: a payload is its
JSON value, not a text with JSON in it, and a 64-bit integer is a number, not a text.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from nervenet.v1 import common_pb2 as common

_WELL_KNOWN = "google.protobuf."
_TIMESTAMP, _PAYLOAD = Timestamp.DESCRIPTOR, common.Payload.DESCRIPTOR


def plain_json(message: Any) -> str:
    """One line."""
    return json.dumps(plain(message), ensure_ascii=False)


def plain(message: Any) -> Any:
    """The message as what `json` knows. A field that is not set is left out, as in proto JSON."""
    kind = message.DESCRIPTOR
    if kind is _TIMESTAMP:
        return _time(message)
    if kind.full_name.startswith(_WELL_KNOWN):
        return json_format.MessageToDict(message)
    if kind is _PAYLOAD:
        return _payload(message)
    return {field.json_name: _field(field, value) for field, value in message.ListFields()}


def _time(message: Timestamp) -> str:
    """As proto JSON has it. A workflow of thousands of steps has tens of thousands of them, in a few seconds."""
    if message.nanos % 1_000_000 == 0:
        ms = message.nanos // 1_000_000
        return _second(message.seconds) + (f".{ms:03d}Z" if ms else "Z")
    return message.ToJsonString()


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return Timestamp(seconds=seconds).ToJsonString().removesuffix("Z")


def _field(field: FieldDescriptor, value: Any) -> Any:
    shape = _shape(field, type(value))  # type: ignore[arg-type]  # a class is hashable
    if shape == "list":
        return [_value(field, each) for each in value]
    if shape == "map":
        of = field.message_type.fields_by_name["value"]  # type: ignore[union-attr]  # each entry of a map is a message
        return {str(key): _value(of, value[key]) for key in sorted(value)}
    return _value(field, value)


@lru_cache(maxsize=1024)
def _shape(field: FieldDescriptor, python: type) -> str:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return "map"
    return "list" if issubclass(python, Sequence) and not issubclass(python, (str, bytes)) else "one"


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _payload(message: common.Payload) -> Any:
    """Its JSON value; text as a string; bytes, a URI and what was left out as an object with what is known of it."""
    form = message.WhichOneof("body")
    if form == "json":
        try:
            return json.loads(message.json)
        except (ValueError, RecursionError):
            return message.json
    if form == "value":
        return json_format.MessageToDict(message.value)
    if form == "text":
        return message.text
    found = {field.json_name: _field(field, value) for field, value in message.ListFields()}
    return found or None
