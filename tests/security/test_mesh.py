# SPDX-License-Identifier: Apache-2.0
"""A mesh whose nodes, agents and callers know each other by credentials that change while workflows run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nervenet.dev.servers import Server
from nervenet.timing import JWT_LEEWAY
from tests.security.test_named_tokens import TokensFile
from tests.support.certificates import Authority
from tests.support.issuer import AUDIENCE, Issuer, issuing
from tests.support.mesh import ProcessMesh
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

ROLES = {"node-1": "node", "node-2": "node", "agent": "agent", "user": "operator"}
LIVES = 4.0
"""Seconds that a JWT counts, with the leeway."""


@contextmanager
def renewed(issuer: Issuer, files: dict[str, Path]) -> Iterator[None]:
    """Each process has a new JWT every half second, as an identity agent beside it would write it."""
    over = threading.Event()

    def write() -> None:
        for name, file in files.items():
            new = file.with_suffix(".new")
            new.write_text(issuer.token(sub=name, roles=[ROLES[name]], lasts=LIVES - JWT_LEEWAY))
            new.rename(file)

    def run() -> None:
        while not over.wait(0.5):
            write()

    write()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def agents(mesh: ProcessMesh) -> list[str]:
    """The ids of the agents that the registry has."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in asked(mesh, "agents", "list", "--json").splitlines()]
    return sorted(line["agent"]["agentId"] for line in lines if "agent" in line)


def asked(mesh: ProcessMesh, *arguments: str) -> str:
    done = mesh.run(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.stderr}\n{mesh.logs()}"
    return str(done.stdout)


def test_by_jwts_that_expire_every_few_seconds(tmp_path: Path, shared_valkey: Server, shared_etcd: Server) -> None:
    issued = Authority(tmp_path / "ca").issue("node")
    files = {name: tmp_path / f"{name}.jwt" for name in ROLES}
    with issuing() as issuer, renewed(issuer, files):
        env = {
            "NERVENET_JWT_ISSUER": issuer.url,
            "NERVENET_JWT_AUDIENCE": AUDIENCE,
            "NERVENET_TLS": "on",
            "NERVENET_TLS_CERT": str(issued.cert),
            "NERVENET_TLS_KEY": str(issued.key),
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(issued.ca),
            "NERVENET_TOKEN_FILE": str(files["user"]),
        }
        with ProcessMesh(tmp_path, shared_valkey.url, shared_etcd.url, **env) as mesh:
            mesh.up(*(mesh.node(NERVENET_TOKEN_FILE=str(files[name])) for name in ("node-1", "node-2")))
            mesh.up(agent := mesh.agent(NERVENET_TOKEN_FILE=str(files["agent"])))
            registered = agents(mesh)
            asked(mesh, "start", "talk", '"x"', "--id", "first")
            wait_until(lambda: mesh.effects("x"), "the task runs", of=mesh)
            wait_until(
                lambda: agent.log.count("its credentials have expired; the next") >= 2,
                "what it had has expired twice",
                of=mesh,
            )
            assert agents(mesh) == registered, "its heartbeats go on with what is new"
            mesh.open("x")
            asked(mesh, "signal", "first", "go", '"on"')
            wait_until(lambda: "first" in asked(mesh, "escalations", "list", "--json"), "it asks", of=mesh)
            asked(mesh, "escalations", "resolve", "first/ask", "--answer", "yes")
            assert "once upon a time, on: yes" in asked(mesh, "result", "first")
            assert all(process.alive for process in mesh.processes), mesh.logs()


def test_by_tokens_with_names(tmp_path: Path, shared_valkey: Server, shared_etcd: Server) -> None:
    tokens = TokensFile(tmp_path)
    given = {
        name: tokens.add(name, role=role) for name, role in (("node", "node"), ("agent", "agent"), ("ci", "operator"))
    }
    env = {"NERVENET_TOKENS_FILE": str(tokens.path), "NERVENET_TOKEN": given["ci"]}
    with ProcessMesh(tmp_path, shared_valkey.url, shared_etcd.url, **env) as mesh:
        mesh.up(mesh.node(NERVENET_TOKEN=given["node"]), mesh.node(NERVENET_TOKEN=given["node"]))
        mesh.up(mesh.agent(NERVENET_TOKEN=given["agent"]))
        asked(mesh, "start", "greet", '["a", "b"]', "--wait")
        (agent,) = agents(mesh)
        asked(mesh, "agents", "drain", agent)
        wait_until(lambda: "DRAIN" in asked(mesh, "agents", "list", "--json"), "it drains", of=mesh)
        tokens.remove("ci")
        wait_until(lambda: "not accepted" in mesh.run("list").stderr, "the revoked caller is refused", of=mesh)
        assert all(process.alive for process in mesh.processes), mesh.logs()
        assert not any(token in process.log for token in given.values() for process in mesh.processes)
