# SPDX-License-Identifier: Apache-2.0
"""Who speaks to whom: each way of speaking to a node or an agent, as a function that answers or fails.

A peer returns when it was served, and raises, with words for people, when it was not. Nothing here knows which of the two a
test expects.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import httpx

from nervenet import Mesh
from nervenet.agent.runtime import AgentRuntime
from nervenet.client.raw import RawClient
from nervenet.node.node import Node
from nervenet.node.services.peers import Peers
from nervenet.v1 import agent_service_pb2 as agents
from tests.gateway.world import connected, hello
from tests.http_door.world import COORDINATOR, JSON
from tests.services.world import World
from tests.support.waiting import DEADLINE, until
from tests.transport.parties import Party

SOON: Final = 1.5
"""Seconds for a call that is expected to fail: fewer than a client's patience, which is not the matter here."""


mesh = Mesh("transport")


@mesh.agent
async def work(value: str) -> str:
    return value


class TlsWorld(World):
    """Nodes and agents in this process, each with the files of one party."""

    async def node_of(self, party: Party, transport: str, **settings: Any) -> Node:
        return await self.node(http="127.0.0.1:0", **party.settings(transport, server=True), **settings)

    @asynccontextmanager
    async def agent_of(self, node: Node, settings: dict[str, Any]) -> AsyncIterator[AgentRuntime]:
        """A registered agent that reads Redis."""
        config = self.config(address=node.address, drain="1s", **settings)
        async with AgentRuntime.open([work], config, name="work") as agent:
            yield agent

    # ── the peers ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def over_grpc(self, node: Node, settings: dict[str, Any]) -> None:
        """A client, the command line, or an agent's process: over gRPC."""
        async with RawClient(self.config(address=node.address, **settings)) as mesh:
            await mesh.call("ListWorkflows", timeout=SOON)

    async def peer_node(self, node: Node, settings: dict[str, Any]) -> None:
        """Another node."""
        peers = Peers(self.config(**settings), lambda: {node.address})
        try:
            await peers.ejections(node.address)
        finally:
            await peers.close()

    async def agent_by_redis(self, node: Node, settings: dict[str, Any]) -> None:
        """An agent that registers with the node. One that is refused goes on trying, and logs why."""
        heard = _Heard()
        log = logging.getLogger("nervenet.agent")
        log.addHandler(heard)
        try:
            async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
                trying = group.create_task(self._register(node, settings))
                await until(lambda: trying.done() or heard.lines, "it is registered, or logs why not")
                if not trying.done():
                    trying.cancel()
                    raise ConnectionError(heard.lines[0])
        except* ConnectionError as errors:
            raise ConnectionError(*errors.exceptions[0].args) from None
        finally:
            log.removeHandler(heard)

    async def _register(self, node: Node, settings: dict[str, Any]) -> None:
        async with self.agent_of(node, settings):
            pass

    async def agent_by_gateway(self, node: Node, settings: dict[str, Any]) -> None:
        """An agent in any language that speaks only gRPC: nothing of ours is on its side."""
        async with connected(node.address, hello("work"), tls=grpc_tls(settings)) as stream:
            assert stream.welcome.namespace == self.namespace

    async def http(self, node: Node, settings: dict[str, Any]) -> None:
        """A browser or a script."""
        scheme = "http" if settings["tls"] == "off" else "https"
        verify = True if scheme == "http" else python_tls(settings)
        async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=5) as http:
            answer = await http.post(
                f"{scheme}://{node.http}{COORDINATOR}/ListWorkflows", content="{}", headers={"content-type": JSON}
            )
            answer.raise_for_status()

    async def control_port(self, address: str, settings: dict[str, Any]) -> None:
        """A node that calls an agent at its own port."""
        peers = Peers(self.config(**settings), frozenset)
        try:
            await peers.agent(address, "DescribeAgent", agents.DescribeAgentRequest())
        finally:
            await peers.close()


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def outcome(peer: Callable[..., Awaitable[None]], *arguments: Any) -> str:
    """`works`, or the words with which it failed. Whatever hangs fails the test."""
    async with asyncio.timeout(DEADLINE):
        try:
            await peer(*arguments)
        except Exception as error:  # noqa: BLE001  # each kind of peer has its own
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            return str(error) or repr(error)
    return "works"


async def served(peer: Callable[..., Awaitable[None]], *arguments: Any) -> str:
    """The outcome for a peer that must be served. On a busy machine a handshake can take longer than a call: then once more."""
    for _ in range(4):
        if (found := await outcome(peer, *arguments)) == "works":
            break
    return found


def python_tls(settings: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings["tls"])
    if "tls_cert" in settings:
        context.load_cert_chain(settings["tls_cert"], settings["tls_key"])
    return context


def grpc_tls(settings: dict[str, Any]) -> grpc.ChannelCredentials | None:
    if settings["tls"] == "off":
        return None
    roots, key, chain = (
        Path(settings[name]).read_bytes() if name in settings else None for name in ("tls", "tls_key", "tls_cert")
    )
    return grpc.ssl_channel_credentials(roots, key, chain)
