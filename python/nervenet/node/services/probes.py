# SPDX-License-Identifier: Apache-2.0
"""Asking an address who answers there: what proof of death rests on.

A node answers health checks under its own id as service name, so the standard health service is both the question
(`Check`) and the ring's light stream (`Watch`); an agent is asked to describe itself. The connection is tried by the
system before gRPC is: only the system says "refused" in a word, and without a second's backoff. Each question takes a
connection of its own, as one that was open before would tell of the past.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from grpc_health.v1 import health_pb2

from nervenet.config import split_host_port
from nervenet.errors import Unavailable
from nervenet.grpc_import import grpc
from nervenet.node.served import ProbeResult
from nervenet.rpc.channels import Channel, Trust, metadata_for_agent
from nervenet.rpc.methods import HEALTH_CHECK, HEALTH_WATCH
from nervenet.timing import PROBE_TIMEOUT
from nervenet.v1 import agent_service_pb2 as agents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nervenet.config import Config
    from nervenet.rpc.server import GrpcServer


_THERE: Final = (health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING)


class Probes:
    """The `Contact` of a node that serves at `server`."""

    def __init__(self, config: Config, server: GrpcServer) -> None:
        self._config = config
        self._server = server
        self._node_id = ""
        self._trust = Trust(config)

    async def introduce(self, node_id: str) -> None:
        before, self._node_id = self._node_id, node_id
        await self._server.answer_to(node_id, before)

    async def leave(self) -> None:
        """This node no longer answers, the server goes on."""
        await self._server.forget(self._node_id)

    async def ask(self, address: str, process_id: str, *, node: bool) -> ProbeResult:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                if await _refuses(address):
                    return ProbeResult.REFUSED
                itself = await (self._node(address, process_id) if node else self._agent(address, process_id))
                return ProbeResult.ITSELF if itself else ProbeResult.ANOTHER
        except TimeoutError:
            return ProbeResult.SILENT
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:  # it serves, but not under this name
                return ProbeResult.ANOTHER
            return ProbeResult.SILENT if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else ProbeResult.UNCLEAR
        except (OSError, Unavailable):  # or our own token cannot be read just now
            return ProbeResult.UNCLEAR

    async def follow(self, address: str, node_id: str, met: Callable[[], None]) -> None:
        async with self._channel(address) as channel:
            stream = channel.prepared(HEALTH_WATCH)(health_pb2.HealthCheckRequest(service=node_id))
            try:
                async for answer in stream:
                    if answer.status not in _THERE:
                        return
                    met()
            except grpc.aio.AioRpcError:
                return

    async def _node(self, address: str, node_id: str) -> bool:
        async with self._channel(address) as channel:
            request = health_pb2.HealthCheckRequest(service=node_id)
            answer = await channel.prepared(HEALTH_CHECK)(request, timeout=PROBE_TIMEOUT)
        return answer.status in _THERE

    async def _agent(self, address: str, agent_id: str) -> bool:
        async with self._channel(address) as channel:
            request = agents.DescribeAgentRequest(agent_id=agent_id)
            ours = metadata_for_agent(self._config)
            answer = await channel["DescribeAgent"](request, timeout=PROBE_TIMEOUT, metadata=ours)
        return bool(answer.agent.agent_id == agent_id)

    @asynccontextmanager
    async def _channel(self, address: str) -> AsyncIterator[Channel]:
        channel = Channel(address, self._config, trust=self._trust)
        try:
            yield channel
        finally:
            await channel.close()


async def _refuses(address: str) -> bool:
    """Whether every address that the name stands for refuses; one that answers nothing raises OSError."""
    host, port = split_host_port(address)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, at in found:
        with socket.socket(family, kind, protocol) as attempt:
            attempt.setblocking(False)
            try:
                await loop.sock_connect(attempt, at)
            except ConnectionRefusedError:
                continue
            return False
    return True
