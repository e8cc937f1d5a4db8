# SPDX-License-Identifier: Apache-2.0
"""Callers and the blob store: they get values and never see where those lie, and they cannot name a value that lies there.

It stands around a whole service, so no call and no new field can be forgotten; a node without a blob store has no such thing.
An answer has as many values as fit into the largest message; what is beyond stays a reference.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from nervenet.blobs import is_reference
from nervenet.rpc.channels import receive_limit
from nervenet.rpc.methods import CALLS_IN_A_STREAM, SERVED
from nervenet.rpc.status import invalid
from nervenet.v1 import common_pb2 as common
from nervenet.wire import payload_for_people, payload_in, payload_out
from nervenet.wire.within import payloads_in

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from google.protobuf.message import Message

    from nervenet.blobs import Blobs

__all__ = ["WithValues"]


class WithValues:
    """A service with the values of its answers in place.

    Args:
        service: Its full name.
        servicer: Its coroutines.
        blobs: Where the values lie.
        payload_limit: The largest value.
    """

    def __init__(self, service: str, servicer: object, blobs: Blobs, payload_limit: int) -> None:
        self._blobs = blobs
        self._most = receive_limit(payload_limit)
        for rpc in SERVED[service]:
            inner = getattr(servicer, rpc.name, None)
            if inner is not None:
                if rpc.name in CALLS_IN_A_STREAM:  # the servicer answers each message as a call
                    around = self._of_request(inner, streams_out=False)
                elif rpc.streams_in:
                    around = self._of_requests(inner, streams_out=rpc.streams_out)
                else:
                    around = self._of_request(inner, streams_out=rpc.streams_out)
                setattr(self, rpc.name, around)

    def _of_request(self, inner: Callable[..., Any], *, streams_out: bool) -> Callable[..., Any]:
        async def stream(request: Any, context: Any) -> AsyncGenerator[Any, None]:
            refuse_references(request)
            async with aclosing(inner(request, context)) as answers:
                async for answer in answers:
                    yield await self._filled(answer, request)

        async def one(request: Any, context: Any) -> Any:
            refuse_references(request)
            return await self._filled(await inner(request, context), request)

        return stream if streams_out else one

    def _of_requests(self, inner: Callable[..., Any], *, streams_out: bool) -> Callable[..., Any]:
        async def stream(requests: AsyncIterator[Any], context: Any) -> AsyncGenerator[Any, None]:
            first: list[Any] = []

            async def checked() -> AsyncIterator[Any]:
                async for request in requests:
                    refuse_references(request)
                    if not first:
                        first.append(request)
                    yield request

            async with aclosing(inner(checked(), context)) as answers:
                async for answer in answers:
                    yield await self._filled(answer, first[0] if first else None)

        assert streams_out  # the contract has no other calls
        return stream

    async def _filled(self, answer: Message, request: Any) -> Message:
        """The first request of a stream says the form of all its answers."""
        raw = getattr(request, "payload_format", common.PAYLOAD_FORMAT_VALUE) == common.PAYLOAD_FORMAT_RAW
        shape = payload_out if raw else payload_for_people
        await self._blobs.fill_message(answer, shape, self._most - answer.ByteSize())
        return answer


def refuse_references(request: Message) -> None:
    """Raises InvalidRequest: a caller sends a value, never a place where one lies."""
    for payload in payloads_in(request):
        if payload.encoding and is_reference(payload_in(payload)):
            words = "a reference to the blob store, which only the mesh writes: send the value itself"
            raise invalid("payload.encoding", words)
