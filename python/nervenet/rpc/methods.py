# SPDX-License-Identifier: Apache-2.0
"""Every method of the contract by its name, read from the descriptors.

Method names are unique over the three services, so `METHODS["GetWorkflow"]` is enough to call one. Why not the
generated stubs: a stub prepares all methods of a service for each channel, has no types to give, and cannot say which
of them may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from nervenet.v1 import agent_service_pb2, coordinator_service_pb2, registry_service_pb2

__all__ = ["HEALTH_CHECK", "HEALTH_WATCH", "METHODS", "SERVED", "SERVICES", "RpcMethod", "methods_of"]


class RpcMethod(NamedTuple):
    """One RPC.

    `repeatable`: a lost reply may be answered by asking again, if field `named_by` is set (protos/README.md, Common to
    all calls).
    """

    name: str
    service: str
    path: str
    request: Any
    answer: Any
    streams_in: bool
    streams_out: bool
    repeatable: bool
    named_by: str

    def repeatable_as(self, request: Any) -> bool:
        """Whether this very request may be sent twice."""
        return self.repeatable and (not self.named_by or bool(getattr(request, self.named_by)))


_ONCE: Final = frozenset({"StartWorkflows", "ResolveEscalation", "RegisterAgent"})
"""A lost reply of these leaves something behind that a second call would meet: a workflow without a name of the
caller's, a decision (an id without its number means the newest question: that may be another one by then), a lease."""

_NAMED_BY: Final = {"StartWorkflow": "workflow_id", "SignalWorkflow": "request_id", "RunTask": "request_id"}
"""Without it the node makes one up, another one each time."""


def _method(method: Any) -> RpcMethod:
    service = method.containing_service.full_name
    return RpcMethod(
        method.name,
        service,
        f"/{service}/{method.name}",
        GetMessageClass(method.input_type),
        GetMessageClass(method.output_type),
        method.client_streaming,
        method.server_streaming,
        method.name not in _ONCE,
        _NAMED_BY.get(method.name, ""),
    )


def methods_of(file: Any) -> dict[str, tuple[RpcMethod, ...]]:
    """The methods of each service that a generated module describes, by the service's full name."""
    services = file.DESCRIPTOR.services_by_name.values()
    return {service.full_name: tuple(_method(method) for method in service.methods) for service in services}


SERVED: Final[Mapping[str, tuple[RpcMethod, ...]]] = {
    **methods_of(coordinator_service_pb2),
    **methods_of(registry_service_pb2),
    **methods_of(agent_service_pb2),
}
"""The contract by service."""
METHODS: Final[Mapping[str, RpcMethod]] = {method.name: method for methods in SERVED.values() for method in methods}
SERVICES: Final = tuple(SERVED)

_HEALTH: Final = {method.name: method for method in methods_of(health_pb2)["grpc.health.v1.Health"]}
HEALTH_CHECK: Final = _HEALTH["Check"]
HEALTH_WATCH: Final = _HEALTH["Watch"]
"""Of grpc.health.v1: every node and agent serves it beside the contract."""
