# SPDX-License-Identifier: Apache-2.0
"""Times, payloads, failures and trace contexts: the parts of entries, envelopes and requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import NullValue, Value
from google.protobuf.timestamp_pb2 import Timestamp

from nervenet.records import (
    NO_TRACE,
    NOTHING,
    Failure,
    FailureCode,
    Payload,
    Trace,
)
from nervenet.v1 import common_pb2 as common

if TYPE_CHECKING:
    from google.protobuf.message import Message


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def timestamp(ms: int | None) -> Timestamp | None:
    """None and 0 are "not set"."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000) if ms else None


def timestamp_ms(message: Timestamp) -> int:
    return message.seconds * 1000 + message.nanos // 1_000_000


def duration(ms: int | None) -> Duration | None:
    return None if ms is None else Duration(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def set_ms(message: Timestamp | Duration, ms: int) -> None:
    """Write a moment or a duration into the field of a message, which copies nothing. 0 is "not set"."""
    if ms:
        message.seconds, rest = divmod(ms, 1000)
        message.nanos = rest * 1_000_000


def duration_ms(message: Duration) -> int:
    return message.seconds * 1000 + message.nanos // 1_000_000


def optional_ms(message: Message, name: str) -> int | None:
    """A Duration or Timestamp field in milliseconds; None if it is not set."""
    if not message.HasField(name):
        return None
    value = getattr(message, name)
    return value.seconds * 1000 + value.nanos // 1_000_000  # type: ignore[no-any-return]


# ── payloads and failures ────────────────────────────────────────────────────────────────────────────────────────────


def payload_out(payload: Payload) -> common.Payload:
    return common.Payload(**payload_fields(payload))


def payload_fields(payload: Payload) -> dict[str, Any]:
    """The dict for a payload within another message: it is filled in place, at half the cost of creating and copying
    it."""
    form, data, about = payload
    fields: dict[str, Any]
    if form == "bytes":
        fields = {"data": data}
    else:
        fields = {} if form == "none" else {form: data.decode()}
    if about:
        message = common.Payload.FromString(about)
        fields |= {field.name: value for field, value in message.ListFields()}
    return fields


def timestamp_fields(ms: int | None) -> dict[str, int] | None:
    return {"seconds": ms // 1000, "nanos": ms % 1000 * 1_000_000} if ms else None


def payload_in(message: common.Payload) -> Payload:
    form = message.WhichOneof("body")
    if form == "json":  # not parsed: nodes and agents never look into JSON
        return Payload("json", message.json.encode())
    if form is None:
        return NOTHING
    if form == "value":
        return Payload("json", _json_of(message.value))
    if form == "data":
        return Payload("bytes", message.data, _about(message))
    return Payload(form, getattr(message, form).encode(), _about(message))


def _about(message: common.Payload) -> bytes:
    """The fields of a payload except its value, to be passed on unchanged."""
    if not (message.content_type or message.encoding or message.size_bytes or message.sha256):
        return b""
    return common.Payload(
        content_type=message.content_type,
        encoding=message.encoding,
        size_bytes=message.size_bytes,
        sha256=message.sha256,
    ).SerializeToString()


def _json_of(value: Value) -> bytes:
    """Compact JSON. A Value has only doubles, so whole numbers become integers again."""
    return json.dumps(whole(json_format.MessageToDict(value)), separators=(",", ":"), ensure_ascii=False).encode()


def whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and -EXACT <= value <= EXACT:
        return int(value)
    if isinstance(value, list):
        return [whole(each) for each in value]
    return {key: whole(each) for key, each in value.items()} if isinstance(value, dict) else value


VALUE_LIMIT = 64 * 1024
VALUE_DEPTH = 28
"""Levels of JSON in a Value that any reader accepts: protobuf allows 100 nested messages, a level has three."""
EXACT = 1 << 53


class _Inexact(ValueError):
    """A google.protobuf.Value cannot represent this JSON exactly."""


def payload_for_people(payload: Payload) -> common.Payload:
    """As google.protobuf.Value if that is exact and small, else as bytes."""
    if payload.form != "json" or payload.size > VALUE_LIMIT:
        return payload_out(payload)
    message = common.Payload()
    try:
        _fill(message.value, _READER(payload.data.decode()), VALUE_DEPTH)
    except (ValueError, RecursionError):  # ValueError: no JSON, not exact, or no valid UTF-8 text
        return payload_out(payload)
    return message


def _fill(value: Value, data: Any, depth: int) -> None:
    if not depth:
        raise _Inexact
    if data is None:
        value.null_value = NullValue.NULL_VALUE
    elif isinstance(data, bool):
        value.bool_value = data
    elif isinstance(data, str):
        value.string_value = data
    elif isinstance(data, list):
        value.list_value.SetInParent()
        for each in data:
            _fill(value.list_value.values.add(), each, depth - 1)
    elif isinstance(data, dict):
        value.struct_value.SetInParent()
        for key, each in data.items():
            _fill(value.struct_value.fields[key], each, depth - 1)
    else:
        value.number_value = data


def _whole_in(digits: str) -> int:
    if len(digits) > 17 or not -EXACT <= (number := int(digits)) <= EXACT:
        raise _Inexact
    return number


def _decimal_in(digits: str) -> float:
    number = float(digits)
    if not isfinite(number) or len(digits) > 400 or Decimal(repr(number)) != Decimal(digits):
        raise _Inexact
    return number


def _constant_in(word: str) -> None:
    raise _Inexact  # NaN and infinities


def _pairs_in(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # a name that occurs twice
        raise _Inexact
    return found


_READER: Callable[[str], Any] = json.JSONDecoder(
    parse_int=_whole_in, parse_float=_decimal_in, parse_constant=_constant_in, object_pairs_hook=_pairs_in
).decode


_FAILURE_NUMBERS: dict[FailureCode, common.FailureCode] = {
    code: cast("common.FailureCode", common.FailureCode.Value(f"FAILURE_CODE_{code}"))
    for code in FailureCode
    if code is not FailureCode.UNRECOGNIZED
}
_FAILURE_CODES = {number: code for code, number in _FAILURE_NUMBERS.items()} | {
    common.FAILURE_CODE_UNSPECIFIED: FailureCode.APPLICATION
}
_FAILURE_NUMBERS[FailureCode.UNRECOGNIZED] = common.FAILURE_CODE_UNSPECIFIED


def failure_out(failure: Failure) -> common.Failure:
    return common.Failure(
        code=_FAILURE_NUMBERS[failure.code],
        message=failure.message,
        type=failure.type,
        retryable=cast(bool, failure.retryable),  # None is "not set", which the generated types do not allow
        retry_after=duration(failure.retry_after_ms),
        source=failure.source,
        stack_trace=failure.stack_trace,
        details=payload_out(failure.details) if failure.details is not None else None,
        cause=failure_out(failure.cause) if failure.cause is not None else None,
        attempt=failure.attempt,
        agent_id=failure.agent_id,
    )


def failure_in(message: common.Failure) -> Failure:
    return Failure(
        code=_FAILURE_CODES.get(message.code, FailureCode.UNRECOGNIZED),
        message=message.message,
        type=message.type,
        retryable=message.retryable if message.HasField("retryable") else None,
        retry_after_ms=optional_ms(message, "retry_after"),
        source=message.source,
        stack_trace=message.stack_trace,
        details=payload_in(message.details) if message.HasField("details") else None,
        cause=failure_in(message.cause) if message.HasField("cause") else None,
        attempt=message.attempt,
        agent_id=message.agent_id,
    )


def trace_out(trace: Trace) -> common.TraceContext | None:
    if not trace.traceparent:
        return None
    return common.TraceContext(traceparent=trace.traceparent, tracestate=trace.tracestate, baggage=trace.baggage)


def trace_in(message: common.TraceContext) -> Trace:
    return Trace(message.traceparent, message.tracestate, message.baggage) if message.traceparent else NO_TRACE


def to_json(message: Message) -> bytes:
    """Proto JSON, as stored in etcd and printed by the CLI; compact."""
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()
