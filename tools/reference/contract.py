# SPDX-License-Identifier: Apache-2.0
"""The page of the contract: services, messages and enums with the comments above them."""

from __future__ import annotations

from collections.abc import Iterator

from descriptors import ENUM, FIELD, MESSAGE, METHOD, NESTED, NESTED_ENUM, SERVICE, VALUE, Comments, files
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from tables import anchor, table

_SCALARS = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}


def page() -> str:
    parts = [
        "The protos are in [protos](../../protos). Fields without `optional` have proto3's default where they are not set."
    ]
    for file in files():
        parts += _services(file)
    parts.append("## Messages")
    for file in files():
        comments = Comments(file)
        for number, message in enumerate(file.message_type):
            parts += _message(message, message.name, comments, (MESSAGE, number))
    parts.append("## Enums")
    for file in files():
        comments = Comments(file)
        for number, enum in enumerate(file.enum_type):
            parts += _enum(enum, enum.name, comments, (ENUM, number))
        for number, message in enumerate(file.message_type):
            for inner, enum in enumerate(message.enum_type):
                parts += _enum(enum, f"{message.name}.{enum.name}", comments, (MESSAGE, number, NESTED_ENUM, inner))
    return "\n\n".join(parts)


def _services(file: FileDescriptorProto) -> Iterator[str]:
    comments = Comments(file)
    for number, service in enumerate(file.service):
        yield f"## {service.name}"
        yield comments.of(SERVICE, number)
        rows = []
        for at, method in enumerate(service.method):
            given = ("stream " if method.client_streaming else "") + _link(method.input_type)
            answer = ("stream " if method.server_streaming else "") + _link(method.output_type)
            rows.append((f"**{method.name}**", given, answer, comments.of(SERVICE, number, METHOD, at)))
        yield table(("method", "request", "response", "meaning"), rows)


def _message(message: DescriptorProto, name: str, comments: Comments, path: tuple[int, ...]) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield f"### {name}"
    yield comments.of(*path)
    maps = {inner.name: inner for inner in message.nested_type if inner.options.map_entry}
    rows = []
    for number, field in enumerate(message.field):
        rows.append((f"`{field.name}`", _type(field, maps), comments.of(*path, FIELD, number)))
    if rows:
        yield table(("field", "type", "meaning"), rows)
    for number, inner in enumerate(message.nested_type):
        yield from _message(inner, f"{name}.{inner.name}", comments, (*path, NESTED, number))


def _type(field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
    entry = maps.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        return f"map of {_type(entry.field[0], {})} to {_type(entry.field[1], {})}"
    found = _link(field.type_name) if field.type_name else _SCALARS[field.type]
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {found}"
    return f"optional {found}" if field.proto3_optional else found


def _link(name: str) -> str:
    own = name.removeprefix(".nervenet.v1.")
    return name.removeprefix(".") if own == name else f"[{own}](#{anchor(own)})"


def _enum(enum: EnumDescriptorProto, name: str, comments: Comments, path: tuple[int, ...]) -> Iterator[str]:
    yield f"### {name}"
    yield comments.of(*path)
    values = [
        (f"`{value.name}`", str(value.number), comments.of(*path, VALUE, at)) for at, value in enumerate(enum.value)
    ]
    yield table(("value", "number", "meaning"), values)
