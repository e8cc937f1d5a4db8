# SPDX-License-Identifier: Apache-2.0
"""The guard of each served method: it checks the caller first, then reads the request, then calls the method.

    guard = Guard(config, Tokens(config), translate)
    guard.add(SERVED["nervenet.v1.AgentService"], servicer)
    server.add_generic_rpc_handlers((guard,))

gRPC asks the guard for a handler as soon as it has the metadata of a call. A refused call gets a handler that never
reads the body, so a caller without a token cannot make the server create objects. Other calls get the handler of their
method. It decodes the message itself, because gRPC answers UNKNOWN with a traceback if its own deserializer fails.

A servicer behind a guard raises RequestError, or an error that `translate` turns into one, and never uses gRPC's
statuses. Rejected: gRPC's interceptors, which need a coroutine for each call. Streams are async generators.

The HTTP door (`nervenet.http`) serves the same methods through the same guard: it takes them from `methods`, and asks
`check` and `refusal`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import grpc.aio

from nervenet.clock import SYSTEM
from nervenet.errors import RequestError, Unauthorized
from nervenet.metrics import Family, Histogram, catalog
from nervenet.rpc.channels import NAMESPACE_KEY, TOKEN_KEY
from nervenet.rpc.decoding import decoder
from nervenet.rpc.methods import HEALTH_CHECK, HEALTH_WATCH
from nervenet.rpc.status import check_values, not_yet, status_of
from nervenet.telemetry import from_metadata
from nervenet.wire import has_checks

if TYPE_CHECKING:
    from nervenet.config import Config
    from nervenet.records import Trace
    from nervenet.rpc.methods import RpcMethod
    from nervenet.rpc.tokens import Tokens

__all__ = ["LONGEST_WAIT", "Guard", "GuardedMethod", "Ready", "time_to_wait", "trace_of"]

LONGEST_WAIT: Final = 60.0
_ROOM: Final = 0.5
_OPEN: Final = frozenset({HEALTH_CHECK.path, HEALTH_WATCH.path})
"""Methods without a token and in any namespace: the probes of Kubernetes and load balancers have none, and nodes watch
each other with them. They only tell whether a name that the caller knows is served here."""

_UNKNOWN: Final = "/_OTHER"
"""What the convention calls a method that does not exist."""

_log = logging.getLogger(__name__)

Translate = Callable[[Exception], RequestError | None]
Ready = Callable[["RpcMethod", float], Awaitable[None]]
"""Called before each unary call that has a deadline, with the seconds that are left. It may raise the reason why the call cannot be
answered now."""
Status = tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]


def time_to_wait(wait: float, context: grpc.aio.ServicerContext[Any, Any]) -> float:
    """Seconds that a call may stay open: the requested time, at most a minute, and less than its deadline."""
    left: float | None = context.time_remaining()  # None: it has no deadline; gRPC's types do not have this
    return max(0.0, min(wait, LONGEST_WAIT, (left or LONGEST_WAIT + _ROOM) - _ROOM))


def trace_of(context: grpc.aio.ServicerContext[Any, Any]) -> Trace:
    """The W3C trace context in the call's metadata."""
    return from_metadata(context.invocation_metadata())


async def _later(request: Any, context: Any) -> Any:
    """The method for those that a servicer does not have."""
    raise not_yet("this process does not serve that call in this version")


class GuardedMethod(NamedTuple):
    """A method with its servicer. `read` turns the bytes of a request into its message, or raises RequestError."""

    rpc: RpcMethod
    serve: Callable[[Any, Any], Any]
    read: Callable[[Any], Any]


