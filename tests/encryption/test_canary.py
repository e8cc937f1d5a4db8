# SPDX-License-Identifier: Apache-2.0
"""A secret in inputs, results, signals, progress, failures and questions is found nowhere outside of user code.

Real processes run a workflow that passes a canary through everything. Then every key of Redis (also while it runs), all bytes
that were exported over OTLP, every log and every answer of the HTTP door are searched for it, in clear and as base64.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from nervenet import Client, Resolution, WorkflowFailed
from nervenet.config import Config
from tests.encryption.keys import codec, key_file
from tests.encryption.stories import Doc, everything, failing, more
from tests.support.mesh import ProcessMesh, settled
from tests.support.waiting import until
from tests.telemetry.collector import Collector, collector

pytestmark = pytest.mark.long

APP = "tests/encryption/stories.py"
COMMANDS = (
    ("show", "all"),
    ("result", "all"),
    ("journal", "all"),
    ("show", "broken"),
    ("show", "failing", "--json"),
)


@pytest.fixture
def spans() -> Iterator[Collector]:
    with collector() as served:
        yield served


def traces_of(canary: str) -> list[bytes]:
    """The canary as it would show: in clear, in upper case, and in base64 at each of the three offsets."""
    found = [canary.encode(), canary.upper().encode()]
    for offset in range(3):
        text = base64.b64encode(b"x" * offset + canary.encode()).decode()
        middle = text[4:-4]  # the ends depend on the neighbours
        found += [middle.encode(), middle.replace("+", "-").replace("/", "_").encode()]
    return found


async def all_of_redis(url: str, namespace: str) -> bytes:
    """Every byte of every key of a namespace."""
    server = redis.asyncio.from_url(url)
    parts: list[bytes] = []
    async for key in server.scan_iter(match=f"nn:{namespace}:*"):
        kind = await server.type(key)
        if kind == b"none":
            continue  # deleted since SCAN named it
        read: Any = {
            b"string": lambda k: server.get(k),
            b"hash": lambda k: server.hgetall(k),
            b"set": lambda k: server.smembers(k),
            b"zset": lambda k: server.zrange(k, 0, -1),
            b"stream": lambda k: server.xrange(k),
            b"list": lambda k: server.lrange(k, 0, -1),
        }[kind]
        parts += [key, *_bytes(await read(key))]
    await server.aclose()
    return b"\0".join(parts)


async def checkpoint_of(url: str, host: ProcessMesh, workflow_id: str) -> Any:
    async with redis.asyncio.from_url(url) as server:
        return await server.hgetall(f"nn:{host.namespace}:wf:{{{workflow_id}}}:ckpt")


def _bytes(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        value = [each for pair in value.items() for each in pair]
    if isinstance(value, (list, tuple, set)):
        for each in value:
            yield from _bytes(each)
    elif isinstance(value, bytes):
        yield value


def asked(address: str, method: str, **request: Any) -> bytes:
    """One call over HTTP, as the dashboard makes it."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request(
        "POST",
        f"/nervenet.v1.CoordinatorService/{method}",
        json.dumps(request),
        {"Content-Type": "application/json", "Connect-Protocol-Version": "1"},
    )
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return body


def dashboard(address: str, ids: list[str]) -> bytes:
    """Everything that the pages of the dashboard ask about workflows."""
    found = [asked(address, "ListWorkflows", includeWaits=True), asked(address, "ListEscalations")]
    for one in ids:
        for form in ("PAYLOAD_FORMAT_VALUE", "PAYLOAD_FORMAT_RAW"):
            found.append(asked(address, "GetWorkflow", workflowId=one, payloadFormat=form, includeTaskPayloads=True))
            found.append(asked(address, "ListJournal", workflowId=one, payloadFormat=form))
        found.append(
            asked(
                address,
                "GetWorkflow",
                workflowId=one,
                inputSteps=["read", "pooled"],
                payloadFormat="PAYLOAD_FORMAT_RAW",
            )
        )
    return b"\n".join(found)


