# SPDX-License-Identifier: Apache-2.0
"""A process' gRPC server: our services behind their guard, and health, reflection and channelz beside them.

    stopping = asyncio.Event()
    server = await Server.start(config, "node", [Service(pb_grpc.add_…_to_server, Coordinator(…))], stopping)
    server.address           # what it is bound to; port 0 has become a number
    await server.stop(5.0)

Streams that last end themselves when `stopping` is set: gRPC's own grace only waits for calls and then cuts them. Nodes
and agents are served by the same code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import grpc
import grpc.aio
from google.rpc import error_details_pb2  # in the pool of descriptors, so that reflection can explain our details
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from nervenet.config import split_host_port
from nervenet.errors import ConfigError
from nervenet.rpc.channels import receive_limit
from nervenet.rpc.guard import Guard, Translate
from nervenet.rpc.symbols import SYMBOLS

if TYPE_CHECKING:
    from nervenet.config import Config

__all__ = ["Server", "Service"]

_EXPLAINED: Final = error_details_pb2.DESCRIPTOR
_BESIDE: Final = ("grpc.health.v1.Health", "grpc.channelz.v1.Channelz", reflection.SERVICE_NAME)


class Service(NamedTuple):
    """One service of the contract: its full name, the generated function that adds it, and what answers."""

    name: str
    add: Callable[[Any, Any], None]
    servicer: object


class Server:
    """Made by `start`."""

    def __init__(self, server: grpc.aio.Server, address: str, health: Any, stopping: asyncio.Event) -> None:
        self._server = server
        self._health = health
        self._stopping = stopping
        self.address = address

    def __repr__(self) -> str:
        return f"<Server at {self.address}{', stopping' if self._stopping.is_set() else ''}>"

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
    ) -> Server:
        """Bind and serve. Raises ConfigError where the address is taken or wants a certificate that is not there."""
        listen = config.listen_for(role)
        server = grpc.aio.server(options=_options(config))
        guard = Guard(config, translate)
        for service in services:
            service.add(guard.around(service.servicer), server)
        checks = _Health(stopping)
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        channelz.add_channelz_servicer(server)
        names = [service.name for service in services]
        reflection.enable_server_reflection([*names, *_BESIDE], server, pool=SYMBOLS)
        port = _bind(server, listen, config)
        host = split_host_port(listen)[0]
        made = cls(server, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", checks, stopping)
        made._names = ["", *names]
        await made.serve(serving)
        await server.start()
        return made

    _names: Sequence[str] = ()
    _serving = True
    _id = ""

    async def answer_to(self, process_id: str) -> None:
        """Health is told under this name too, and no longer under an earlier id: who asks learns who answers."""
        if self._id and self._id != process_id:
            await self._health.set(self._id, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            self._names = [name for name in self._names if name != self._id]
        self._id = process_id
        self._names = [*self._names, process_id]
        await self.serve(self._serving)

    async def serve(self, serving: bool) -> None:
        """What the health service says: false while draining."""
        self._serving = serving
        kind = health_pb2.HealthCheckResponse
        for name in self._names:
            await self._health.set(name, kind.SERVING if serving else kind.NOT_SERVING)

    async def stop(self, grace: float = 5.0) -> None:
        """Say that it is over, end the long streams, let calls under way finish for `grace` seconds."""
        self._stopping.set()
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


class _Health(health.aio.HealthServicer):
    """The standard one, whose watchers are let go when the server stops: nodes follow each other by such a stream."""

    def __init__(self, stopping: asyncio.Event) -> None:
        super().__init__()
        self._stopping = stopping

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
        ("grpc.so_reuseport", 0),  # a second process on the same port shall fail, not share
        ("grpc.enable_channelz", 1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),  # of pings received; clients send them each 30 s
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_connection_age_ms", 30 * 60_000),  # so that long streams spread over nodes that came later
        ("grpc.max_connection_age_grace_ms", 75_000),  # longer than any wait
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
    """gRPC says in its log only why it could not bind: ask the system."""
    import socket  # only on the way out

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
            "or NERVENET_TLS=off where the network itself is safe"
        )
    pair = (Path(config.tls_key).read_bytes(), Path(config.tls_cert).read_bytes())
    if setting == "on":
        return grpc.ssl_server_credentials([pair])
    return grpc.ssl_server_credentials([pair], Path(setting).read_bytes(), require_client_auth=True)
