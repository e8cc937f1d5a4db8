# SPDX-License-Identifier: Apache-2.0
"""Starts travel as messages of one stream, and as calls to nodes that have no such stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nervenet import Client, errors
from nervenet.config import Config
from nervenet.rpc.server import GrpcServer, Service
from nervenet.rpc.stream_of_calls import LARGEST
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.support.waiting import until


class Earlier:
    """A node of an earlier release: it has StartWorkflows only."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.messages: list[list[str]] = []
        self.streams: set[Any] = set()
        """The contexts of the streams, which stay alive: another one has no id of theirs."""
        self.release = asyncio.Event()
        self.release.set()

    async def StartWorkflows(self, request: Any, context: Any) -> Any:
        self.calls.append([start.workflow_id for start in request.requests])
        return pb.StartWorkflowsResponse(outcomes=outcomes(request))


class Streaming(Earlier):
    """A node of this release."""

    async def StreamStarts(self, request: Any, context: Any) -> Any:
        self.messages.append([start.workflow_id for start in request.requests])
        self.streams.add(context)
        await self.release.wait()
        if request.requests[0].workflow_id.startswith("bad"):
            raise errors.InvalidRequest("it is bad", code="INVALID_ARGUMENT", reason="INVALID_FIELD")
        return pb.StreamStartsResponse(outcomes=outcomes(request))


def outcomes(request: Any) -> list[pb.StartOutcome]:
    return [pb.StartOutcome(workflow_id=start.workflow_id, created=True) for start in request.requests]


@asynccontextmanager
async def serving(servicer: Earlier, **settings: Any) -> AsyncIterator[GrpcServer]:
    config = Config.load(environ={}, listen="127.0.0.1:0", **settings)
    server = await GrpcServer.start(
        config, "node", [Service("nervenet.v1.CoordinatorService", servicer)], asyncio.Event()
    )
    try:
        yield server
    finally:
        servicer.release.set()
        await server.stop(0)


async def test_all_starts_of_a_client_are_messages_of_one_stream() -> None:
    node = Streaming()
    async with serving(node) as server, Client(server.address) as client:
        await client.start("w", id="a")
        await asyncio.gather(*(client.start("w", id=f"b-{i}") for i in range(3)))
    assert node.messages == [["a"], ["b-0", "b-1", "b-2"]]
    assert len(node.streams) == 1
    assert node.calls == []


async def test_a_node_of_an_earlier_release_gets_calls() -> None:
    node = Earlier()
    async with serving(node) as server, Client(server.address) as client:
        for each in ("a", "b"):
            await client.start("w", id=each)
    assert node.calls == [["a"], ["b"]]


async def test_a_large_batch_is_a_call() -> None:
    node = Streaming()
    async with serving(node) as server, Client(server.address) as client:
        await client.start("w", "x" * LARGEST, id="large")
        await client.start("w", "x", id="small")
    assert (node.calls, node.messages) == ([["large"]], [["small"]])


async def test_a_refusal_is_for_its_own_batch() -> None:
    node = Streaming()
    async with serving(node) as server, Client(server.address) as client:
        node.release.clear()
        good = asyncio.create_task(client.start("w", id="good"))
        await until(lambda: node.messages == [["good"]], "one is under way")
        bad = asyncio.create_task(client.start("w", id="bad"))
        await until(lambda: len(node.messages) == 2, "and another one")
        node.release.set()
        with pytest.raises(errors.InvalidRequest, match="it is bad"):
            await bad
        await good
    assert len(node.streams) == 1


async def test_a_start_whose_stream_breaks_is_sent_again_under_its_id_to_another_node() -> None:
    first, second = Streaming(), Streaming()
    async with serving(second) as other:
        async with serving(first) as server:
            client = Client(f"{server.address},{other.address}")
            await client.start("w", id="a")
            first.release.clear()
            starting = asyncio.create_task(client.start("w", id="b"))
            await until(lambda: first.messages == [["a"], ["b"]], "the start is under way")
            await server.stop(0)  # it is cut off before it answers
        await asyncio.wait_for(starting, 20)
        await client.close()
    assert second.messages == [["b"]]


async def test_a_node_that_stops_answers_what_is_under_way_and_gets_no_more() -> None:
    first, second = Streaming(), Streaming()
    async with (
        serving(second) as other,
        serving(first) as server,
        Client(f"{server.address},{other.address}") as client,
    ):
        first.release.clear()
        starting = asyncio.create_task(client.start("w", id="a"))
        await until(lambda: first.messages == [["a"]], "the start is under way")
        stopping = asyncio.create_task(server.stop(20))
        first.release.set()
        await asyncio.wait_for(starting, 20)
        await client.start("w", id="b")
        await stopping
    assert (first.messages, second.messages) == ([["a"]], [["b"]])


async def test_new_credentials_open_a_new_stream(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one-of-the-tokens-1234")
    node, config = Streaming(), Config.load(environ={}, token_file=token)  # the node takes any
    async with serving(node) as server, Client(server.address, config=config) as client:
        await client.start("w", id="a")
        await client.start("w", id="b")
        assert len(node.streams) == 1
        token.write_text("another-of-the-tokens-5678")
        async with asyncio.timeout(20):  # a file is read again each second
            while len(node.streams) == 1:
                await client.start("w", id="c")


async def test_a_stream_that_is_old_is_followed_by_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Streaming()
    async with serving(node) as server, Client(server.address) as client:
        await client.start("w", id="a")
        node.release.clear()
        waiting = asyncio.create_task(client.start("w", id="b"))
        await until(lambda: len(node.messages) == 2, "one is under way on the first stream")
        (first,) = [client._parts()[0]._stream._open]
        assert first is not None
        monkeypatch.setattr(first, "_until", 0.0)
        starting = asyncio.create_task(client.start("w", id="c"))
        await until(lambda: len(node.messages) == 3, "the next one goes by a second stream")
        node.release.set()
        await asyncio.gather(waiting, starting)
    assert len(node.streams) == 2
