# SPDX-License-Identifier: Apache-2.0
"""What stands before every method of ours: namespace and token are looked at, refusals become statuses.

    generated.add_AgentServiceServicer_to_server(guard.around(servicer), server)

A servicer behind a guard raises RequestError (or whatever `translate` makes one of) and never touches gRPC's own
statuses. Wrapped once, at the start: gRPC's interceptors do the same with a lookup and a coroutine for each call.
Streams are async generators and stay so.
"""

from __future__ import annotations

import hmac
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc.aio

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import RequestError, Unauthorized
from nervenet.rpc.channels import NAMESPACE_KEY, TOKEN_KEY
from nervenet.rpc.methods import METHODS
from nervenet.rpc.status import check_values, not_yet, status_of
from nervenet.telemetry import from_metadata
from nervenet.wire import has_checks

if TYPE_CHECKING:
    from nervenet.config import Config
    from nervenet.records import Trace
    from nervenet.rpc.methods import Method

__all__ = ["LONGEST_WAIT", "Guard", "time_to_wait", "trace_of"]

LONGEST_WAIT: Final = 60.0
_ROOM: Final = 0.5
_TOKEN_FRESH: Final = 1.0

_log = logging.getLogger(__name__)

Translate = Callable[[Exception], RequestError | None]


def time_to_wait(wait: float, context: grpc.aio.ServicerContext[Any, Any]) -> float:
    """Seconds that a call may be kept open: what it asks for, at most a minute, ending before its deadline does."""
    left: float | None = context.time_remaining()  # None: it has no deadline, which the types do not say
    return max(0.0, min(wait, LONGEST_WAIT, (left or LONGEST_WAIT + _ROOM) - _ROOM))


def trace_of(context: grpc.aio.ServicerContext[Any, Any]) -> Trace:
    """The W3C context that came in the call's metadata."""
    return from_metadata(context.invocation_metadata())


async def _later(request: Any, context: Any) -> Any:
    """What a servicer does not have."""
    raise not_yet("this process does not serve that call in this version")


async def _later_stream(request: Any, context: Any) -> AsyncIterator[Any]:
    raise not_yet("this process does not serve that call in this version")
    yield  # type: ignore[unreachable]  # makes it a stream


async def _each_checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        check_values(request)
        yield request


class Guard:
    """One for each server."""

    def __init__(self, config: Config, translate: Translate = lambda error: None, clock: Clock = SYSTEM) -> None:
        self._config = config
        self._translate = translate
        self._clock = clock
        self._token: str | None = None
        self._token_until = 0.0

    def around(self, servicer: object) -> Any:
        """The servicer's methods behind this guard, for the generated `add_…_to_server`."""
        kept: dict[str, Any] = {}
        for name, rpc in METHODS.items():
            method = getattr(servicer, name, None) or (_later_stream if rpc.streams_out else _later)
            kept[name] = self._stream(method, rpc) if inspect.isasyncgenfunction(method) else self._unary(method)
        return SimpleNamespace(**kept)

    def _unary(self, method: Any) -> Any:
        async def guarded(request: Any, context: Any) -> Any:
            try:
                self._check(context)
                check_values(request)
                return await method(request, context)
            except Exception as error:  # noqa: BLE001  # every one is answered, the unknown ones logged too
                await self._refuse(error, context, method)

        return guarded

    def _stream(self, method: Any, rpc: Method) -> Any:
        async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                self._check(context)
                if not rpc.streams_in:
                    check_values(request)
                elif has_checks(rpc.request):
                    request = _each_checked(request)
                async with aclosing(method(request, context)) as answers:
                    async for answer in answers:
                        yield answer
            except Exception as error:  # noqa: BLE001  # as above
                await self._refuse(error, context, method)

        return guarded

    def _check(self, context: Any) -> None:
        namespace = authorization = ""
        for key, value in context.invocation_metadata() or ():
            if key == NAMESPACE_KEY:
                namespace = value
            elif key == TOKEN_KEY:
                authorization = value
        mine = self._config.namespace
        if namespace and namespace != mine:
            raise Unauthorized(
                f"this process serves namespace {mine!r}, not {namespace!r}: ask a node of that one (NERVENET_ADDRESS), "
                "or ask in this one (NERVENET_NAMESPACE)",
                code="PERMISSION_DENIED",
                reason="WRONG_NAMESPACE",
            )
        token = self._current_token()
        if token is not None and not hmac.compare_digest(f"Bearer {token}".encode(), str(authorization).encode()):
            words = "the token is not accepted" if authorization else "this process wants a token (NERVENET_TOKEN)"
            raise Unauthorized(words, code="UNAUTHENTICATED", reason="BAD_TOKEN")

    def _current_token(self) -> str | None:
        """A token file is read again once a second, not at each call."""
        now = self._clock.monotonic()
        if now >= self._token_until:
            self._token, self._token_until = self._config.current_token(), now + _TOKEN_FRESH
        return self._token

    async def _refuse(self, error: Exception, context: Any, method: Any) -> NoReturn:
        if isinstance(error, (grpc.aio.AbortError, grpc.aio.UsageError)):
            raise error
        refusal = error if isinstance(error, RequestError) else self._translate(error)
        if refusal is None:
            _log.error("%s failed", method.__name__, exc_info=error)
            words = f"{type(error).__name__} in {method.__name__}; the node's log says more"
            refusal = RequestError(words, code="INTERNAL", reason="INTERNAL_ERROR")
        await context.abort(*status_of(refusal))
        raise AssertionError  # abort has raised
