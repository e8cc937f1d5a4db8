# SPDX-License-Identifier: Apache-2.0
"""Redis is killed, loses its tail or everything, and comes back, under meshes of real processes that go on."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from nervenet import Resolution
from tests.recovery import redis_app
from tests.recovery.redis_world import broken_mesh, torn
from tests.support.mesh import settled
from tests.support.waiting import until


@pytest.mark.long
async def test_a_torn_tail_again_and_again(tmp_path: Path, etcd_url: str) -> None:
    """The long form is `make torn`."""
    seed = int(os.environ.get("SEED") or random.randrange(1 << 16))
    print(f"seed {seed}")
    async with broken_mesh(tmp_path, etcd_url) as mesh:
        for turn in range(int(os.environ.get("TURNS", "12"))):
            load = await mesh.load(24, first=100 * turn)
            await mesh.under_way(24 * 8 * turn + 60)
            mesh.server.kill()
            cut = torn(mesh.server, seed + turn) if turn else 0
            print(f"turn {turn}: {cut} bytes cut off")
            await mesh.server.restart()
            await load.right()


async def test_a_flush_of_everything(tmp_path: Path, etcd_url: str) -> None:
    async with broken_mesh(tmp_path, etcd_url, data=False) as mesh:
        load = await mesh.load(30)
        await load.told()
        await mesh.under_way(60)
        await mesh.link.call("FLUSHALL")
        for workflow_id in load.runs:  # until its node has written it back, nobody knows it
            await mesh.entry(workflow_id, "start")
        await load.right()


@pytest.mark.long
async def test_a_flush_under_workflows_that_sleep(tmp_path: Path, etcd_url: str) -> None:
    """Nothing of them moves, so nobody meets a missing head; they are found within a lease all the same."""
    async with broken_mesh(tmp_path, etcd_url, data=False) as mesh:
        runs = await mesh.client.start_many(redis_app.waits, {f"waits-{n}": n for n in range(10)})
        questions = await mesh.client.start_many(redis_app.asks, {f"asks-{n}": n for n in range(5)})
        await mesh.under_way(10)
        for workflow_id in runs:
            await mesh.entry(workflow_id, "task:add")
        for asking in questions.values():
            await settled(asking, "WAITING_FOR_HUMAN", mesh.host)
        await mesh.link.call("FLUSHALL")
        for workflow_id in [*runs, *questions]:
            await mesh.entry(workflow_id, "start")
        for run in runs.values():
            await run.signal(redis_app.go, 1)
        for n, run in enumerate(runs.values()):
            assert await run.result(timeout=30) == n + 2
        await until(mesh.has_questions(5), "the list of questions is whole", 20, mesh.host)
        async for question in mesh.client.escalations():
            await mesh.client.resolve(question.id, Resolution.complete("yes"))
        for n, asking in enumerate(questions.values()):
            assert await asking.result(timeout=30) == f"{n}: yes"


async def test_a_long_task_is_not_begun_again_because_redis_forgot_its_claim(tmp_path: Path, etcd_url: str) -> None:
    async with broken_mesh(tmp_path, etcd_url, data=False) as mesh:
        run = await mesh.client.start(redis_app.long, 8.0, id="long-1")
        await mesh.under_way(1)
        await mesh.link.call("FLUSHALL")
        assert await run.result(timeout=40) == "thought"
        assert mesh.effects("long-1") == ["begins#1", "ends#1"]
