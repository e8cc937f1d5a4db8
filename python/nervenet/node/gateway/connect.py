# SPDX-License-Identifier: Apache-2.0
"""The Connect stream: one task reads what an agent sends, the gRPC handler writes what its outbox has.

Nothing here waits for Redis: an item goes to the broker, and is answered when its answer is there. An item that makes
no sense is refused alone; only a hello that cannot be accepted ends the stream with a status.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from nervenet.errors import InvalidRequest, RequestError, Unavailable
from nervenet.node.gateway.connected_agent import Outbox
from nervenet.node.gateway.hello import check_credit, check_hello
from nervenet.rpc.status import check_values, invalid
from nervenet.timing import HELLO_TIMEOUT
from nervenet.v1 import agent_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from nervenet.node.gateway.connected_agent import ConnectedAgent
    from nervenet.node.gateway.gateway import Gateway


_log = logging.getLogger(__name__)


def node_stops() -> Unavailable:
    return Unavailable("this node stops: connect to another one", code="UNAVAILABLE", reason="NODE_DRAINING")


class ConnectHandler:
    """One for each node; `stopping` is set when its server stops."""

    def __init__(self, gateway: Gateway, stopping: asyncio.Event) -> None:
        self._gateway = gateway
        self._stopping = stopping
        self._outboxes: set[Outbox] = set()
        self._closing: asyncio.Task[None] | None = None

    async def connect(
        self, requests: AsyncIterator[pb.ConnectRequest], context: Any
    ) -> AsyncGenerator[pb.ConnectResponse, None]:
        """Serve one stream, from its hello to its end."""
        if self._stopping.is_set():
            raise node_stops()
        outbox = Outbox()
        self._outboxes.add(outbox)
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        receiving = asyncio.create_task(self._receive(requests, outbox))
        try:
            while items := await outbox.take_all():
                yield pb.ConnectResponse(items=items)
            if outbox.error is not None:
                raise outbox.error
        finally:
            self._outboxes.discard(outbox)
            outbox.end()
            receiving.cancel()

    async def _close(self) -> None:
        await self._stopping.wait()
        for outbox in tuple(self._outboxes):
            outbox.end(node_stops())

    async def _receive(self, requests: AsyncIterator[pb.ConnectRequest], outbox: Outbox) -> None:
        """Handle everything that the agent sends, in order. Whatever ends this ends the stream."""
        agent: ConnectedAgent | None = None
        try:
            agent, rest = await self._await_hello(requests, outbox)
            if await self._handle_all(agent, outbox, rest):
                return
            async for message in requests:
                if await self._handle_all(agent, outbox, message.items):
                    return
            outbox.end()
        except RequestError as error:
            outbox.end(error)
        except asyncio.CancelledError:
            outbox.end()
            raise
        except Exception as error:  # noqa: BLE001  # the guard translates and logs what it knows not
            outbox.end(error)
        finally:
            if agent is not None:
                self._gateway.disconnected(agent, outbox)

    async def _await_hello(
        self, requests: AsyncIterator[pb.ConnectRequest], outbox: Outbox
    ) -> tuple[ConnectedAgent, list[pb.ConnectRequestItem]]:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                message = await anext(requests)
        except (TimeoutError, StopAsyncIteration):
            raise invalid("items[0]", f"a stream begins with hello, within {HELLO_TIMEOUT:g} s") from None
        hello = check_hello(message.items)
        return await self._gateway.connect(hello, outbox), list(message.items)[1:]

    async def _handle_all(self, agent: ConnectedAgent, outbox: Outbox, items: Any) -> bool:
        """True: the stream is over, or the agent said goodbye."""
        if outbox.over:
            return True
        agent.heard_at = self._gateway.now()
        for item in items:
            kind = item.WhichOneof("item")
            if kind == "goodbye":
                await self._gateway.deregister(agent)
                outbox.end()
                return True
            try:
                self._handle(agent, kind, item)
            except InvalidRequest as error:
                agent.reject(error.reason, error.message)
        return False

    def _handle(self, agent: ConnectedAgent, kind: str | None, item: pb.ConnectRequestItem) -> None:
        broker = self._gateway.broker
        if kind == "task_completion":  # never refused for a value: the work is recorded, without what makes no sense
            broker.complete(agent, item.task_completion)
            return
        check_values(item)
        if kind == "task_report":
            broker.report(agent, item.task_report)
        elif kind == "task_ack":
            broker.begun(agent, item.task_ack)
        elif kind == "status":
            self._status(agent, item.status)
        elif kind == "hello":
            raise invalid("items", "hello is the first item of a stream, and no other")
        else:
            raise invalid("items", "an item that this node does not know: it is passed over")

    def _status(self, agent: ConnectedAgent, status: pb.Status) -> None:
        agent.cpu = status.load.cpu
        if status.HasField("credit"):
            check_credit(status.credit, "status.credit")
            self._gateway.set_credit(agent, status.credit)
        agent.ack_status()
