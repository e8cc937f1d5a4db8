# SPDX-License-Identifier: Apache-2.0
"""The roles, and the one table of what may be called: each RPC and each HTTP route, with the roles that may use it.

    ACCESS["/nervenet.v1.CoordinatorService/CancelWorkflow"]     # Access(roles={client, operator, node}, changes=True, …)
    ACCESS["GET /metrics"].is_open                               # nobody needs a role for it

What has no row here is refused to everybody. `tests/policy/test_table.py` compares the table with the descriptors of all
services and with the routes of the HTTP door, so a new RPC needs a row before it can be merged.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple

__all__ = ["ACCESS", "ALL_ROLES", "JUDGED_AS", "About", "Access", "Role", "included", "rpc_name"]


class Role(StrEnum):
    """What somebody does in a namespace. A caller may have several."""

    VIEWER = "viewer"
    """Reads everything: workflows, journals, agents, nodes, questions. Changes nothing."""
    CLIENT = "client"
    """Starts, signals and cancels workflows, runs single tasks; reads like a viewer."""
    RESOLVER = "resolver"
    """Answers questions to humans; reads like a viewer."""
    AGENT = "agent"
    """Serves the capabilities that its binding names, under its own registrations. Reads nothing else."""
    OPERATOR = "operator"
    """What viewers, clients and resolvers do; also drains, retries, restarts, and puts definitions."""
    NODE = "node"
    """Everything: a node asks other nodes and agents on behalf of callers that it has checked."""


ALL_ROLES: Final = frozenset(Role)

_INCLUDED: Final = {
    Role.VIEWER: {Role.VIEWER},
    Role.CLIENT: {Role.CLIENT, Role.VIEWER},
    Role.RESOLVER: {Role.RESOLVER, Role.VIEWER},
    Role.AGENT: {Role.AGENT},
    Role.OPERATOR: {Role.OPERATOR, Role.CLIENT, Role.RESOLVER, Role.VIEWER},
    Role.NODE: set(Role),
}


def included(role: Role) -> frozenset[Role]:
    """The role, and the roles whose rights it has too."""
    return frozenset(_INCLUDED[role])


About = Literal["", "workflow", "capability", "agent"]


class Access(NamedTuple):
    """One row.

    Attributes:
        least: The least role that may call it; None: it is open to everybody, without credentials.
        roles: All roles that may call it.
        changes: Whether it changes something, so that each call is in the audit log.
        about: What its requests name, which a rule can limit: workflows, capabilities, or an agent of the caller's own.
        why: For an open row: why it needs no role.
    """

    least: Role | None
    roles: frozenset[Role]
    changes: bool
    about: About
    why: str

    @property
    def is_open(self) -> bool:
        return self.least is None


def _row(least: Role, *, changes: bool = False, about: About = "") -> Access:
    return Access(least, frozenset(role for role in Role if least in included(role)), changes, about, "")


def _open(why: str) -> Access:
    return Access(None, ALL_ROLES, False, "", why)


_ANY: Final = Access(Role.VIEWER, ALL_ROLES, False, "", "")
"""Any role at all, agents included."""
_COORDINATOR: Final = {
    "StartWorkflow": _row(Role.CLIENT, changes=True, about="workflow"),
    "StartWorkflows": _row(Role.CLIENT, changes=True, about="workflow"),
    "StreamStarts": _row(Role.CLIENT, changes=True, about="workflow"),
    "AwaitWorkflows": _row(Role.VIEWER, about="workflow"),
    "GetWorkflow": _row(Role.VIEWER, about="workflow"),
    "ListWorkflows": _row(Role.VIEWER, about="workflow"),
    "ListWaits": _row(Role.VIEWER, about="workflow"),
    "ListJournal": _row(Role.VIEWER, about="workflow"),
    "WatchWorkflow": _row(Role.VIEWER, about="workflow"),
    "SignalWorkflow": _row(Role.CLIENT, changes=True, about="workflow"),
    "CancelWorkflow": _row(Role.CLIENT, changes=True, about="workflow"),
    "RetryWorkflow": _row(Role.OPERATOR, changes=True, about="workflow"),
    "RestartWorkflow": _row(Role.OPERATOR, changes=True, about="workflow"),
    "RunTask": _row(Role.CLIENT, changes=True, about="workflow"),
    "ListEscalations": _row(Role.VIEWER, about="workflow"),
    "GetEscalation": _row(Role.VIEWER, about="workflow"),
    "ResolveEscalation": _row(Role.RESOLVER, changes=True, about="workflow"),
    "PutDefinition": _row(Role.OPERATOR, changes=True, about="workflow"),
    "GetDefinition": _row(Role.VIEWER, about="workflow"),
    "ListDefinitions": _row(Role.VIEWER, about="workflow"),
}
_REGISTRY: Final = {
    "RegisterAgent": _row(Role.AGENT, changes=True, about="capability"),
    "Heartbeat": _row(Role.AGENT, about="agent"),
    "DeregisterAgent": _row(Role.AGENT, changes=True, about="agent"),
    "GetAgent": _row(Role.VIEWER),
    "ListAgents": _row(Role.VIEWER),
    "ListEjections": _row(Role.VIEWER),
    "WatchAgents": _row(Role.VIEWER),
    "SelectAgent": _row(Role.VIEWER),
    "ListNodes": _row(Role.VIEWER),
    "DrainNode": _row(Role.OPERATOR, changes=True),
}
_AGENT: Final = {
    "DescribeAgent": _row(Role.VIEWER),
    "GetLoad": _row(Role.VIEWER),
    "ListActiveTasks": _row(Role.VIEWER, about="workflow"),
    "DrainAgent": _row(Role.OPERATOR, changes=True),
    "ResumeAgent": _row(Role.OPERATOR, changes=True),
    "CancelTask": _row(Role.OPERATOR, changes=True),
    "Connect": _row(Role.AGENT, changes=True, about="capability"),
}
_HEALTH: Final = "probes of Kubernetes and load balancers have no credentials; it tells only whether a process serves"
_CHANNELZ: Final = (
    "GetTopChannels",
    "GetServers",
    "GetServer",
    "GetServerSockets",
    "GetChannel",
    "GetSubchannel",
    "GetSocket",
)
_SCALER: Final = ("IsActive", "StreamIsActive", "GetMetricSpec", "GetMetrics")

ACCESS: Final[dict[str, Access]] = {
    **{f"/nervenet.v1.CoordinatorService/{name}": row for name, row in _COORDINATOR.items()},
    **{f"/nervenet.v1.RegistryService/{name}": row for name, row in _REGISTRY.items()},
    **{f"/nervenet.v1.AgentService/{name}": row for name, row in _AGENT.items()},
    "/grpc.health.v1.Health/Check": _open(_HEALTH),
    "/grpc.health.v1.Health/Watch": _open(_HEALTH),
    "/grpc.health.v1.Health/List": _row(Role.VIEWER),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _ANY,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": _ANY,
    **{f"/grpc.channelz.v1.Channelz/{name}": _row(Role.OPERATOR) for name in _CHANNELZ},
    **{f"/externalscaler.ExternalScaler/{name}": _row(Role.VIEWER) for name in _SCALER},
    "GET /live/workflows/{workflow_id:path}": _row(Role.VIEWER, about="workflow"),
    "POST /live": _row(Role.VIEWER),
    "GET /{file:path}": _open("the dashboard's files are the same for everybody, and hold no data of the mesh"),
    "GET /metrics": _open("Prometheus reads it at an address of its own (NERVENET_METRICS), which only it must reach"),
}
"""By the path of an RPC, or method and route of HTTP. `POST /{service}/{method}` over HTTP has the row of its RPC."""
JUDGED_AS: Final = {"/nervenet.v1.CoordinatorService/StreamStarts": "/nervenet.v1.CoordinatorService/StartWorkflows"}
"""Streams whose messages are calls: each is judged and recorded as such a call, and a rule for one of the two is for both."""


def rpc_name(path: str) -> str:
    """`/nervenet.v1.CoordinatorService/GetWorkflow` → `GetWorkflow`; a route of HTTP as it is."""
    return path.rpartition("/")[2] if path.startswith("/") else path
