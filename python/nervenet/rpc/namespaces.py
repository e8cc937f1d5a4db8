# SPDX-License-Identifier: Apache-2.0
"""One server for several namespaces: each has a guard with servicers of its own, and a call goes to that of its namespace.

    guards = GuardsByNamespace({"team-a": …, "team-b": …}, nobody)
    server.add_generic_rpc_handlers((guards,))
    guards.put("team-a", guard)                  # from now on

The namespace is in the metadata of the call. A call that names none is of the first one. One that names a namespace that
is not served goes to the guard `nobody`, which checks the caller as the others do and then refuses: so whether a namespace
is served here is told to nobody who may not call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from nervenet.grpc_import import grpc
from nervenet.rpc.channels import NAMESPACE_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nervenet.rpc.guard import Guard

__all__ = ["Guards", "GuardsByNamespace"]


class Guards(Protocol):
    """A guard for each namespace."""

    def of(self, namespace: str) -> Guard:
        """The guard for calls that name this namespace; "": they name none."""
        ...


class GuardsByNamespace(grpc.GenericRpcHandler):
    """See the module."""

    def __init__(self, guards: Mapping[str, Guard], nobody: Guard) -> None:
        self._guards = dict(guards)
        self._first = next(iter(guards))
        self._nobody = nobody

    def __repr__(self) -> str:
        return f"<GuardsByNamespace {', '.join(self._guards)}>"

    def put(self, namespace: str, guard: Guard) -> None:
        """Replace the guard of a namespace."""
        assert namespace in self._guards
        self._guards[namespace] = guard

    def of(self, namespace: str) -> Guard:
        return self._guards.get(namespace or self._first, self._nobody)

    def service(self, handler_call_details: Any) -> Any:
        """Called by gRPC for each call."""
        namespace = ""
        for key, value in handler_call_details.invocation_metadata or ():
            if key == NAMESPACE_KEY:
                namespace = value
        return self.of(namespace).service(handler_call_details)
