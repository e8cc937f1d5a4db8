# SPDX-License-Identifier: Apache-2.0
"""Agents that speak only gRPC, by hand: raw Connect streams against real nodes, written from protos/README.md alone.

`Stream` says and hears items, one by one; `Speaker` is an agent as that page has it, with the handlers of a test: it keeps
what it was given until it is acknowledged, and comes back with it wherever its stream breaks.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from nervenet.v1 import agent_pb2, common_pb2, task_pb2
from nervenet.v1 import agent_service_pb2 as pb
from nervenet.v1 import agent_service_pb2_grpc as pb_grpc
from tests.support.waiting import DEADLINE

Handler = Callable[[task_pb2.TaskEnvelope], Any]
Metadata = Sequence[tuple[str, str]]


def hello(*capabilities: str | dict[str, Any], name: str = "speaker", credit: int = 4, **more: Any) -> pb.Hello:
    able = [{"name": each} if isinstance(each, str) else each for each in capabilities]
    agent = agent_pb2.AgentRecord(name=name, capabilities=able, runtime="test 1", **more)
    return pb.Hello(agent=agent, credit=credit)


def value_of(payload: common_pb2.Payload) -> Any:
    return json.loads(payload.json)


def result(task: task_pb2.TaskEnvelope, value: Any) -> pb.TaskCompletion:
    output = common_pb2.Payload(json=json.dumps(value))
    return pb.TaskCompletion(task_id=task.task_id, result=task_pb2.TaskResult(output=output, attempt=task.attempt))


def failed(task: task_pb2.TaskEnvelope, message: str, **more: Any) -> pb.TaskCompletion:
    failure = common_pb2.Failure(message=message, **more)
    return pb.TaskCompletion(task_id=task.task_id, result=task_pb2.TaskResult(failure=failure, attempt=task.attempt))


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason of a status, from our ErrorInfo."""
    packed = dict([*(error.trailing_metadata() or ())]).get("grpc-status-details-bin", b"")
    info = error_details_pb2.ErrorInfo()
    for part in status_pb2.Status.FromString(packed).details:
        if part.Unpack(info) and info.domain == "nervenet":
            return str(info.reason)
    return ""


class Stream:
    """One Connect stream by hand. `hear("task")` waits for the next item of a kind; others are kept in their order."""

    def __init__(self, address: str, metadata: Metadata = (), tls: grpc.ChannelCredentials | None = None) -> None:
        self.channel = grpc.aio.secure_channel(address, tls) if tls else grpc.aio.insecure_channel(address)
        self.call: Any = pb_grpc.AgentServiceStub(self.channel).Connect(metadata=metadata)
        self.items: list[pb.ConnectResponseItem] = []
        self.welcome = pb.Welcome()
        self._writing = asyncio.Lock()  # gRPC takes one write at a time

    async def say(self, **items: Any) -> None:
        """Items of these kinds, in one message."""
        await self.say_all([pb.ConnectRequestItem(**{kind: item}) for kind, item in items.items()])

    async def say_all(self, items: Sequence[pb.ConnectRequestItem]) -> None:
        async with self._writing:
            await self.call.write(pb.ConnectRequest(items=items))

    async def hear(self, kind: str, within: float = DEADLINE) -> Any:
        async with asyncio.timeout(within):
            while True:
                for item in self.items:
                    if item.WhichOneof("item") == kind:
                        self.items.remove(item)
                        return getattr(item, kind)
                message = await self.call.read()
                assert message is not grpc.aio.EOF, f"the stream ended before a {kind} came"
                self.items += message.items

    async def end(self, within: float = DEADLINE) -> tuple[str, str]:
        """The status with which the node ended it, and its reason."""
        async with asyncio.timeout(within):
            try:
                while (message := await self.call.read()) is not grpc.aio.EOF:
                    self.items += message.items
            except grpc.aio.AioRpcError as error:
                return error.code().name, reason_of(error)
            return (await self.call.code()).name, ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.call.cancel()
        await self.channel.close()


