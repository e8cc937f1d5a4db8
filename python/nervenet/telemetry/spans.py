# SPDX-License-Identifier: Apache-2.0
"""Spans as plain values, and the tracing that is off: what everybody else in the house knows of telemetry.

`Telemetry` itself does nothing, and that is what most processes have: no SDK is imported, each question costs a flag
test. `sdk.py` has the one that works; `start` picks.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeAlias

from nervenet.records import NO_TRACE, Trace

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]
Attributes: TypeAlias = Mapping[str, str | int | float | bool]

LONGEST_DESCRIPTION = 1_000
"""So much of an error's text is its status' description."""

_SERVER_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""The codes that are errors of a SERVER span too (semantic conventions, gRPC); in a CLIENT span all but OK are."""


class Span(NamedTuple):
    """A finished span. `trace` is any context of its trace; `links` are span ids of the same trace.

    `error` is the description of the status ERROR; None leaves the status unset.
    """

    name: str
    kind: Kind
    trace: Trace
    span_id: bytes
    parent_id: bytes  # b"" = the trace begins here
    start_ns: int
    end_ns: int
    attributes: Attributes
    links: tuple[bytes, ...] = ()
    error: str | None = None
    remote: bool = False  # the parent is in another process


class RpcSpan:
    """One RPC, seen from one end. `trace` is the context to continue with: the call's own span, if there is one.

    As a context manager it ends with the code of the RequestError that leaves it.
    """

    __slots__ = ("trace",)

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is None:
            self.end()
        else:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The call is over, with the code of a RequestError or what other errors come to."""
        self.end(_code(error), str(error))

    def end(self, code: str = "OK", message: str = "") -> None:
        """The call is over; only the first end counts."""


class Handling:
    """What a handler does, while it does it: the span that the user's own spans are children of."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """The handler is over."""

    def failed(self, type: str, message: str) -> None:
        """Its status is ERROR."""

    def note(self, key: str, value: str | float | bool) -> None:
        """One more attribute."""


class Telemetry:
    """Tracing that is off."""

    on: ClassVar[bool] = False
    service = ""  # the name that this process has in traces

    def __repr__(self) -> str:
        return f"<Telemetry {'on' if self.on else 'off'}>"

    def outgoing(self, method: str, attributes: Attributes | None = None) -> RpcSpan:
        """A CLIENT span below the caller's current span. When off, the caller's own context is still passed on."""
        return RpcSpan(self.here())

    def incoming(self, method: str, trace: Trace, attributes: Attributes | None = None) -> RpcSpan:
        """A SERVER span below the caller's (`trace`, checked), where that is sampled or the sampler takes it."""
        return RpcSpan(trace)

    def handling(
        self, name: str, trace: Trace, span_id: bytes, attributes: Attributes, *, start_ns: int | None = None
    ) -> Handling:
        """A CONSUMER span with that id below `trace`, current inside the context, linked to its producer."""
        return _NOT_TRACED

    def activated(self, trace: Trace) -> AbstractContextManager[Any]:
        """`trace` is the current context inside: for the process that runs a handler for its agent."""
        return nullcontext()

    def here(self) -> Trace:
        """The current context of the calling code, if it uses OpenTelemetry."""
        if "opentelemetry.trace" not in sys.modules:
            return NO_TRACE
        from nervenet.telemetry.ambient import here  # only if the caller has imported OpenTelemetry

        return here()

    def export(self, spans: Iterable[Span]) -> None:
        """Pass finished spans on. Returns at once."""

    def shutdown(self, grace: float = 3.0) -> None:
        """Send what is left. Blocks for at most `grace` seconds."""


OFF = Telemetry()
_NOT_TRACED = Handling()


def rpc_attributes(method: str, code: str) -> dict[str, str | int | float | bool]:
    return {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code}


def is_error(kind: Kind, code: str) -> bool:
    """Whether that status code makes the span of that end an error."""
    return code != "OK" if kind == "client" else code in _SERVER_FAULTS


def _code(error: BaseException) -> str:
    code = getattr(error, "code", None)
    if isinstance(code, str) and code:
        return code
    if isinstance(error, TimeoutError):
        return "DEADLINE_EXCEEDED"
    return "CANCELLED" if isinstance(error, CancelledError) else "UNKNOWN"
