# SPDX-License-Identifier: Apache-2.0
"""The gRPC server of a process: our services, health, reflection and channelz, all behind one guard.

    stopping = asyncio.Event()
    server = await GrpcServer.start(config, "node", [Service("nervenet.v1.CoordinatorService", …)], stopping)
    server.address                      # what it is bound to; port 0 has become a number
    await server.stop(5.0)

Long streams must end when `stopping` is set: gRPC's own grace only waits for calls and then cuts them. Nodes and agents
use the same server.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection

from nervenet.config import split_host_port
from nervenet.errors import ConfigError
from nervenet.grpc_import import grpc, minor_release
from nervenet.rpc.access import Access
from nervenet.rpc.bodies import Bodies
from nervenet.rpc.channels import receive_limit
from nervenet.rpc.guard import Guard, Ready, Rules, Translate
from nervenet.rpc.methods import SERVED, methods_of
from nervenet.rpc.namespaces import GuardsByNamespace
from nervenet.rpc.reflection import REFLECTION
from nervenet.rpc.status import not_yet
from nervenet.rpc.symbols import SYMBOLS
from nervenet.security import Identity, check_exposure
from nervenet.security.pem import Pem, PemFiles, PemWatch
from nervenet.timing import CONNECTION_AGE, CONNECTION_AGE_GRACE

if TYPE_CHECKING:
    from nervenet.config import Config
    from nervenet.metrics import Family, Histogram
    from nervenet.rpc.methods import RpcMethod
    from nervenet.rpc.namespaces import Guards
    from nervenet.security.permit import Lookups

__all__ = ["GrpcServer", "Service", "server_files"]

MOST_CONNECTIONS: Final = 10_000
"""Connections of callers at once, over gRPC."""
OWN_FILES: Final = 256
"""Files and connections that a process opens itself: to Redis, etcd and other nodes, HTTP not counted."""
WINDOW: Final = 256 << 10
"""Bytes of a connection that gRPC takes before they are read. For a message that is being read it takes more."""
OLD_GRPCIO: Final = (
    "with grpcio %d.%d, a caller who resets calls can fill the memory of this process: install grpcio %d.%d or newer"
)
LIVENESS: Final = "liveness"
"""A name in the health service that is SERVING for as long as the process answers, also while it drains: restarting it would
help nobody then. The other names tell whether it wants new calls."""

FREES_RESET_CALLS: Final = (1, 82)
"""The first minor release of grpcio whose server keeps no memory of calls that a caller begins and resets (CVE-2023-44487): 100,000
of them cost earlier ones 900 MB (tests/hostile)."""

_STANDARD_METHODS: Final = {**methods_of(health_pb2), **methods_of(channelz_pb2), **REFLECTION}

_log = logging.getLogger(__name__)


class Service(NamedTuple):
    """One service: its full name, and its servicer. `methods`: those of a service that is not of the contract."""

    name: str
    servicer: object
    methods: Sequence[RpcMethod] = ()


class GrpcServer:
    """Made by `start`, or by `start_several` for several namespaces."""

    def __init__(self, config: Config, role: Literal["node", "agent"], stopping: asyncio.Event) -> None:
        """Raises ConfigError if the token, the policy or the audit log cannot be used, or the address is open to others without TLS
        and identity."""
        if warning := check_exposure(config, role, "listen", config.listen_for(role)):
            _log.warning(warning)
        if (release := minor_release()) and release < FREES_RESET_CALLS:
            _log.warning(OLD_GRPCIO, *release, *FREES_RESET_CALLS)
        self._config = config
        self._role = role
        self._stopping = stopping
        self._identity = Identity(config)
        self._access = Access(config, role)
        self.policies = self._access.policies
        self._bodies = Bodies(receive_limit(config.payload_limit))
        self._health = _Health(stopping)
        self._names = [""]
        self._serving = True
        self.guards: Guards
        """Who may call what: the HTTP door asks them too."""
        self.address = ""
        self._shared: grpc.aio.Server | None = None
        """Serves the address that several processes of one supervisor share."""
        self._leaving: asyncio.Task[None] | None = None

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
        own_address: bool = True,
    ) -> GrpcServer:
        """Bind and serve. `own_address`: false where callers need not reach exactly this one of several processes. Raises ConfigError if the address is in use or open to others without TLS and identity, or a
        certificate or the token is missing."""
        server = cls(config, role, stopping)
        server._know(services)
        rules = rules or server.rules(process_id, lookups)
        guard = server.guards = server.make_guard(config, services, translate, calls, ready, rules)
        await server._listen(guard, serving=serving, own_address=own_address)
        return server

    @classmethod
    async def start_several(
        cls, config: Config, services: Sequence[Service], stopping: asyncio.Event, calls: Family[Histogram]
    ) -> GrpcServer:
        """Bind and serve for the namespaces of the settings. Raises ConfigError, as `start`.

        Args:
            config: The settings of the process.
            services: What answers in each namespace until `put` gives it servicers of its own.
            stopping: Ends the long streams of the health service.
            calls: Where calls are counted that are of no namespace.
        """
        server = cls(config, "node", stopping)
        server._know(services)
        rules = server.rules()
        guards = {
            name: server.make_guard(config.for_namespace(name), services, calls=calls, rules=rules, log_namespace=True)
            for name in config.served_namespaces
        }
        nobody = server.make_guard(config.for_namespace(""), (), calls=calls, rules=rules)
        several = server.guards = GuardsByNamespace(guards, nobody)
        await server._listen(several, serving=False)
        return server

    def rules(self, process_id: Callable[[], str] = str, lookups: Lookups | None = None) -> Rules:
        """What a guard asks about each call, with this process id in its audit log."""
        return self._access.rules(process_id, lookups)

    @property
    def guard(self) -> Guard:
        """The guard of calls that name no namespace."""
        return self.guards.of("")

    def make_guard(
        self,
        config: Config,
        services: Sequence[Service],
        translate: Translate = lambda error: None,
        calls: Family[Histogram] | None = None,
        ready: Ready | None = None,
        rules: Rules | None = None,
        *,
        log_namespace: bool = False,
    ) -> Guard:
        """A guard with these services, and with those that every server has. `config`: of its namespace."""
        also: dict[str, Any] = {"bodies": self._bodies, "stopping": self._stopping, "log_namespace": log_namespace}
        guard = Guard(config, self._identity, translate, calls, ready, rules, **also)
        for name, servicer, methods in services:
            guard.add(methods or SERVED[name], servicer)
        for name, servicer in self._beside.items():
            guard.add(_STANDARD_METHODS[name], servicer)
        return guard

    def _know(self, services: Sequence[Service]) -> None:
        """Report health for these services, and show them to who asks by reflection."""
        names = [service.name for service in services]
        self._names += names
        described = [name for name in names if name in SERVED]
        reflecting = reflection.aio.ReflectionServicer([*described, *_STANDARD_METHODS], pool=SYMBOLS)
        self._beside = {
            "grpc.health.v1.Health": self._health,
            "grpc.channelz.v1.Channelz": channelz.aio.ChannelzServicer(),
            **dict.fromkeys(REFLECTION, reflecting),
        }

    async def _listen(self, handler: grpc.GenericRpcHandler, *, serving: bool, own_address: bool = True) -> None:
        listen = self._config.listen_for(self._role)
        files = server_files(listen, self._config)
        host = split_host_port(listen)[0]
        named = f"[{host}]" if ":" in host else host
        is_shared = bool(self._config.process) and self._role == "node"
        server, number = self._open(handler, listen, files, reuse_port=is_shared)
        if is_shared and own_address:
            self._shared = server
            server, number = self._open(handler, f"{named}:0", files)
        self._server = server
        self.address = f"{named}:{number}"
        await self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        self._following = [asyncio.create_task(each.follow()) for each in (self._identity, self._access)]
        if files is not None:
            self._following.append(asyncio.create_task(files.follow()))
        await self.serve(serving)
        await server.start()
        if self._shared is not None:
            await self._shared.start()

    def _open(
        self, handler: grpc.GenericRpcHandler, listen: str, files: PemWatch | None, *, reuse_port: bool = False
    ) -> tuple[grpc.aio.Server, int]:
        """A server that is bound and not started, and its port."""
        server = grpc.aio.server(options=_options(self._config, reuse_port=reuse_port))
        server.add_generic_rpc_handlers((handler,))
        return server, _bind(server, listen, files)

    def leave_shared(self) -> None:
        """Leave the address that this process shares with others, so that new connections reach those. Calls under way go on, and so
        does the own address. Does nothing where the process has its address for itself."""
        if self._shared is not None and self._leaving is None:
            self._leaving = asyncio.create_task(self._shared.stop(self._config.drain_ms / 1000))

    async def answer_to(self, process_id: str, before: str = "") -> None:
        """Report the health under this id too, and no longer under an earlier one, so that callers know which process
        answers."""
        if before and before != process_id:
            await self.forget(before)
        self._names = [*self._names, process_id]
        await self.serve(self._serving)

    async def forget(self, process_id: str) -> None:
        """Report no health under this id any more."""
        if process_id in self._names:
            self._names = [name for name in self._names if name != process_id]
            await self._health.set(process_id, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)

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
        await asyncio.gather(*(server.stop(grace) for server in (self._server, self._shared) if server is not None))
        if self._leaving is not None:
            await self._leaving
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


def _options(config: Config, *, reuse_port: bool = False) -> Sequence[tuple[str, Any]]:
    return (
        ("grpc.so_reuseport", int(reuse_port)),  # else a second process on the same port must fail, not share it
        ("grpc.enable_channelz", 1),
        ("grpc.max_allowed_incoming_connections", most_connections()),  # beyond it a connection is closed at once
        ("grpc.server_handshake_timeout_ms", 20_000),  # for TLS and the first frame; gRPC's own is two minutes
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),  # for received pings; clients send one each 30 s
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_connection_age_ms", round(CONNECTION_AGE * 1000)),
        ("grpc.max_connection_age_grace_ms", round(CONNECTION_AGE_GRACE * 1000)),
        ("grpc.http2.bdp_probe", 0),  # it would take up to 4 MB of each connection before anybody reads
        ("grpc.http2.lookahead_bytes", WINDOW),
        ("grpc.max_receive_message_length", receive_limit(config.payload_limit)),
        ("grpc.max_send_message_length", -1),
    )


def most_connections() -> int:
    """Callers' connections: as many as the process may have files open, but for those that it needs itself."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(MOST_CONNECTIONS, files - min(OWN_FILES, files // 2)) if files > 0 else MOST_CONNECTIONS


