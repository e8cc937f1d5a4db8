# SPDX-License-Identifier: Apache-2.0
"""What travels: starts of one tick as one call, and what is tried again after which answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nervenet import Client, Resolution, errors
from nervenet.config import Config
from nervenet.rpc.server import GrpcServer, Service
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2


def away() -> errors.Unavailable:
    return errors.Unavailable("Redis is away", code="UNAVAILABLE", reason="BACKEND_DOWN")


class Counting:
    """A coordinator service that counts, and is away for its first calls where a test says so."""

    def __init__(self, away: int = 0) -> None:
        self.batches: list[list[str]] = []
        self.streams = 0
        self.away = away
        self.calls = 0

    async def StartWorkflows(self, request: Any, context: Any) -> Any:
        self.batches.append([start.workflow_id for start in request.requests])
        if self.away:
            self.away -= 1
            raise away()
        return pb.StartWorkflowsResponse(
            outcomes=[pb.StartOutcome(workflow_id=start.workflow_id, created=True) for start in request.requests]
        )

    async def AwaitWorkflows(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        self.streams += 1
        async for request in requests:
            yield pb.AwaitWorkflowsResponse(
                workflows=[
                    workflow_pb2.Workflow(
                        workflow_id=each, run=1, state="WORKFLOW_STATE_SUCCEEDED", output={"json": "1"}
                    )
                    for each in request.workflow_ids
                ]
            )
            if self.away:
                self.away -= 1
                return

    async def SignalWorkflow(self, request: Any, context: Any) -> Any:
        self.calls += 1
        if self.calls < 3:
            raise away()
        return pb.SignalWorkflowResponse(sequence=2, created=True)

    async def ResolveEscalation(self, request: Any, context: Any) -> Any:
        self.calls += 1
        raise away()


async def serving(servicer: object) -> GrpcServer:
    config = Config.load(environ={}, listen="127.0.0.1:0")
    return await GrpcServer.start(
        config, "node", [Service("nervenet.v1.CoordinatorService", servicer)], asyncio.Event()
    )


async def test_starts_of_one_tick_are_one_call_and_their_results_share_one_stream() -> None:
    counting = Counting()
    server = await serving(counting)
    async with Client(server.address) as client:
        assert await asyncio.gather(*(client.run("w", i, id=f"w-{i}") for i in range(50))) == [1] * 50
        await client.run("w", id="alone")
    await server.stop(0)
    assert [len(batch) for batch in counting.batches] == [50, 1] and counting.streams == 1


async def test_a_start_is_tried_again_under_the_same_id() -> None:
    counting = Counting(away=2)
    server = await serving(counting)
    async with Client(server.address) as client:
        run = await client.start("w")
    await server.stop(0)
    assert counting.batches == [[run.id]] * 3


async def test_a_stream_that_ends_is_opened_again_for_what_is_still_awaited() -> None:
    counting = Counting(away=1)
    server = await serving(counting)
    async with Client(server.address) as client:
        assert await client.handle("a").result(timeout=5) == 1
        assert await client.handle("b").result(timeout=5) == 1
    await server.stop(0)
    assert counting.streams == 2


async def test_a_signal_is_repeated_and_a_decision_is_not() -> None:
    counting = Counting()
    server = await serving(counting)
    async with Client(server.address) as client:
        await client.handle("w").signal("approve", 1)
        assert counting.calls == 3
        with pytest.raises(errors.Unavailable) as refused:
            await client.resolve("w/ask#1", Resolution.complete(1))
    await server.stop(0)
    assert counting.calls == 4 and refused.value.reason == "BACKEND_DOWN"
