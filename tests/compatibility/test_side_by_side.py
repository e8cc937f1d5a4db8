# SPDX-License-Identifier: Apache-2.0
"""Nodes, agents, clients and command lines of two releases in one mesh."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from nervenet.dev.servers import Server
from tests.compatibility.app import long_way, which_agents
from tests.compatibility.conftest import THIS, Build
from tests.compatibility.releases import VERSION
from tests.support.environment import nervenet
from tests.support.mesh import ProcessMesh
from tests.support.waiting import wait_until

APP = "tests/compatibility/app.py"


@pytest.fixture(scope="module")
def mixed(
    tmp_path_factory: pytest.TempPathFactory, shared_valkey: Server, shared_etcd: Server, previous: Build
) -> Iterator[ProcessMesh]:
    """A node and an agent of each release: first those of this tree."""
    with ProcessMesh(tmp_path_factory.mktemp("mixed"), shared_valkey.url, shared_etcd.url, app=APP) as mesh:
        mesh.up(mesh.node(**THIS), mesh.node(**previous))
        mesh.up(mesh.agent("--name", "of-this", **THIS), mesh.agent("--name", "of-before", **previous))
        yield mesh


def test_both_releases_are_there(mixed: ProcessMesh) -> None:
    listed = mixed.run("nodes", "list").stdout
    assert f"nervenet {VERSION}" in listed
    assert f"nervenet {version('nervenet')}" in listed


@pytest.mark.parametrize("asked", ["this node", "the node before"])
@pytest.mark.parametrize("asking", ["this command line", "the command line before"])
def test_every_command_line_speaks_to_every_node(mixed: ProcessMesh, previous: Build, asked: str, asking: str) -> None:
    """A workflow is started, led through all that it waits for, listed, shown and watched to its end."""
    node = mixed.nodes["before" in asked]
    workflow_id = f"{asking}-{asked}".replace(" ", "-")
    env = mixed.env | {"NERVENET_ADDRESS": node.address} | (previous if "before" in asking else {})

    def ask(*arguments: str) -> str:
        result = nervenet(*arguments, env=env)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def open_questions() -> str:
        return ask("escalations", "list", "--workflow", workflow_id, "--json")

    def child() -> bool:
        return f"{workflow_id}-child" in ask("list", "--json")

    gate = workflow_id
    ask("start", long_way.name, json.dumps(gate), "--id", workflow_id)
    ask("signal", workflow_id, "go", '"word"')
    mixed.open(gate)
    wait_until(open_questions, "it asks", 20, mixed)
    ask("escalations", "resolve", f"{workflow_id}/ask", "--answer", "yes")
    wait_until(child, "its child is there", 20, mixed)
    ask("signal", f"{workflow_id}-child", "go", '"end"')
    words = json.loads(ask("result", workflow_id))
    assert words == ["begins", "two", "three", gate, "more", "word", "yes", "end", "ends"]
    assert "succeeded" in ask("show", workflow_id).lower()
    assert "wait_for_word" in ask("journal", "export", workflow_id)


@pytest.mark.parametrize("owner", ["this node", "the node before"])
async def test_tasks_go_to_agents_of_both_releases(mixed: ProcessMesh, owner: str) -> None:
    """Not in each run: an agent that answers slowly at the moment gets none of a few tasks."""
    both, seen = {VERSION, version("nervenet")}, set[str]()
    async with mixed.client(at=mixed.nodes["before" in owner]) as client, asyncio.timeout(60):
        while seen != both:
            seen |= set(await client.run(which_agents, 16))