class Speaker:
    """An agent by the page. `handlers` map capabilities to functions of the envelope (async or not)."""

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        handlers: dict[str, Handler],
        *,
        name: str = "speaker",
        credit: int = 4,
        capabilities: Sequence[Any] = (),
        metadata: Metadata = (),
        tls: grpc.ChannelCredentials | None = None,
        as_late_as_allowed: bool = False,
        **more: Any,
    ) -> None:
        self.as_late_as_allowed = as_late_as_allowed
        self.checkpoints: dict[tuple[str, int], common_pb2.Payload] = {}
        self.addresses, self.handlers, self.metadata, self.tls = addresses, handlers, metadata, tls
        self.hello = hello(*(capabilities or handlers), name=name, credit=credit, **more)
        self.welcome: pb.Welcome | None = None
        self.welcomes: list[pb.Welcome] = []
        self.held: dict[tuple[str, int], task_pb2.TaskEnvelope] = {}
        self.results: dict[tuple[str, int], pb.TaskCompletion] = {}
        self.began: list[tuple[str, int]] = []
        self.heard: list[str] = []
        self.most = 0
        self.running: dict[tuple[str, int], asyncio.Task[None]] = {}
        self.acked: list[pb.ResultAck] = []
        self.ready = asyncio.Event()
        self.at = ""
        self._stream: Stream | None = None
        self._turn = itertools.count()
        self._life: asyncio.Task[None] | None = None
        self._leaving = False

    @property
    def agent_id(self) -> str:
        return self.hello.agent.agent_id

    async def __aenter__(self) -> Speaker:
        self._life = asyncio.create_task(self._live())
        await asyncio.wait_for(self.ready.wait(), DEADLINE)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()

    async def vanish(self) -> None:
        """Like kill -9, as far as a node can tell."""
        for work in (self._life, *self.running.values()):
            if work is not None:
                work.cancel()
                await asyncio.wait((work,))
        if self._stream is not None:
            await self._stream.close()

    async def cut(self) -> None:
        """Break the stream; it comes back by itself."""
        assert self._stream is not None
        self._stream.call.cancel()

    async def save(self, task: task_pb2.TaskEnvelope, checkpoint: common_pb2.Payload) -> None:
        """What the next attempt may go on from."""
        self.checkpoints[task.task_id, task.attempt] = checkpoint
        progress = task_pb2.TaskProgress(attempt=task.attempt, checkpoint=checkpoint)
        await self.say(task_report=pb.TaskReport(task_id=task.task_id, progress=progress))

    async def leave(self) -> None:
        assert self._stream is not None
        self._leaving = True
        await self._stream.say(goodbye=pb.Goodbye(reason="enough"))

    async def say(self, **items: Any) -> None:
        assert self._stream is not None
        await self._stream.say(**items)

    async def _live(self) -> None:
        while not self._leaving:
            where = self.addresses()
            self.at = where[next(self._turn) % len(where)]
            self._stream = Stream(self.at, self.metadata, self.tls)
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
                async with self._stream as stream:
                    await self._talk(stream)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return
            await asyncio.sleep(self._seconds("reconnect_within") - 0.1 if self.as_late_as_allowed else 0.05)

    def _seconds(self, field: str) -> float:
        """What the last welcome said; before there was one, no time at all."""
        told = getattr(self.welcome, field) if self.welcome is not None else None
        return float(told.ToMilliseconds()) / 1000 if told is not None else 0.2

    async def _talk(self, stream: Stream) -> None:
        del self.hello.running[:]
        for key, envelope in self.held.items():
            one = self.hello.running.add(task=envelope, checkpoint=self.checkpoints.get(key))
            one.task.ClearField("input")
        await stream.say(hello=self.hello)
        welcome = self.welcome = await stream.hear("welcome")
        self.welcomes.append(welcome)
        self.hello.agent.agent_id, self.hello.lease_id = welcome.agent_id, welcome.lease_id
        self.ready.set()
        for done in self.results.values():
            await stream.say(task_completion=done)
        interval = self._seconds("status_interval")
        beating = asyncio.create_task(self._beat(stream, interval if self.as_late_as_allowed else interval / 2))
        try:
            while True:
                items, stream.items = stream.items, []
                for item in items:
                    self._hear(item)
                async with asyncio.timeout(3 * interval):
                    message = await stream.call.read()
                if message is grpc.aio.EOF:
                    return
                stream.items += message.items
        except TimeoutError:
            self.heard.append("silence")
        finally:
            beating.cancel()

    async def _beat(self, stream: Stream, every: float) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await stream.say(status=pb.Status())
                await asyncio.sleep(every)

    def _hear(self, item: pb.ConnectResponseItem) -> None:
        kind = item.WhichOneof("item") or ""
        self.heard.append(kind)
        if kind == "task":
            self._begin(item.task)
        elif kind in ("result_ack", "rejected"):
            told = getattr(item, kind)
            self.acked += [told] if kind == "result_ack" else []
            for kept in (self.held, self.results, self.checkpoints):
                kept.pop((told.task_id, told.attempt), None)
        elif kind == "task_cancel":
            key = (item.task_cancel.task_id, item.task_cancel.attempt)
            if key in self.running:
                self.running[key].cancel()
        elif kind == "reconnect" and self._stream is not None:
            self._stream.call.cancel()

    def _begin(self, task: task_pb2.TaskEnvelope) -> None:
        key = (task.task_id, task.attempt)
        if key not in self.held:
            self.held[key] = task
            self.began.append(key)
            self.most = max(self.most, len(self.held))
            self.running[key] = asyncio.create_task(self._run(key, task))

    async def _run(self, key: tuple[str, int], task: task_pb2.TaskEnvelope) -> None:
        try:
            found = self.handlers[task.capability](task)
            if inspect.isawaitable(found):
                found = await found
            done = found if isinstance(found, pb.TaskCompletion) else result(task, found)
        except asyncio.CancelledError:
            done = failed(task, "cancelled", code=common_pb2.FAILURE_CODE_CANCELED)
        except Exception as error:  # noqa: BLE001  # what an agent does with any of them
            done = failed(task, str(error), type=type(error).__name__)
        self.running.pop(key, None)
        self.results[key] = done
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, AssertionError):
            await self.say(task_completion=done)


async def refused(
    address: str, *items: pb.ConnectRequestItem, metadata: Metadata = (), tls: grpc.ChannelCredentials | None = None
) -> tuple[str, str]:
    """What becomes of a stream that begins like this; it may be over before it was said."""
    async with Stream(address, metadata, tls) as stream:
        if items:
            with suppress(grpc.RpcError, grpc.aio.BaseError, asyncio.InvalidStateError):
                await stream.say_all(items)
        return await stream.end()


@asynccontextmanager
async def connected(
    address: str, said: pb.Hello, metadata: Metadata = (), tls: grpc.ChannelCredentials | None = None
) -> AsyncIterator[Stream]:
    """A stream that has said hello and heard its welcome (`stream.welcome`)."""
    async with Stream(address, metadata, tls) as stream:
        await stream.say(hello=said)
        stream.welcome = await stream.hear("welcome")
        yield stream