class Guard(grpc.GenericRpcHandler):
    """The guard of one server."""

    def __init__(
        self,
        config: Config,
        tokens: Tokens,
        translate: Translate = lambda error: None,
        calls: Family[Histogram] | None = None,
        ready: Ready | None = None,
    ) -> None:
        self._namespace = config.namespace
        self._calls = calls or Family.of_histograms(catalog.RPC_SERVER)
        self._tokens = tokens
        self._translate = translate
        self._ready = ready
        self._handlers: dict[str, Any] = {}
        self.methods: dict[str, GuardedMethod] = {}
        """By path."""

    def add(self, methods: Iterable[RpcMethod], servicer: object) -> None:
        """Serve these methods with the servicer's methods of the same names."""
        for rpc in methods:
            method = getattr(servicer, rpc.name, _later)
            self.methods[rpc.path] = GuardedMethod(rpc, method, _reader(rpc))
            guarded = self._stream(rpc, method) if inspect.isasyncgenfunction(method) else self._once(rpc, method)
            shape = f"{'stream' if rpc.streams_in else 'unary'}_{'stream' if rpc.streams_out else 'unary'}"
            make = getattr(grpc, f"{shape}_rpc_method_handler")
            self._handlers[rpc.path] = make(guarded, response_serializer=rpc.answer.SerializeToString)

    def service(self, handler_call_details: Any) -> Any:
        """Called by gRPC for each call. None: the method does not exist."""
        if handler_call_details.method not in _OPEN:
            try:
                self.check(handler_call_details.invocation_metadata)
            except RequestError as error:
                refused = status_of(error)
                self.timed(handler_call_details.method, refused[0].name, SYSTEM.monotonic())
                return _refusing(refused)
        return self._handlers.get(handler_call_details.method)

    def check(self, metadata: Iterable[tuple[str, Any]] | None) -> None:
        """Raise RequestError if a caller with this metadata must be refused: its token, its namespace."""
        namespace = authorization = ""
        for key, value in metadata or ():
            if key == NAMESPACE_KEY:
                namespace = value
            elif key == TOKEN_KEY:
                authorization = value
        self._tokens.check(authorization)
        if namespace and namespace != self._namespace:
            raise Unauthorized(
                f"this process serves namespace {self._namespace!r}, not {namespace!r}: ask a node of that one "
                "(NERVENET_ADDRESS), or ask in this one (NERVENET_NAMESPACE)",
                code="PERMISSION_DENIED",
                reason="WRONG_NAMESPACE",
            )

    async def until_ready(self, rpc: RpcMethod, context: Any) -> None:
        """Wait until a unary call can be answered. Raises the reason why it cannot be answered before its deadline."""
        if self._ready is not None and (left := context.time_remaining()) is not None:
            await self._ready(rpc, left)

    def _once(self, rpc: RpcMethod, method: Any) -> Any:
        read = _reader(rpc)

        async def guarded(raw: Any, context: Any) -> Any:
            began, code = SYSTEM.monotonic(), "CANCELLED"
            try:
                await self.until_ready(rpc, context)
                answer = await method(read(raw), context)
                code = "OK"
                return answer
            except Exception as error:  # noqa: BLE001  # each error is answered; unknown ones are logged too
                status = self._status(error, rpc)
                code = status[0].name
            finally:
                self.timed(rpc.path, code, began)
            del raw
            await context.abort(*status)
            raise AssertionError  # abort has raised

        return guarded

    def _stream(self, rpc: RpcMethod, method: Any) -> Any:
        read = _reader(rpc)

        async def guarded(raw: Any, context: Any) -> AsyncIterator[Any]:
            began, code = SYSTEM.monotonic(), "CANCELLED"
            try:
                async with aclosing(method(read(raw), context)) as answers:
                    async for answer in answers:
                        yield answer
                code = "OK"
                return
            except Exception as error:  # noqa: BLE001  # as above
                status = self._status(error, rpc)
                code = status[0].name
            finally:
                self.timed(rpc.path, code, began)
            del raw
            await context.abort(*status)

        return guarded

    def timed(self, path: str, code: str, began: float, system: str = "grpc") -> None:
        """Count a call that is over."""
        failed = "" if code == "OK" else code
        known = path if path in self._handlers else _UNKNOWN
        self._calls.child(system, known[1:], code, failed).observe(SYSTEM.monotonic() - began)

    def _status(self, error: Exception, rpc: RpcMethod) -> Status:
        """The status for the caller.

        No reference to the request may remain when gRPC aborts the call: gRPC keeps the exception until the next
        garbage collection, and with it the local variables of our frames, which may be megabytes.
        """
        if isinstance(error, (grpc.aio.AbortError, grpc.aio.UsageError)):
            raise error
        return status_of(self.refusal(error, rpc))

    def refusal(self, error: Exception, rpc: RpcMethod) -> RequestError:
        """What the caller is told about an error. One that nobody expected is logged."""
        refusal = error if isinstance(error, RequestError) else self._translate(error)
        if refusal is None:
            _log.error("%s failed", rpc.name, exc_info=error)
            words = f"{type(error).__name__} in {rpc.name}; the node's log says more"
            refusal = RequestError(words, reason="INTERNAL")
        return refusal


def _reader(rpc: RpcMethod) -> Callable[[Any], Any]:
    """A function that decodes a call's request: bytes to a message, or a stream of bytes to a stream of messages."""
    decode, checks = decoder(rpc.request), has_checks(rpc.request)

    def read(raw: bytes) -> Any:
        request = decode(raw)
        if checks:
            check_values(request)
        return request

    async def messages(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for raw in requests:
            yield read(raw)

    return messages if rpc.streams_in else read


def _refusing(status: Status) -> Any:
    """A handler for a call of any kind, which answers without reading the request."""

    async def refuse(requests: Any, context: Any) -> None:
        await context.abort(*status)

    return grpc.stream_stream_rpc_method_handler(refuse)
