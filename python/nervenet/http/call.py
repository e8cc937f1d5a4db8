# SPDX-License-Identifier: Apache-2.0
"""A call over HTTP, as the servicers see it: what they use of gRPC's context, and nothing else.

Here the caller is checked and the body is read too. Of the headers only the trace is passed to the method: others (as the
mark of a call that a node forwards) are for processes of the mesh, which use gRPC.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM
from nervenet.errors import InvalidRequest, RequestError
from nervenet.http.failures import HttpRefusal
from nervenet.rpc.bodies import MOST_BYTES
from nervenet.rpc.channels import NAMESPACE_KEY, TOKEN_KEY

if TYPE_CHECKING:
    from starlette.requests import Request

    from nervenet.rpc.guard import Guard
    from nervenet.rpc.namespaces import Guards

__all__ = ["BODY_WITHIN", "TLS_STATE", "BodyBytes", "HttpCall", "body_of", "check_caller", "timeout_of"]

SYSTEM_NAME: Final = "connect_rpc"
"""The name of this protocol in metrics (OpenTelemetry's)."""
TLS_STATE: Final = "tls"
"""Where the state of a request has its connection, as an SSLObject."""
BODY_WITHIN: Final = 30.0
"""Seconds in which a body must be complete."""
_TRACE: Final = ("traceparent", "tracestate", "baggage")
_LONGEST_TIMEOUT: Final = 10
"""Digits, as the Connect protocol has it."""


class HttpCall:
    """What servicers ask of the context of a call."""

    def __init__(self, headers: list[tuple[str, str]], timeout: float | None) -> None:
        self._headers = headers
        self._ends = None if timeout is None else SYSTEM.monotonic() + timeout

    @classmethod
    def of(cls, request: Request, timeout: float | None) -> HttpCall:
        return cls([(key, value) for key, value in request.headers.items() if key in _TRACE], timeout)

    def time_remaining(self) -> float | None:
        """Seconds until the deadline. None: there is none."""
        return None if self._ends is None else max(0.0, self._ends - SYSTEM.monotonic())

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return self._headers


def check_caller(guards: Guards, request: Request) -> Guard:
    """Learn who calls (`current_call()`), and in which namespace. Raises RequestError for wrong credentials or another
    namespace.

    The namespace is in the header `nervenet-namespace`, or in the query, since a browser's EventSource sends no headers.

    Returns:
        The guard of the namespace.
    """
    namespaces = request.headers.getlist(NAMESPACE_KEY) or request.query_params.getlist("namespace")
    guard = guards.of(namespaces[0] if namespaces else "")
    found = [(NAMESPACE_KEY, namespace) for namespace in namespaces]
    found += [(TOKEN_KEY, token) for token in request.headers.getlist(TOKEN_KEY)]
    try:
        guard.admit([(key, value) for key, value in found if value])
        guard.certify(lambda identity: identity.of_ssl(request.scope["state"].get(TLS_STATE)))
    except RequestError as error:
        guard.timed(request.url.path, error.code, SYSTEM.monotonic(), SYSTEM_NAME)
        raise
    return guard


def timeout_of(request: Request) -> float | None:
    """Seconds that the caller waits. Raises InvalidRequest for a header that is no number."""
    text = request.headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIMEOUT):
        raise InvalidRequest(
            f"Connect-Timeout-Ms: {text[:40]!r} is no number of milliseconds, of {_LONGEST_TIMEOUT} digits at most",
            code="INVALID_ARGUMENT",
            reason="INVALID_FIELD",
        )
    return int(text) / 1000


class BodyBytes:
    """Counts the bytes of bodies that are on their way, over all connections of a server."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self.now = 0

    def add(self, count: int) -> None:
        """More have come. Raises HttpRefusal if these are too many at once."""
        self.now += count
        if self.now > self._most:
            words = (
                f"{self._most >> 20} MiB of requests are being received, the most at once: send it again in a second"
            )
            closes = {"Connection": "close", "Retry-After": "1"}
            raise HttpRefusal(429, "RESOURCE_EXHAUSTED", words, reason="MEMORY_FULL", headers=closes)


async def body_of(request: Request, limit: int, coming: BodyBytes | None = None) -> bytes:
    """The body. Raises HttpRefusal where it is too large, does not come, or comes beside too many others."""
    coming = coming or BodyBytes()
    too_large = HttpRefusal(
        413,
        "RESOURCE_EXHAUSTED",
        f"the body is larger than {limit:,} bytes, the most that this node reads: send several requests",
        reason="PAYLOAD_TOO_LARGE",
    )
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise too_large
    parts = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for part in request.stream():
                parts += part
                coming.add(len(part))
                if len(parts) > limit:
                    raise too_large
    except TimeoutError:
        words = f"the body did not come within {BODY_WITHIN:g} s"
        raise HttpRefusal(408, "DEADLINE_EXCEEDED", words, reason="", headers={"Connection": "close"}) from None
    finally:
        coming.now -= len(parts)
    return bytes(parts)
