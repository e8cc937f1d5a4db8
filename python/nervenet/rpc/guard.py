# SPDX-License-Identifier: Apache-2.0
"""The guard of each served method: it identifies the caller first, then reads the request, then calls the method.

    guard = Guard(config, Identity(config), translate)
    guard.add(SERVED["nervenet.v1.AgentService"], servicer)
    server.add_generic_rpc_handlers((guard,))

gRPC asks the guard for a handler as soon as it has the metadata of a call. A refused call gets a handler that never
reads the body, so a caller without credentials cannot make the server create objects. Other calls get the handler of their
method. It decodes the message itself, because gRPC answers UNKNOWN with a traceback if its own deserializer fails.

A limited number of requests is received at once (`nervenet.rpc.bodies`). A call beyond it gets a handler that waits for its turn before it
reads.

The names in a client's certificate are known only when gRPC calls the handler. Then the handler identifies the caller, before
anything is decoded: until then the body is bytes, sent by somebody with a certificate of our authority.

`authorize` is asked twice for each call: without a request, as soon as the caller is known, and with each request, as soon as
it is decoded. Both times `current_call()` tells who calls.

A servicer behind a guard raises RequestError, or an error that `translate` turns into one, and never uses gRPC's
statuses. Rejected: gRPC's interceptors, which need a coroutine for each call. Streams are async generators.

The HTTP door (`nervenet.http`) serves the same methods through the same guard: it takes them from `methods`, and asks
`admit`, `authorize` and `refusal`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from nervenet.clock import SYSTEM
from nervenet.errors import RequestError, Unauthorized
from nervenet.grpc_import import grpc
from nervenet.metrics import Family, Histogram, catalog
from nervenet.rpc.bodies import ARRIVING, Bodies
from nervenet.rpc.channels import NAMESPACE_KEY, TOKEN_KEY, receive_limit
from nervenet.rpc.decoding import decoder
from nervenet.rpc.methods import CALLS_IN_A_STREAM, HEALTH_CHECK, HEALTH_WATCH
from nervenet.rpc.status import check_values, invalid, no_method, not_yet, status_of, to_outcome
from nervenet.rpc.stream_of_calls import LARGEST, StreamOfCalls
from nervenet.security import CURRENT_CALL, IdentifiedCall, current_call
from nervenet.telemetry import from_metadata, trace_id
from nervenet.telemetry.log_fields import bind_namespace
from nervenet.wire import has_checks

if TYPE_CHECKING:
    from nervenet.config import Config
    from nervenet.records import Trace
    from nervenet.rpc.methods import RpcMethod
    from nervenet.security import Caller, Identity

__all__ = [
    "LONGEST_WAIT",
    "Guard",
    "GuardedMethod",
    "Judged",
    "OpenCall",
    "Ready",
    "Rules",
    "time_to_wait",
    "trace_of",
    "wrong_namespace",
]

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


class Judged(Protocol):
    """What `Rules` still has to say about a call when its request is known. `nervenet.security.Permit` is one."""

    async def before(self, request: Any, trace_id: str = "") -> None:
        """Called before the method. Raises RequestError."""
        ...

    def each(
        self, requests: AsyncIterator[Any], trace_id: str = "", opened: Callable[[Any], None] = ...
    ) -> AsyncIterator[Any]:
        """The same for a stream of requests. `opened` hears of the first one."""
        ...

    async def again(self, request: Any) -> None:
        """Called for a stream that is open when the rules have changed, with its first request, or None where nobody kept it.
        Raises RequestError: it must end."""
        ...


class Rules(Protocol):
    """Who may do what. `nervenet.security.Authority` has the rules of the policy."""

    @property
    def version(self) -> int:
        """Rises when the rules change. 0: they never do."""
        ...

    def admit(self, caller: Caller, path: str, namespace: str, trace_id: Callable[[], str] = str) -> Judged | None:
        """Called as soon as the caller is known. Raises RequestError. None: whatever the request is, it is allowed."""
        ...

    def may_use(self, caller: Caller, namespace: str) -> bool:
        """Whether the caller may know of the namespace."""
        ...


Metadata = Iterable[tuple[str, Any]] | None
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


def _only_one(key: str, one: str, other: str) -> str:
    """Raise Unauthorized for two values of a header that says who calls: what comes before this server may have checked another one."""
    if one != other:
        raise Unauthorized(f"there are two values of {key}: send one", code="UNAUTHENTICATED", reason="BAD_TOKEN")
    return one


def wrong_namespace(asked: str) -> Unauthorized:
    """The only answer about a namespace that this process does not serve, and about one that the caller may not use, so that
    nobody learns which namespaces there are. `asked`: what the call names; "" where it names none.
    """
    which = f"namespace {asked[:80]!r}" if asked else "the namespace of calls that name none"
    return Unauthorized(
        f"{which} is not served here, or you may not use it: check NERVENET_NAMESPACE, and whether NERVENET_ADDRESS is a "
        "node of it",
        code="PERMISSION_DENIED",
        reason="WRONG_NAMESPACE",
    )


class GuardedMethod(NamedTuple):
    """A method with its servicer. `read` turns the bytes of a request into its message, or raises RequestError."""

    rpc: RpcMethod
    serve: Callable[[Any, Any], Any]
    read: Callable[[Any], Any]


class Guard(grpc.GenericRpcHandler):
    """The guard of one server, or of one namespace of a server that has several (`rpc.namespaces`).

    `stopping`: the server ends. `log_namespace`: whether the log lines of its calls carry the namespace.
    """

    def __init__(
        self,
        config: Config,
        identity: Identity,
        translate: Translate = lambda error: None,
        calls: Family[Histogram] | None = None,
        ready: Ready | None = None,
        rules: Rules | None = None,
        *,
        bodies: Bodies | None = None,
        stopping: asyncio.Event | None = None,
        log_namespace: bool = False,
    ) -> None:
        self.namespace = config.namespace
        self._log_namespace = log_namespace
        self._calls = calls or Family.of_histograms(catalog.RPC_SERVER)
        self._identity = identity
        self._rules = rules
        self.streams = identity.streams
        self._last: IdentifiedCall | None = None
        self._translate = translate
        self._ready = ready
        self._stopping = stopping or asyncio.Event()
        self._bodies = bodies or Bodies(receive_limit(config.payload_limit))
        self._handlers: dict[str, Any] = {}
        self._patient: dict[str, Any] = {}
        """Handlers of the same methods that wait for their turn: of all whose request is one message."""
        self.methods: dict[str, GuardedMethod] = {}
        """By path."""

    def of(self, namespace: str) -> Guard:
        """The guard of a namespace: this one, which refuses the calls of others."""
        return self

    def add(self, methods: Iterable[RpcMethod], servicer: object) -> None:
        """Serve these methods with the servicer's methods of the same names."""
        for rpc in methods:
            method = getattr(servicer, rpc.name, _later)
            call = CALLS_IN_A_STREAM.get(rpc.name)
            self.methods[rpc.path] = GuardedMethod(rpc, method, _reader(rpc))
            if call is not None:
                guarded = self._stream_of_calls(rpc, call, method)
            else:
                guarded = self._stream(rpc, method) if inspect.isasyncgenfunction(method) else self._once(rpc, method)
            shape = f"{'stream' if rpc.streams_in else 'unary'}_{'stream' if rpc.streams_out else 'unary'}"
            make = getattr(grpc, f"{shape}_rpc_method_handler")
            self._handlers[rpc.path] = make(guarded, response_serializer=rpc.answer.SerializeToString)
            if not rpc.streams_in:
                self._patient[rpc.path] = self._in_turn(rpc, guarded)

    def service(self, handler_call_details: Any) -> Any:
        """Called by gRPC for each call, in the task that serves it."""
        path = handler_call_details.method
        if path not in _OPEN:
            try:
                caller = self.admit(handler_call_details.invocation_metadata).caller
                if path in self.methods and not self._identity.needs_certificate(caller):
                    rpc = self.methods[path].rpc
                    self.authorize(CALLS_IN_A_STREAM.get(rpc.name, rpc), handler_call_details.invocation_metadata)
            except RequestError as error:
                refused = status_of(error)
                self.timed(path, refused[0].name, SYSTEM.monotonic())
                return _refusing(refused)
        handler = self._handlers.get(path)
        if handler is None:  # gRPC's own refusal has no reason
            self.timed(path, "UNIMPLEMENTED", SYSTEM.monotonic())
            return _refusing(status_of(no_method(path)))
        if (patient := self._patient.get(path)) is not None:
            if (body := self._bodies.begin()) is None:
                return patient
            ARRIVING.set(body)
        return handler

    def admit(self, metadata: Metadata) -> IdentifiedCall:
        """Who calls with this metadata, and in which namespace; `current_call()` of this task gives it from now on.
        Call `certify` next, as soon as the connection is known.

        Raises:
            Unauthorized: The credentials are missing or wrong, or the namespace is not served here.
            Unavailable: This process cannot judge credentials now.
        """
        namespace = authorization = ""
        for key, value in metadata or ():
            if key == NAMESPACE_KEY:
                namespace = value if not namespace else _only_one(key, namespace, value)
            elif key == TOKEN_KEY:
                authorization = value if not authorization else _only_one(key, authorization, value)
        caller = self._identity.of_header(authorization)
        if caller.means == "token" or (namespace and namespace != self.namespace):
            self._check_namespace(namespace, caller)
        call = self._last
        if call is None or call.caller is not caller or call.asked != namespace:  # most calls are like the one before
            call = self._last = IdentifiedCall(caller, self.namespace, namespace)
        CURRENT_CALL.set(call)
        if self._log_namespace:
            bind_namespace(self.namespace)
        return call

    def _check_namespace(self, namespace: str, caller: Caller) -> None:
        if namespace and namespace != self.namespace:
            raise wrong_namespace(namespace)
        if caller.means == "token" and self.namespace not in caller.claims.get("namespaces", (self.namespace,)):
            raise wrong_namespace(namespace)

    def certify(self, read: Callable[[Identity], Caller]) -> bool:
        """Name the caller by its certificate, if that is what names it. Returns whether it was. Raises Unauthorized."""
        call = current_call()
        if not self._identity.needs_certificate(call.caller):
            return False
        CURRENT_CALL.set(call._replace(caller=read(self._identity)))
        return True

    def _identified(self, rpc: RpcMethod, context: Any) -> None:
        """Raise RequestError for a caller whose certificate says that it may not make this call."""
        if not self._identity.reads_certificates or rpc.path in _OPEN:
            return
        if self.certify(lambda identity: identity.of_grpc(context.auth_context())):
            self.authorize(rpc, context.invocation_metadata())

    def authorize(self, rpc: RpcMethod, metadata: Metadata = None) -> None:
        """Raise RequestError if the caller of `current_call()` may not make this call, whatever it requests."""
        if self._rules is not None and rpc.path not in _OPEN:
            call = current_call()
            try:
                self._rules.admit(call.caller, rpc.path, call.namespace, lambda: _trace_id(metadata))
            except Unauthorized as error:
                if call.asked and not self._rules.may_use(call.caller, call.namespace):
                    raise wrong_namespace(call.asked) from error
                raise

    def standing(self, *rpcs: RpcMethod) -> OpenCall | None:
        """What a stream of the current call is allowed by, which makes these calls. To be asked before they are judged. None: the
        rules never change."""
        rules = self._rules
        return None if rules is None or not rules.version else OpenCall(self, rules, rpcs)

    async def allowed(
        self, rpc: RpcMethod, request: Any, context: Any, opened: Callable[[Any], None] = lambda request: None
    ) -> Any:
        """The request, or the stream of requests, to call the method with. It is on record by then. `opened` hears of the first
        request of a stream, where what it names decides.

        Raises:
            RequestError: The caller may not make this request.
        """
        if self._rules is None or rpc.path in _OPEN:
            return request
        call = current_call()
        judged = self._rules.admit(call.caller, rpc.path, call.namespace)
        if judged is None:
            return request
        trace = _trace_id(context.invocation_metadata())
        if rpc.streams_in:
            return judged.each(request, trace, opened)
        await judged.before(request, trace)
        return request

    async def until_ready(self, rpc: RpcMethod, context: Any) -> None:
        """Wait until a unary call can be answered. Raises the reason why it cannot be answered before its deadline."""
        if self._ready is not None and (left := context.time_remaining()) is not None:
            await self._ready(rpc, left)

    def _in_turn(self, rpc: RpcMethod, guarded: Any) -> Any:
        """A handler that reads the request when there is room for it. For gRPC it is one that reads a stream: only such a
        handler says when it reads."""

        async def first(requests: Any, context: Any) -> Any:
            try:
                ARRIVING.set(await self._bodies.room(time_to_wait(LONGEST_WAIT, context)))
            except RequestError as error:
                status = status_of(error)
                self.timed(rpc.path, status[0].name, SYSTEM.monotonic())
                await context.abort(*status)
            return await anext(aiter(requests), b"")

        async def once(requests: Any, context: Any) -> Any:
            return await guarded(await first(requests, context), context)

        async def stream(requests: Any, context: Any) -> AsyncIterator[Any]:
            async for answer in guarded(await first(requests, context), context):
                yield answer

        serializer = rpc.answer.SerializeToString
        if rpc.streams_out:
            return grpc.stream_stream_rpc_method_handler(stream, response_serializer=serializer)
        return grpc.stream_unary_rpc_method_handler(once, response_serializer=serializer)

    def _once(self, rpc: RpcMethod, method: Any) -> Any:
        read = self.methods[rpc.path].read

        async def guarded(raw: Any, context: Any) -> Any:
            _arrived()
            began, code = SYSTEM.monotonic(), "CANCELLED"
            try:
                self._identified(rpc, context)
                await self.until_ready(rpc, context)
                answer = await method(await self.allowed(rpc, read(raw), context), context)
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
        read = self.methods[rpc.path].read

        async def guarded(raw: Any, context: Any) -> AsyncIterator[Any]:
            _arrived()
            began, code = SYSTEM.monotonic(), "CANCELLED"
            try:
                self._identified(rpc, context)
                standing = self.standing(rpc)
                if standing is None:
                    request = await self.allowed(rpc, read(raw), context)
                else:
                    request = await standing.allowed(rpc, read(raw), context)
                async with aclosing(self.streams.watched(method(request, context), standing)) as answers:
                    async for answer in answers:
                        self.authorize(rpc)  # the policy may have changed since the stream began
                        yield answer
                code = "OK"
                return
            except Exception as error:  # noqa: BLE001  # as above
                status = self._status(error, rpc)
                code = status[0].name
            finally:
                self.timed(rpc.path, code, began)
            del raw
            request = standing = None
            await context.abort(*status)

        return guarded

    def _stream_of_calls(self, rpc: RpcMethod, call: RpcMethod, method: Any) -> Any:
        """Each message of the stream is judged, recorded and counted as such a call."""
        read = self.methods[rpc.path].read

        async def guarded(raw: Any, context: Any) -> AsyncIterator[Any]:
            began, code = SYSTEM.monotonic(), "CANCELLED"
            try:
                self._identified(call, context)
                answer_one = partial(self._answer_one, call, method, context, rpc.answer)
                answers = StreamOfCalls(answer_one, self._stopping).run(read(raw))
                async with aclosing(self.streams.watched(answers, self.standing(call))) as watched:
                    async for answer in watched:
                        yield answer
                code = "OK"
                return
            except Exception as error:  # noqa: BLE001  # as above
                status = self._status(error, rpc)
                code = status[0].name
            finally:
                self.timed(rpc.path, code, began)
            await context.abort(*status)

        return guarded

    async def _answer_one(self, call: RpcMethod, method: Any, context: Any, kind: Any, message: Any) -> Any:
        """The answer to one message of such a stream; the errors of the call are in it."""
        began, code = SYSTEM.monotonic(), "CANCELLED"
        try:
            self.authorize(call)
            if message.ByteSize() > LARGEST:
                raise invalid(
                    "requests", f"a message of more than {LARGEST >> 10} KiB: send it as a call of {call.name}"
                )
            answer = await method(await self.allowed(call, message, context), context)
            code = "OK"
        except Exception as error:  # noqa: BLE001  # each error is answered; unknown ones are logged too
            refusal = self.refusal(error, call)
            code = refusal.code
            answer = kind(error=to_outcome(refusal))
        finally:
            self.timed(call.path, code, began)
        answer.number = message.number
        return answer

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


