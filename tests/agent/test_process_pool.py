# SPDX-License-Identifier: Apache-2.0
"""Pool processes: they work, stop, die and come back one by one."""

from __future__ import annotations

import os
import time

import pytest

from nervenet.agent.executors import process
from nervenet.agent.executors.process import WorkerBroken
from nervenet.records import FailureCode
from tests.agent import pooled
from tests.agent.world import World
from tests.support.waiting import until


async def test_handlers_run_in_processes_of_their_own_with_their_lifespan(world: World) -> None:
    async with world.agent(pooled.used, pooled.square, pooled.renamed) as agent:
        first = await world.owner.ask(agent, "used")
        assert (await world.owner.value(first, "used"))[0] == 1
        second = await world.owner.ask(agent, "used")
        assert os.getpid() not in await world.owner.value(second, "used")
        squares = [await world.owner.ask(agent, "square", n) for n in range(10)]
        assert [await world.owner.value(one, "square") for one in squares] == [n * n for n in range(10)]
        assert await world.owner.value(await world.owner.ask(agent, "increment", 1), "increment") == 2


@pytest.mark.parametrize(("how", "words"), [("die", "exit code -9 (SIGKILL)"), ("exit", "exit code 3")])
async def test_a_worker_that_dies_fails_only_its_task_and_is_replaced(world: World, how: str, words: str) -> None:
    async with world.agent(pooled.poison) as agent:
        killer = await world.owner.ask(agent, "poison", how)
        attempt = await world.owner.failed(killer, "poison")
        assert attempt.failure is not None
        assert (attempt.failure.code, attempt.failure.retryable) == (FailureCode.AGENT_LOST, None)
        assert words in attempt.failure.message
        assert await world.owner.value(await world.owner.ask(agent, "poison", "fine"), "poison") == "fine"


async def test_progress_and_checkpoint_come_out_and_a_cancel_reaches_it_within_two_seconds(world: World) -> None:
    async with world.agent(pooled.listener) as agent:
        workflow_id = await world.owner.ask(agent, "listener")
        await until(lambda: world.owner.live(workflow_id), "progress")
        (said,) = await world.owner.live(workflow_id)
        assert (said.fraction, said.message, said.step) == (0.5, "half", "listener")
        (running,) = agent.running.values()
        await until(lambda: not running.checkpoint_due, "the checkpoint is stored")
        await world.owner.journal.append(
            workflow_id, 1, "task:listener", b""
        )  # the step is over: somebody cancelled it
        began = time.monotonic()
        await until(lambda: not agent.running, "the handler stops")
        assert time.monotonic() - began < 2.0


async def test_a_deaf_handler_is_killed_some_time_after_it_was_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "POOL_KILL_AFTER", 0.5)
    async with world.agent(pooled.deaf) as agent:
        workflow_id = await world.owner.ask(agent, "deaf", attempt_timeout_ms=300)
        await until(lambda: world.owner.live(workflow_id), "it runs")
        attempt = await world.owner.failed(workflow_id, "deaf")
        assert attempt.failure is not None
        assert attempt.failure.code == FailureCode.TIMEOUT
        await until(lambda: not agent.running, "its process is killed and its slot free")


async def test_a_lifespan_that_raises_in_a_worker_fails_the_start(world: World) -> None:
    with pytest.raises(WorkerBroken, match=r"FileNotFoundError: model.bin"):
        async with world.agent(pooled.modelless):
            pass
