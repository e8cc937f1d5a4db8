# SPDX-License-Identifier: Apache-2.0
"""Workflows that are open while every process is exchanged for one of the other release: upwards, and back again."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from nervenet import Client, Resolution, WorkflowHandle
from tests.compatibility.app import STAGES, go, long_way
from tests.compatibility.conftest import Build
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

APP = "tests/compatibility/app.py"
RESULT = ["begins", "two", "three", "gate", "more", "word", "yes", "child's word", "ends"]


class Travels:
    """One workflow for each stage, and the steps that bring it there, or from there to its end."""

    def __init__(self, mesh: ProcessMesh, client: Client) -> None:
        self._mesh, self._client = mesh, client

    async def start(self, stage: str) -> WorkflowHandle[list[str]]:
        """Start a workflow and lead it to this stage."""
        run = await self._client.start(long_way, f"gate-{stage}", id=stage)
        await self.lead(stage, STAGES[: STAGES.index(stage)])
        await self._arrived(stage, stage)
        return run

    async def lead(self, workflow_id: str, stages: tuple[str, ...]) -> None:
        """Lead it past these stages."""
        for stage in stages:
            await self._arrived(workflow_id, stage)
            if stage == "task":
                self._mesh.open(f"gate-{workflow_id}")
            elif stage == "signal":
                await self._client.handle(workflow_id, long_way).signal(go, "word")
            elif stage == "question":
                (question,) = [one async for one in self._client.escalations(workflow_id=workflow_id)]
                await self._client.resolve(question.id, Resolution.complete("yes", resolver="ann"))
            elif stage == "child":
                await self._client.handle(f"gate-{workflow_id}-child").signal(go, "child's word")

    async def _arrived(self, workflow_id: str, stage: str) -> None:
        """Wait until it stands where it can be led on."""
        tasks, mark = {
            "task": (3, "start"),
            "signal": (5, "patch:"),
            "question": (5, "escalated:"),
            "child": (5, "child:"),
            "timer": (6, "child:"),
        }[stage]

        def there() -> bool:
            names = self._entries(workflow_id)
            begun = any(line.startswith("gated") for line in self._mesh.effects(workflow_id))
            return (
                begun
                and sum(name.startswith("task:") for name in names) >= tasks
                and any(name.startswith(mark) for name in names)
            )

        await until(there, f"{workflow_id} is at its {stage}", 20, self._mesh)

    def _entries(self, workflow_id: str) -> list[str]:
        """The names of its journal's entries."""
        with redis.Redis.from_url(self._mesh.redis) as store:
            rows: Any = store.xrange(f"nn:{self._mesh.namespace}:wf:{{{workflow_id}}}:journal")
        return [fields[b"n"].decode() for _, fields in rows]


def the_other(mesh: ProcessMesh, process: NervenetProcess, build: Build) -> NervenetProcess:
    """A process of the other build in the place of this one, which is asked to leave."""
    process.kill(signal.SIGTERM)
    assert process.wait(30) == 0, process.logs()
    made = mesh.node(**build) if process.kind == "node" else mesh.agent(**build)
    return made.ready()


@pytest.mark.long
async def test_what_is_open_is_continued_by_the_other_release(
    tmp_path: Path, redis_url: str, etcd_url: str, old_and_new: tuple[Build, Build]
) -> None:
    old, new = old_and_new
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=APP, NERVENET_DRAIN="100ms") as mesh:
        (node,) = mesh.up(mesh.node(**old))
        (agent,) = mesh.up(mesh.agent(**old))
        async with mesh.client() as client:
            travels = Travels(mesh, client)
            await asyncio.gather(*(travels.start(stage) for stage in STAGES))
        node = await asyncio.to_thread(the_other, mesh, node, new)
        agent = await asyncio.to_thread(the_other, mesh, agent, new)
        async with mesh.client() as client:
            travels = Travels(mesh, client)
            for i, stage in enumerate(STAGES):
                await travels.lead(stage, STAGES[i:])
            for stage in STAGES:
                words = await client.handle(stage, long_way).result(timeout=30)
                assert [word.replace(f"-{stage}", "") for word in words] == RESULT, stage
        for stage in STAGES:
            counted = [line for line in mesh.effects(stage) if not line.startswith("gated")]
            assert sorted(counted) == sorted(["begins", "two", "three", "more", "ends"]), "no step ran twice"
