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
from tests.support.waiting import until


def away() -> errors.Unavailable:
    return errors.Unavailable("Redis is away", code="UNAVAILABLE", reason="BACKEND_DOWN")


class Counting:
    """A coordinator service that counts, and is away for its first calls where a test asks for that."""

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

    async def StreamStarts(self, request: Any, context: Any) -> Any:
        return pb.StreamStartsResponse(outcomes=(await self.StartWorkflows(request, context)).outcomes)

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


# ── a run that is all that its client has under way ──────────────────────────────────────────────────────────────────


class Answering(Counting):
    """It tells the result with the start where it is asked to wait, as a node does."""

    def __init__(self, away: int = 0) -> None:
        super().__init__(away)
        self.waits: list[bool] = []
        self.release = asyncio.Event()
        self.release.set()

    async def StartWorkflows(self, request: Any, context: Any) -> Any:
        answer = await super().StartWorkflows(request, context)
        self.waits += [start.wait.seconds > 0 for start in request.requests]
        if len(request.requests) == 1 and request.requests[0].wait.seconds:
            await self.release.wait()
            end = {"run": 1, "state": "WORKFLOW_STATE_SUCCEEDED", "output": {"json": "7"}}
            answer.outcomes[0].workflow.MergeFrom(
                workflow_pb2.Workflow(workflow_id=request.requests[0].workflow_id, **end)
            )
        return answer


async def test_a_lone_run_is_one_call_and_opens_no_stream() -> None:
    answering = Answering(away=1)
    server = await serving(answering)
    async with Client(server.address) as client:
        assert [await client.run("w", id=f"w-{i}") for i in range(3)] == [7, 7, 7]
    await server.stop(0)
    assert answering.batches == [["w-0"], ["w-0"], ["w-1"], ["w-2"]], "and it is tried again like any start"
    assert answering.waits == [True, True, True] and answering.streams == 0


async def test_who_has_more_under_way_uses_the_stream_of_results() -> None:
    answering = Answering()
    server = await serving(answering)
    async with Client(server.address) as client:
        assert await asyncio.gather(client.run("w", id="a"), client.run("w", id="b")) == [1, 1]
        assert answering.waits == [False, False], "two of one tick share one call"
        answering.release.clear()
        first = asyncio.create_task(client.run("w", id="c"))
        await until(lambda: len(answering.waits) == 3 or len(answering.batches) == 2, "the lone start is there")
        assert await client.run("w", id="d") == 1, "it waits for no call of another run"
        answering.release.set()
        assert await first == 7
        await client.start("w", id="e")
    await server.stop(0)
    assert answering.waits[-1] is False, "who only starts does not wait for the result"
    assert answering.streams == 1


async def test_a_caller_that_gives_up_a_lone_run_leaves_nothing_behind() -> None:
    answering = Answering()
    server = await serving(answering)
    async with Client(server.address) as client:
        answering.release.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.run("w", id="a")
        assert await client.run("w", id="b") == 1
        answering.release.set()
    await server.stop(0)
    assert answering.batches == [["a"], ["b"]], "the start has been sent all the same"


async def test_a_node_of_an_earlier_release_leaves_the_result_out() -> None:
    counting = Counting()
    server = await serving(counting)
    async with Client(server.address) as client:
        assert await client.run("w", id="a") == 1
    await server.stop(0)
    assert counting.streams == 1
