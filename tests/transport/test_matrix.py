# SPDX-License-Identifier: Apache-2.0
"""Transport × peer: who may speak to a node and to an agent, with which certificate, and what those are told who may not.

Each test is one column for all peers: a certificate, good or bad in one way, on the side that the test names. What fails
says which setting to change, and nothing hangs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nervenet.node.node import Node
from tests.transport.parties import Authorities, Party
from tests.transport.peers import TlsWorld, outcome, served

SERVER_KINDS = {
    "expired": "certificate has expired",
    "wrong-ca": "(NERVENET_TLS)",
    "self-signed": "(NERVENET_TLS)",
    "wrong-name": "NERVENET_TLS_NAME",
}
"""What a caller is told about a server whose certificate is of this kind."""
CALLER_KINDS = {
    "expired": "it has expired",
    "wrong-ca": "NERVENET_TLS_CERT must be valid",
    "self-signed": "NERVENET_TLS_CERT must be valid",
    "missing": "NERVENET_TLS_CERT and NERVENET_TLS_KEY",
}
"""What a caller is told whose own certificate is of this kind. A caller's certificate has no host name to be wrong."""


async def peers_at(
    world: TlsWorld,
    node: Node,
    callers: dict[str, Party],
    transport: str,
    *,
    ask: Callable[..., Awaitable[str]] = outcome,
) -> dict[str, str]:
    """How each peer fares at this node, and a node at an agent of this node."""
    caller = {role: party.settings(transport) for role, party in callers.items()}
    serving = {role: party.settings(transport, server=True) for role, party in callers.items()}
    cells = {
        "client": (world.over_grpc, caller["operator"]),
        "node": (world.peer_node, serving["node"]),
        "agent by Redis": (world.agent_by_redis, serving["agent"]),
        "agent by gateway": (world.agent_by_gateway, caller["agent"]),
        "HTTP": (world.http, caller["operator"]),
    }
    found = await asyncio.gather(*(ask(peer, node, settings) for peer, settings in cells.values()))
    return dict(zip(cells, found, strict=True))


async def node_to_agent(
    world: TlsWorld,
    ours: Authorities,
    agent: Party,
    node: dict[str, Any],
    transport: str,
    *,
    ask: Callable[..., Awaitable[str]] = outcome,
) -> str:
    """How a node with these settings fares at the port of an agent that has these files."""
    home = await world.node_of(ours.party("home"), transport)
    async with world.agent_of(home, agent.settings(transport, server=True)) as there:
        return await ask(world.control_port, there.address, node)


def all_say(found: dict[str, str], words: str) -> None:
    """Peers that run our code name the setting; others have what their own TLS says, and at once."""
    for peer in ("client", "node", "agent by Redis", "node to agent"):
        assert words in found[peer], found
    assert "StatusCode.UNAVAILABLE" in found["agent by gateway"], found
    assert found["HTTP"] != "works", found


@pytest.mark.parametrize("transport", ["plain", "tls", "mtls"])
async def test_with_good_certificates_everybody_is_served(world: TlsWorld, ours: Authorities, transport: str) -> None:
    server, agent, callers = ours.party("server"), ours.party("agent-there", "agent"), ours.callers()
    found = await peers_at(world, await world.node_of(server, transport), callers, transport, ask=served)
    dialling = server.settings(transport, server=True)
    found["node to agent"] = await node_to_agent(world, ours, agent, dialling, transport, ask=served)
    assert set(found.values()) == {"works"}, found
    assert len(found) == 6


@pytest.mark.parametrize("kind", SERVER_KINDS)
async def test_a_server_with_a_bad_certificate_serves_nobody(world: TlsWorld, ours: Authorities, kind: str) -> None:
    server, agent, callers = ours.party("server"), ours.party("agent-there", "agent"), ours.callers()
    for party in (server, agent):
        party.get(kind)
    found = await peers_at(world, await world.node_of(server, "tls"), callers, "tls")
    dialling = callers["node"].settings("tls", server=True)
    found["node to agent"] = await node_to_agent(world, ours, agent, dialling, "tls")
    all_say(found, SERVER_KINDS[kind])
    assert "CERTIFICATE_VERIFY_FAILED" in found["HTTP"], found


@pytest.mark.parametrize("kind", CALLER_KINDS)
async def test_a_caller_with_a_bad_certificate_is_served_by_nobody(
    world: TlsWorld, ours: Authorities, kind: str
) -> None:
    server, agent = ours.party("server"), ours.party("agent-there", "agent")
    callers = ours.callers("good" if kind == "missing" else kind)
    if kind == "missing":
        for party in callers.values():
            party.shows = False
    found = await peers_at(world, await world.node_of(server, "mtls"), callers, "mtls")
    found["node to agent"] = await node_to_agent(world, ours, agent, callers["node"].settings("mtls"), "mtls")
    all_say(found, CALLER_KINDS[kind])


@pytest.mark.parametrize(
    ("server_has", "caller_has", "told"),
    [("tls", "plain", "speaks TLS and this process does not"), ("plain", "tls", "set NERVENET_TLS=off")],
)
async def test_one_side_without_tls_is_told_so(
    world: TlsWorld, ours: Authorities, server_has: str, caller_has: str, told: str
) -> None:
    server, agent, callers = ours.party("server"), ours.party("agent-there", "agent"), ours.callers()
    found = await peers_at(world, await world.node_of(server, server_has), callers, caller_has)
    dialling = callers["node"].settings(caller_has, server=True)
    found["node to agent"] = await node_to_agent(world, ours, agent, dialling, server_has)
    all_say(found, told)


async def test_a_server_behind_an_address_that_is_in_no_certificate(world: TlsWorld, ours: Authorities) -> None:
    """As pods are dialled: `tls_name` has the name that is in all of them."""
    server, callers = ours.party("server"), ours.callers()
    server.get("wrong-name")
    node = await world.node_of(server, "mtls")
    peers = {"operator": world.over_grpc, "node": world.peer_node, "agent": world.agent_by_redis}
    for role, peer in peers.items():
        named = {**callers[role].settings("mtls"), "tls_name": "elsewhere.example"}
        assert await served(peer, node, named) == "works"
    wrong = {**callers["operator"].settings("mtls"), "tls_name": "another.example"}
    assert "NERVENET_TLS_NAME" in await outcome(world.over_grpc, node, wrong)
