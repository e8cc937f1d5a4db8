# SPDX-License-Identifier: Apache-2.0
"""Puts the services of a node together and serves them: what `Node.open` takes as `serve`.

Leaving the context is graceful: the health service reports it first, long streams end on their own, calls under way get
time to finish.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from nervenet.blobs.store import BlobsAway
from nervenet.errors import ConfigError, RequestError, Unavailable
from nervenet.node.gateway.connect import ConnectHandler
from nervenet.node.served import Served
from nervenet.node.services.agent import Agents
from nervenet.node.services.awaits import Awaits
from nervenet.node.services.coordinator import Coordinators
from nervenet.node.services.definitions import Definitions
from nervenet.node.services.ejections import Ejections
from nervenet.node.services.fact_calls import FactCalls
from nervenet.node.services.listing import Lists
from nervenet.node.services.lookups import NodeLookups
from nervenet.node.services.peers import Peers
from nervenet.node.services.people import People
from nervenet.node.services.probes import Probes
from nervenet.node.services.reads import Reads
from nervenet.node.services.registry import Registry
from nervenet.node.services.reminders import Reminders
from nervenet.node.services.repairs import Repairs
from nervenet.node.services.scaler import METHODS as SCALER_METHODS
from nervenet.node.services.scaler import SERVICE as SCALER
from nervenet.node.services.scaler import Demands, Scaler
from nervenet.node.services.start_calls import StartCalls
from nervenet.node.services.step_inputs import StepInputs
from nervenet.node.services.values import WithValues
from nervenet.node.services.waits import Waits
from nervenet.node.services.watches import WatchStream
from nervenet.node.workflows.close_notifier import CloseNotifier, Hints
from nervenet.redis_link.faults import LinkError, Unreadable
from nervenet.redis_link.link import answer_within
from nervenet.registry.etcd import EtcdError
from nervenet.rpc.server import GrpcServer, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nervenet.config import Config
    from nervenet.http.server import HttpServer
    from nervenet.metrics import Family, Histogram
    from nervenet.node.node import Node
    from nervenet.redis_link.link import Link
    from nervenet.registry.table import TableChange
    from nervenet.rpc.guard import Ready
    from nervenet.rpc.methods import RpcMethod
    from nervenet.rpc.namespaces import Guards


GRACE: Final = 5.0
COORDINATOR: Final = "nervenet.v1.CoordinatorService"
REGISTRY: Final = "nervenet.v1.RegistryService"
AGENTS: Final = "nervenet.v1.AgentService"
READ_PATIENCE: Final = 2.5
"""Seconds for which a call with a deadline waits for Redis to come back. Most restarts are over by then."""
ROOM: Final = 0.5
"""Seconds before its deadline at which a call ends with a reason."""


@asynccontextmanager
async def serve(node: Node) -> AsyncIterator[Served]:
    """Serve one node at a server of its own. Raises ConfigError where the address can't be listened at."""
    config, stopping = node.context.config, asyncio.Event()
    async with services_of(node, stopping) as (services, peers, hints):
        server = await GrpcServer.start(
            config,
            "node",
            services,
            stopping,
            translate=translate,
            calls=node.context.metrics.calls,
            ready=partial(is_ready, node.context.link),
            lookups=NodeLookups(node.context, node.gateway, node.etcd),
            process_id=lambda: node.node_id,
        )
        telling = asyncio.create_task(_follow_health(node, server))
        servers: list[GrpcServer | HttpServer] = [server]
        try:
            address, probes, http = config.advertised(server.address), Probes(config, server), None
            scaler: str | None = None
            if config.http is not None:
                servers.append(await start_http(config, server.guards))
                http = servers[-1].address
            if config.scaler is not None:
                demands = {config.namespace: Demands(node.context, hints)}
                calls, ready = node.context.metrics.calls, partial(is_ready, node.context.link)
                servers.append(await start_scaler(config, demands, stopping, calls, ready, lambda: node.node_id))
                scaler = servers[-1].address
            yield Served(address, peers, probes, http, scaler)
        finally:
            telling.cancel()
            await asyncio.gather(*(each.stop(GRACE) for each in servers))


