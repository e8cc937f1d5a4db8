# SPDX-License-Identifier: Apache-2.0
"""Listens for HTTP within the event loop of a node.

    server = await HttpServer.start(config, guards)      # ConfigError: the address cannot be bound, or the extra is missing
    server.address                                       # port 0 has become a number
    await server.stop()

uvicorn serves one application here, in a loop that is not its own: it sets no signal handlers and no logging, and a
connection must send each request's head within `HEAD_WITHIN` seconds. It takes no request after `CONNECTION_AGE` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from nervenet.config import split_host_port
from nervenet.errors import ConfigError
from nervenet.http.app import HttpApp
from nervenet.http.call import TLS_STATE
from nervenet.http.ending import READ_WITHIN
from nervenet.rpc.server import server_files
from nervenet.security import check_exposure
from nervenet.timing import CONNECTION_AGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nervenet.config import Config
    from nervenet.rpc.namespaces import Guards
    from nervenet.security.pem import PemFiles, PemWatch

__all__ = ["HttpServer"]

HEAD_WITHIN: Final = 10.0
MOST_CONNECTIONS: Final = 1_000

_log = logging.getLogger(__name__)
_connections_log = logging.getLogger(f"{__name__}.connections")
"""Of uvicorn: only errors, because anybody can send what is no HTTP as often as they like."""


class HttpServer:
    """Made by `start`."""

    def __init__(self, address: str, app: HttpApp, server: _Uvicorn, bound: socket.socket) -> None:
        self.address = address
        self._app = app
        self._server = server
        self._serving = asyncio.create_task(server.serve([bound]), name=f"HTTP at {address}")
        self._serving.add_done_callback(self._ended)

    def __repr__(self) -> str:
        return f"<HttpServer at {self.address}, {len(self._app.streams)} streams>"

    @classmethod
    async def start(cls, config: Config, guards: Guards) -> HttpServer:
        """Bind the address of the setting `http`, and serve."""
        assert config.http is not None
        _connections_log.setLevel(logging.ERROR)
        if warning := check_exposure(config, "node", "http", config.http):
            _log.warning(warning)
        host, port = split_host_port(config.http)
        files = server_files(config.http, config, "http")
        tls = _tls(files) if files is not None else None
        bound = await _bind(config.http, host, port, shared=bool(config.process))
        number = bound.getsockname()[1]
        address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
        app = HttpApp(config, guards, host)
        made = cls(address, app, _Uvicorn(_options(app, tls)), bound)
        while not made._server.started:  # uvicorn has no event for it
            if made._serving.done():
                made._serving.result()
            await asyncio.sleep(0.005)
        return made

    def _ended(self, serving: asyncio.Task[None]) -> None:
        if not self._server.should_exit:
            error = None if serving.cancelled() else serving.exception()
            _log.error("HTTP at %s has ended; this node goes on without it", self.address, exc_info=error)

    async def stop(self, grace: float = 5.0) -> None:
        """Take no new connections, end the streams, and let other calls finish for `grace` seconds."""
        self._app.end_streams()
        self._server.config.timeout_graceful_shutdown = round(grace)
        self._server.should_exit = True
        await asyncio.wait((self._serving,))
        self._app.close()


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The node has its own."""
        yield


class _Connection(H11Protocol):
    """Closes a connection that sends half a request and no more, or does not read its answer. uvicorn closes only those that
    have sent nothing since their last answer.
    """

    _made = 0.0
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # The options of uvicorn would change the logging of the whole process.
        self.access_log = False
        self.logger = _connections_log

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, TLS_STATE: transport.get_extra_info("ssl_object")}
        self._made = self.loop.time()
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
        unread = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(READ_WITHIN, self._not_read) if unread else None
        super().on_response_complete()
        if self.loop.time() - self._made > CONNECTION_AGE and self._is_idle():
            self.transport.close()  # so that a certificate is checked again

    def _expect_head(self) -> None:
        if not self._is_idle():
            self._head_came()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_WITHIN, self._too_late)

    def _is_idle(self) -> bool:
        """Whether no request is under way."""
        cycle: Any = self.cycle  # None before the first request, which its type does not say
        return cycle is None or bool(cycle.response_complete)

    def _not_read(self) -> None:
        if self._is_idle() and self.transport.get_write_buffer_size():
            self.transport.abort()

    def _too_late(self) -> None:
        self._late = None
        if self._is_idle():
            self.transport.close()

    def _head_came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _expect_nothing(self) -> None:
        self._head_came()
        if self._unread is not None:
            self._unread.cancel()


def _options(app: HttpApp, tls: ssl.SSLContext | None) -> uvicorn.Config:
    options = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
    )
    options.load()
    options.ssl = tls
    return options


async def _bind(where: str, host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        loop = asyncio.get_running_loop()
        family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
            bound.listen(128)
            bound.setblocking(False)
        except OSError:
            bound.close()
            raise
        return bound
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigError(f"http {where}: {why} (NERVENET_HTTP sets another; port 0 takes any)") from None


def _tls(files: PemWatch) -> ssl.SSLContext:
    """As for gRPC: the same certificate, and the same question for one of the caller.

    A handshake gets a context of the present files. Open connections keep theirs. Rejected: loading the files into the
    same context, which would go on trusting an authority that was removed.
    """
    latest, version = _context(files.files), files.version

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, outer: ssl.SSLContext) -> None:
        nonlocal latest, version
        if (now := files.look_if_due()) != version:
            try:
                latest, version = _context(files.files), now
            except (OSError, ValueError) as error:  # written again since they were looked at
                _log.warning("HTTP uses the last good certificate: %s", error)
        connection.context = latest

    first = _context(files.files)
    first.sni_callback = choose  # called without a name too
    return first


def _context(files: PemFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert files.certificate is not None
    context.load_cert_chain(files.certificate, files.key)
    if files.ca is not None:
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
