# SPDX-License-Identifier: Apache-2.0
"""Headers by hand: two of one kind, bytes that are no text, paths that look like others. And what logs make of what callers say."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc.aio
import pytest

from nervenet.config import Config
from nervenet.process import logs
from nervenet.rpc.server import GrpcServer, Service
from nervenet.rpc.status import error_of
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.hostile.frames import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, call_headers, frame, message, settings
from tests.support.waiting import DEADLINE

PATH = "/nervenet.v1.CoordinatorService/GetWorkflow"
TOKEN = ("authorization", "Bearer s3cret")
MINE = ("nervenet-namespace", "mine")


class Scripted:
    """Counts the calls that come through."""

    served = 0

    async def GetWorkflow(self, request: Any, context: Any) -> Any:
        self.served += 1
        return pb.GetWorkflowResponse()


@pytest.fixture
async def server() -> AsyncIterator[GrpcServer]:
    config = Config.load(environ={}, listen="127.0.0.1:0", token="s3cret", namespace="mine")
    server = await GrpcServer.start(
        config, "node", [Service("nervenet.v1.CoordinatorService", Scripted())], asyncio.Event()
    )
    yield server
    await server.stop(0)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What a process of nervenet logs."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    logs.set_up("pretty", stream=stream)
    yield stream
    root.handlers[:], _ = before
    root.setLevel(before[1])


async def told(server: GrpcServer, path: str, *headers: tuple[str, str | bytes]) -> str:
    async with grpc.aio.insecure_channel(server.address) as channel:
        try:
            await channel.unary_unary(path)(b"", metadata=headers, timeout=DEADLINE)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


async def test_two_values_that_differ_are_refused(server: GrpcServer) -> None:
    bad, other = ("authorization", "Bearer x"), ("nervenet-namespace", "other")
    for headers in ((TOKEN, bad), (bad, TOKEN), (TOKEN, other, MINE), (TOKEN, MINE, other)):
        assert await told(server, PATH, *headers) == "UNAUTHENTICATED", headers
    assert await told(server, PATH, TOKEN, TOKEN, MINE, MINE) == "OK"


@pytest.mark.parametrize(
    "path",
    [
        PATH.lower(),
        f"/{PATH}",
        f"{PATH}/",
        f"{PATH}?x",
        PATH.replace("Get", "%47et"),
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Check/",
        f"/grpc.health.v1.Health/Check/../..{PATH}",
        "/grpc.channelz.v1.Channelz/GetServers",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_without_a_token_no_path_is_told_apart_from_another(server: GrpcServer, path: str) -> None:
    assert await told(server, path) == "UNAUTHENTICATED"
    assert await told(server, path, ("authorization-bin", b"Bearer s3cret")) == "UNAUTHENTICATED"


@pytest.mark.parametrize("path", [f"{PATH}s", "/other.Service/Get", f"/{'x' * 5000}/y"])
async def test_a_method_that_does_not_exist_is_refused_with_a_reason(server: GrpcServer, path: str) -> None:
    """Of any kind: with one request, with a stream that never ends, and whatever is in the body."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        metadata = (TOKEN,)
        calls: list[Any] = [
            channel.unary_unary(path)(b"\xff", metadata=metadata, timeout=DEADLINE),
            channel.stream_unary(path)(metadata=metadata, timeout=DEADLINE),
            channel.unary_stream(path)(b"", metadata=metadata, timeout=DEADLINE).read(),
        ]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            error = error_of(refused.value, "it")
            assert (error.code, error.reason) == ("UNIMPLEMENTED", "UNKNOWN_METHOD")
            assert len(error.message) < 500


async def test_a_token_with_a_byte_that_is_no_text_is_refused_and_in_no_log(
    server: GrpcServer, logged: io.StringIO
) -> None:
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    value = b"Bearer s3cret\xff"
    odd = b"\0" + bytes([13]) + b"authorization" + bytes([len(value)]) + value
    writer.write(PREFACE + settings() + frame(HEADERS, END_HEADERS, 1, call_headers(PATH) + odd))
    writer.write(frame(DATA, END_STREAM, 1, message(b"")))
    answer = b""
    async with asyncio.timeout(DEADLINE):
        while b"the token is not accepted" not in answer:
            answer += await reader.read(65536)
    writer.close()
    assert "s3cret" not in logged.getvalue()
    assert "Traceback" not in logged.getvalue()


def test_what_a_caller_says_forges_no_line_of_the_log(logged: io.StringIO) -> None:
    said = "no such thing\n09:12:04.131 warn  node  all is well\x1b[2J\r"
    logging.getLogger("nervenet.node").warning("refused: %s", said, extra={"who": "eve\nroot"})
    first, *rest = logged.getvalue().splitlines()
    assert "refused: no such thing" in first
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in logged.getvalue()
    assert "\r" not in logged.getvalue()
