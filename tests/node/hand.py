# SPDX-License-Identifier: Apache-2.0
"""What the tests of a node need beside it: nodes without a control plane, and an agent written by hand.

The agent speaks the data plane and nothing else: registry record, inbox, claim, append, wake. A test decides when it
does which, and what it leaves out, so that a lost or doubled message is a line in the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from nervenet.clock import new_id
from nervenet.config import Config
from nervenet.errors import Unavailable
from nervenet.mesh import Mesh
from nervenet.node.node import Node
from nervenet.node.served import Served
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import Attempt, Body, Close, Entry, Failure, Outcome, Payload, Usage
from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.link import Link
from nervenet.registry.etcd import Etcd
from nervenet.registry.session import Session
from nervenet.streams.answers import Appended, Claimed
from nervenet.streams.queues import GROUP, OutgoingWake, parse_tasks
from nervenet.v1 import agent_pb2
from nervenet.wire import Envelope, decode_envelope, encode_entry, to_json
from tests.support.data_plane import DataPlane, entries_of

DEADLINE = 15.0


@asynccontextmanager
async def no_control_plane(node: Node) -> AsyncIterator[Served]:
    yield Served("127.0.0.1:1", Deaf())


class Deaf:
    """Agents that can't be told anything: what then has to happen happens by claims and timers."""

    async def cancel_task(self, *_: object) -> bool:
        raise Unavailable("a test's agent hears nothing", code="UNAVAILABLE")


