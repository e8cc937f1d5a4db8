# SPDX-License-Identifier: Apache-2.0
"""One gRPC server and one HTTP door for the nodes of several namespaces: what `Node.open` takes as `serve` for each of them.

    async with SharedServer.open(config, registry) as server:
        async with Node.open(…, serve=server.serve) as first, Node.open(…, serve=server.serve) as second:
            ...
            await server.stop()

Each node has servicers of its own behind a guard of its own (`rpc.namespaces`): no servicer knows that there are others.
While a namespace has no node here, because it starts or has failed, its calls are answered with NODE_DRAINING, which
clients take to another node.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from nervenet.errors import Unavailable
from nervenet.metrics import catalog
from nervenet.node.served import Served
from nervenet.node.services.lookups import NodeLookups
from nervenet.node.services.probes import Probes
from nervenet.node.services.scaler import Demands
from nervenet.node.services.server import (
    AGENTS,
    COORDINATOR,
    GRACE,
    REGISTRY,
    is_ready,
    services_of,
    start_http,
    start_scaler,
    translate,
)
from nervenet.rpc.server import GrpcServer, Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from nervenet.config import Config
    from nervenet.http.server import HttpServer
    from nervenet.metrics import Family, Histogram, Registry
    from nervenet.node.node import Node
    from nervenet.rpc.namespaces import GuardsByNamespace

__all__ = ["SharedServer"]

LOOK_EVERY = 0.2


class _NobodyServes:
    """Answers each call of a namespace that has no node here."""

    def __getattr__(self, method: str) -> Any:
        return self._refuse

    async def _refuse(self, request: Any, context: Any) -> Any:
        words = "this node does not serve that namespace at the moment: connect to another one"
        raise Unavailable(words, code="UNAVAILABLE", reason="NODE_DRAINING")


class SharedServer:
    """See the module. Made by `open`."""

    def __init__(self, config: Config, server: GrpcServer, stopping: asyncio.Event) -> None:
        self.address = config.advertised(server.address)
        self.http: str | None = None
        self.scaler: str | None = None
        self._namespaces = config.served_namespaces
        self._demands: dict[str, Demands] = {}
        self._server = server
        self._beside: list[HttpServer | GrpcServer] = []
        self._stopping = stopping
        self._nodes: dict[Node, asyncio.Event] = {}
        self._serving = self._stopped = False

    def __repr__(self) -> str:
        return f"<SharedServer at {self.address}, {len(self._nodes)} nodes>"

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, registry: Registry) -> AsyncIterator[Self]:
        """Listen. Raises ConfigError where an address can't be listened at. `registry`: where the process counts."""
        stopping, nobody = asyncio.Event(), _NobodyServes()
        services = [Service(name, nobody) for name in (COORDINATOR, REGISTRY, AGENTS)]
        calls = registry.histograms(catalog.RPC_SERVER)
        server = await GrpcServer.start_several(config, services, stopping, calls)
        made = cls(config, server, stopping)
        telling = asyncio.create_task(made._follow_health())
        try:
            await made._listen_beside(config, calls)
            yield made
        finally:
            telling.cancel()
            await made.stop()

    async def _listen_beside(self, config: Config, calls: Family[Histogram]) -> None:
        """HTTP and KEDA's scaler, where the settings have them."""
        if config.http is not None:
            self._beside.append(await start_http(config, self._server.guards))
            self.http = self._beside[-1].address
        if config.scaler is not None:
            first = config.for_namespace(self._namespaces[0])
            self._beside.append(await start_scaler(first, self._demands, self._stopping, calls))
            self.scaler = self._beside[-1].address

    def _scale(self, namespace: str, demands: Demands) -> None:
        """The scaler answers for this namespace too; for the first one where KEDA names none."""
        found = {**self._demands, namespace: demands}
        self._demands.clear()
        self._demands.update({name: found[name] for name in self._namespaces if name in found})

    @asynccontextmanager
    async def serve(self, node: Node) -> AsyncIterator[Served]:
        """Serve the namespace of a node, for as long as the block lasts."""
        context, stopping = node.context, asyncio.Event()
        config, server = context.config, self._server
        guards = cast("GuardsByNamespace", server.guards)
        nobody = guards.of(config.namespace)
        async with services_of(node, stopping) as (services, peers, hints):
            probes, ready = Probes(config, server), partial(is_ready, context.link)
            rules = server.rules(lambda: node.node_id, NodeLookups(context, node.gateway, node.etcd))
            guard = server.make_guard(
                config, services, translate, context.metrics.calls, ready, rules, log_namespace=True
            )
            guards.put(config.namespace, guard)
            self._nodes[node] = stopping
            self._scale(config.namespace, Demands(context, hints))
            await self._tell_health()
            try:
                yield Served(self.address, peers, probes, self.http, self.scaler)
            finally:
                del self._nodes[node]
                guards.put(config.namespace, nobody)
                stopping.set()
                await probes.leave()

    async def stop(self) -> None:
        """Take no more calls, end the long streams of all nodes, let other calls finish. Nodes may leave after it."""
        if self._stopped:
            return
        self._stopped = True
        for stopping in self._nodes.values():
            stopping.set()
        await asyncio.gather(*(each.stop(GRACE) for each in (self._server, *self._beside)))

    async def _follow_health(self) -> None:
        while True:  # nodes have flags, and no event for the service above them
            await asyncio.sleep(LOOK_EVERY)
            await self._tell_health()

    async def _tell_health(self) -> None:
        """The process wants calls as long as one of its nodes does: what is wrong with another one is that one's affair."""
        if self._nodes and all(node.context.status.draining for node in self._nodes):
            self._server.leave_shared()
        well = any(not node.context.status.draining and not node.failing for node in self._nodes)
        if well is not self._serving:
            self._serving = well
            await self._server.serve(well)
