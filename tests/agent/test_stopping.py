# SPDX-License-Identifier: Apache-2.0
"""Cancels, timeouts, duplicates and drains: how attempts end that do not end by themselves."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import grpc.aio
import pytest

from nervenet.agent.task import Task
from nervenet.definitions import define_agent
from nervenet.records import FailureCode
from nervenet.v1 import agent_pb2, agent_service_pb2, agent_service_pb2_grpc
from nervenet.wire import decode_payload
from tests.agent.world import World
from tests.support.waiting import until


def sleeper(started: asyncio.Event, ended: list[str]) -> Any:
    async def nap(n: int) -> None:
        started.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    return define_agent(nap)


async def test_a_step_that_is_over_stops_its_coroutine_within_two_seconds(world: World) -> None:
    started, ended = asyncio.Event(), list[str]()
    async with world.agent(sleeper(started, ended)) as agent:
        workflow_id = await world.owner.ask(agent, "nap", 1)
        await started.wait()
        await world.owner.journal.append(workflow_id, 1, "task:nap", b"")
        began = time.monotonic()
        await until(lambda: ended, "the handler is cancelled")
        assert time.monotonic() - began < 2.0
        await until(lambda: world.owner.nothing_pending(agent.agent_id), "the delivery is dropped")
        assert list(await world.owner.journal.read(workflow_id))[-1].data == b"", "nothing else was recorded"


async def test_cancel_task_is_immediate_and_the_other_methods_tell_the_truth(world: World) -> None:
    started, ended = asyncio.Event(), list[str]()
    async with world.agent(sleeper(started, ended)) as agent, grpc.aio.insecure_channel(agent.address) as channel:
        stub: Any = agent_service_pb2_grpc.AgentServiceStub(channel)
        workflow_id = await world.owner.ask(agent, "nap", 1)
        await started.wait()
        told = await stub.DescribeAgent(agent_service_pb2.DescribeAgentRequest())
        assert told.agent.agent_id == agent.agent_id
        assert told.agent.capabilities[0].name == "nap"
        assert told.agent.state == agent_pb2.AGENT_STATE_ACTIVE
        assert (told.load.active, told.load.slots) == (1, 10)
        active = await stub.ListActiveTasks(agent_service_pb2.ListActiveTasksRequest(agent_id=agent.agent_id))
        assert [task.task_id for task in active.tasks] == [f"{workflow_id}/nap"]
        request = agent_service_pb2.CancelTaskRequest(task_id=f"{workflow_id}/nap", run=1)
        began = time.monotonic()
        assert (await stub.CancelTask(request)).found
        await until(lambda: ended, "the handler is cancelled")
        assert time.monotonic() - began < 0.5
        await until(lambda: not agent.running, "it is gone")
        assert not (await stub.CancelTask(request)).found
        assert await world.owner.entries(workflow_id) == {}
        with pytest.raises(grpc.aio.AioRpcError, match="not other-aaaaaaaa") as refused:
            await stub.GetLoad(agent_service_pb2.GetLoadRequest(agent_id="other-aaaaaaaa"))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_thread_hears_of_its_cancel_at_its_next_word(world: World) -> None:
    ended = threading.Event()

    def work(task: Task) -> None:
        try:
            while True:
                task.progress(0.1)
                time.sleep(0.01)
        finally:
            ended.set()

    async with world.agent(define_agent(work)) as agent:
        workflow_id = await world.owner.ask(agent, "work")
        await until(lambda: world.owner.live(workflow_id), "it runs")
        await world.owner.journal.append(workflow_id, 1, "task:work", b"")
        began = time.monotonic()
        await until(ended.is_set, "the thread stops")
        assert time.monotonic() - began < 2.0


async def test_attempt_and_heartbeat_timeouts_are_failures_of_the_attempt(world: World) -> None:
    async def slow(task: Task) -> None:
        await asyncio.sleep(30)

    async def silent(task: Task) -> None:
        for _ in range(5):
            task.check()
            await asyncio.sleep(0.1)
        await asyncio.sleep(30)

    async with world.agent(define_agent(slow), define_agent(silent)) as agent:
        first = await world.owner.ask(agent, "slow", attempt_timeout_ms=200)
        second = await world.owner.ask(agent, "silent", heartbeat_timeout_ms=300)
        late = (await world.owner.failed(first, "slow")).failure
        mute = (await world.owner.failed(second, "silent")).failure
        assert late is not None
        assert mute is not None
        assert late.code == mute.code == FailureCode.TIMEOUT
        assert "attempt timeout" in late.message
        assert "sign of life" in mute.message
        ran = (await world.owner.failed(second, "silent")).ended_ms - (
            await world.owner.failed(second, "silent")
        ).started_ms
        assert ran >= 700, "each check is a sign of life"


async def test_ten_deliveries_run_once_and_are_recorded_once(world: World) -> None:
    runs: list[int] = []
    go = asyncio.Event()

    async def work(n: int) -> int:
        runs.append(n)
        await go.wait()
        return n

    async with world.agent(define_agent(work)) as one, world.agent(define_agent(work)) as two:
        workflow_id = await world.owner.workflow()
        envelope = world.owner.envelope(workflow_id, "work", 5)
        for _ in range(5):
            for agent in (one, two):
                await world.owner.send(agent.agent_id, envelope)
        await until(lambda: runs, "it runs")
        go.set()
        assert await world.owner.value(workflow_id, "work") == 5
        for agent in (one, two):
            await world.owner.send(agent.agent_id, envelope)  # and once more after the end
            await until(lambda agent=agent: world.owner.nothing_pending(agent.agent_id), "all copies are dropped")
        assert runs == [5]
        assert list(await world.owner.entries(workflow_id)) == ["task:work"]
        await until(lambda: _count(world, 2), "the owner hears of the outcome again")


async def _count(world: World, least: int) -> bool:
    return len(await world.owner.wakes()) >= least


async def test_a_drain_finishes_what_runs_and_leaves_nothing_behind(world: World) -> None:
    async def work(n: int) -> int:
        await asyncio.sleep(0.3)
        return n

    async with world.agent(define_agent(work, slots=2)) as agent:
        agent_id = agent.agent_id
        running = [await world.owner.ask(agent, "work", n) for n in range(2)]
        await until(lambda: len(agent.running) == 2, "both run")
        await world.owner.ask(agent, "work", 9)
    for n, one in enumerate(running):
        assert await world.owner.value(one, "work") == n
    assert world.registry.left == [agent_id]
    assert not await world.owner.link.call("EXISTS", world.owner.keys.inbox(agent_id))


async def test_what_outlives_the_grace_is_recorded_as_drained_with_its_checkpoint(world: World) -> None:
    async def work(task: Task) -> None:
        task.checkpoint({"at": 3})
        await asyncio.sleep(30)

    async with world.agent(define_agent(work), drain="200ms") as agent:
        workflow_id = await world.owner.ask(agent, "work")
        await until(lambda: agent.running, "it runs")
    failure = (await world.owner.failed(workflow_id, "work")).failure
    assert failure is not None
    assert failure.code == FailureCode.AGENT_DRAINED
    saved = await world.owner.link.call("HGET", world.owner.keys.checkpoints(workflow_id), "work")
    assert decode_payload(saved).data == b'{"at":3}'


async def test_drain_and_resume_by_rpc(world: World) -> None:
    async def work(n: int) -> int:
        return n

    async with world.agent(define_agent(work)) as agent, grpc.aio.insecure_channel(agent.address) as channel:
        stub: Any = agent_service_pb2_grpc.AgentServiceStub(channel)
        await stub.DrainAgent(agent_service_pb2.DrainAgentRequest())
        await until(lambda: agent.state == "DRAINED", "drained")
        drained = agent_pb2.AGENT_STATE_DRAINED
        await until(lambda: world.registry.agents[agent.agent_id].state == drained, "the registry knows")
        workflow_id = await world.owner.ask(agent, "work", 1)
        answer = await stub.ResumeAgent(agent_service_pb2.ResumeAgentRequest())
        assert answer.state == agent_pb2.AGENT_STATE_ACTIVE
        assert await world.owner.value(workflow_id, "work") == 1
