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
from nervenet.node.services.waits import Waits
from nervenet.node.services.watches import WatchStream
from nervenet.node.workflows.close_notifier import CloseNotifier, Hints
from nervenet.redis_link.faults import LinkError, Unreadable
from nervenet.redis_link.link import answer_within
from nervenet.registry.etcd import EtcdError
from nervenet.rpc.server import GrpcServer, Service

if TYPE_CHECKING:
    from nervenet.config import Config
    from nervenet.http.server import HttpServer
    from nervenet.node.node import Node
    from nervenet.redis_link.link import Link
    from nervenet.registry.table import TableChange
    from nervenet.rpc.guard import Guard
    from nervenet.rpc.methods import RpcMethod


GRACE: Final = 5.0
COORDINATOR: Final = "nervenet.v1.CoordinatorService"
READ_PATIENCE: Final = 2.5
"""Seconds for which a call with a deadline waits for Redis to come back. Most restarts are over by then."""
ROOM: Final = 0.5
"""Seconds before its deadline at which a call ends with a reason."""


@asynccontextmanager
async def serve(node: Node) -> AsyncIterator[Served]:
    """Raises ConfigError where the address can't be listened at."""
    context, hosted = node.context, node.hosted
    stopping = asyncio.Event()
    peers = Peers(context.config)
    hints = Hints(context)
    waits = Waits(context, hosted, node.admission, node.placement, peers)
    inputs = StepInputs(context, node.placement, node.stored_definitions)
    reads = Reads(context, hosted, node.placement, waits, inputs, peers)
    ejections = Ejections(context, node.outliers, peers)
    registry = Registry(context, hosted, node.etcd, node.failure_detector, peers, ejections, node.drain, stopping)
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
    services = [
        Service(COORDINATOR, coordinators),
        Service("nervenet.v1.RegistryService", registry),
        Service("nervenet.v1.AgentService", agents),
    ]

    def gone(news: TableChange) -> None:
        if getattr(news.old, "transport", "") == "GATEWAY":  # its address is its node's
            return
        address = getattr(news.old, "control_endpoint", "") or getattr(news.old, "address", "")
        if news.how.removed and address:
            context.spawn(peers.forget(address))

    leave = (context.table.on_change(gone), node.escalations.on_open(reminders.opened))
    await hints.start()
    try:
        server = await GrpcServer.start(
            context.config,
            "node",
            services,
            stopping,
            translate=translate,
            calls=context.metrics.calls,
            ready=partial(_ready, context.link),
            lookups=NodeLookups(context, node.gateway, node.etcd),
            process_id=lambda: context.status.node_id,
        )
        servers: list[GrpcServer | HttpServer] = [server]
        telling = asyncio.create_task(_follow_health(node, server))
        try:
            address, probes, http = context.config.advertised(server.address), Probes(context.config, server), None
            scaler: str | None = None
            if context.config.http is not None:
                servers.append(await _start_http(context.config, server.guard))
                http = servers[-1].address
            if context.config.scaler is not None:
                servers.append(await _start_scaler(node, hints, stopping))
                scaler = servers[-1].address
            yield Served(address, peers, probes, http, scaler)
        finally:
            telling.cancel()
            await asyncio.gather(*(each.stop(GRACE) for each in servers))
    finally:
        for end in leave:
            end()
        registry.close()
        await reminders.close()
        await hints.close()
        await peers.close()


async def _start_scaler(node: Node, hints: Hints, stopping: asyncio.Event) -> GrpcServer:
    """KEDA sends no token, so none is asked for; where `tls` is a CA file, it needs a certificate. Raises ConfigError where it
    can't be served."""
    context = node.context
    config = replace(
        context.config,
        listen=context.config.scaler,
        token=None,
        token_file=None,
        tokens_file=None,
        jwt_issuer=None,
        jwt_audience=None,
    )
    return await GrpcServer.start(
        config,
        "node",
        [Service(SCALER, Scaler({config.namespace: Demands(context, hints)}, stopping), SCALER_METHODS)],
        stopping,
        translate=translate,
        calls=context.metrics.calls,
        ready=partial(_ready, context.link),
        process_id=lambda: context.status.node_id,
    )


async def _start_http(config: Config, guard: Guard) -> HttpServer:
    """Raises ConfigError where it can't be served."""
    try:
        from nervenet.http.server import HttpServer  # only nodes that serve it load a web server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"http is {config.http} (from {config.sources['http']}), and {error.name} is not installed: "
            "pip install 'nervenet[http]', or leave it unset"
        ) from None
    return await HttpServer.start(config, guard)


async def _ready(link: Link, rpc: RpcMethod, left: float) -> None:
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
        well = not node.context.status.draining and not node.failing
        if well is not serving:
            serving = well
            await server.serve(serving)


def translate(error: Exception) -> RequestError | None:
    """What Redis and etcd say about themselves, in the contract's words."""
    if isinstance(error, Unreadable):
        words = f"{error}. Another release or program wrote it; everything else goes on"
        return RequestError(words, code="DATA_LOSS", reason="UNREADABLE")
    if isinstance(error, LinkError):
        return Unavailable(_named("Redis", error), code="UNAVAILABLE", reason="BACKEND_DOWN")
    if isinstance(error, EtcdError):
        return Unavailable(_named("etcd", error), code="UNAVAILABLE", reason="BACKEND_DOWN")
    return None


def _named(server: str, error: Exception) -> str:
    return str(error) if server in str(error) else f"{server}: {error}"
