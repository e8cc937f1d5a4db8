# SPDX-License-Identifier: Apache-2.0
"""The methods of the contract over the Connect protocol: `POST /nervenet.v1.CoordinatorService/GetWorkflow`.

A unary call takes and gives one message, as JSON or protobuf. A stream of answers takes and gives messages in envelopes: a
byte of flags, the length in four bytes, the message; the last one has flag 2 and JSON with the error, if there is one.
The protocol is at connectrpc.com/docs/protocol. Compression and GET, which it makes optional, are not there.

Methods with a stream of requests need HTTP/2, so they are there over gRPC only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from nervenet.clock import SYSTEM
from nervenet.errors import InvalidRequest, RequestError
from nervenet.http.call import SYSTEM_NAME, BodyBytes, HttpCall, body_of, check_caller, timeout_of
from nervenet.http.ending import READ_WITHIN, CallerLeft, unless_left
from nervenet.http.failures import HttpRefusal, error_json
from nervenet.http.json_text import compact

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from nervenet.http.codec import Codec
    from nervenet.http.ending import OpenStreams
    from nervenet.rpc.guard import Guard, GuardedMethod
    from nervenet.rpc.namespaces import Guards

__all__ = ["ConnectMethods", "GuardedCalls"]

_ONE: Final = {"application/json": True, "application/proto": False}
"""Content types of unary calls, and whether they are JSON."""
_MANY: Final = {"application/connect+json": True, "application/connect+proto": False}
_HEAD: Final = 5
_COMPRESSED, _LAST = 1, 2


class GuardedCalls:
    """Calls the methods behind the guard, with the deadline and the metrics of each."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def answer(self, method: GuardedMethod, raw: bytes, call: HttpCall) -> Any:
        """One answer. Raises RequestError."""
        began, code = SYSTEM.monotonic(), "CANCELLED"
        scope = asyncio.timeout(call.time_remaining())
        try:
            async with scope:
                self._guard.authorize(method.rpc)
                await self._guard.until_ready(method.rpc, call)
                request = await self._guard.allowed(method.rpc, method.read(raw), call)
                answer = await method.serve(request, call)
            code = "OK"
            return answer
        except Exception as error:  # noqa: BLE001  # each error is answered; unknown ones are logged too
            refusal = self._refusal(error, method, late=scope.expired())
            code = refusal.code
            raise refusal from None
        finally:
            self._guard.timed(method.rpc.path, code, began, SYSTEM_NAME)

    async def answers(self, method: GuardedMethod, raw: bytes, call: HttpCall) -> AsyncGenerator[Any, None]:
        """A stream of answers. Raises RequestError. Close it with `aclosing`."""
        began, code = SYSTEM.monotonic(), "CANCELLED"
        try:
            self._guard.authorize(method.rpc)
            standing = self._guard.standing(method.rpc)
            allowed = self._guard.allowed if standing is None else standing.allowed
            request = await allowed(method.rpc, method.read(raw), call)
            async with aclosing(self._guard.streams.watched(method.serve(request, call), standing)) as answers:
                async for answer in answers:
                    self._guard.authorize(method.rpc)  # the policy may have changed since the stream began
                    yield answer
            code = "OK"
        except Exception as error:  # noqa: BLE001  # as above
            refusal = self._refusal(error, method, late=False)
            code = refusal.code
            raise refusal from None
        finally:
            self._guard.timed(method.rpc.path, code, began, SYSTEM_NAME)

    def _refusal(self, error: Exception, method: GuardedMethod, *, late: bool) -> RequestError:
        if late and isinstance(error, TimeoutError):
            return too_late()
        return self._guard.refusal(error, method.rpc)


def too_late() -> RequestError:
    return RequestError("the call took longer than its Connect-Timeout-Ms", code="DEADLINE_EXCEEDED")


