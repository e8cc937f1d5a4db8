# SPDX-License-Identifier: Apache-2.0
"""An agent tells at which address it can be reached. It must not get a node's own token there: with it, it could call others as a node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from nervenet.config import Config
from nervenet.errors import RequestError
from nervenet.node.served import ProbeResult
from nervenet.node.services.peers import Peers
from nervenet.node.services.probes import Probes
from nervenet.v1 import agent_service_pb2 as agents
from tests.security.test_named_tokens import TokensFile
from tests.support.issuer import AUDIENCE


class Listener(grpc.GenericRpcHandler):
    """A server of the agent's own, which notes what it is sent."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def service(self, handler_call_details: Any) -> None:
        self.heard += handler_call_details.invocation_metadata

    def tokens(self) -> list[str]:
        return [value for key, value in self.heard if key == "authorization"]


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Listener, str]]:
    server, listener = grpc.aio.server(), Listener()
    server.add_generic_rpc_handlers((listener,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield listener, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def ask(config: Config, address: str, nodes: set[str]) -> None:
    peers = Peers(config, lambda: nodes)
    request = agents.ListActiveTasksRequest(agent_id="a")
    try:
        with pytest.raises(RequestError):
            await peers.agent(address, "ListActiveTasks", request)
        with pytest.raises(RequestError):
            await peers.cancel_task(address, "a", "t", 1, 1, "")
    finally:
        await peers.forget(address)


@pytest.mark.parametrize("means", ["tokens_file", "jwt"])
async def test_a_nodes_own_token_goes_to_nodes_only(tmp_path: Path, means: str) -> None:
    wanted: dict[str, Any] = {"tokens_file": TokensFile(tmp_path).path}
    if means == "jwt":
        wanted = {"jwt_issuer": "https://login.example.com", "jwt_audience": AUDIENCE}
    config = Config.load(environ={}, token="the-nodes-own", **wanted)
    async with listening() as (listener, address):
        await ask(config, address, set())
        probes = Probes(config, None)  # type: ignore[arg-type]  # its own server is not asked
        assert await probes.ask(address, "a", node=False) is ProbeResult.UNCLEAR
        assert len(listener.heard) >= 2
        assert listener.tokens() == []
        await ask(config, address, {address})
        assert listener.tokens() == ["Bearer the-nodes-own"] * 2


async def test_the_token_that_all_share_is_no_secret_of_the_nodes() -> None:
    async with listening() as (listener, address):
        await ask(Config.load(environ={}, token="s3cret"), address, set())
        assert listener.tokens() == ["Bearer s3cret"] * 2
