# SPDX-License-Identifier: Apache-2.0
"""Two tenants on real processes: a node that is killed, one that is told to stop, and `nervenet dev` with both."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nervenet import Client, WorkflowHandle
from nervenet.dev.servers import etcd, valkey
from nervenet.errors import NotFound
from tests.support.dev import Dev
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.waiting import until
from tests.tenants.world import breaks, go, waits

pytestmark = pytest.mark.long

APP = "tests/tenants/app.py"
DEV = """
from nervenet import Context, Mesh

mesh = Mesh("letters")

@mesh.agent
async def greet(name: str) -> str:
    return f"Hello, {name}"

@mesh.workflow
async def welcome(ctx: Context, name: str) -> str:
    return await ctx.call(greet, name)
"""


@pytest.fixture
def names() -> tuple[str, str]:
    unique = uuid.uuid4().hex[:8]
    return f"a-{unique}", f"b-{unique}"


@pytest.fixture
def processes(tmp_path: Path, redis_url: str, etcd_url: str, names: tuple[str, str]) -> Iterator[ProcessMesh]:
    """Where each node serves both tenants."""
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=APP, NERVENET_NAMESPACES=",".join(names)) as mesh:
        yield mesh


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_workflows_of_both_go_on_when_a_process_ends(
    processes: ProcessMesh, names: tuple[str, str], how: signal.Signals
) -> None:
    first, second = processes.up(processes.node(), processes.node())
    for name in names:
        async with Client(first.address, namespace=name) as client:
            for number in range(8):
                await client.start(waits, name, id=f"w-{number}")
    first.kill(how)
    for name in names:
        async with Client(second.address, namespace=name) as client, asyncio.timeout(60):
            runs = [client.handle(f"w-{number}") for number in range(8)]
            for run in runs:
                await run.signal(go, name)
            assert [await run.result() for run in runs] == [name] * 8
    if how is signal.SIGTERM:
        assert first.wait() == 0, first.logs()


async def test_lines_of_a_log_name_their_tenant(processes: ProcessMesh, names: tuple[str, str]) -> None:
    (node,) = processes.up(processes.node())
    theirs = names[1]
    async with Client(node.address, namespace=theirs) as client:
        await client.start(breaks, "on purpose", id="broken")
    line = await until(lambda: _line_with(node, "BLOCKED"), "the log says so")
    assert json.loads(line)["namespace"] == theirs


async def test_both_go_on_when_redis_restarts(tmp_path: Path, names: tuple[str, str]) -> None:
    """The two nodes share one connection, and each compares its own."""
    with (
        valkey() as redis,
        etcd() as registry,
        ProcessMesh(tmp_path, redis.url, registry.url, app=APP, NERVENET_NAMESPACES=",".join(names)) as mesh,
    ):
        (node,) = mesh.up(mesh.node())
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(node.address, namespace=name)) for name in names]
            runs = [await client.start(waits, "", id="goes-on") for client in clients]
            redis.kill()
            await redis.restart()
            for run, name in zip(runs, names, strict=True):  # Redis may have lost it: it is written back soon
                await until(partial(_signalled, run, name), "it is there", ignore=(NotFound,))
            async with asyncio.timeout(60):
                assert [await run.result() for run in runs] == list(names)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    with Dev(tmp_path, DEV, "--namespace", "team-a,team-b") as dev:
        yield dev


async def test_dev_serves_both_with_agents_for_each(dev: Dev) -> None:
    assert dev.facts["namespaces"] == ["team-a", "team-b"]
    assert {kind: len(pids) for kind, pids in dev.facts["pids"].items()} == {"nodes": 1, "agents": 2}
    for name in ("team-a", "team-b"):
        async with Client(dev.address, namespace=name) as client:
            assert await client.run("welcome", "Ada", id="one") == "Hello, Ada"


async def _signalled(run: WorkflowHandle[Any], value: str) -> bool:
    await run.signal(go, value)
    return True


def _line_with(process: NervenetProcess, word: str) -> str:
    return next((line for line in process.log.splitlines() if word in line), "")
