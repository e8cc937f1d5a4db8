# SPDX-License-Identifier: Apache-2.0
"""The gRPC server of a process: our services, health, reflection and channelz, all behind one guard.

    stopping = asyncio.Event() server = await GrpcServer.start(config, "node",
    [Service("nervenet.v1.CoordinatorService", Coordinators(…))], stopping) server.address           # what it is bound
    to; port 0 has become a number await server.stop(5.0)

Long streams must end when `stopping` is set: gRPC's own grace only waits for calls and then cuts them. Nodes and agents
use the same server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import grpc
import grpc.aio
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection

from nervenet.config import split_host_port
from nervenet.errors import ConfigError
from nervenet.rpc.access import Access
from nervenet.rpc.channels import receive_limit
from nervenet.rpc.guard import Guard, Ready, Rules, Translate
from nervenet.rpc.methods import SERVED, methods_of
from nervenet.rpc.reflection import REFLECTION
from nervenet.rpc.status import not_yet
from nervenet.rpc.symbols import SYMBOLS
from nervenet.security import Identity, check_exposure

if TYPE_CHECKING:
    from nervenet.config import Config
    from nervenet.metrics import Family, Histogram
    from nervenet.rpc.methods import RpcMethod
    from nervenet.security.permit import Lookups

__all__ = ["GrpcServer", "Service"]

LIVENESS: Final = "liveness"
"""A name in the health service that is SERVING for as long as the process answers, also while it drains: restarting it would
help nobody then. The other names tell whether it wants new calls."""

_STANDARD_METHODS: Final = {**methods_of(health_pb2), **methods_of(channelz_pb2), **REFLECTION}

_log = logging.getLogger(__name__)


class Service(NamedTuple):
    """One service: its full name, and its servicer. `methods`: those of a service that is not of the contract."""

    name: str
    servicer: object
    methods: Sequence[RpcMethod] = ()


class GrpcServer:
    """Made by `start`."""

    def __init__(
        self,
        server: grpc.aio.Server,
        address: str,
        health: _Health,
        identity: Identity,
        access: Access,
        guard: Guard,
        stopping: asyncio.Event,
    ) -> None:
        self.guard = guard
        """Who may call what: the HTTP door asks it too."""
        self._server = server
        self._health = health
        self._stopping = stopping
        self.policies = access.policies
        self._access = access
        self._following = [asyncio.create_task(each.follow()) for each in (identity, access)]
        self.address = address

    def __repr__(self) -> str:
        return f"<GrpcServer at {self.address}{', stopping' if self._stopping.is_set() else ''}>"

    @classmethod
    async def start(
        cls,
        config: Config,
        role: Literal["node", "agent"],
        services: Sequence[Service],
        stopping: asyncio.Event,
        *,
        translate: Translate = lambda error: None,
        serving: bool = True,
        calls: Family[Histogram] | None = None,
        ready: Ready | None = None,
        rules: Rules | None = None,
        lookups: Lookups | None = None,
        process_id: Callable[[], str] = str,
    ) -> GrpcServer:
        """Bind and serve. Raises ConfigError if the address is in use or open to others without TLS and identity, or a
        certificate or the token is missing."""
        listen = config.listen_for(role)
        if warning := check_exposure(config, role, "listen", listen):
            _log.warning(warning)
        names = [service.name for service in services]
        identity, checks, access = Identity(config), _Health(stopping), Access(config, role)
        guard = Guard(config, identity, translate, calls, ready, rules or access.rules(process_id, lookups))
        for name, servicer, methods in services:
            guard.add(methods or SERVED[name], servicer)
        described = [name for name in names if name in SERVED]
        reflecting = reflection.aio.ReflectionServicer([*described, *_STANDARD_METHODS], pool=SYMBOLS)
        beside = {
            "grpc.health.v1.Health": checks,
            "grpc.channelz.v1.Channelz": channelz.aio.ChannelzServicer(),
            **dict.fromkeys(REFLECTION, reflecting),
        }
        for name, servicer in beside.items():
            guard.add(_STANDARD_METHODS[name], servicer)
        server = grpc.aio.server(options=_options(config))
        server.add_generic_rpc_handlers((guard,))
        port = _bind(server, listen, config)
        host = split_host_port(listen)[0]
        made = cls(
            server, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", checks, identity, access, guard, stopping
        )
        await checks.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        made._names = ["", *names]
        await made.serve(serving)
        await server.start()
        return made

    _names: Sequence[str] = ()
    _serving = True
    _id = ""

    async def answer_to(self, process_id: str) -> None:
        """Report the health under this id too, and no longer under an earlier one, so that callers know which process
        answers."""
        if self._id and self._id != process_id:
            await self._health.set(self._id, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            self._names = [name for name in self._names if name != self._id]
        self._id = process_id
        self._names = [*self._names, process_id]
        await self.serve(self._serving)

    async def serve(self, serving: bool) -> None:
        """Set the status of the health service: false while draining."""
        self._serving = serving
        kind = health_pb2.HealthCheckResponse
        for name in self._names:
            await self._health.set(name, kind.SERVING if serving else kind.NOT_SERVING)

    async def stop(self, grace: float = 5.0) -> None:
        """Report NOT_SERVING, end the long streams, and let other calls finish for `grace` seconds."""
        self._stopping.set()
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)
        for following in self._following:
            following.cancel()
        await self._access.close()


class _Health(health.aio.HealthServicer):
    """The standard health service. Its streams end when the server stops, because nodes watch each other with them."""

    def __init__(self, stopping: asyncio.Event) -> None:
        super().__init__()
        self._stopping = stopping

    async def List(self, request: Any, context: Any) -> Any:  # noqa: N802  # the contract's name
        raise not_yet("ask for a service by its name: Check")

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802  # the contract's name
        watching = asyncio.ensure_future(super().Watch(request, context))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((watching, stopped), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
        finally:
            stopped.cancel()
            watching.cancel()


def _options(config: Config) -> Sequence[tuple[str, Any]]:
    return (
        ("grpc.so_reuseport", 0),  # a second process on the same port must fail, not share it
        ("grpc.enable_channelz", 1),
        ("grpc.server_handshake_timeout_ms", 20_000),  # for TLS and the first frame; gRPC's own is two minutes
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),  # for received pings; clients send one each 30 s
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_connection_age_ms", 30 * 60_000),  # so that long streams move to newer nodes too
        ("grpc.max_connection_age_grace_ms", 75_000),  # longer than any call may wait
        ("grpc.max_receive_message_length", receive_limit(config.payload_limit)),
        ("grpc.max_send_message_length", -1),
    )


def _bind(server: grpc.aio.Server, listen: str, config: Config) -> int:
    credentials = _credentials(listen, config)
    try:
        if credentials is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise ConfigError(f"listen {listen}: {_why(listen, error)}") from None


def _why(listen: str, error: RuntimeError) -> str:
    """The reason why the address cannot be bound. gRPC has it only in its log, so ask the system."""
    import socket  # only for the error message

    host, port = split_host_port(listen)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except OSError as found:
        return f"{(found.strerror or str(found)).lower()} (NERVENET_LISTEN or --listen sets another; port 0 takes any)"
    return str(error)


def _credentials(listen: str, config: Config) -> grpc.ServerCredentials | None:
    setting = config.tls_for(listen)
    if setting == "off":
        return None
    if config.tls_cert is None or config.tls_key is None:
        raise ConfigError(
            f"listen is {listen}, which others can reach, so TLS is on: set NERVENET_TLS_CERT and NERVENET_TLS_KEY, "
            "or pass --insecure where the network itself is closed"
        )
    pair = (Path(config.tls_key).read_bytes(), Path(config.tls_cert).read_bytes())
    if setting == "on":
        return grpc.ssl_server_credentials([pair])
    return grpc.ssl_server_credentials([pair], Path(setting).read_bytes(), require_client_auth=True)
