# SPDX-License-Identifier: Apache-2.0
"""Server reflection under both of its names: grpc.reflection.v1 and grpc.reflection.v1alpha.

grpcio-reflection has v1alpha only, and newer clients ask for v1 first. The two have the same messages and fields, so
one servicer answers both. For clients that ask for the description of v1 itself, its descriptors are made of those of
v1alpha.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from nervenet.rpc.methods import RpcMethod, methods_of

__all__ = ["REFLECTION"]

V1: Final = "grpc.reflection.v1"
V1ALPHA: Final = "grpc.reflection.v1alpha"


def _describe_v1() -> None:
    """Put the descriptors of v1 into protobuf's own pool."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "grpc/reflection/v1/reflection.proto", V1
    _rename(file.message_type)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(V1ALPHA, V1)
            method.output_type = method.output_type.replace(V1ALPHA, V1)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


def _rename(messages: Iterable[DescriptorProto]) -> None:
    for message in messages:
        for field in message.field:
            if field.HasField("type_name"):  # a message or an enum
                field.type_name = field.type_name.replace(V1ALPHA, V1)
        _rename(message.nested_type)


def _methods() -> dict[str, tuple[RpcMethod, ...]]:
    alpha = methods_of(reflection_pb2)
    return alpha | {
        service.replace(V1ALPHA, V1): tuple(
            method._replace(service=service.replace(V1ALPHA, V1), path=method.path.replace(V1ALPHA, V1))
            for method in methods
        )
        for service, methods in alpha.items()
    }


_describe_v1()
REFLECTION: Final = _methods()
"""RpcMethod tables by the service's full name, as `methods_of` makes them."""
