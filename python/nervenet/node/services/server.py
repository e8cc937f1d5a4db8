# SPDX-License-Identifier: Apache-2.0
"""Puts the services of a node together and serves them: what `Node.open` takes as `serve`.

Leaving the context is graceful: the health service says so first, long streams end by themselves, calls under way get
their time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from nervenet.errors import RequestError, Unavailable
from nervenet.node.gateway.door import Door
from nervenet.node.node import Served
from nervenet.node.services.agent import Agents
from nervenet.node.services.coordinator import Coordinators
from nervenet.node.services.listing import Lists
from nervenet.node.services.peers import Peers
from nervenet.node.services.people import People
from nervenet.node.services.probes import Probes
from nervenet.node.services.reads import Reads
from nervenet.node.services.registry import Registry
from nervenet.node.services.reminders import Reminders
from nervenet.node.watching import Closings, Hints
from nervenet.redis_link.faults import LinkError, Unreadable
from nervenet.registry.etcd import EtcdError
from nervenet.rpc.server import GrpcServer, Service

if TYPE_CHECKING:
    from nervenet.node.node import Node
    from nervenet.registry.table import TableChange

__all__ = ["serve"]

GRACE: Final = 5.0


@asynccontextmanager
async def serve(node: Node) -> AsyncIterator[Served]:
    """Raises ConfigError where the address can't be listened at."""
    host = node.host
    stopping = asyncio.Event()
    peers = Peers(host.config)
    hints = Hints(host)
    closings = Closings(host, hints)
    reads = Reads(host, peers)
    registry = Registry(host, node.etcd, node.death, peers, node.drain, stopping)
    people = People(host, reads)
    reminders = Reminders(host, people, host.config.escalation_hook, host.config.remind_ms)
    host.escalations.on_open = reminders.opened
    coordinators = Coordinators(host, reads, Lists(host), people, hints, closings, stopping)
    agents = Agents(host, peers, registry.heartbeats, Door(host.gateway, stopping))
    services = [
        Service("nervenet.v1.CoordinatorService", coordinators),
        Service("nervenet.v1.RegistryService", registry),
        Service("nervenet.v1.AgentService", agents),
    ]

    def gone(news: TableChange) -> None:
        if getattr(news.old, "transport", "") == "GATEWAY":  # its address is its node's
            return
        address = getattr(news.old, "control_endpoint", "") or getattr(news.old, "address", "")
        if news.how.removed and address:
            host.spawn(peers.forget(address))

    leave = host.table.on_change(gone)
    await hints.start()
    try:
        server = await GrpcServer.start(host.config, "node", services, stopping, translate=translate)
        telling = asyncio.create_task(_follow_health(node, server))
        try:
            yield Served(host.config.advertised(server.address), peers, Probes(host.config, server))
        finally:
            telling.cancel()
            await server.stop(GRACE)
    finally:
        leave()
        registry.close()
        await reminders.close()
        await hints.close()
        await peers.close()


async def _follow_health(node: Node, server: GrpcServer) -> None:
    """The health service follows the node: one that drains, or of which a part keeps failing, wants no new calls."""
    serving = True
    while True:  # the host has flags, and no event for the service above it
        await asyncio.sleep(0.2)
        well = not node.host.draining and not node.failing
        if well is not serving:
            serving = well
            await server.serve(serving)


def translate(error: Exception) -> RequestError | None:
    """What Redis and etcd say about themselves, in the contract's words."""
    if isinstance(error, Unreadable):
        words = f"{error}. Another release or program wrote it; everything else goes on"
        return RequestError(words, code="DATA_LOSS", reason="UNREADABLE")
    if isinstance(error, LinkError):
        return Unavailable(f"Redis: {error}", code="UNAVAILABLE", reason="BACKEND_DOWN")
    if isinstance(error, EtcdError):
        return Unavailable(f"etcd: {error}", code="UNAVAILABLE", reason="BACKEND_DOWN")
    return None
