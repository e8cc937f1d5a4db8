# SPDX-License-Identifier: Apache-2.0
"""Certificates that change under running servers and callers: new connections use them, open streams go on, no call fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from nervenet import errors
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.rpc import server as rpc_server
from nervenet.rpc.server import GrpcServer, Service
from nervenet.security.issue import DevAuthority, spiffe_id
from nervenet.timing import FILE_LOOK_EVERY
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2
from tests.http_door.world import REGISTRY
from tests.support.waiting import until
from tests.transport.parties import Authorities, Party, serial_of, shown_at
from tests.transport.peers import TlsWorld, outcome, python_tls, served

pytestmark = pytest.mark.long


class WhoAsks:
    """A coordinator service that answers with the serial number of its caller's certificate."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def GetWorkflow(self, request: Any, context: Any) -> pb.GetWorkflowResponse:
        (shown,) = context.auth_context()["x509_pem_cert"]
        return pb.GetWorkflowResponse(workflow=workflow_pb2.Workflow(workflow_id=str(serial_of(shown))))

    async def WatchWorkflow(self, request: Any, context: Any) -> AsyncIterator[pb.WatchWorkflowResponse]:
        yield pb.WatchWorkflowResponse()
        await self.go_on.wait()
        yield pb.WatchWorkflowResponse()


@asynccontextmanager
async def serving(party: Party, service: WhoAsks) -> AsyncIterator[GrpcServer]:
    config = Config.load(environ={}, listen="127.0.0.1:0", **party.settings("mtls", server=True))
    services = [Service("nervenet.v1.CoordinatorService", service)]
    server = await GrpcServer.start(config, "node", services, asyncio.Event())
    try:
        yield server
    finally:
        await server.stop(0)


def caller_of(party: Party, address: str) -> RawClient:
    return RawClient(Config.load(environ={}, address=address, **party.settings("mtls")))


async def who(caller: RawClient) -> int:
    """The serial number by which the server knows the caller. One try: a failure is a failure."""
    answer = await caller.nodes.once("GetWorkflow", pb.GetWorkflowRequest(workflow_id="w"), timeout=10)
    return int(answer.workflow.workflow_id)


# ── servers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_nodes_agents_and_http_show_a_new_certificate_to_new_connections(
    world: TlsWorld, ours: Authorities
) -> None:
    server, caller, agent = ours.party("server"), ours.party("caller", "operator"), ours.party("agent", "agent")
    node = await world.node_of(server, "mtls")
    async with world.agent_of(node, agent.settings("mtls", server=True)) as running:
        assert node.http is not None
        doors = [(node.address, "h2", server), (node.http, "http/1.1", server), (running.address, "h2", agent)]
        for address, alpn, party in doors:
            assert await shown_at(address, caller, alpn) == party.serial
        for party in (server, agent):
            party.get("good")
        for address, alpn, party in doors:

            async def shows_it(address: str = address, alpn: str = alpn, party: Party = party) -> bool:
                return await shown_at(address, caller, alpn) == party.serial

            await until(shows_it, f"{address} shows the new certificate")
        assert await served(world.over_grpc, node, caller.settings("mtls")) == "works"
        dialling = server.settings("mtls", server=True)
        assert await served(world.control_port, running.address, dialling) == "works"


