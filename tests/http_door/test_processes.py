# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes: where they serve HTTP, how they end with streams open, and what is told where they can't."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.http_door.world import COORDINATOR
from tests.support.certificates import Authority
from tests.support.dev import Dev
from tests.support.environment import ROOT
from tests.support.mesh import ProcessMesh
from tests.support.waiting import wait_until

LIST, START = f"{COORDINATOR}/ListWorkflows", f"{COORDINATOR}/StartWorkflow"
HELLO = (ROOT / "examples/hello.py").read_text()


def read_all(client: httpx.Client, method: str, path: str, found: list[bytes], **more: object) -> threading.Thread:
    """Reads a stream in a thread, to its end."""

    def read() -> None:
        with client.stream(method, path, **more) as answer:  # type: ignore[arg-type]
            for part in answer.iter_bytes():
                found.append(part)  # noqa: PERF402  # as they come
        found.append(b"END")

    thread = threading.Thread(target=read)
    thread.start()
    return thread


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_node_that_is_asked_to_stop_ends_its_streams_and_itself(host: ProcessMesh, signum: int) -> None:
    (node,) = host.up(host.node("", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"))
    with httpx.Client(base_url=f"http://{node.http}", trust_env=False, timeout=30) as client:
        watched, listed = [], []
        message = json.dumps({}).encode()
        threads = [
            read_all(
                client, "POST", "/nervenet.v1.RegistryService/WatchAgents", watched,
                content=b"\0" + len(message).to_bytes(4, "big") + message, headers={"content-type": "application/connect+json"},
            ),
            read_all(client, "POST", "/live", listed, json={"reads": {"w": {"method": LIST[1:]}}}),
        ]  # fmt: skip
        wait_until(lambda: watched and len(listed) > 1, "both streams have begun")
        began = time.monotonic()
        node.kill(signum)
        assert node.wait() == 0, node.logs()
        assert time.monotonic() - began < 10
        for thread in threads:
            thread.join(5)
        assert watched[-1] == listed[-1] == b"END"
        assert b'"code":"unavailable"' in b"".join(watched)
        assert "Traceback" not in node.log


def test_a_taken_address_and_a_missing_extra_are_told(host: ProcessMesh, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        node = host.node("", "--listen", "127.0.0.1:0", "--http", where)
        assert node.wait() == 2
        assert f"http {where}: address already in use (NERVENET_HTTP sets another" in node.log
        assert "Traceback" not in node.log

    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no', name='uvicorn')\n")
    node = host.node(NERVENET_HTTP="127.0.0.1:0", PYTHONPATH=str(tmp_path))
    assert node.wait() == 2
    assert "pip install 'nervenet[http]'" in node.log
    assert "from NERVENET_HTTP" in node.log


def test_tls_is_that_of_grpc(host: ProcessMesh, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    issued = authority.issue("node")
    settings = {"NERVENET_TLS_CERT": str(issued.cert), "NERVENET_TLS_KEY": str(issued.key)}
    (node,) = host.up(host.node(NERVENET_HTTP="127.0.0.1:0", NERVENET_TLS=str(issued.ca), **settings))
    trusted = ssl.create_default_context(cafile=str(issued.ca))
    with httpx.Client(verify=trusted, trust_env=False) as client, pytest.raises(httpx.HTTPError):
        client.get(f"https://{node.http}/")
    mine = authority.issue("caller")
    trusted.load_cert_chain(mine.cert, mine.key)
    with httpx.Client(verify=trusted, trust_env=False) as client:
        answer = client.post(f"https://{node.http}{LIST}", json={})
        assert answer.status_code == 200

    open_to_all = host.node("", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0")
    assert open_to_all.wait() == 2
    assert "http is 0.0.0.0:0, which others can reach, and this node has no TLS" in open_to_all.log


def test_a_node_without_the_setting_loads_no_web_server() -> None:
    code = (
        "import sys, nervenet.node.services, nervenet.node.node; "
        "sys.exit(any(name.split('.')[0] in ('uvicorn', 'starlette', 'anyio') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_dev_serves_http_beside_grpc_for_each_node(tmp_path: Path) -> None:
    with Dev(tmp_path, HELLO, "--nodes", "2") as dev:
        assert len(dev.facts["http"]) == 2
        assert dev.facts["dashboard"] == f"http://{dev.facts['http'][0]}/"
        for address in dev.facts["http"]:
            start = {"definition": "welcome", "input": {"value": ["Ada"]}, "wait": "20s"}
            answer = httpx.post(f"http://{address}{START}", json=start, trust_env=False, timeout=30)
            assert answer.json()["workflow"]["output"] == {"value": ["Hello, Ada"]}
        port = dev.facts["http"][0].rpartition(":")[2]
        assert f"http://localhost:{port}/" in dev.logs()