@asynccontextmanager
async def services_of(node: Node, stopping: asyncio.Event) -> AsyncIterator[tuple[list[Service], Peers, Hints]]:
    """The services of a node, its way to others, and what it hears of workflows. `stopping` ends its long streams."""
    context, hosted = node.context, node.hosted
    peers = Peers(context.config, lambda: {one.address for one in context.table.nodes.values()})
    hints = Hints(context)
    waits = Waits(context, hosted, node.admission, node.placement, peers)
    inputs = StepInputs(context, node.placement, node.stored_definitions)
    reads = Reads(context, hosted, node.placement, waits, inputs, peers, node.loader.load)
    ejections = Ejections(context, node.outliers, peers)
    registry = Registry(
        context, hosted, node.etcd, node.leases, node.failure_detector, peers, ejections, node.drain, stopping
    )
    people = People(context, node.escalations, reads)
    reminders = Reminders(context, hosted, people)
    awaits = Awaits(CloseNotifier(context, hosted, hints), stopping)
    coordinators = Coordinators(
        StartCalls(context, node.starter, node.admission, node.checks, reads, awaits),
        FactCalls(context, hosted, node.facts, node.admission, node.checks),
        Repairs(context, node.repair, reads, peers),
        reads,
        Lists(context, waits),
        people,
        Definitions(context, node.placement, node.stored_definitions),
        awaits,
        lambda request: WatchStream(context, hints, request, stopping),
    )
    agents = Agents(context, node.gateway, peers, registry.heartbeats, ConnectHandler(node.gateway, stopping))
    front: object = coordinators
    if context.blobs is not None:
        front = WithValues(COORDINATOR, coordinators, context.blobs, context.config.payload_limit)
    services = [Service(COORDINATOR, front), Service(REGISTRY, registry), Service(AGENTS, agents)]

    def gone(news: TableChange) -> None:
        if getattr(news.old, "transport", "") == "GATEWAY":  # its address is its node's
            return
        address = getattr(news.old, "control_endpoint", "") or getattr(news.old, "address", "")
        if news.how.removed and address:
            context.spawn(peers.forget(address))

    leave = (context.table.on_change(gone), node.escalations.on_open(reminders.opened))
    await hints.start()
    try:
        yield services, peers, hints
    finally:
        for end in leave:
            end()
        registry.close()
        await reminders.close()
        await hints.close()
        await peers.close()


async def start_scaler(
    config: Config,
    demands: Mapping[str, Demands],
    stopping: asyncio.Event,
    calls: Family[Histogram],
    ready: Ready | None = None,
    process_id: Callable[[], str] = str,
) -> GrpcServer:
    """KEDA sends no token, so none is asked for; where `tls` is a CA file, it needs a certificate. Raises ConfigError where it
    can't be served. `demands`: of each namespace that is served now."""
    asked = replace(
        config,
        listen=config.scaler,
        token=None,
        token_file=None,
        tokens_file=None,
        jwt_issuer=None,
        jwt_audience=None,
    )
    return await GrpcServer.start(
        asked,
        "node",
        [Service(SCALER, Scaler(demands, stopping), SCALER_METHODS)],
        stopping,
        translate=translate,
        calls=calls,
        ready=ready,
        process_id=process_id,
        own_address=False,
    )


async def start_http(config: Config, guards: Guards) -> HttpServer:
    """Raises ConfigError where it can't be served."""
    try:
        from nervenet.http.server import HttpServer  # only nodes that serve it load a web server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"http is {config.http} (from {config.sources['http']}), and {error.name} is not installed: "
            "pip install 'nervenet[http]', or leave it unset"
        ) from None
    return await HttpServer.start(config, guards)


async def is_ready(link: Link, rpc: RpcMethod, left: float) -> None:
    """A caller that has a deadline hears that Redis is out of reach before its time is over. What only reads gives up then; what
    writes is not begun, so nobody has to wonder whether it was done."""
    patience = max(min(left - ROOM, READ_PATIENCE), 0.0)
    if rpc.reads:
        answer_within(patience, left)
    elif rpc.service == COORDINATOR:
        await link.until_connected(patience)


async def _follow_health(node: Node, server: GrpcServer) -> None:
    """The health service follows the node: one that drains, or of which a part keeps failing, wants no new calls."""
    serving = True
    while True:  # the node has flags, and no event for the service above it
        await asyncio.sleep(0.2)
        if node.context.status.draining:
            server.leave_shared()
        well = not node.context.status.draining and not node.failing
        if well is not serving:
            serving = well
            await server.serve(serving)


def translate(error: Exception) -> RequestError | None:
    """What Redis and etcd say about themselves, in the contract's words."""
    if isinstance(error, Unreadable):
        words = f"{error}. Another release or program wrote it; everything else goes on"
        return RequestError(words, code="DATA_LOSS", reason="UNREADABLE")
    if isinstance(error, BlobsAway):
        return Unavailable(str(error), code="UNAVAILABLE", reason="BACKEND_DOWN")
    if isinstance(error, LinkError):
        return Unavailable(_named("Redis", error), code="UNAVAILABLE", reason="BACKEND_DOWN")
    if isinstance(error, EtcdError):
        return Unavailable(_named("etcd", error), code="UNAVAILABLE", reason="BACKEND_DOWN")
    return None


def _named(server: str, error: Exception) -> str:
    return str(error) if server in str(error) else f"{server}: {error}"
