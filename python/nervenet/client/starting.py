# SPDX-License-Identifier: Apache-2.0
"""Starts of the same loop tick are sent as one StartWorkflows, because a unary call costs more than a start.

While four calls are in flight, further starts wait until one of them returns, and are sent together: the busier the client,
the larger its batches. A single start is sent at once. If nothing else is under way and its caller wants the result, the same
call waits for it: a stream of results pays only where several share it (decision 0051).
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.client.nodes import Retry
from nervenet.client.start_stream import StartStream
from nervenet.client.tracing import begin_start
from nervenet.errors import RequestError, Unavailable
from nervenet.rpc.status import from_outcome
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb

if TYPE_CHECKING:
    from nervenet.client.awaiting import Awaiter
    from nervenet.client.nodes import Nodes
    from nervenet.v1 import workflow_pb2

__all__ = ["StartBatcher"]

CALLS_IN_FLIGHT: Final = 4
MOST_STARTS: Final = 200
MOST_BYTES: Final = 4 << 20
ALONE_WAITS: Final = 10
"""Seconds for which the call of a single start waits for its result. Then the result comes by the stream of all results."""
FIELD_BYTES: Final = 16
"""What a request needs in a message beside its own bytes, at most."""
_PLACE: Final = re.compile(r"\brequests\[\d+\]\.")


class _Waiting(NamedTuple):
    """A start that waits. `size`: its bytes in a message; to count them takes as long as to encode them, so they are counted once.
    `of_end`: the future is of the closed workflow, not of whether it was created."""

    request: pb.StartWorkflowRequest
    future: asyncio.Future[Any]
    size: int
    of_end: bool


class StartBatcher:
    """The starts of one client, which awaits their results by `awaiter`."""

    def __init__(self, nodes: Nodes, awaiter: Awaiter) -> None:
        self._nodes = nodes
        self._stream = StartStream(nodes)
        self._awaiter = awaiter
        self._loop = asyncio.get_running_loop()
        self._alone: asyncio.Task[None] | None = None
        self._waiting: list[_Waiting] = []
        self._flushing = False
        self._calls: set[asyncio.Task[None]] = set()

    def start(self, request: pb.StartWorkflowRequest) -> asyncio.Future[bool]:
        """Start a workflow; the request must have its workflow_id. Returns whether it was created, or raises the
        refusal.
        """
        return self._put(request, of_end=False)

    def run(self, request: pb.StartWorkflowRequest) -> asyncio.Future[workflow_pb2.Workflow]:
        """Start a workflow for a caller that waits for its result. Returns the closed workflow, or raises the refusal. Only where nothing
        is traced: the span of a start must not last as long as the workflow."""
        return self._put(request, of_end=True)

    def _put(self, request: pb.StartWorkflowRequest, *, of_end: bool) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        request = self._nodes.encoding.encoded(request)
        begin_start(self._nodes, request, future)
        self._waiting.append(_Waiting(request, future, request.ByteSize() + FIELD_BYTES, of_end))
        if not self._flushing and len(self._calls) < CALLS_IN_FLIGHT:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return future

    def _is_alone(self) -> bool:
        """Whether the one start that waits to be sent is all that this client has under way."""
        if len(self._waiting) != 1 or self._calls or self._alone is not None:
            return False
        return self._waiting[0].of_end and self._awaiter.is_idle

    def _start_alone(self) -> None:
        batch = [self._waiting.pop()]
        request = batch[0].request
        request.wait.seconds, request.payload_format = ALONE_WAITS, common.PAYLOAD_FORMAT_RAW
        self._alone = self._loop.create_task(self._start(batch))
        self._alone.add_done_callback(self._alone_returned)

    def _alone_returned(self, call: asyncio.Task[None]) -> None:
        self._alone = None

    def _flush(self) -> None:
        self._flushing = False
        if self._is_alone():
            self._start_alone()
        while self._waiting and len(self._calls) < CALLS_IN_FLIGHT:
            call = self._loop.create_task(self._start(self._batch()))
            self._calls.add(call)
            call.add_done_callback(self._returned)

    def _returned(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._flush()

    def _batch(self) -> list[_Waiting]:
        """As many as fit: their number, and their bytes where they are large."""
        batch = self._waiting[:MOST_STARTS]
        if sum([one.size for one in batch]) > MOST_BYTES:
            size, fitting = 0, 0
            for one in batch:
                size += one.size
                if size > MOST_BYTES and fitting:
                    break
                fitting += 1
            batch = batch[:fitting]
        del self._waiting[: len(batch)]
        return batch

    async def _start(self, batch: list[_Waiting]) -> None:
        """Until each has its outcome; those that were refused for a while are tried again together."""
        retry = Retry(self._nodes)
        try:
            while batch:
                batch, error = await self._try(batch)
                if error is not None:
                    await retry.pause(error)
        except Exception as error:  # noqa: BLE001  # every caller that waits gets the error
            for one in batch:
                if not one.future.done():
                    one.future.set_exception(error)
        except asyncio.CancelledError:
            for one in batch:
                one.future.cancel()
            raise

    async def _try(self, batch: list[_Waiting]) -> tuple[list[_Waiting], RequestError | None]:
        """Those to be tried again, and why."""
        try:
            outcomes = await self._stream.start([one.request for one in batch], sum([one.size for one in batch]))
        except Unavailable as error:
            left = [one for one in batch if not one.future.done()]
            return left, error if left else None
        left, later = list[_Waiting](), None
        for one, outcome in zip(batch, outcomes, strict=True):
            _, future, _, of_end = one
            if future.done():
                continue
            if not outcome.HasField("error"):
                if not of_end:
                    future.set_result(outcome.created)
                elif outcome.HasField("workflow"):
                    future.set_result(outcome.workflow)
                else:
                    self._awaiter.follow(one.request.workflow_id, future)
                continue
            outcome.error.message = _PLACE.sub("", outcome.error.message)  # who started one knows of no batch
            refusal = from_outcome(outcome.error)
            if isinstance(refusal, Unavailable):
                left.append(one)
                later = refusal
            else:
                future.set_exception(refusal)
        return left, later

    async def close(self) -> None:
        calls = {*self._calls, *(() if self._alone is None else (self._alone,))}
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        for one in self._waiting:
            one.future.cancel()
        await self._stream.close()