class World:
    """One namespace on real servers: nodes, agents by hand, and a look at the journals."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str) -> None:
        self.redis_url, self.etcd_url, self.namespace = redis_url, etcd_url, namespace

    def config(self, **settings: Any) -> Config:
        return Config.load(environ={}, redis=self.redis_url, etcd=self.etcd_url, namespace=self.namespace, **settings)

    @asynccontextmanager
    async def node(self, mesh: Mesh, **settings: Any) -> AsyncIterator[Node]:
        async with Node.open(mesh.workflows, self.config(**settings), serve=no_control_plane) as node:
            yield node

    @asynccontextmanager
    async def agent(
        self, *capabilities: str, slots: int = 100, labels: dict[str, str] | None = None
    ) -> AsyncIterator[Hand]:
        async with Etcd.open(self.etcd_url) as etcd:
            session = await Session.open(etcd, 5)
            try:
                async with Hand.open(self.redis_url, self.namespace, session) as hand:
                    await hand.register(capabilities, slots, labels)
                    yield hand
            finally:
                await session.close()


class Task(NamedTuple):
    """A task as the hand holds it."""

    stream: bytes
    entry_id: bytes
    envelope: Envelope

    @property
    def step(self) -> str:
        return self.envelope.step


class Hand(DataPlane):
    """An agent that does only what the test tells it."""

    def __init__(self, link: Link, namespace: str, session: Session) -> None:
        super().__init__(link, namespace)
        self.id = new_id("hand")
        self.session = session
        self.inbox = self.keys.inbox(self.id)

    async def register(self, capabilities: tuple[str, ...], slots: int, labels: dict[str, str] | None) -> None:
        await self.queues.make_inbox(self.id)
        await self.say(agent_pb2.AGENT_STATE_ACTIVE, capabilities, slots, labels)

    async def say(
        self,
        state: agent_pb2.AgentState,
        capabilities: tuple[str, ...],
        slots: int = 1,
        labels: dict[str, str] | None = None,
    ) -> None:
        """Write its record."""
        able = [agent_pb2.Capability(name=name, version="1", slots=slots) for name in capabilities]
        record = agent_pb2.AgentRecord(agent_id=self.id, name="hand", capabilities=able, labels=labels, slots=slots)
        record.state = state
        await self.session.put(f"/nervenet/{self.keys.namespace}/agents/{self.id}", to_json(record))

    async def read(self, stream: bytes | None = None) -> Task:
        """The next new task of the inbox (or of another stream)."""
        async with asyncio.timeout(DEADLINE):
            return await anext(self.tasks(stream or self.inbox))

    async def tasks(self, stream: bytes) -> AsyncIterator[Task]:
        reader = await self.link.dedicated()
        try:
            while True:
                try:
                    found = parse_tasks(await reader.read(*self.queues.read_tasks(stream, self.id, 1, 500)))
                except LinkError:  # the stream is not there yet, or was just taken away
                    await self.link.call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
                    continue
                if found and found[0].envelope is not None:
                    yield Task(stream, found[0].id, decode_envelope(found[0].envelope))
        finally:
            await reader.close()

    async def claim(self, task: Task, ttl_ms: int = 6000) -> Claimed:
        e = task.envelope
        return await self.journal.claim(e.workflow_id, e.run, e.step, e.attempt, self.id, ttl_ms)

    async def answer(self, task: Task, data: bytes, *, wake: bool = True, usage: tuple[Usage, ...] = ()) -> Appended:
        e, output = task.envelope, Payload("json", data)
        body = Outcome(output, None, e.capability, e.digest, e.attempt, self.id, 1, 2, usage, e.enqueue_ms)
        return await self._append(task, f"task:{e.step}", body, wake)

    async def fail(self, task: Task, failure: Failure) -> Appended:
        e = task.envelope
        return await self.attempt(task, Attempt(failure, None, e.capability, e.digest, self.id, 1, 2))

    async def outcome(self, task: Task, body: Outcome) -> Appended:
        return await self._append(task, f"task:{task.step}", body, True)

    async def attempt(self, task: Task, body: Attempt) -> Appended:
        return await self._append(task, f"attempt:{task.step}#{task.envelope.attempt}", body, True)

    async def _append(self, task: Task, name: str, body: Body, wake: bool) -> Appended:
        e = task.envelope
        data = encode_entry(body, self.id)
        answer = await self.journal.append(e.workflow_id, e.run, name, data)
        news = OutgoingWake(answer.owner, e.workflow_id, e.run, answer.id, name, data)
        if wake:
            await self.queues.complete(news, task.stream, task.entry_id)
        else:
            await self.queues.drop(task.stream, task.entry_id)
        return answer

    async def serve(self, handle: Callable[[Task], Awaitable[bytes]], stream: bytes | None = None) -> None:
        """Read, claim, answer, until cancelled."""
        async for task in self.tasks(stream or self.inbox):
            if (await self.claim(task)).status == "run":
                await self.answer(task, await handle(task))


async def start(
    node: Node, definition: str, workflow_id: str, data: bytes = b"null", **more: Any
) -> asyncio.Future[Close]:
    """Start a workflow; the future is its end, wherever it is hosted (a look at the journal each time it moves)."""
    await node.starter.start(StartRequest(workflow_id, definition, Payload("json", data), **more))
    return asyncio.ensure_future(end_of(node, workflow_id))


async def end_of(node: Node, workflow_id: str, *, deadline: float = DEADLINE) -> Close:
    found = await until_entry(node, workflow_id, "close", deadline=deadline)
    assert isinstance(found.body, Close)
    return found.body


async def until_entry(node: Node, workflow_id: str, name: str, *, deadline: float = DEADLINE) -> Entry:
    """Wait for an entry of that name; its coming is told on the workflow's channel."""
    news = await node.context.link.subscribe()
    try:
        async with asyncio.timeout(deadline):
            await news.add(node.context.keys.events(workflow_id))
            await node.context.journal.watch(workflow_id, int(deadline * 1000))
            while True:
                entries = await journal(node, workflow_id)
                if name in entries:
                    return entries[name]
                await anext(aiter(news))
    finally:
        await news.close()


async def journal(node: Node, workflow_id: str) -> dict[str, Entry]:
    """The whole journal by name, in order."""
    return await entries_of(node.context.journal, workflow_id)
