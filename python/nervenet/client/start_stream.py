# SPDX-License-Identifier: Apache-2.0
"""Batches of starts as messages of one StreamStarts, which cost a quarter of calls (decision 0063).

The stream is opened with the first batch and used until it breaks, until the client's node or credentials are others, or for `LONGEST`
seconds: a server that ends a connection for its age lets streams go on for a while, and none is cut off then. A batch whose stream
breaks raises Unavailable: whether it was started is unknown, and each start has an id, so it may be sent again.
Large batches, and those for nodes before 0.2, which have no such stream, are calls of StartWorkflows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from nervenet.errors import RequestError, Unavailable
from nervenet.grpc_import import grpc
from nervenet.rpc.status import from_outcome
from nervenet.rpc.stream_of_calls import LARGEST
from nervenet.timing import CONNECTION_AGE_GRACE
from nervenet.v1 import coordinator_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nervenet.client.nodes import Nodes
    from nervenet.rpc.channels import Channel, Metadata

__all__ = ["StartStream"]

LONGEST: Final = CONNECTION_AGE_GRACE / 2


class StartStream:
    """The starts of one client."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._open: _Stream | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._without: set[str] = set()
        """Nodes that have no such stream."""

    async def start(self, requests: Sequence[pb.StartWorkflowRequest], size: int) -> Sequence[pb.StartOutcome]:
        """One try at one node, of requests that have at most that many bytes in a message. Raises RequestError."""
        channel = self._nodes.channel()
        if size <= LARGEST and channel.target not in self._without:
            try:
                return (await self._stream(channel).answer(pb.StreamStartsRequest(requests=requests))).outcomes
            except RequestError as error:
                if error.code != "UNIMPLEMENTED":
                    raise
                self._without.add(channel.target)
        answer = await self._nodes.once("StartWorkflows", pb.StartWorkflowsRequest(requests=requests))
        outcomes: Sequence[pb.StartOutcome] = answer.outcomes
        return outcomes

    def _stream(self, channel: Channel) -> _Stream:
        """The open stream to this node, with the credentials of now."""
        metadata, stream = self._nodes.metadata(), self._open
        if stream is None or stream.channel is not channel or stream.metadata != metadata or not stream.lasts:
            if stream is not None:
                self._close(stream)
            stream = self._open = _Stream(self._nodes, channel, metadata)
        return stream

    def _close(self, stream: _Stream) -> None:
        closing = asyncio.get_running_loop().create_task(stream.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Batches under way fail with Unavailable."""
        if self._open is not None:
            self._open.cancel()
            self._close(self._open)
        await asyncio.gather(*self._closing)


class _Stream:
    """One stream."""

    def __init__(self, nodes: Nodes, channel: Channel, metadata: Metadata) -> None:
        self.channel = channel
        self.metadata = metadata
        self._broken = False
        self._until = nodes.clock.monotonic() + LONGEST
        self._nodes = nodes
        self._loop = asyncio.get_running_loop()
        self._call: Any = channel["StreamStarts"](metadata=metadata)
        self._last = 0
        self._answered = False
        self._under_way: dict[int, asyncio.Future[pb.StreamStartsResponse]] = {}
        self._writing = asyncio.Lock()
        self._reading = self._loop.create_task(self._read(), name="answers to starts")

    @property
    def lasts(self) -> bool:
        """Whether another message may be sent."""
        return not self._broken and self._nodes.clock.monotonic() < self._until

    async def answer(self, message: pb.StreamStartsRequest) -> pb.StreamStartsResponse:
        """Send a message, and wait for its answer. Raises RequestError."""
        number = message.number = self._last = self._last + 1
        future = self._under_way[number] = self._loop.create_future()
        try:
            try:
                async with self._writing:
                    await self._call.write(message)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
                pass  # it is broken, and the reader tells why
            answer: pb.StreamStartsResponse = await future
        finally:
            self._under_way.pop(number, None)
        if answer.HasField("error"):
            raise self._nodes.refused(from_outcome(answer.error), self.channel)
        return answer

    async def _read(self) -> None:
        channel, nodes = self.channel, self._nodes
        try:
            while (answer := await self._call.read()) is not grpc.aio.EOF:
                self._answered = nodes.answered = True
                future = self._under_way.get(answer.number)
                if future is not None and not future.done():
                    future.set_result(nodes.encoding.decoded(answer))
            nodes.turn(channel)  # it is stopping
            error: RequestError = Unavailable("the node ended the stream", code="UNAVAILABLE")
        except grpc.aio.AioRpcError as broken:
            found = nodes.translated(broken, channel)
            error = found if isinstance(found, RequestError) else Unavailable(str(found), code="UNAVAILABLE")
            if self._answered and not isinstance(error, Unavailable):  # a new stream may have what this one has lost
                error = Unavailable(str(error), code="UNAVAILABLE", reason=error.reason)
        except asyncio.CancelledError:
            error = Unavailable("the client was closed", code="UNAVAILABLE")
        self._broken = True
        for future in self._under_way.values():
            if not future.done():
                future.set_exception(error)

    def cancel(self) -> None:
        """End it now."""
        self._call.cancel()

    async def close(self) -> None:
        """End it when what is under way is answered."""
        if self._under_way and not self._broken:
            await asyncio.wait(tuple(self._under_way.values()))
        self._call.cancel()
        await asyncio.wait((self._reading,))
