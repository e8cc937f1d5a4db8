# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a request to its message, or a RequestError with the reason.

    decode = decoder(pb.StartWorkflowsRequest)
    decode(raw)          # raises RequestError: INVALID_ARGUMENT, reason UNDECODABLE or INVALID_FIELD

`MOST_ENTRIES`, `MORE` and `MOST_FIELDS` are the limits. Entries and fields are counted in the bytes, before any object
is created: an empty entry has two bytes on the wire and up to two hundred in memory, so 6 MB could become 400 MB. A
body that is too short to exceed a limit is not counted; these are nearly all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.message import DecodeError

from nervenet.errors import InvalidRequest
from nervenet.rpc.status import invalid

__all__ = ["MORE", "MOST_ENTRIES", "MOST_FIELDS", "decoder"]

MOST_ENTRIES: Final = 1_000
"""Entries of a repeated field or a map in one message, except those in `MORE`."""
MOST_FIELDS: Final = 100_000
"""Fields of a whole request, at all depths. Counting them takes 50 ms at most."""
MORE: Final[dict[str, int]] = {
    "nervenet.v1.AwaitWorkflowsRequest.workflow_ids": 10_000,
    "nervenet.v1.AwaitWorkflowsRequest.forget_workflow_ids": 10_000,
    "nervenet.v1.ConnectRequest.items": 10_000,
    "nervenet.v1.Hello.running": 10_000,  # an agent has at most as many tasks as its credit allows
    "google.protobuf.Struct.fields": MOST_FIELDS,  # a payload as `value` has its own limit, in bytes
    "google.protobuf.ListValue.values": MOST_FIELDS,
}

_DEEPEST: Final = 100  # protobuf reads no deeper either
_CONTINUED: Final = bytes(range(0x80, 0x100))
"""All bytes of a varint except the last one."""
_VARINT, _BYTES = 0, 2
_FIXED: Final = {1: 8, 5: 4}
_NEVER_PACKED: Final = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE)


def decoder(kind: Any) -> Callable[[bytes], Any]:
    """A function that decodes messages of this class."""
    build, descriptor = kind.FromString, kind.DESCRIPTOR
    name, least = descriptor.full_name, _least(descriptor)

    def decode(raw: bytes) -> Any:
        try:
            if len(raw) >= least:
                _Count(raw).message(0, len(raw), descriptor, ())
            return build(raw)
        except (DecodeError, IndexError) as error:
            why = str(error) if isinstance(error, DecodeError) else "it ends in the middle"
        raise InvalidRequest(
            f"the request cannot be read as {name} ({why}): send it as protos/ describes it",
            code="INVALID_ARGUMENT",
            reason="UNDECODABLE",
            metadata={"message": name},
        )

    return decode


class _Field(NamedTuple):
    """The limits of a field: `most` entries (0: it is not repeated), and the limits inside each entry, which only one of `least` bytes
    can exceed."""

    name: str
    most: int
    packed: bool
    inside: Any
    least: int


_plans: Final[dict[Any, dict[int, _Field]]] = {}
"""The limits by descriptor, determined at the first use. They follow from the contract, so this is a cache, not
state."""


def _plan(descriptor: Any) -> dict[int, _Field]:
    plan = _plans.get(descriptor)
    if plan is None:
        repeated = _repeated(descriptor)
        plan = _plans[descriptor] = {
            field.number: _Field(
                field.name,
                MORE.get(field.full_name, MOST_ENTRIES) if field.number in repeated else 0,
                field.type not in _NEVER_PACKED,
                field.message_type,
                0 if field.message_type is None else _least(field.message_type),
            )
            for field in descriptor.fields
            if field.number in repeated or field.message_type is not None
        }
    return plan


def _repeated(descriptor: Any) -> set[int]:
    """The numbers of the repeated fields of a message."""
    proto = DescriptorProto()
    descriptor.CopyToProto(proto)  # works in all releases of protobuf
    return {field.number for field in proto.field if field.label == field.LABEL_REPEATED}


def _least(descriptor: Any) -> int:
    """The bytes of the shortest message of this kind that may have too many entries. An entry takes two bytes, its tag and its length,
    and one byte where entries are packed."""
    seen, kinds = set(), [descriptor]
    while kinds:
        kind = kinds.pop()
        seen.add(kind.full_name)
        repeated = _repeated(kind)
        for field in kind.fields:
            if field.message_type is not None:
                if field.message_type.full_name not in seen:
                    kinds.append(field.message_type)
            elif field.number in repeated and field.type not in _NEVER_PACKED:
                return MOST_ENTRIES
    return 2 * MOST_ENTRIES


class _Count:
    """Counts the fields of one body without creating objects."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._left = MOST_FIELDS
        self._everything = len(raw) >= 2 * MOST_FIELDS  # else a part that cannot exceed its own limit is not counted

    def message(self, at: int, end: int, descriptor: Any, path: tuple[str, ...]) -> None:
        """Raise InvalidRequest if a limit is exceeded, DecodeError or IndexError if the bytes are no message."""
        if len(path) > _DEEPEST:
            raise DecodeError(f"more than {_DEEPEST} messages within each other")
        raw, plan = self._raw, _plan(descriptor)
        counts: dict[int, int] = {}
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise invalid(".".join(path) or "request", f"more than {MOST_FIELDS:,} fields in one request")
            tag, begin = _varint(raw, at)
            size, kind, field = 0, tag & 7, plan.get(tag >> 3)
            if kind == _BYTES:
                size, begin = _varint(raw, begin)
            elif kind == _VARINT:
                _, begin = _varint(raw, begin)
            elif kind in _FIXED:
                size = _FIXED[kind]
            else:
                raise DecodeError("a field of no known kind")
            at = begin + size
            if at > end:
                raise DecodeError("a field is longer than its message")
            if field is None:
                continue
            if field.most:
                several = field.packed and kind == _BYTES
                entries = len(raw[begin:at].translate(None, _CONTINUED)) if several else 1
                found = counts[tag >> 3] = counts.get(tag >> 3, 0) + entries
                if found > field.most:
                    where = ".".join((*path, field.name))
                    raise invalid(where, f"more than {field.most:,} entries in one message: send several")
            if field.inside is not None and kind == _BYTES and (self._everything or size >= field.least):
                self.message(begin, at, field.inside, (*path, field.name))


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number that begins here, and the position after it."""
    value = raw[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for length in range(1, 10):
        byte = raw[at + length]
        value |= (byte & 0x7F) << 7 * length
        if byte < 0x80:
            return value, at + length + 1
    raise DecodeError("a number of more than ten bytes")
