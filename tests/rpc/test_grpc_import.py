# SPDX-License-Identifier: Apache-2.0
"""How grpc is imported: without the threads of its own that would read the sockets, unless the process has chosen otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nervenet.rpc import server
from nervenet.rpc.server import GrpcServer
from tests.rpc.test_server import serving

WATCH = """
import json, os, sys

class Seen:
    during = "grpc was not imported"

    def find_spec(self, name, path=None, target=None):
        if name == "grpc._cython":
            Seen.during = os.environ.get("GRPC_EXPERIMENTS")

sys.meta_path.insert(0, Seen())
"""
REPORT = """
print(json.dumps([Seen.during, os.environ.get("GRPC_EXPERIMENTS")]))
"""
CALLS = """
import asyncio, glob
from nervenet.grpc_import import grpc

def waits():
    return sum(int(open(of).read().partition("voluntary_ctxt_switches:")[2].split()[0]) for of in glob.glob("/proc/self/task/*/status"))

async def echo(request, context):
    return request

async def main():
    server = grpc.aio.server()
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/test/Echo")
        for _ in range(50):
            await call(b"x")
        before = waits()
        for _ in range(200):
            await call(b"x")
        print((waits() - before) / 200)
    await server.stop(0)

asyncio.run(main())
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "experiment" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "first",
    [
        "import nervenet.agent.runtime",
        "import nervenet.agent.registration",
        "import nervenet.client.client",
        "import nervenet.client.nodes",
        "import nervenet.node.node",
        "import nervenet.node.services.probes",
        "import nervenet.registry.etcd",
        "import nervenet.rpc.server",
        "import nervenet.rpc.symbols",
    ],
)
def test_whatever_of_ours_a_process_imports_first_chooses_for_the_import_alone(first: str) -> None:
    during, after = json.loads(run(WATCH + first + REPORT))
    assert (during, after) == ("-event_engine_client,-event_engine_listener", None)


def test_a_lone_call_wakes_few_threads() -> None:
    """14 times with threads of gRPC's own, 6 without. If a new release in the locks brings this back: docs/decisions/0062."""
    assert float(run(CALLS)) < 10


def test_who_has_chosen_keeps_the_choice() -> None:
    chosen = "-event_engine_client"
    assert json.loads(run(WATCH + "import nervenet.rpc.server" + REPORT, GRPC_EXPERIMENTS=chosen)) == [chosen, chosen]
    assert json.loads(run(WATCH + "import grpc, nervenet.rpc.server" + REPORT)) == [None, None]


async def test_a_server_warns_if_resets_can_fill_its_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def logged() -> str:
        opened: GrpcServer = await serving()
        await opened.stop(0)
        return caplog.text

    assert "grpcio" not in await logged()
    monkeypatch.setattr(server, "minor_release", lambda: (1, 81))
    assert "install grpcio 1.82 or newer" in await logged()
