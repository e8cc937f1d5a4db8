# SPDX-License-Identifier: Apache-2.0
"""The Connect stream: what an agent says is heard by one task, what it is told is written by the handler itself.

Nothing here waits for Redis: an item is handed to the desk and answered when its answer is there. What makes no sense is
refused item by item; only a hello that can't be taken ends the stream with a status.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from nervenet.errors import InvalidRequest, RequestError, Unavailable
from nervenet.node.gateway.guest import Guest
from nervenet.node.gateway.hello import check_credit, check_hello
from nervenet.node.gateway.line import Line
from nervenet.rpc.status import check_values, invalid
from nervenet.v1 import agent_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from nervenet.node.gateway.gateway import Gateway

HELLO_WITHIN: Final = 10.0

_log = logging.getLogger(__name__)


def stops() -> Unavailable:
    return Unavailable("this node stops: connect to another one", code="UNAVAILABLE", reason="NODE_DRAINING")


class Door:
    """One for each node; `stopping` is set when its server stops."""

    def __init__(self, gateway: Gateway, stopping: asyncio.Event) -> None:
        self._gateway = gateway
        self._stopping = stopping
        self._lines: set[Line] = set()
        self._closing: asyncio.Task[None] | None = None

    async def connect(
        self, requests: AsyncIterator[pb.ConnectRequest], context: Any
    ) -> AsyncGenerator[pb.ConnectResponse, None]:
        """One stream, from hello to its end."""
        if self._stopping.is_set():
            raise stops()
        line = Line()
        self._lines.add(line)
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        listening = asyncio.create_task(self._listen(requests, line))
        try:
            while items := await line.take():
                yield pb.ConnectResponse(items=items)
            if line.error is not None:
                raise line.error
        finally:
            self._lines.discard(line)
            line.end()
            listening.cancel()

    async def _close(self) -> None:
        await self._stopping.wait()
        for line in tuple(self._lines):
            line.end(stops())

    async def _listen(self, requests: AsyncIterator[pb.ConnectRequest], line: Line) -> None:
        """Everything that the agent says, in order; whatever ends it ends the line."""
        guest: Guest | None = None
        try:
            guest, rest = await self._greet(requests, line)
            if await self._hear(guest, line, rest):
                return
            async for message in requests:
                if await self._hear(guest, line, message.items):
                    return
            line.end()
        except RequestError as error:
            line.end(error)
        except asyncio.CancelledError:
            line.end()
            raise
        except Exception as error:  # noqa: BLE001  # the guard translates and logs what it knows not
            line.end(error)
        finally:
            if guest is not None:
                self._gateway.left(guest, line)

    async def _greet(
        self, requests: AsyncIterator[pb.ConnectRequest], line: Line
    ) -> tuple[Guest, list[pb.ConnectRequestItem]]:
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                message = await anext(requests)
        except (TimeoutError, StopAsyncIteration):
            raise invalid("items[0]", f"a stream begins with hello, within {HELLO_WITHIN:g} s") from None
        hello = check_hello(message.items)
        return await self._gateway.arrive(hello, line), list(message.items)[1:]

    async def _hear(self, guest: Guest, line: Line, items: Any) -> bool:
        """True: it has said goodbye."""
        if line.over:
            return True
        guest.heard_at = self._gateway.now()
        for item in items:
            kind = item.WhichOneof("item")
            if kind == "goodbye":
                await self._gateway.say_goodbye(guest)
                line.end()
                return True
            try:
                self._hear_one(guest, kind, item)
            except InvalidRequest as error:
                guest.reject(error.reason, error.message)
        return False

    def _hear_one(self, guest: Guest, kind: str | None, item: pb.ConnectRequestItem) -> None:
        desk = self._gateway.desk
        if (
            kind == "task_completion"
        ):  # never refused for a value: what was done is recorded, without what makes no sense
            desk.complete(guest, item.task_completion)
            return
        check_values(item)
        if kind == "task_report":
            desk.report(guest, item.task_report)
        elif kind == "task_ack":
            desk.begun(guest, item.task_ack)
        elif kind == "status":
            self._status(guest, item.status)
        elif kind == "hello":
            raise invalid("items", "hello is the first item of a stream, and no other")
        else:
            raise invalid("items", "an item that this node does not know: it is passed over")

    def _status(self, guest: Guest, status: pb.Status) -> None:
        guest.cpu = status.load.cpu
        if status.HasField("credit"):
            check_credit(status.credit, "status.credit")
            self._gateway.set_credit(guest, status.credit)
        guest.status_heard()
