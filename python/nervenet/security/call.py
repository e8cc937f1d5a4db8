# SPDX-License-Identifier: Apache-2.0
"""The call that this task serves: who makes it, and in which namespace.

    call = current_call()
    call.caller.subject, call.namespace          # ("spiffe://example.com/agent/7", "default")

The guard of a server (`nervenet.rpc.guard`) sets it before anything of the request is decoded. gRPC serves each call in a task of
its own, and so does the HTTP door, so a context variable is the call's own; tasks that the call starts see it too.
Rejected: an attribute of gRPC's context, which is a class of C without room for one.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from nervenet.security.caller import Caller

__all__ = ["CURRENT_CALL", "IdentifiedCall", "current_call", "subject_of_caller"]


class IdentifiedCall(NamedTuple):
    """A call whose caller is known. Whether the caller may make it is for the rules to say."""

    caller: Caller
    namespace: str
    asked: str = ""
    """The namespace that the call names; "" where it names none, and gets that of the server."""


CURRENT_CALL: Final[ContextVar[IdentifiedCall]] = ContextVar("nervenet_current_call")


def current_call() -> IdentifiedCall:
    """The call that this task serves. Raises LookupError outside of a call: a guard never lets an unidentified call through."""
    return CURRENT_CALL.get()


def subject_of_caller() -> str:
    """The name of the caller that this task serves; "" where it has none, and outside of a call."""
    call = CURRENT_CALL.get(None)
    return "" if call is None else call.caller.subject
