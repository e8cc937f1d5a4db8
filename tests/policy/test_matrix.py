# SPDX-License-Identifier: Apache-2.0
"""Role × RPC on a real node: over gRPC and over HTTP, each role may call what the table says, and nothing else."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from typing import Any

import grpc
import grpc.aio
import pytest

from nervenet.rpc.methods import METHODS, RpcMethod
from nervenet.rpc.server import _STANDARD_METHODS, GrpcServer, Service
from nervenet.security.roles import ACCESS, Role
from tests.gateway.world import reason_of
from tests.policy.test_table import OF_NEWER_GRPC
from tests.policy.world import GuardedMesh

NOBODY = "stranger"
"""A certificate that the policy gives no role."""
CALLERS = (*Role, NOBODY)
ALL = {rpc.path: rpc for rpc in METHODS.values()} | {
    rpc.path: rpc for methods in _STANDARD_METHODS.values() for rpc in methods
}
REFUSALS = {"NO_ROLE", "ROLE_MISSING"}
ANSWERS_WITHIN, REFUSES_WITHIN = 5.0, 60.0


def may(caller: str, path: str) -> bool:
    row = ACCESS[path]
    return row.is_open or caller in row.roles


def wanted(caller: str, path: str) -> str:
    """The reason with which the policy refuses this call; "" where it does not."""
    return "" if may(caller, path) else "NO_ROLE" if caller == NOBODY else "ROLE_MISSING"


async def reason(channel: grpc.aio.Channel, rpc: RpcMethod, expected: str) -> str:
    """The reason with which an empty request is refused; "" where it is not, whatever else is wrong with it. A refusal that is expected
    is waited for; that a stream is open shows by its silence."""
    shape = f"{'stream' if rpc.streams_in else 'unary'}_{'stream' if rpc.streams_out else 'unary'}"
    call: Any = getattr(channel, shape)(rpc.path)
    stream = call() if rpc.streams_in else call(b"")
    try:
        if rpc.streams_in:
            await stream.write(b"")
            await stream.done_writing()
        async with asyncio.timeout(REFUSES_WITHIN if expected else ANSWERS_WITHIN):
            await (stream.read() if rpc.streams_out else stream)
    except TimeoutError:
        return ""
    except asyncio.InvalidStateError:  # the stream has ended under the write: its status says why
        return reason_of_status(await stream.code(), await stream.trailing_metadata())
    except grpc.aio.AioRpcError as error:
        return reason_of(error) if error.code() is grpc.StatusCode.PERMISSION_DENIED else ""
    finally:
        stream.cancel()
    return ""


def reason_of_status(code: grpc.StatusCode, trailing: Any) -> str:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing)
    return reason_of(error) if code is grpc.StatusCode.PERMISSION_DENIED else ""


@pytest.mark.parametrize("caller", CALLERS)
async def test_each_rpc_over_grpc(guarded: GuardedMesh, caller: str) -> None:
    node = await guarded.guarded()
    rows = {path for path in ACCESS if path.startswith("/") and "externalscaler" not in path}
    assert ALL.keys() == rows - OF_NEWER_GRPC
    async with grpc.aio.secure_channel(node.address, guarded.tls(caller)) as channel:
        paths = sorted(ALL)
        expected = {path: wanted(caller, path) for path in paths}
        reasons = await asyncio.gather(*(reason(channel, ALL[path], expected[path]) for path in paths))
    assert dict(zip(paths, reasons, strict=True)) == expected


class Browser:
    """HTTP/1.1 with a certificate."""

    def __init__(self, guarded: GuardedMesh, address: str, caller: str) -> None:
        issued = guarded.issued(caller)
        self.address = address
        self.tls = ssl.create_default_context(cafile=str(issued.ca))
        self.tls.load_cert_chain(issued.cert, issued.key)

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> tuple[int, str]:
        """The status, and the reason of a refusal."""
        connection = http.client.HTTPSConnection(self.address, context=self.tls, timeout=ANSWERS_WITHIN)
        try:
            connection.request(method, path, body or None, {"Content-Type": kind})
            answer = connection.getresponse()
            first = answer.read1(4096) if answer.status == 200 else answer.read()
        finally:
            connection.close()
        found = first.decode(errors="replace")
        return answer.status, next((one for one in REFUSALS if one in found), "")


def request_of(rpc: RpcMethod) -> tuple[bytes, str]:
    """The body of an empty request, and its content type."""
    if rpc.streams_out:
        return b"\0\0\0\0\x02{}", "application/connect+json"
    return b"{}", "application/json"


@pytest.mark.parametrize("caller", CALLERS)
async def test_each_rpc_and_route_over_http(guarded: GuardedMesh, caller: str) -> None:
    node = await guarded.guarded(http="127.0.0.1:0")
    browser = Browser(guarded, str(node.http), caller)
    refused = "NO_ROLE" if caller == NOBODY else "ROLE_MISSING"
    for rpc in METHODS.values():
        if rpc.streams_in:
            continue  # HTTP/1.1 has none: over gRPC only
        body, kind = request_of(rpc)
        status, reason = await asyncio.to_thread(browser.ask, "POST", rpc.path, body, kind)
        wanted = "" if may(caller, rpc.path) else refused
        assert (reason, status == 403) == (wanted, bool(wanted)), (rpc.name, status)
    read = {"method": "nervenet.v1.CoordinatorService/ListWorkflows"}
    live = json.dumps({"reads": {"open": read}}).encode()
    for method, path, row, content in (
        ("POST", "/live", "POST /live", live),
        ("GET", "/live/workflows/none", "GET /live/workflows/{workflow_id:path}", b""),
        ("GET", "/", "GET /{file:path}", b""),
    ):
        status, reason = await asyncio.to_thread(browser.ask, method, path, content)
        wanted = "" if may(caller, row) else refused
        assert (reason, status == 403) == (wanted, bool(wanted)), (path, status)


@pytest.mark.parametrize("caller", CALLERS)
async def test_the_control_port_of_an_agent(guarded: GuardedMesh, caller: str) -> None:
    name = "nervenet.v1.AgentService"
    config = guarded.config(listen="127.0.0.1:0", **guarded.settings("agent"))
    server = await GrpcServer.start(config, "agent", [Service(name, object())], asyncio.Event())
    try:
        async with grpc.aio.secure_channel(server.address, guarded.tls(caller)) as channel:
            for path, method in server.guard.methods.items():
                expected = wanted(caller, path)
                assert await reason(channel, method.rpc, expected) == expected, path
    finally:
        await server.stop(0)


async def test_the_refusal_says_who_lacks_what_and_whom_to_ask(guarded: GuardedMesh) -> None:
    await guarded.guarded()
    viewer = await guarded.by("viewer")
    with pytest.raises(PermissionError) as refused:
        await viewer.call("CancelWorkflow", workflow_id="order-7")
    error: Any = refused.value
    assert error.message == (
        "'spiffe://test/nervenet/viewer' may not call CancelWorkflow: CancelWorkflow needs the role client, and it has "
        "viewer; ask the operator for that role (the policy's `roles`)"
    )
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "ROLE_MISSING")
    assert error.metadata == {"subject": "spiffe://test/nervenet/viewer", "rpc": "CancelWorkflow", "role": "client"}


async def test_a_namespace_that_a_caller_may_not_use_does_not_exist_for_it(guarded: GuardedMesh) -> None:
    await guarded.guarded()
    told = []
    for namespace in (guarded.namespace, "no-such-namespace"):
        client = await guarded.by(NOBODY, namespace=namespace)
        with pytest.raises(PermissionError) as refused:
            await client.call("ListWorkflows")
        error: Any = refused.value
        told.append((error.reason, error.message.replace(namespace, "…")))
    assert told[0] == told[1]
    assert told[0][0] == "WRONG_NAMESPACE"