async def test_half_of_a_new_pair_does_not_take_a_server_down(
    ours: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    """Key and certificate are written one after the other. Until both are there, the last good pair is shown."""
    server, caller = ours.party("server"), ours.party("caller", "operator")
    before, new = server.serial, ours.issue("good")
    async with serving(server, WhoAsks()) as at:
        server.key.write_bytes(new.key)
        await until(lambda: "the key belongs to another certificate" in caplog.text, "the log says what does not fit")
        assert "NERVENET_TLS_CERT" in caplog.text
        assert await shown_at(at.address, caller) == before
        server.cert.write_bytes(new.certificate[:100])
        await until(lambda: "a file is cut off" in caplog.text, "the log says that it is cut off")
        assert await shown_at(at.address, caller) == before
        server.cert.write_bytes(new.certificate)

        async def shows_it() -> bool:
            return await shown_at(at.address, caller) == serial_of(new.certificate)

        await until(shows_it, "the new pair is shown")


# ── callers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_caller_shows_its_new_certificate_while_its_old_stream_goes_on(ours: Authorities) -> None:
    server, caller, service = ours.party("server"), ours.party("caller", "operator"), WhoAsks()
    async with serving(server, service) as at, caller_of(caller, at.address) as mesh:
        assert await who(mesh) == caller.serial
        stream = mesh.stream("WatchWorkflow", workflow_id="w")
        await anext(stream)
        new = caller.get("good")

        async def is_known_by_it() -> bool:
            return await who(mesh) == new

        await until(is_known_by_it, "the server knows it by the new certificate")
        service.go_on.set()
        await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_no_call_fails_while_certificates_and_the_authority_change(ours: Authorities) -> None:
    """Every step of a change of the authority, under calls without a second try, each on the connection of that moment."""
    server, caller, service = ours.party("server"), ours.party("caller", "operator"), WhoAsks()
    seen: list[int] = []

    async def call_again_and_again() -> None:
        async with caller_of(caller, at.address) as mesh:
            while True:
                seen.append(await who(mesh))
                await asyncio.sleep(0.002)

    async def connect_again_and_again() -> None:
        while True:
            async with caller_of(caller, at.address) as mesh:
                await who(mesh)
            await asyncio.sleep(0.05)

    def trust(*authorities: DevAuthority) -> None:
        for party in (server, caller):
            party.trust(*authorities)

    async with serving(server, service) as at:
        calling = [asyncio.create_task(call_again_and_again()), asyncio.create_task(connect_again_and_again())]
        steps: dict[str, Callable[[], object]] = {
            "both trust both": lambda: trust(ours.first, ours.second),
            "the server changes": lambda: server.get("second"),
            "the caller changes": lambda: caller.get("second"),
            "the old one goes": lambda: trust(ours.second),
        }
        for name, step in steps.items():
            step()
            await asyncio.sleep(FILE_LOOK_EVERY)  # all have looked at their files once more
            done = len(seen)
            await until(lambda: len(seen) > done + 100, name)  # noqa: B023  # it is awaited here
            for task in calling:
                assert not task.done(), f"{name}: {task.exception()}"
        for task in calling:
            task.cancel()
        assert seen[-1] == caller.serial
        stranger = ours.party("stranger")
        stranger.trust(ours.second)
        with pytest.raises(errors.Unavailable):
            async with caller_of(stranger, at.address) as mesh:
                await who(mesh)


async def test_http_streams_go_on_and_new_ones_meet_the_new_authority(world: TlsWorld, ours: Authorities) -> None:
    server, caller, old = ours.party("server"), ours.party("caller", "operator"), ours.party("old", "operator")
    agent_party = ours.party("agent", "agent")
    node = await world.node_of(server, "mtls")
    begin: dict[str, Any] = {"content": b"\0\0\0\0\2{}", "headers": {"content-type": "application/connect+json"}}
    async with (
        httpx.AsyncClient(verify=python_tls(caller.settings("mtls")), trust_env=False, timeout=20) as http,
        http.stream("POST", f"https://{node.http}{REGISTRY}/WatchAgents", **begin) as watching,
    ):
        news = watching.aiter_bytes()
        await anext(news)
        for party in (server, caller, old, agent_party):
            party.trust(ours.second)
        server.get("second")
        caller.get("second")
        agent_party.get("second")

        async def serves_the_new() -> bool:
            return await outcome(world.http, node, caller.settings("mtls")) == "works"

        await until(serves_the_new, "who has the new authority is served")
        assert await outcome(world.http, node, old.settings("mtls")) != "works", "its certificate is of the old one"
        async with world.agent_of(node, agent_party.settings("mtls")) as agent, asyncio.timeout(20):
            while agent.agent_id.encode() not in await anext(news):
                pass


# ── callers that stay ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_caller_whose_certificate_has_expired_does_not_stay(
    ours: Authorities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stream and its calls end with the certificate, its connection when it is too old, and there is no next one."""
    monkeypatch.setattr(rpc_server, "CONNECTION_AGE", 2.0)
    monkeypatch.setattr(rpc_server, "CONNECTION_AGE_GRACE", 0.5)
    server, caller, service = ours.party("server"), ours.party("caller", "operator"), WhoAsks()
    short = ours.first.issue("short", hosts=["127.0.0.1"], days=2 / 86_400, uri=spiffe_id("operator"))
    caller.put(short)
    async with serving(server, service) as at, caller_of(caller, at.address) as mesh:
        stream = mesh.stream("WatchWorkflow", workflow_id="w")
        await anext(stream)
        with pytest.raises((errors.Unavailable, errors.Unauthorized)):
            await asyncio.wait_for(anext(stream), 10)

        async def has_no_connection() -> bool:
            with pytest.raises((errors.Unavailable, errors.Unauthorized)) as refused:
                await mesh.call("GetWorkflow", workflow_id="w", timeout=1.5)
            return "it has expired" in str(refused.value)

        await until(has_no_connection, "the handshake refuses it, no longer the guard")
