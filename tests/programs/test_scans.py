# SPDX-License-Identifier: Apache-2.0
"""500 pages, 40 at a time, in process pools: a node or an agent is killed on the fly."""

from __future__ import annotations

import pytest

from nervenet.records import FailureCode
from nervenet.v1 import task_pb2
from tests.programs.world import WITHIN, agent, kill, two_nodes
from tests.support.mesh import ProcessMesh, owner_of

PAGES = [{"number": n, "line_count": 3} for n in range(500)]
OVER = {task_pb2.TaskState.Value(f"TASK_STATE_{state}") for state in ("SUCCEEDED", "FAILED", "CANCELED")}


@pytest.mark.parametrize("victim", ["node", pytest.param("agent", marks=pytest.mark.long)])
async def test_500_pages_40_at_a_time_with_a_kill_at_the_100th(host: ProcessMesh, victim: str) -> None:
    two_nodes(host, "scans")
    first, _ = host.up(agent(host, "scans", "first"), agent(host, "scans", "second"))
    async with host.client() as client:
        peaceful = await client.run("digitise", PAGES, id="peaceful")
        assert peaceful == {"read": 500, "failed": 0}

        run = await client.start("digitise", PAGES, id="killed")
        doomed = first if victim == "agent" else await owner_of(run, host.nodes)
        read = 0
        async for event in run.watch():
            read += event.kind == "task"
            if read == 100:
                break
        kill(doomed)
        info = await run.info()
        missed = info.partial or info.adoptions == 1  # its owner is out of reach, or its death was proven already
        assert info.state == "RUNNING" and missed == (victim == "node")
        if victim == "agent":
            waiting = sum(task.state not in OVER for task in info.message.tasks)
            assert 30 < waiting <= 40, "at a time"
        assert await run.result(timeout=WITHIN) == peaceful
        info, events = await run.info(), [event async for event in run.watch()]
        assert info.view == peaceful and info.adoptions == (victim == "node")
        assert len({event.step for event in events if event.kind == "task"}) == 500
        lost = [event for event in events if event.kind == "attempt"]
        assert all(event.data.code is FailureCode.AGENT_LOST for event in lost), lost
