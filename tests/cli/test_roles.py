# SPDX-License-Identifier: Apache-2.0
"""`nervenet node` and `nervenet agent` as processes: three nodes and two agents by the CLI alone; starts that cannot be."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import NERVENET, clean_environment
from tests.support.waiting import wait_until

APP = """
import asyncio, os
from nervenet import Context, Mesh

mesh = Mesh("roles")


@mesh.agent(slots=2)
async def where(n: int) -> int:
    await asyncio.sleep(0.02)
    return os.getpid()


@mesh.agent
async def other(n: int) -> int:
    return -1


@mesh.workflow
async def tour(ctx: Context, n: int) -> list[int]:
    return await ctx.map(where, list(range(n)))
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def settings(redis_url: str, etcd_url: str, namespace: str) -> Mapping[str, str]:
    own = {"NERVENET_REDIS": redis_url, "NERVENET_ETCD": etcd_url, "NERVENET_NAMESPACE": namespace}
    return clean_environment(**own, NERVENET_DRAIN="5s")


@contextmanager
def role(app: Path, settings: Mapping[str, str], *line: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A role process that serves, with what its ready file says."""
    ready = app / f"{time.monotonic_ns()}.json"
    command = [*NERVENET, line[0], "app.py", *line[1:], "--ready-file", str(ready)]
    process = subprocess.Popen(command, cwd=app, env=settings, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: ready.exists() or process.poll() is not None, f"{line} is ready", 30)
        assert process.poll() is None, process.communicate()[1]
        yield process, json.loads(ready.read_text())
    finally:
        process.kill()
        process.communicate()


def fails(app: Path, settings: Mapping[str, str], *line: str) -> tuple[int, str]:
    ran = subprocess.run(
        [*NERVENET, *line], cwd=app, env=settings, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in ran.stderr and not ran.stdout
    return ran.returncode, ran.stderr


def test_three_nodes_and_two_agents_without_dev(app: Path, settings: Mapping[str, str]) -> None:
    with ExitStack() as stack:
        nodes = [stack.enter_context(role(app, settings, "node", "--listen", "127.0.0.1:0")) for _ in range(3)]
        dialing = {**settings, "NERVENET_ADDRESS": ",".join(facts["address"] for _, facts in nodes)}
        agents = [
            stack.enter_context(role(app, dialing, "agent", "--only", "where", "--name", name)) for name in ("a", "b")
        ]
        assert [facts["id"][:2] for _, facts in agents] == ["a-", "b-"]
        line = [*NERVENET, "start", "tour", "20", "--wait"]
        ran = subprocess.run(line, cwd=app, env=dialing, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        assert set(json.loads(ran.stdout)) == {facts["pid"] for _, facts in agents}
        for process, _ in (*agents, *nodes):
            process.send_signal(signal.SIGTERM)
        for process, _ in (*agents, *nodes):
            said = process.communicate(timeout=30)[1]
            assert process.returncode == 0, said
            assert "serves at 127.0.0.1:" in said or "takes where at 127.0.0.1:" in said
    assert not list(app.glob("*.json"))


def test_a_taken_port_is_said(app: Path, settings: Mapping[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = fails(app, settings, "node", "app.py", "--listen", address)
    assert code == 2 and f"nervenet: listen {address}: address already in use" in said


@pytest.mark.parametrize(
    ("line", "more", "code", "says"),
    [
        (("node", "app.py"), {"NERVENET_ETCD": ""}, 2, "etcd is not set, and a node needs it"),
        (("node", "app.py"), {"NERVENET_REDIS": ""}, 2, "NERVENET_REDIS"),
        (("node", "app.py"), {"NERVENET_REDIS": "mysql://x"}, 2, "redis is"),
        (("node", "nowhere.py"), {}, 2, "nowhere.py does not exist"),
        (("agent", "app.py", "--only", "wher"), {}, 2, "has no agent 'wher'; it has: other, where"),
        (("agent", "app.py", "--slots", "0"), {}, 2, "at least 1"),
        (("node", "app.py", "--listen", "nonsense"), {}, 2, "listen is 'nonsense'"),
    ],
)
def test_a_start_that_cannot_be_is_one_sentence(
    app: Path, settings: Mapping[str, str], line: tuple[str, ...], more: dict[str, str], code: int, says: str
) -> None:
    found, said = fails(app, {**settings, **more}, *line)
    assert (found, says in said) == (code, True), said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("role", "more", "says"),
    [
        ("node", {"NERVENET_REDIS": "redis://127.0.0.1:1"}, "a node needs Redis: cannot reach"),
        ("agent", {"NERVENET_REDIS": "redis://127.0.0.1:1"}, "an agent needs Redis: cannot reach"),
        ("node", {"NERVENET_ETCD": "http://127.0.0.1:1"}, "a node needs etcd: "),
    ],
)
def test_back_ends_out_of_reach_are_exit_code_5(
    app: Path, settings: Mapping[str, str], role: str, more: dict[str, str], says: str
) -> None:
    code, said = fails(app, {**settings, **more}, role, "app.py")
    assert (code, says in said, len(said.strip().splitlines())) == (5, True, 1), said


def test_a_signal_before_it_serves_stops_it_at_once(app: Path, settings: Mapping[str, str]) -> None:
    (app / "slow.py").write_text(APP + "\nprint('loaded', flush=True)\n")
    with socket.socket() as deaf:  # a Redis that takes connections and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        env = {**settings, "NERVENET_REDIS": f"redis://127.0.0.1:{deaf.getsockname()[1]}"}
        process = subprocess.Popen([*NERVENET, "node", "slow.py"], cwd=app, env=env, stdout=subprocess.PIPE, text=True)
        deaf.accept()[0].close()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