def _bind(server: grpc.aio.Server, listen: str, files: PemWatch | None) -> int:
    try:
        if files is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, _credentials(files))
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


def server_files(listen: str, config: Config, setting_name: str = "listen") -> PemWatch | None:
    """The certificate that a server at this address shows, and whose certificates it asks for. None: no TLS.

    Raises ConfigError if TLS is on and there is no certificate, or if the files cannot be used.
    """
    setting = config.tls_for(listen)
    if setting == "off":
        return None
    if config.tls_cert is None or config.tls_key is None:
        why = "which others can reach, so TLS is on" if config.tls is None else f"and tls is {config.tls}"
        raise ConfigError(
            f"{setting_name} is {listen}, {why}: set NERVENET_TLS_CERT and NERVENET_TLS_KEY, "
            "or pass --insecure where the network itself is closed"
        )
    asks = setting != "on" and config.tls_mutual
    return PemWatch(PemFiles(setting if asks else None, config.tls_cert, config.tls_key))


def _credentials(files: PemWatch) -> grpc.ServerCredentials:
    """gRPC asks before each handshake for a new certificate, from a thread of its own. Open connections keep theirs."""
    shown = files.version

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        if (version := files.look_if_due()) == shown:
            return None
        shown = version
        return _configuration(files.pem)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(files.pem),
        changed,  # type: ignore[arg-type]  # None is for "no change", which its types do not have
        require_client_authentication=files.pem.ca is not None,
    )


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    assert pem.key is not None
    assert pem.certificate is not None
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.ca)
