# SPDX-License-Identifier: Apache-2.0
"""`nervenet node --processes N` and `nervenet agent --processes N`: real processes, signals, and a client at one address."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nervenet import Client
from tests.mesh.stories import errand, greet
from tests.recovery.rolling import Traffic
from tests.support.certificates import Authority
from tests.support.environment import is_running, nervenet
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.waiting import until, wait_until

TWO = ("--listen", "127.0.0.1:0", "--processes", "2")
LONG = 90.0
"""Seconds for what starts interpreters on a busy machine."""


@pytest.fixture
def host(tmp_path: Path, redis_url: str, etcd_url: str) -> Iterator[ProcessMesh]:
    with ProcessMesh(tmp_path, redis_url, etcd_url) as host:
        yield host


def members(of: NervenetProcess) -> list[dict[str, Any]]:
    """What the processes of a supervisor report, as its ready file has it now."""
    found: list[dict[str, Any]] = json.loads(of.log_file.with_suffix(".json").read_text())["processes"]
    return found


def rows(output: str) -> list[dict[str, Any]]:
    """What a command printed with `--json`: an object on each line."""
    return [json.loads(line) for line in output.splitlines()]


async def replaced(node: NervenetProcess, before: set[int]) -> list[dict[str, Any]]:
    """Wait until two processes serve, none of which is one of those before."""

    def found() -> list[dict[str, Any]] | None:
        now = members(node)
        return now if len(now) == 2 and not before & {one["pid"] for one in now} else None

    result: list[dict[str, Any]] = await until(found, "others serve in their place", LONG, node)
    return result


async def test_each_process_is_a_whole_node_and_all_share_one_address(host: ProcessMesh) -> None:
    node = host.node("", *TWO, "--http", "127.0.0.1:0", NERVENET_METRICS="127.0.0.1:0").ready(LONG)
    first, second = members(node)
    assert len({node.address, first["address"], second["address"]}) == 3
    assert first["http"] == second["http"] == node.http
    host.agent("--only", "note", "--processes", "2").ready(LONG)
    async with host.client() as client:
        assert await client.run(greet, ["x", "y"]) == ["x!", "y!"]
    for own in (first, second):
        async with Client(own["address"], namespace=host.namespace) as client:
            run = await client.start(greet, ["z"])
            assert await run.result(timeout=20) == ["z!"]
            assert (await run.info()).node_id == own["id"]  # a call to its own address reaches exactly it

    listed = rows(host.run("nodes", "list", "--json", at=node).stdout)
    assert {one["nodeId"]: one["address"] for one in listed} == {one["id"]: one["address"] for one in (first, second)}
    assert sum('"agentId"' in line for line in host.run("agents", "list", "--json", at=node).stdout.splitlines()) == 2
    assert re.search(r"✓ nodes +2 nodes, all of them answer", host.run("doctor", at=node).stdout)


async def test_one_page_has_the_metrics_of_every_process(host: ProcessMesh) -> None:
    node = host.node("", *TWO, NERVENET_METRICS="127.0.0.1:0").ready(LONG)
    host.agent("--only", "note").ready(LONG)
    for own in members(node):
        async with Client(own["address"], namespace=host.namespace) as client:
            await client.run(greet, ["x"])

    def page() -> str:
        with urllib.request.urlopen(f"http://{node.metrics}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    async def counted() -> bool:
        families = list(text_string_to_metric_families(await asyncio.to_thread(page)))
        assert max(Counter(family.name for family in families).values()) == 1
        started = next((f.samples for f in families if f.name == "nervenet_workflow_started"), [])
        return {sample.labels["process"]: sample.value for sample in started} == {"1": 1.0, "2": 1.0}

    await until(counted, "both processes have counted one start", 20, node)


async def test_a_killed_process_costs_only_its_own_workflows_a_pause(host: ProcessMesh) -> None:
    node = host.node("", *TWO).ready(LONG)
    host.agent("--only", "note,say").ready(LONG)
    victim, survivor = members(node)
    runs = {}
    for own in (victim, survivor):
        async with Client(own["address"], namespace=host.namespace) as client:
            for i in range(3):
                name = f"{own['id']}-{i}"
                runs[name] = (await client.start(errand, name, id=name)).id
                await host.effect(name, "said #1")

    os.kill(victim["pid"], signal.SIGKILL)
    async with host.client() as client:
        for name, workflow_id in runs.items():
            host.open(name)
            result = await client.handle(workflow_id).result(timeout=LONG)
            assert result == ["first!", f"{name}: once upon a time", "last!"]
            done = [words.partition(" pid")[0] for words in host.effects(name)]
            assert done == ["first", "said #1", "done #1", "last"]  # each step once
    await replaced(node, {victim["pid"]})
    assert survivor["pid"] in [one["pid"] for one in members(node)]
    assert "process 1 was killed by SIGKILL: it starts again in 0.2 s" in node.log


async def test_processes_end_when_their_supervisor_is_killed(host: ProcessMesh) -> None:
    node = host.node("", *TWO).ready(LONG)
    agent = host.agent("--only", "process", "--processes", "2").ready(LONG)
    pids = [one["pid"] for one in (*members(node), *members(agent))]
    node.kill()
    agent.kill()
    await until(lambda: not any(map(is_running, pids)), "all of them end", 60, node)
    for process in (node, agent):
        assert process.log.count("SIGTERM: draining") == 2  # they leave in order


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_all_of_them(host: ProcessMesh, signum: signal.Signals) -> None:
    heir = host.node().ready(LONG)
    node = host.node("", *TWO).ready(LONG)
    host.agent("--only", "note,say", NERVENET_ADDRESS=heir.address).ready(LONG)
    for own in members(node):
        async with Client(own["address"], namespace=host.namespace) as client:
            await client.start(errand, own["id"], id=own["id"])
            await host.effect(own["id"], "said #1")
    found = members(node)
    node.kill(signum)
    assert await asyncio.to_thread(node.wait, 60) == 0
    assert not any(is_running(one["pid"]) for one in found)
    assert not node.log_file.with_suffix(".json").exists()
    async with host.client(heir) as client:
        for own in found:
            host.open(own["id"])
            assert len(await client.handle(own["id"]).result(timeout=30)) == 3
            assert (await client.handle(own["id"]).info()).node_id == heir.id


async def test_processes_are_replaced_one_by_one_under_load(host: ProcessMesh) -> None:
    app = "tests/recovery/trips_app.py"
    node = host.node(app, *TWO).ready(LONG)
    agent = host.agent("--name", "worker", "--processes", "2", app=app).ready(LONG)
    traffic = Traffic(host, [node.address], at_once=24, beat=0.2)
    await traffic.full()
    for process in (node, agent):
        before = {one["pid"] for one in members(process)}
        process.kill(signal.SIGHUP)
        await replaced(process, before)
        await until(lambda log=process: "all processes are replaced" in log.log, "the old ones are gone", LONG, process)  # type: ignore[misc]
    await traffic.end()
    steps = Counter(line.partition(" ")[2].rpartition("#")[0] for line in host.lines())
    assert traffic.failed == {}
    assert {step: count for step, count in steps.items() if count > 1} == {}
    assert len(traffic.took) > 24


async def test_code_that_cannot_be_loaded_replaces_nothing(host: ProcessMesh, tmp_path: Path) -> None:
    app = tmp_path / "fine_app.py"
    code = "from nervenet import Context, Mesh\nmesh = Mesh('fine')\n@mesh.workflow\nasync def f(ctx: Context) -> None: ...\n"
    app.write_text(code)
    node = host.node(str(app), *TWO).ready(LONG)
    before = members(node)
    app.write_text("this is no Python")
    node.kill(signal.SIGHUP)
    await until(lambda: "does not serve: the processes before it go on" in node.log, within=LONG, of=node)
    assert members(node) == before
    assert all(is_running(one["pid"]) for one in before)

    for one in before:  # and if nothing is left that serves, there is no use in going on
        os.kill(one["pid"], signal.SIGKILL)
    assert await asyncio.to_thread(node.wait, LONG) == 2
    assert "and no other process serves: giving up" in node.log


def test_what_cannot_start_says_why_once(host: ProcessMesh) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        found = nervenet("node", host.app, "--listen", where, "--processes", "2", env=host.env)
    assert found.returncode == 2
    assert f"listen {where}: address already in use (NERVENET_LISTEN sets another" in found.stderr

    node = host.node("", *TWO).ready(LONG)
    found = nervenet("node", host.app, "--listen", node.address, "--processes", "2", env=host.env)
    assert (found.returncode, "address already in use" in found.stderr) == (2, True)  # it does not share with strangers
    found = nervenet("node", host.app, "--listen", node.address, env=host.env)
    assert (found.returncode, "address already in use" in found.stderr) == (2, True)

    found = nervenet("node", "no_such_app.py", "--processes", "3", env=host.env)
    assert found.returncode == 2
    assert found.stderr.count("no_such_app.py") == 1


@pytest.mark.parametrize(
    ("command", "setting", "words"),
    [
        (["agent", "--listen", "127.0.0.1:7801"], {}, "with --processes an agent takes any free one (127.0.0.1:0)"),
        (["node"], {"NERVENET_ADVERTISE": "a.example:7700"}, "set it to the host alone (a.example)"),
        (["node", "--listen", "0.0.0.0:0", "--insecure"], {}, "set NERVENET_ADVERTISE"),
        (["node", "--listen", "0.0.0.0:0"], {}, "no TLS and no way to know who calls it"),
    ],
)
def test_settings_that_do_not_go_with_several_processes(
    host: ProcessMesh, command: list[str], setting: dict[str, str], words: str
) -> None:
    kind, *flags = command
    found = nervenet(kind, host.app, *flags, "--processes", "2", env=host.env | setting)
    assert found.returncode == 2
    assert words in found.stderr


async def test_with_certificates_and_a_policy_as_a_single_node(host: ProcessMesh, tmp_path: Path) -> None:
    ca, cert, key = map(str, Authority(tmp_path / "ca").issue("node"))
    host.env |= {"NERVENET_TLS": ca, "NERVENET_TLS_CERT": cert, "NERVENET_TLS_KEY": key}
    node = host.node("", *TWO).ready(LONG)
    host.agent("--only", "note").ready(LONG)
    done = host.run("start", "greet", '["x"]', "--wait", at=node)
    assert done.stdout.strip() == '["x!"]'
    assert len(rows(host.run("nodes", "list", "--json", at=node).stdout)) == 2
    refused = nervenet("nodes", "list", env=host.env | {"NERVENET_ADDRESS": node.address, "NERVENET_TLS": "off"})
    assert refused.returncode == 5


def test_logs_say_which_process_wrote_them(host: ProcessMesh) -> None:
    node = host.node("", *TWO, NERVENET_LOG="json").ready(LONG)
    for one in members(node):
        os.kill(one["pid"], signal.SIGKILL)
    wait_until(lambda: node.log.count("serves again") == 2, "both are back", LONG, node)
    node.kill(signal.SIGTERM)
    node.wait(60)
    lines = [json.loads(line) for line in node.log.splitlines() if line.startswith("{")]
    drained = {line["process_number"] for line in lines if line["message"].startswith("SIGTERM: draining; a second")}
    assert drained == {1, 2}
