# SPDX-License-Identifier: Apache-2.0
"""Starts of the same loop tick are sent as one StartWorkflows, because a unary call costs more than a start.

While four calls are in flight, further starts wait until one of them returns, and are sent together: the busier the client,
the larger its batches. A single start is sent at once. If nothing else is under way and its caller wants the result, the same
call waits for it: a stream of results pays only where several share it (decision 0051).
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from nervenet.client.nodes import Retry
from nervenet.client.start_stream import StartStream
from nervenet.client.tracing import begin_start
from nervenet.errors import RequestError, Unavailable
from nervenet.rpc.status import from_outcome
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

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


_Waiting: TypeAlias = tuple[pb.StartWorkflowRequest, asyncio.Future[bool], int]
"""A start that waits, and its bytes in a message: to count them takes as long as to encode them, so they are counted once."""


class StartBatcher:
    """The starts of one client. `awaits_others` tells whether it awaits results of other workflows."""

    def __init__(self, nodes: Nodes, awaits_others: Callable[[], bool]) -> None:
        self._nodes = nodes
        self._stream = StartStream(nodes)
        self._awaits_others = awaits_others
        self._loop = asyncio.get_running_loop()
        self._wanted: set[asyncio.Future[bool]] = set()
        """Starts whose callers wait for the result."""
        self._ends: dict[str, workflow_pb2.Workflow] = {}
        self._alone: asyncio.Task[None] | None = None
        self._waiting: list[_Waiting] = []
        self._flushing = False
        self._calls: set[asyncio.Task[None]] = set()

    def start(self, request: pb.StartWorkflowRequest) -> asyncio.Future[bool]:
        """Start a workflow; the request must have its workflow_id. Returns whether it was created, or raises the
        refusal.
        """
        future: asyncio.Future[bool] = self._loop.create_future()
        request = self._nodes.encoding.encoded(request)
        begin_start(self._nodes, request, future)
        self._waiting.append((request, future, request.ByteSize() + FIELD_BYTES))
        if not self._flushing and len(self._calls) < CALLS_IN_FLIGHT:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return future

    async def run(self, request: pb.StartWorkflowRequest) -> workflow_pb2.Workflow | None:
        """Start a workflow for a caller that waits for its result. Returns the closed workflow if its end came in the same call;
        None: await it. Raises the refusal."""
        future = self.start(request)
        self._wanted.add(future)
        try:
            await future
        finally:
            self._wanted.discard(future)
            closed = self._ends.pop(request.workflow_id, None)
        return closed

    def _is_alone(self) -> bool:
        """Whether the one start that waits to be sent is all that this client has under way."""
        if len(self._waiting) != 1 or self._calls or self._alone is not None or self._nodes.telemetry.on:
            return False  # a span of a start must not last as long as the workflow
        return self._waiting[0][1] in self._wanted and not self._awaits_others()

    def _start_alone(self) -> None:
        batch = [self._waiting.pop()]
        request, _, _ = batch[0]
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
        if sum([its for _, _, its in batch]) > MOST_BYTES:
            size, fitting = 0, 0
            for _, _, its in batch:
                size += its
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
                error = await self._try(batch)
                batch = [waiting for waiting in batch if not waiting[1].done()]
                if batch and error is not None:
                    await retry.pause(error)
        except Exception as error:  # noqa: BLE001  # every caller that waits gets the error
            for _, future, _ in batch:
                if not future.done():
                    future.set_exception(error)
        except asyncio.CancelledError:
            for _, future, _ in batch:
                future.cancel()
            raise

    async def _try(self, batch: list[_Waiting]) -> RequestError | None:
        try:
            outcomes = await self._stream.start([one[0] for one in batch], sum([one[2] for one in batch]))
        except Unavailable as error:
            return error
        later: RequestError | None = None
        for (_, future, _), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if not outcome.HasField("error"):
                if outcome.HasField("workflow"):
                    self._ends[outcome.workflow_id] = outcome.workflow
                future.set_result(outcome.created)
                continue
            outcome.error.message = _PLACE.sub("", outcome.error.message)  # who started one knows of no batch
            refusal = from_outcome(outcome.error)
            if isinstance(refusal, Unavailable):
                later = refusal
            else:
                future.set_exception(refusal)
        return later

    async def close(self) -> None:
        calls = {*self._calls, *(() if self._alone is None else (self._alone,))}
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        for _, future, _ in self._waiting:
            future.cancel()
        await self._stream.close()
