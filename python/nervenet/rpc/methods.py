# SPDX-License-Identifier: Apache-2.0
"""Every method of the contract by its name, read from the descriptors.

Method names are unique in the three services, so `METHODS["GetWorkflow"]` is enough to call one. Rejected: the
generated stubs. A stub prepares all methods of a service for each channel, has no types, and does not know which of
them may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from nervenet.security.roles import JUDGED_AS, rpc_name
from nervenet.v1 import agent_service_pb2, coordinator_service_pb2, registry_service_pb2

__all__ = ["HEALTH_CHECK", "HEALTH_WATCH", "METHODS", "SERVED", "SERVICES", "RpcMethod", "methods_of"]


class RpcMethod(NamedTuple):
    """One RPC. `repeatable`: after a lost reply it may be called again, if the field `named_by` is set. `reads`: it changes
    nothing, and does not wait unless it is asked to."""

    name: str
    service: str
    path: str
    request: Any
    answer: Any
    streams_in: bool
    streams_out: bool
    repeatable: bool
    reads: bool
    named_by: str

    def repeatable_as(self, request: Any) -> bool:
        """Whether this request may be sent twice."""
        return self.repeatable and (not self.named_by or bool(getattr(request, self.named_by)))


_ONCE: Final = frozenset({"StartWorkflows", "ResolveEscalation", "RegisterAgent"})
"""Methods that must not be repeated after a lost reply, because the first call may have had an effect: a workflow
without an id of the caller, a decision (an id without number means the newest question, which may be another one by
then), a lease."""

_READS: Final = ("Get", "List", "Describe", "Select")
"""Beginnings of the names of methods that only read."""

_NAMED_BY: Final = {
    "StartWorkflow": "workflow_id",
    "SignalWorkflow": "request_id",
    "RunTask": "request_id",
    "RestartWorkflow": "run",
}
"""Without this field each call does it again: the node generates an id, or takes the run that there is by then."""


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
        method.name.startswith(_READS),
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
"""The methods of the contract, by service."""
METHODS: Final[Mapping[str, RpcMethod]] = {method.name: method for methods in SERVED.values() for method in methods}
SERVICES: Final = tuple(SERVED)
CALLS_IN_A_STREAM: Final[Mapping[str, RpcMethod]] = {
    rpc_name(stream): METHODS[rpc_name(call)] for stream, call in JUDGED_AS.items()
}
"""Streams whose messages are calls, and of which method."""

_HEALTH: Final = {method.name: method for method in methods_of(health_pb2)["grpc.health.v1.Health"]}
HEALTH_CHECK: Final = _HEALTH["Check"]
HEALTH_WATCH: Final = _HEALTH["Watch"]
"""Methods of grpc.health.v1, which each node and agent serves too."""