class ConnectMethods:
    """The handler of `POST /{service}/{method}`, for the services that `served` names."""

    def __init__(self, guards: Guards, served: frozenset[str], codec: Codec, streams: OpenStreams, limit: int) -> None:
        self._guards = guards
        self._served = served
        self._codec = codec
        self._streams = streams
        self._limit = limit
        self._coming = BodyBytes()

    def method(self, guard: Guard, path: str) -> GuardedMethod:
        """The method at a path. Raises HttpRefusal."""
        method = guard.methods.get(path)
        if method is None or method.rpc.service not in self._served:
            words = f"there is no method {path[:200]}: docs/reference/contract.md has them all"
            raise HttpRefusal(404, "UNIMPLEMENTED", words, reason="")
        if method.rpc.streams_in:
            words = f"{method.rpc.name} has a stream of requests, which HTTP/1.1 has not: call it over gRPC"
            raise HttpRefusal(505, "UNIMPLEMENTED", words, reason="")
        return method

    async def serve(self, request: Request) -> Response:
        """Raises RequestError for what is refused before a stream begins."""
        guard = check_caller(self._guards, request)
        calls, method = GuardedCalls(guard), self.method(guard, request.url.path)
        guard.authorize(method.rpc)
        types = _MANY if method.rpc.streams_out else _ONE
        is_json = types[content_type(request, *types)]
        _check_protocol(request)
        timeout = timeout_of(request)
        call = HttpCall.of(request, timeout)
        body = await body_of(request, self._limit + (_HEAD if method.rpc.streams_out else 0), self._coming)
        if method.rpc.streams_out:
            return _StreamedAnswer(self.envelopes(calls, method, body, call, is_json=is_json), request, is_json=is_json)
        answer = await unless_left(request, self._answer(calls, method, body, call, is_json=is_json))
        return Response(answer, media_type="application/json" if is_json else "application/proto")

    async def _answer(
        self, calls: GuardedCalls, method: GuardedMethod, body: bytes, call: HttpCall, *, is_json: bool
    ) -> bytes:
        raw = await self._codec.request(method.rpc.request, body, is_json=is_json)
        return await self._codec.answer(await calls.answer(method, raw, call), is_json=is_json)

    async def envelopes(
        self, calls: GuardedCalls, method: GuardedMethod, body: bytes, call: HttpCall, *, is_json: bool
    ) -> AsyncGenerator[bytes, None]:
        """The answers of a stream, each in its envelope, to the last one, which tells how it ended."""
        error: RequestError | None = None
        try:
            raw = await self._codec.request(method.rpc.request, _only_message(body), is_json=is_json)
            async with (
                self._streams.open(),
                asyncio.timeout(call.time_remaining()),
                aclosing(calls.answers(method, raw, call)) as answers,
            ):
                async for answer in answers:
                    yield _envelope(0, await self._codec.answer(answer, is_json=is_json))
        except RequestError as refused:
            error = refused
        except TimeoutError:
            error = too_late()
        yield _envelope(_LAST, compact({"error": error_json(error)} if error else {}).encode())


class _StreamedAnswer(Response):
    """Sends the envelopes of a stream until it ends or the caller leaves."""

    def __init__(self, envelopes: AsyncGenerator[bytes, None], request: Request, *, is_json: bool) -> None:
        super().__init__(media_type="application/connect+json" if is_json else "application/connect+proto")
        del self.headers["content-length"]
        self._request = request
        self._envelopes = envelopes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_left(self._request, self._send(send))
        except (CallerLeft, TimeoutError):
            pass
        finally:
            await self._envelopes.aclose()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for envelope in self._envelopes:
            async with asyncio.timeout(READ_WITHIN):
                await send({"type": "http.response.body", "body": envelope, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def content_type(request: Request, *allowed: str) -> str:
    """The content type of a request, if it is one of these. Raises HttpRefusal.

    A form of another site can send `text/plain` and forms, but none of these, unless the browser has asked before.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        words = f"Content-Type is {given[:80]!r}: this call takes {' or '.join(allowed)}"
        headers = {"Accept-Post": ", ".join(allowed)}
        raise HttpRefusal(415, "INVALID_ARGUMENT", words, reason="UNDECODABLE", headers=headers)
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        words = f"Content-Encoding is {encoding[:80]!r}: send the body as it is"
        raise HttpRefusal(415, "UNIMPLEMENTED", words, reason="")
    return given


def _check_protocol(request: Request) -> None:
    version = request.headers.get("connect-protocol-version", "1")
    if version != "1":
        raise InvalidRequest(
            f"Connect-Protocol-Version is {version[:40]!r}: this node knows version 1",
            code="INVALID_ARGUMENT",
            reason="INVALID_FIELD",
        )
    encoding = request.headers.get("connect-content-encoding", "identity")
    if encoding != "identity":
        words = f"Connect-Content-Encoding is {encoding[:80]!r}: send the messages as they are"
        raise RequestError(words, code="UNIMPLEMENTED")


def _envelope(flags: int, data: bytes) -> bytes:
    return bytes((flags,)) + len(data).to_bytes(4, "big") + data


def _only_message(body: bytes) -> bytes:
    """The message in the only envelope of a request. Raises InvalidRequest."""
    if len(body) < _HEAD or len(body) != _HEAD + int.from_bytes(body[1:_HEAD], "big"):
        why = (
            "a stream's request is one envelope: a byte of flags, the length of the message in four bytes, the message"
        )
    elif body[0] & _COMPRESSED:
        why = "the message is compressed, which this node does not read"
    elif body[0]:
        why = f"the envelope has the flags {body[0]}: a request has none"
    else:
        return body[_HEAD:]
    raise InvalidRequest(why, code="INVALID_ARGUMENT", reason="UNDECODABLE")
