# SPDX-License-Identifier: Apache-2.0
"""Makes the calls and judges each answer. What is wrong is kept with the request, so that it can be made again.

An answer is wrong if it is INTERNAL or UNKNOWN; if it is a refusal of the node without a reason; if it blames the caller's
input and names no field; if it does not come; and if anything but UNAUTHENTICATED comes to who has no token.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from nervenet.rpc.methods import METHODS, RpcMethod
from nervenet.v1 import agent_service_pb2 as pb
from tests.fuzz.values import Filler, learn, shown

KINDS: Final = ("message", "noise", "cut")
_SHARES: Final = {"message": 8, "noise": 1, "cut": 1}
STREAM_FOR: Final = 0.15
"""Seconds that a stream is followed."""
WAITED: Final = 1.0
PATIENCE: Final = 20.0
"""Seconds after which a call that was not asked to wait counts as never answered."""
_WAITS: Final = ("StartWorkflow", "GetWorkflow", "RunTask")
_OF_THE_WAY: Final = (
    "Received message larger than max",
    "Internal error from Core",  # grpc.aio's client, of a stream that ended while it wrote: the node's status is lost
)
"""Not said by the node: no answer of its own reached us."""


class Wrong(NamedTuple):
    """An answer that must not be."""

    method: str
    what: str
    request: str


class Caller:
    """One of many at once, with its own source of messages."""

    def __init__(
        self, channel: grpc.aio.Channel, filler: Filler, token: str | None, kinds: Sequence[str], methods: Sequence[str]
    ) -> None:
        self._channel = channel
        self._filler = filler
        self._token = token
        self._kinds = kinds
        self._weights = [_SHARES[kind] for kind in kinds]
        self._methods = [METHODS[name] for name in methods or METHODS]
        self.codes: Counter[str] = Counter()
        self.by_method: Counter[str] = Counter()
        self.wrong: list[Wrong] = []

    async def call(self) -> None:
        """One call of any method."""
        random = self._filler.random
        method = random.choice(self._methods)
        welcome, metadata = self._metadata()
        if method.name == "Connect" and random.random() < 0.3:
            data, answers = [b"a proper hello"], self._work(metadata, 3 * STREAM_FOR if welcome else PATIENCE)
        else:
            data = [self._data(method) for _ in range(random.choice((1, 1, 2, 5)) if method.streams_in else 1)]
            answers = self._answers(method, data, metadata, STREAM_FOR if welcome else PATIENCE)
        code, said = "OK", ""
        try:
            async with asyncio.timeout(PATIENCE + 5):
                async for answer in answers:
                    learn(self._filler, answer)
        except grpc.aio.AioRpcError as error:
            way = next((words for words in _OF_THE_WAY if words in (error.details() or "")), "")
            code = way or error.code().name
            said = _judged(error, method)
        except TimeoutError:
            said = "never answered"
        self.codes[code] += 1
        self.by_method[method.name] += 1
        if not welcome and code != "UNAUTHENTICATED" and code not in _OF_THE_WAY:
            said = f"{code} without the right token"
        if said:
            self.wrong.append(Wrong(method.name, said, " | ".join(shown(one, method.request) for one in data)))

    def _data(self, method: RpcMethod) -> bytes:
        (kind,) = self._filler.random.choices(self._kinds, self._weights)
        request = method.request()
        if kind == "message":
            return self._filler.encoded(request)
        if kind == "cut":
            return self._filler.cut(request)
        return self._filler.noise() if self._filler.random.random() < 0.7 else self._filler.too_deep(request)

    def _metadata(self) -> tuple[bool, tuple[tuple[str, str], ...]]:
        """Whether these may come in, and what they say."""
        random = self._filler.random
        if self._token is None:
            return True, ()
        right = ("authorization", f"Bearer {self._token}")
        if random.random() < 0.6:
            return True, (right,)
        wrong = random.choice(("", "Bearer", "Bearer ", f"Bearer {self._token}x", f"bearer {self._token}", self._token))
        return False, () if random.random() < 0.5 else (("authorization", wrong),)

    async def _answers(
        self, method: RpcMethod, data: list[bytes], metadata: tuple[tuple[str, str], ...], follow: float
    ) -> AsyncIterator[Any]:
        make = self._call_of(method)
        if not method.streams_out:
            waits = method.name in _WAITS and follow < PATIENCE  # one that must be refused is never waited for
            timeout = WAITED if waits else PATIENCE
            yield await make(data[0], metadata=metadata, timeout=timeout)
            return
        call = make(metadata=metadata) if method.streams_in else make(data[0], metadata=metadata)
        try:
            async with asyncio.timeout(follow):
                if method.streams_in:
                    with suppress(asyncio.InvalidStateError):  # it was refused while we wrote: reading tells how
                        for one in data:
                            await call.write(one)
                        await call.done_writing()
                async for answer in call:
                    yield answer
        except TimeoutError:  # long enough
            pass
        finally:
            call.cancel()

    def _call_of(self, method: RpcMethod) -> Any:
        kind = f"{'stream' if method.streams_in else 'unary'}_{'stream' if method.streams_out else 'unary'}"
        return getattr(self._channel, kind)(method.path, None, method.answer.FromString)

    async def _work(self, metadata: tuple[tuple[str, str], ...], follow: float) -> AsyncIterator[Any]:
        """A gateway agent that is let in, takes tasks, and answers them with whatever comes to its mind."""
        hello = pb.Hello(agent={"name": "odd", "capabilities": [{"name": "odd"}]}, credit=20)
        call = self._call_of(METHODS["Connect"])(metadata=metadata)

        async def say(*items: pb.ConnectRequestItem) -> None:
            with suppress(asyncio.InvalidStateError):  # as above
                await call.write(pb.ConnectRequest(items=items).SerializeToString())

        try:
            async with asyncio.timeout(follow):
                await say(pb.ConnectRequestItem(hello=hello))
                async for answer in call:
                    for item in answer.items:
                        if item.HasField("welcome"):
                            yield item.welcome
                        if item.HasField("task"):
                            await say(*self._odd_answers(item.task))
        except TimeoutError:
            if not call.done() and self._filler.random.random() < 0.7:
                with suppress(TimeoutError, grpc.aio.AioRpcError):
                    async with asyncio.timeout(1):
                        await say(pb.ConnectRequestItem(goodbye=pb.Goodbye(reason="enough")))
                        async for _ in call:
                            pass
        finally:
            call.cancel()

    def _odd_answers(self, task: Any) -> list[pb.ConnectRequestItem]:
        items = []
        for _ in range(self._filler.random.choice((0, 0, 1, 3))):
            item = pb.ConnectRequestItem()
            self._filler.message(item)
            for field in ("task_ack", "task_report"):
                if item.HasField(field):
                    getattr(item, field).task_id = task.task_id
            if item.WhichOneof("item") not in ("hello", "goodbye", None):
                items.append(item)
        completion = pb.ConnectRequestItem(task_completion={"task_id": task.task_id})
        self._filler.message(completion.task_completion.result)
        completion.task_completion.result.attempt = task.attempt
        return [*items, completion]


def _judged(error: grpc.aio.AioRpcError, method: RpcMethod) -> str:
    """What is wrong with a refusal; "" = nothing."""
    code, words = error.code().name, (error.details() or "")[:300]
    if any(each in words for each in _OF_THE_WAY):
        return ""
    if code in ("INTERNAL", "UNKNOWN"):
        return f"{code}: {words}"
    if code == "DEADLINE_EXCEEDED":
        return "" if method.name in _WAITS else "never answered"
    info, bad = details.ErrorInfo(), details.BadRequest()
    packed = dict([*(error.trailing_metadata() or ())]).get("grpc-status-details-bin", b"")
    for part in status_pb2.Status.FromString(packed).details:
        _ = part.Unpack(info) or part.Unpack(bad)
    if info.domain != "nervenet" or not info.reason:
        return f"{code} without a reason: {words}"
    if info.reason == "INVALID_FIELD" and not bad.field_violations:
        return f"{code} names no field: {words}"
    return ""
