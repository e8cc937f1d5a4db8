# SPDX-License-Identifier: Apache-2.0
"""The pages of real processes: a killed node, the ready file, what a wrong setting says, and both roles on one page."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

from nervenet.config import Config
from nervenet.process.together import together
from tests.metrics import app
from tests.metrics.world import fetched, samples
from tests.support.environment import NERVENET, ROOT, clean_environment
from tests.support.mesh import ProcessMesh, settled
from tests.support.processes import NervenetProcess
from tests.support.waiting import until


class Pages:
    """What the processes of a mesh show."""

    def __init__(self, *processes: NervenetProcess) -> None:
        self.addresses = [process.metrics for process in processes]

    async def count(self, name: str, suffix: str = "", **labels: str) -> float:
        """The sum over all pages, in the names of Prometheus."""
        total = 0.0
        for address in self.addresses:
            status, _, page = await fetched(address)
            assert status == 200
            for sample in samples(page).get(name, ()):
                if sample.name == name + suffix and labels.items() <= sample.labels.items():
                    total += sample.value
        return total

    async def moves(self, name: str, prometheus: str, suffix: str = "", **labels: str) -> None:
        """A metric is above 0; `name` is that of the table."""
        await until(lambda: self.count(prometheus, suffix, **labels), f"{name} moves")


async def test_a_node_is_killed(tmp_path: Path, redis_url: str, etcd_url: str) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url, app="tests/metrics/app.py", NERVENET_METRICS="127.0.0.1:0") as mesh:
        first, second = mesh.up(mesh.node(), mesh.node())
        (agent,) = mesh.up(mesh.agent("--only", "greet"))
        async with mesh.client(first) as client:
            runs = [await client.start("sleeper", f"{at}", id=f"sleeper-{at}") for at in range(6)]
            for run in runs:
                await settled(run, "RUNNING", mesh)
        first.kill()
        left = Pages(second)
        await left.moves("nervenet.workflow.adoptions", "nervenet_workflow_adoptions", "_total", definition="sleeper")
        await left.moves("nervenet.workflow.adoption.delay", "nervenet_workflow_adoption_delay_seconds", "_count")
        await left.moves("nervenet.workflow.replays", "nervenet_workflow_replays", "_total", reason="adopted")
        delay = await left.count("nervenet_workflow_adoption_delay_seconds", "_sum")
        assert 0 < delay / await left.count("nervenet_workflow_adoption_delay_seconds", "_count") < 20
        assert await Pages(agent).count("nervenet_agent_slots", role="agent") > 0
        await until(lambda: _nodes(left), "the survivor sees one node")


async def _nodes(pages: Pages) -> bool:
    return await pages.count("nervenet_mesh_nodes", state="active") == 1


async def test_both_roles_of_a_process_share_a_page(redis_url: str, etcd_url: str, namespace: str) -> None:
    config = Config.load(
        environ={}, redis=redis_url, etcd=etcd_url, namespace=namespace, listen="127.0.0.1:0", metrics="127.0.0.1:0"
    )
    exported: list[str] = []
    async with together(app.mesh, config, node=True, agents=[app.greet]) as here:
        assert here.metrics is not None
        exported.append(here.metrics)
        _, fields, page = await fetched(here.metrics)
    assert fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    roles = {sample.labels["role"] for sample in samples(page)["nervenet_build_info"]}
    assert roles == {"node", "agent"}
    refused = await asyncio.gather(fetched(exported[0]), return_exceptions=True)
    assert isinstance(refused[0], OSError), "the page ends with the block"


def test_wrong_settings_end_the_start_with_code_2(tmp_path: Path, redis_url: str, etcd_url: str) -> None:
    servers = {"NERVENET_REDIS": redis_url, "NERVENET_ETCD": etcd_url, "NERVENET_LISTEN": "127.0.0.1:0"}

    def start(**settings: str) -> Any:
        command = [*NERVENET, "node", "tests/metrics/app.py"]
        env = clean_environment(**servers, **settings)
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)

    wrong = start(NERVENET_METRICS="9464")
    assert (wrong.returncode, "metrics is '9464' (from NERVENET_METRICS)" in wrong.stderr) == (2, True), wrong.stderr
    taken = start(NERVENET_METRICS=redis_url.removeprefix("redis://"))
    assert (taken.returncode, "in use (NERVENET_METRICS sets another" in taken.stderr) == (2, True), taken.stderr
    for labels in ("definition", "a,a", "a-b,a_b", "__name__", "a,b,c,d,e,f", "no spaces"):
        assert start(NERVENET_METRICS_LABELS=labels).returncode == 2, labels
