# SPDX-License-Identifier: Apache-2.0
"""A canary in every place that holds a secret, and a search of everything that the mesh writes, answers and shows.

Secrets of settings and headers must be nowhere. What a workflow carries is in its journal, on the page and in the answers of
those who may read it, and nowhere else: not in logs, traces, metrics, the registry, or what `doctor` says.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import redis
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc

from nervenet import Client
from nervenet.dev.servers import etcd, valkey
from nervenet.rpc.methods import METHODS
from tests.support.environment import nervenet
from tests.support.etcd_servers import etcdctl
from tests.support.mesh import ProcessMesh
from tests.support.waiting import wait_until

APP = "tests/security/canary_app.py"
pytestmark = pytest.mark.long
PLACES = ("token", "redis", "etcd", "hook", "otlp", "bearer", "cookie", "header", "payload", "failure")


@pytest.fixture(scope="module")
def canaries() -> dict[str, str]:
    """A word for each place that nothing else contains."""
    return {place: f"canary-{place}-{secrets.token_hex(8)}" for place in PLACES}


class Traces(rpc.TraceServiceServicer):
    """Keeps the bytes of all that is exported, and the headers."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.headers = ""

    def Export(self, request: Any, context: Any) -> Any:
        self.received.append(request)
        self.headers = str(context.invocation_metadata())
        return pb.ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[tuple[Traces, str]]:
    """A collector of traces, and its endpoint."""
    traces, server = Traces(), grpc.server(ThreadPoolExecutor(2))
    rpc.add_TraceServiceServicer_to_server(traces, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield traces, f"http://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


class Searched:
    """A mesh in which all that happens happens, and all that it said, by where it was said."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def holding(self, canary: str) -> list[str]:
        """The places that hold the word."""
        return [place for place, text in self.said.items() if canary in text]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, canaries: dict[str, str]) -> Iterator[Searched]:
    folder = tmp_path_factory.mktemp("canary")
    with ExitStack() as stack:
        store = stack.enter_context(valkey(options={"requirepass": canaries["redis"]}))
        registry = stack.enter_context(etcd())
        for line in (f"user add root:{canaries['etcd']}", "user grant-role root root", "auth enable"):
            etcdctl(registry.url, *line.split())
        traces, endpoint = stack.enter_context(collecting())
        mesh = stack.enter_context(
            ProcessMesh(
                folder,
                store.url.replace("redis://", f"redis://:{canaries['redis']}@"),
                registry.url.replace("http://", f"http://root:{canaries['etcd']}@"),
                app=APP,
                NERVENET_TOKEN=canaries["token"],
                NERVENET_ESCALATION_HOOK=f"http://127.0.0.1:1/hook?key={canaries['hook']}",
                NERVENET_HTTP="127.0.0.1:0",
                NERVENET_METRICS="127.0.0.1:0",
                NERVENET_LOG_LEVEL="debug",
                NERVENET_AUDIT=str(folder / "audit.jsonl"),
                OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
                OTEL_EXPORTER_OTLP_HEADERS=f"x-key={canaries['otlp']}",
            )
        )
        mesh.up(mesh.node())
        mesh.up(mesh.agent())
        asyncio.run(_live(mesh, canaries))
        found = Searched()
        wait_until(lambda: "canary failed" in str(traces.received), "the failed run is traced", 20, mesh)
        _read(found, mesh, traces, canaries)
        assert canaries["otlp"] in traces.headers, "the collector was told the key"
        yield found


async def _live(mesh: ProcessMesh, canaries: dict[str, str]) -> None:
    """Everything that carries a canary: workflows that end, fail, ask and wait; calls with wrong credentials."""
    (node,) = mesh.nodes
    async with Client(node.address, namespace=mesh.namespace, token=canaries["token"]) as client:
        job = {"secret": canaries["payload"], "fails": canaries["failure"]}
        await client.run("ends", job, id="ends")
        with pytest.raises(Exception, match="canary failed"):
            await client.run("fails", job, id="fails")
        run = await client.start("waits", job, id="waits")
        await run.signal("go", canaries["payload"])
        await client.start("asks", job, id="asks")
    for name in ("ListWorkflows", "GetWorkflow", "StartWorkflow"):
        await _refused(node.address, name, canaries)
    async with httpx.AsyncClient(base_url=f"http://{node.http}", trust_env=False) as http:
        headers = {
            "authorization": f"Bearer {canaries['bearer']}",
            "cookie": canaries["cookie"],
            "x-own": canaries["header"],
        }
        for path in ("/", "/nope", "/live/workflows/ends"):
            await http.get(path, headers=headers)
        await http.post("/nervenet.v1.CoordinatorService/ListWorkflows", content="{}", headers=headers)


async def _refused(address: str, name: str, canaries: dict[str, str]) -> None:
    method = METHODS[name]
    async with grpc.aio.insecure_channel(address) as channel:
        ask = channel.unary_unary(method.path, method.request.SerializeToString, method.answer.FromString)
        metadata = (("authorization", f"Bearer {canaries['bearer']}"), ("x-own", canaries["header"]))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(method.request(), metadata=metadata)
        assert canaries["bearer"] not in str(refused.value.details()) + str(refused.value.trailing_metadata())


def _read(found: Searched, mesh: ProcessMesh, traces: Traces, canaries: dict[str, str]) -> None:
    """All that the mesh wrote, and what it answers now."""
    (node,) = mesh.nodes
    for process in mesh.processes:
        found.said[f"log of the {process.kind}"] = process.log
        found.said[f"metrics of the {process.kind}"] = httpx.get(
            f"http://{process.metrics}/metrics", trust_env=False
        ).text
    found.said["traces"] = str(traces.received)
    found.said["audit log"] = Path(mesh.env["NERVENET_AUDIT"]).read_text()
    found.said["registry"] = etcdctl(
        mesh.env["NERVENET_ETCD"].replace(f"root:{canaries['etcd']}@", ""),
        "--user",
        f"root:{canaries['etcd']}",
        "get",
        "--prefix",
        "/",
    )
    with redis.Redis.from_url(mesh.redis) as store:
        found.said["journals"] = str(
            [store.dump(key) for key in store.scan_iter()]
            + [store.xrange(key) for key in store.scan_iter(_type="stream")]
        )
    for command in (
        ("config", "show"),
        ("config", "show", "--json"),
        ("doctor",),
        ("doctor", "--json"),
        ("agents", "list", "--json"),
        ("nodes", "list", "--json"),
    ):
        ran = nervenet(*command, env=mesh.env | {"NERVENET_ADDRESS": node.address})
        found.said[f"nervenet {' '.join(command)}"] = ran.stdout + ran.stderr
    wrong = nervenet("list", env=mesh.env | {"NERVENET_ADDRESS": node.address, "NERVENET_TOKEN": canaries["bearer"]})
    found.said["the error of a wrong token"] = wrong.stdout + wrong.stderr
    headers = {"authorization": f"Bearer {canaries['token']}"}
    with httpx.Client(base_url=f"http://{node.http}", headers=headers, trust_env=False) as http:
        for path in ("/", "/main.js"):
            found.said[f"GET {path}"] = http.get(path).text
        for name in ("ListWorkflows", "ListNodes", "ListAgents", "ListEscalations"):
            service = METHODS[name].service
            found.said[f"POST {name}"] = http.post(f"/{service}/{name}", json={}).text


@pytest.mark.parametrize("place", ["token", "redis", "etcd", "hook", "otlp", "bearer", "cookie", "header"])
def test_secrets_of_settings_and_headers_are_nowhere(searched: Searched, canaries: dict[str, str], place: str) -> None:
    assert searched.holding(canaries[place]) == []


def test_what_a_workflow_carries_is_in_its_journal_only(searched: Searched, canaries: dict[str, str]) -> None:
    assert searched.holding(canaries["payload"]) == ["journals"]


def test_what_a_failure_says_is_shown_to_those_who_may_read_it(searched: Searched, canaries: dict[str, str]) -> None:
    """The message of a failure is for people: lists and traces show it, and the log of the agent that failed. So keep secrets out of it."""
    assert set(searched.holding(canaries["failure"])) <= {
        "journals",
        "traces",
        "POST ListWorkflows",
        "log of the agent",
    }


def test_the_search_finds_what_is_there(searched: Searched) -> None:
    assert "ends" in searched.said["POST ListWorkflows"] and "canary failed" in searched.said["journals"]
    assert all(searched.said.values()), [place for place, text in searched.said.items() if not text]
