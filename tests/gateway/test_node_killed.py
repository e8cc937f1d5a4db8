# SPDX-License-Identifier: Apache-2.0
"""`kill -9` of the node that a gateway agent is connected to, on real processes."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from nervenet.v1 import task_pb2
from tests.gateway.app import call
from tests.gateway.stopped_node import a_round
from tests.gateway.world import Speaker, value_of
from tests.mesh.conftest import host
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

__all__ = ["host"]

APP = "tests/gateway/app.py"


@pytest.fixture(scope="module", autouse=True)
def nodes(host: ProcessMesh) -> None:
    host.up(host.node(APP), host.node(APP))


async def test_the_agent_is_elsewhere_within_seconds_and_its_tasks_count_once(host: ProcessMesh) -> None:
    began: list[tuple[str, int]] = []
    gate = asyncio.Event()

    async def work(task: task_pb2.TaskEnvelope) -> Any:
        began.append((task.task_id, task.attempt))
        await gate.wait()
        return value_of(task.input)

    victim, heir = host.nodes
    where = [victim.address, heir.address]
    async with Speaker(lambda: where, {"work": work}, credit=8) as speaker, host.client(heir) as client:
        first = speaker.agent_id
        assert speaker.at == victim.address
        runs = await client.start_many(call, {f"run-{n}": n for n in range(8)})
        await until(lambda: len(began) == 8, "all run")
        victim.kill()
        victim.wait()
        await until(lambda: len(speaker.welcomes) > 1, "it is at the other node", within=3)
        assert speaker.at == heir.address and speaker.agent_id == first
        await asyncio.sleep(7.5)  # longer than a claim and its second: nobody else may have been asked meanwhile
        gate.set()
        for key, run in runs.items():
            assert await run.result(timeout=20) == int(key.removeprefix("run-"))
        assert len(began) == 8 and {attempt for _, attempt in began} == {1}, "nothing ran twice"
        await until(lambda: len(speaker.acked) == 8, "all are acknowledged")
        assert all(ack.recorded for ack in speaker.acked)
        late = await client.start("call", "after")
        assert await late.result(timeout=10) == "after"


async def test_a_node_that_stops_loses_no_task_of_an_agent_that_keeps_the_rules(host: ProcessMesh) -> None:
    """One round; `python -m tests.gateway.stopped_node` does twenty."""
    seed = random.SystemRandom().randrange(1 << 32)
    assert not await a_round(host, random.Random(seed), "stopped"), f"seed {seed}"