@pytest.mark.parametrize("compression", [(), ("gzip",)], ids=["encrypted", "compressed and encrypted"])
async def test_a_canary_is_found_nowhere(
    host: ProcessMesh, spans: Collector, redis_url: str, tmp_path: Path, compression: tuple[str, ...]
) -> None:
    canary = f"canary-{secrets.token_hex(12)}"
    host.app = APP
    host.env |= {
        "NERVENET_CODEC": codec(key_file(tmp_path / "keys", "k1"), *compression),
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans.endpoint,
        "NERVENET_LOG_LEVEL": "debug",
    }
    node, _ = host.up(host.node("", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"), host.node())
    host.up(host.agent())
    places: dict[str, bytes] = {}
    config = Config.load(address=host.addresses, namespace=host.namespace, codec=host.env["NERVENET_CODEC"])
    async with Client(config=config) as client:
        doc = Doc("all", canary)
        run = await client.start(everything, doc, id="all")
        again = await client.start(everything, Doc("all", canary), id="all")
        assert not again.created, "the same input under the same id is the same start, although its bytes differ"
        await host.effect("all", "first attempt")
        progress = [event async for event in first_events(run)]
        assert any(canary in str(event.data) for event in progress), "who has the key sees the progress"
        places["Redis while it runs"] = await all_of_redis(redis_url, host.namespace)
        places["pages while it runs"] = dashboard(node.http, ["all"])
        await until(lambda: checkpoint_of(redis_url, host, "all"), "the checkpoint is stored", 20, host)
        host.open("all-read")
        await run.signal(more, f"signal {canary}")
        await answered(client, "all/unsure#1", f"answer {canary}", host)
        await answered(client, "all/ask#1", f"said {canary}", host)
        assert await run.result(timeout=60) == {
            "found": f"read: {canary}",
            "failed": f'refused {canary} / {{"words":"{canary}"}} / True',
            "loud": canary.upper(),
            "child": f"below: {canary}",
            "signal": f"signal {canary}",
            "answer": f"answer {canary}",
            "said": f"said {canary}",
        }
        assert (await run.info()).view == {"working on": canary}
        with pytest.raises(WorkflowFailed, match=canary) as failed:
            await client.run(failing, canary, id="failing")
        assert failed.value.failure.details is not None
        blocked = await client.start("broken", canary, id="broken")
        info = await settled(blocked, "BLOCKED", host)
        assert info.note.endswith("KeyError: encrypted (key id k1)")
        assert canary in await blocked_detail(blocked), "who has the key sees the error"
        places["pages at the end"] = dashboard(node.http, ["all", "failing", "broken", "all/below"])
        places["Redis at the end"] = await all_of_redis(redis_url, host.namespace)
    shown = host.run("show", "all").stdout
    assert canary in shown
    del host.env["NERVENET_CODEC"]
    for command in COMMANDS:
        found = host.run(*command)
        places[f"nervenet {' '.join(command)} without the key"] = (found.stdout + found.stderr).encode()
    assert "encrypted (key id k1)" in host.run("result", "all").stdout
    assert "encrypted (key id k1)" in host.run("show", "all").stdout
    for process in host.processes:
        process.kill(15)
        process.wait()
        places[f"the log {process.log_file.name}"] = process.log_file.read_bytes()
    await until(
        lambda: any(span.name == "workflow everything" or "everything" in span.name for span in spans.spans),
        "its spans are exported",
        20,
    )
    places["OTLP"] = b"".join(request.SerializeToString() for request in spans.requests)
    assert len(places["Redis at the end"]) > 5_000 and len(places["OTLP"]) > 1_000
    for where, data in places.items():
        for trace in traces_of(canary):
            at = data.find(trace)
            assert at < 0, f"{where}: {data[max(0, at - 300) : at + 100]!r}"


async def first_events(run: Any) -> Any:
    """What a watcher sees until there is progress and a piece of output."""
    seen: set[str] = set()
    async with asyncio.timeout(30):
        async for event in run.watch(progress=True, partials=True):
            yield event
            seen.add(event.kind)
            if {"progress", "partial"} <= seen:
                return


async def blocked_detail(run: Any) -> str:
    """Why it is blocked, in full."""
    async with asyncio.timeout(30):
        async for event in run.watch():
            if event.kind == "blocked":
                return str(event.data["detail"])
    raise AssertionError("it is not blocked")


async def answered(client: Client, id: str, value: str, host: ProcessMesh) -> None:
    """Answer a question when it is asked."""

    async def asked() -> Any:
        found = [each async for each in client.escalations() if each.id == id]
        return found[0] if found else None

    question = await until(asked, f"{id} is asked", 40, host)
    assert "canary-" in str(question.context), "who has the key sees what the question is about"
    await client.resolve(id, Resolution.complete(value))
