# SPDX-License-Identifier: Apache-2.0
"""Bad input: each has its answer, which says what is wrong and shows nothing of the inside, and the node goes on."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any

import httpx
import pytest

import nervenet.http.call
import nervenet.http.server
from nervenet.rpc.channels import receive_limit
from tests.http_door.world import COORDINATOR, JSON, PROTO, REGISTRY, HttpWorld, call, live, tasks_of_streams, told
from tests.support.waiting import until

GET, START, LIST = (f"{COORDINATOR}/{name}" for name in ("GetWorkflow", "StartWorkflow", "ListWorkflows"))
DEEP = b'{"definition":"echo","input":{"value":' + b"[" * 200_000 + b"]" * 200_000 + b"}}"
NESTED = b'{"definition":"echo","input":{"value":' + b"[" * 98 + b"]" * 98 + b"}}"
WIDE = b'{"definition":"echo","input":{"value":[' + b"0," * 150_000 + b"0]}}"
QUOTED = json.dumps({"definition": "echo", "workflowId": "q", "input": {"value": "[," * 150_000}}).encode()


@pytest.mark.parametrize(
    ("path", "headers", "body", "answer"),
    [
        (GET, {"content-type": "text/plain"}, b"{}", (415, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": "application/x-www-form-urlencoded"}, b"a=b", (415, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": "application/connect+json"}, b"{}", (415, "invalid_argument", "UNDECODABLE")),
        (GET, {}, b"{}", (415, "invalid_argument", "UNDECODABLE")),
        (f"{COORDINATOR}/WatchWorkflow", {"content-type": JSON}, b"{}", (415, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON, "content-encoding": "gzip"}, b"{}", (415, "unimplemented", "")),
        (GET, {"content-type": JSON}, b"", (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b"{", (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b"[]", (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b"null", (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b'"x"', (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b"\xff\xfe", (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b'{"workflowId":"\\ud800"}', (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b'{"workflowId":1}', (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b'{"workflowId":"a","workflowId":"b"}', (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b'{"workflowId":"a","nothing":1}', (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b'{"wait":"soon"}', (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON}, b'{"payloadFormat":"NO"}', (400, "invalid_argument", "UNDECODABLE")),
        (START, {"content-type": JSON}, DEEP, (400, "invalid_argument", "UNDECODABLE")),
        (START, {"content-type": JSON}, NESTED, (400, "invalid_argument", "UNDECODABLE")),
        (START, {"content-type": JSON}, WIDE, (400, "invalid_argument", "INVALID_FIELD")),
        (START, {"content-type": JSON}, b'{"definition":"echo","input":{"value":NaN}}', (400, "invalid_argument", "INVALID_FIELD")),
        (GET, {"content-type": PROTO}, b"\xff\xff\xff", (400, "invalid_argument", "UNDECODABLE")),
        (GET, {"content-type": JSON, "connect-timeout-ms": "soon"}, b"{}", (400, "invalid_argument", "INVALID_FIELD")),
        (GET, {"content-type": JSON, "connect-timeout-ms": "-1"}, b"{}", (400, "invalid_argument", "INVALID_FIELD")),
        (GET, {"content-type": JSON, "connect-timeout-ms": "9" * 40}, b"{}", (400, "invalid_argument", "INVALID_FIELD")),
        (GET, {"content-type": JSON, "connect-protocol-version": "2"}, b"{}", (400, "invalid_argument", "INVALID_FIELD")),
        (GET, {"content-type": JSON, "nervenet-namespace": "other"}, b"{}", (403, "permission_denied", "WRONG_NAMESPACE")),
        ("/nothing", {"content-type": JSON}, b"{}", (404, "unimplemented", "")),
        ("/a/b/c", {"content-type": JSON}, b"{}", (404, "unimplemented", "")),
    ],
)  # fmt: skip
async def test_each_mistake_is_told(
    world: HttpWorld, path: str, headers: dict[str, str], body: bytes, answer: tuple[int, str, str]
) -> None:
    http = await world.http()
    assert told(await http.post(path, headers=headers, content=body)) == answer
    assert (await call(http, LIST)).json() == {}


async def test_brackets_and_commas_in_text_are_no_depth_and_no_values(world: HttpWorld) -> None:
    http = await world.http()
    assert (await http.post(START, headers={"content-type": JSON}, content=QUOTED)).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
async def test_other_methods_are_refused(world: HttpWorld, method: str) -> None:
    http = await world.http()
    assert (await http.request(method, GET)).status_code == 405
    assert (await http.get(GET)).status_code == 404


async def test_a_body_above_the_limit_is_not_read(world: HttpWorld) -> None:
    http = await world.http(payload_limit="1KiB")
    limit = receive_limit(1024)
    padding = b" " * (limit - 2)
    headers = {"content-type": JSON}
    assert (await http.post(LIST, headers=headers, content=b"{}" + padding)).status_code == 200
    too_large = await http.post(LIST, headers=headers, content=b"{}" + padding + b" ")
    assert told(too_large) == (413, "resource_exhausted", "PAYLOAD_TOO_LARGE")

    async def in_parts() -> Any:
        for _ in range(100):
            yield b" " * (limit // 50)

    assert told(await http.post(LIST, headers=headers, content=in_parts())) == (
        413,
        "resource_exhausted",
        "PAYLOAD_TOO_LARGE",
    )
    assert (await call(http, LIST)).status_code == 200


async def test_the_token_is_asked_for_before_anything_is_read(world: HttpWorld) -> None:
    http = await world.http(token="s3cret")
    for authorization in ("", "Bearer wrong", "s3cret", "Basic czNjcmV0"):
        answer = await call(http, LIST, **({"authorization": authorization} if authorization else {}))
        assert told(answer) == (401, "unauthenticated", "BAD_TOKEN")
        assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/live", "/nervenet.v1.CoordinatorService/Nothing"):
            assert told(await http.post(path, content=DEEP, headers={"authorization": authorization}))[0] == 401
        assert told(await http.get("/live/workflows/w", headers={"authorization": authorization}))[0] == 401
    assert (await call(http, LIST, authorization="Bearer s3cret")).status_code == 200
    assert (await http.get("/")).status_code == 200
    calls = world.nodes[0].context.metrics.calls.points()
    refused = {
        labels[1]: sum(times.counts)
        for labels, times in calls
        if labels[0] == "connect_rpc" and labels[2] == "UNAUTHENTICATED"
    }
    assert refused == {LIST[1:]: 4, "_OTHER": 12}


async def test_a_servicer_that_fails_shows_nothing_of_the_inside(
    world: HttpWorld, caplog: pytest.LogCaptureFixture
) -> None:
    http = await world.http()
    node = world.nodes[0]
    del node.context.table.nodes  # type: ignore[attr-defined]  # what nobody thinks of
    answer = await call(http, f"{REGISTRY}/ListNodes")
    assert told(answer) == (500, "internal", "INTERNAL")
    assert "AttributeError in ListNodes" in answer.json()["message"]
    assert "ListNodes failed" in caplog.text


async def raw(http: httpx.AsyncClient, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    writer.write(sent)
    return reader, writer


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /nervenet.v1.Coord",
        b"POST / HTTP/1.1\r\nHost: localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTT",
    ],
)
async def test_half_a_request_does_not_hold_a_connection(
    world: HttpWorld, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nervenet.http.server, "HEAD_WITHIN", 0.3)
    http = await world.http()
    reader, writer = await raw(http, sent)
    async with asyncio.timeout(20):
        await reader.read()
    writer.close()
    assert (await call(http, LIST)).status_code == 200


async def test_half_a_body_is_given_up(world: HttpWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nervenet.http.call, "BODY_WITHIN", 0.3)
    http = await world.http()
    head = f"POST {LIST} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode()
    reader, writer = await raw(http, head)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    reader, writer = await raw(http, head)
    writer.close()  # a caller that leaves in the middle
    assert (await call(http, LIST)).status_code == 200


async def test_a_caller_that_does_not_read_its_answer_is_left(
    world: HttpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nervenet.http.server, "READ_WITHIN", 0.5)
    http = await world.http(payload_limit="4MiB")
    start = {"workflowId": "w", "definition": "echo", "input": {"text": "x" * 4_000_000}, "wait": "20s"}
    assert (await call(http, START, start)).status_code == 200
    body = b'{"workflowId":"w"}'
    head = f"POST {GET} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((http.base_url.host, http.base_url.port))
        deaf.sendall(head.encode() + body)
        await asyncio.sleep(2)
        deaf.settimeout(5)
        got = 0
        with suppress(ConnectionResetError):
            while part := deaf.recv(1 << 20):
                got += len(part)
    assert got < 8_000_000  # input and output
    assert (await call(http, LIST)).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"A" * 100_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ids=["tls", "http/0.9", "two hosts", "long line", "http/2"],
)  # fmt: skip
async def test_what_is_no_http_is_refused(world: HttpWorld, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    http = await world.http()
    reader, writer = await raw(http, sent)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 ", b"HTTP/1.1 431 ")), answer[:100]
    assert [record for record in caplog.records if "http" in record.name and "httpx" not in record.name] == []
    assert (await call(http, LIST)).status_code == 200


async def test_readers_that_leave_in_the_middle_leave_nothing_behind(world: HttpWorld) -> None:
    http = await world.http()
    node = world.nodes[0]
    await call(http, START, {"workflowId": "w", "definition": "waits"})
    before = tasks_of_streams()
    for _ in range(5):
        async with live(http, {"w": {"method": LIST[1:]}}) as events:
            assert await events.next()
            assert tasks_of_streams() > before
        async with http.stream("GET", "/live/workflows/w") as answer:
            assert answer.status_code == 200
            assert tasks_of_streams() > before
    await http.aclose()
    await until(lambda: tasks_of_streams() == before, "all tasks of the streams are over")
    assert node.context.status.alive
