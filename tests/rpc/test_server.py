# SPDX-License-Identifier: Apache-2.0
"""A server of ours at its edges: who may call, where it may listen, how it ends."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from nervenet import errors
from nervenet.client.nodes import Nodes
from nervenet.config import Config
from nervenet.rpc.channels import _OPTIONS as CLIENT_OPTIONS
from nervenet.rpc.methods import METHODS
from nervenet.rpc.server import GrpcServer, Service
from nervenet.rpc.server import _options as server_options
from nervenet.v1 import coordinator_service_pb2 as pb


class Scripted:
    """A coordinator service that does what a test says."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self.stopping = stopping

    async def GetWorkflow(self, request: Any, context: Any) -> Any:
        if request.workflow_id == "bug":
            raise KeyError("nobody thought of it")
        return pb.GetWorkflowResponse()

    async def WatchWorkflow(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield pb.WatchWorkflowResponse()
        await self.stopping.wait()


def config(**settings: Any) -> Config:
    return Config.load(environ={}, **{"listen": "127.0.0.1:0", **settings})


async def serving(**settings: Any) -> GrpcServer:
    stopping = asyncio.Event()
    service = Service("nervenet.v1.CoordinatorService", Scripted(stopping))
    return await GrpcServer.start(config(**settings), "node", [service], stopping)


async def get(server: GrpcServer, workflow_id: str = "w", tls: Any = None, **settings: Any) -> None:
    nodes = Nodes(config(address=server.address, **settings), tls)
    try:
        await nodes.call("GetWorkflow", pb.GetWorkflowRequest(workflow_id=workflow_id), timeout=5)
    finally:
        await nodes.close()


def test_each_option_is_one_that_grpc_knows() -> None:
    """A name that it does not know it takes without a word: keepalive pings were answered with GOAWAY, for one of them."""
    folder = Path(grpc.__file__).parent / "_cython"
    (core,) = (file for file in folder.glob("cygrpc.*") if file.suffix != ".pyi")
    known = core.read_bytes()
    ours = [name for name, _ in (*server_options(config()), *CLIENT_OPTIONS)]
    assert [name for name in ours if name.encode() + b"\0" not in known] == []


async def test_namespace_and_token_are_looked_at_and_a_token_file_may_be_rotated(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    server = await serving(namespace="mine", token_file=str(token))
    try:
        await get(server, namespace="mine", token="first")
        with pytest.raises(errors.Unauthorized) as refused:
            await get(server, namespace="other", token="first")
        assert refused.value.reason == "WRONG_NAMESPACE"
        for wrong in ({}, {"token": "second"}):
            with pytest.raises(errors.Unauthorized) as refused:
                await get(server, namespace="mine", **wrong)
            assert refused.value.reason == "BAD_TOKEN"
        token.write_text("second")
        async with asyncio.timeout(5):
            while True:
                try:
                    await get(server, namespace="mine", token="second")
                    break
                except errors.Unauthorized:
                    await asyncio.sleep(0.1)
    finally:
        await server.stop(0)


async def test_a_caller_whose_token_file_is_being_rewritten_tries_again(tmp_path: Path) -> None:
    """Even where a lost reply could not be asked for again: nothing was sent."""
    server = await serving(token="s3cret")
    token = tmp_path / "token"
    token.write_text("s3cret")
    nodes = Nodes(config(address=server.address, token_file=str(token)))
    try:
        token.write_text("")
        for name in ("GetWorkflow", "StartWorkflows"):
            with pytest.raises(errors.Unavailable, match="is empty: write the token") as refused:
                await nodes.once(name, METHODS[name].request())
            assert refused.value.reason == "TOKEN_UNREADABLE"
        asked = asyncio.create_task(nodes.call("GetWorkflow", pb.GetWorkflowRequest(workflow_id="w")))
        await asyncio.sleep(0.1)
        assert not asked.done()
        token.write_text("s3cret")
        await asyncio.wait_for(asked, 5)
    finally:
        await nodes.close()
        await server.stop(0)


async def test_a_bug_is_an_internal_error_without_its_secrets_and_what_is_missing_says_so() -> None:
    server = await serving()
    try:
        with pytest.raises(errors.RequestError) as refused:
            await get(server, "bug")
        assert (
            refused.value.code == refused.value.reason == "INTERNAL" and "nobody thought" not in refused.value.message
        )
        nodes = Nodes(config(address=server.address))
        with pytest.raises(errors.RequestError) as later:
            await nodes.call("ListWorkflows", pb.ListWorkflowsRequest())
        assert later.value.reason == "NOT_YET"
        await nodes.close()
    finally:
        await server.stop(0)


async def test_a_taken_port_and_an_open_address_without_certificate_are_refused_in_words() -> None:
    server = await serving()
    try:
        with pytest.raises(errors.ConfigError, match="address already in use"):
            await serving(listen=server.address)
        with pytest.raises(errors.ConfigError, match="NERVENET_TLS"):
            await serving(listen="0.0.0.0:0")
    finally:
        await server.stop(0)


@pytest.mark.parametrize(
    ("symbol", "known"),
    [
        ("nervenet.v1.CoordinatorService", True),
        ("nervenet.v1.CoordinatorService.GetWorkflow", True),
        ("nervenet.v1.GetWorkflowRequest", True),
        ("nervenet.v1.CoordinatorService.Guess", False),
        ("nervenet.v1.Guess", False),
    ],
)
async def test_reflection_knows_services_their_methods_and_messages(symbol: str, known: bool) -> None:
    server = await serving()
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
            answer = await anext(aiter(call))
        assert answer.HasField("file_descriptor_response") is known
        assert known or answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    finally:
        await server.stop(0)


async def test_stopping_ends_a_stream_that_would_last_for_ever() -> None:
    server = await serving()
    nodes = Nodes(config(address=server.address))
    watch = nodes.stream("WatchWorkflow", METHODS["WatchWorkflow"].request(workflow_id="w"))
    async with asyncio.timeout(5):
        assert await anext(watch) is not None
        await server.stop(5)
        assert [answer async for answer in watch] == []
    await nodes.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_tls_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*make, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    server = await serving(tls="on", tls_cert=str(cert), tls_key=str(key))
    try:
        await get(server, tls=ssl.create_default_context(cafile=str(cert)))
        await get(server, tls=None)
    except errors.Unavailable:
        pass  # without TLS, or with other authorities, nothing answers
    else:
        pytest.fail("a server with TLS answered without it")
    finally:
        await server.stop(0)
