# SPDX-License-Identifier: Apache-2.0
"""A Redis that restarts under a gateway, with everything, or with nothing: what runs goes on, what is done is not done again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nervenet.dev.servers import valkey
from nervenet.v1 import task_pb2
from tests.gateway.net import Net
from tests.gateway.world import value_of
from tests.support.waiting import until


@pytest.mark.parametrize("keeps", [True, False], ids=["with its data", "empty"])
async def test_what_runs_outlives_a_restart(tmp_path: Path, etcd_url: str, namespace: str, keeps: bool) -> None:
    began: list[tuple[str, int]] = []
    gate = asyncio.Event()

    async def work(task: task_pb2.TaskEnvelope) -> Any:
        began.append((task.task_id, task.attempt))
        if value_of(task.input) >= 3:
            await gate.wait()
        return value_of(task.input)

    with valkey(tmp_path if keeps else None) as server:
        net = Net(server.url, etcd_url, namespace)
        async with net.stack:
            node = await net.node()
            client = await net.client(node)
            speaker = await net.speaker({"work": work}, credit=8)
            run = await client.start("many", 6)
            await until(lambda: len(began) == 6 and len(speaker.acked) == 3, "half of it is done")
            await server.restart()
            gate.set()
            assert await run.result(timeout=40) == list(range(6))
            assert sorted(began) == sorted(set(began)) and len(began) == 6, "nothing ran twice"
            await until(lambda: len(speaker.acked) == 6, "all are acknowledged")
            late = await client.start("call", 1)
            assert await late.result(timeout=20) == 1