class OpenCall:
    """A stream that is open. It is judged again when the rules have changed (`CallerStreams`).

    Attributes:
        rpcs: The calls that it makes.
    """

    def __init__(self, guard: Guard, rules: Rules, rpcs: Iterable[RpcMethod]) -> None:
        self._guard = guard
        self._rules = rules
        self.rpcs = list(rpcs)
        self._version = rules.version
        self._opened_by: tuple[RpcMethod, Any] | None = None

    async def allowed(self, rpc: RpcMethod, request: Any, context: Any) -> Any:
        """`Guard.allowed`, which remembers by what the stream was opened. Raises RequestError."""
        self._opened_by = rpc, None if rpc.streams_in else request
        return await self._guard.allowed(rpc, request, context, lambda first: self._remember(rpc, first))

    def _remember(self, rpc: RpcMethod, first: Any) -> None:
        self._opened_by = rpc, first

    def is_due(self) -> bool:
        """Whether the rules have changed since it was judged."""
        return self._version != self._rules.version

    async def judge(self) -> None:
        """Judge again. Raises RequestError: the stream must end."""
        self._version = self._rules.version
        try:
            for rpc in self.rpcs:
                self._guard.authorize(rpc)
            if self._opened_by is not None:
                await self._judge_request(*self._opened_by)
        except Exception as error:  # noqa: BLE001  # who cannot be judged now has no right
            raise self._guard.refusal(error, self.rpcs[0]) from None

    async def _judge_request(self, rpc: RpcMethod, request: Any) -> None:
        call = current_call()
        judged = self._rules.admit(call.caller, rpc.path, call.namespace)
        if judged is not None:
            await judged.again(request)


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


def _arrived() -> None:
    """The request of the call that this task serves is there."""
    body = ARRIVING.get()
    if body is not None:
        body.arrived()


def _trace_id(metadata: Metadata) -> str:
    """The trace that a call belongs to; "" where it names none."""
    return trace_id(from_metadata(metadata))


def _refusing(status: Status) -> Any:
    """A handler for a call of any kind, which answers without reading the request."""

    async def refuse(requests: Any, context: Any) -> None:
        await context.abort(*status)

    return grpc.stream_stream_rpc_method_handler(refuse)
