# SPDX-License-Identifier: Apache-2.0
"""Channels: addresses, TLS, token, keepalive and limits of a connection to a node or an agent.

One `Channel` has one target. `client/nodes.py` decides which of several nodes is used and what is retried: with its own
list of channels it knows which node answered, which gRPC's load balancing does not report.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nervenet.clock import SYSTEM
from nervenet.errors import ConfigError, Unavailable
from nervenet.grpc_import import grpc
from nervenet.rpc.methods import METHODS, RpcMethod
from nervenet.security.handshake import trouble
from nervenet.security.pem import Pem, PemFiles, PemWatch
from nervenet.timing import CONNECTION_LONGEST

if TYPE_CHECKING:
    from nervenet.config import Config

__all__ = ["Channel", "Metadata", "Trust", "metadata_for_agent", "metadata_of", "receive_limit", "split_addresses"]

Metadata: TypeAlias = Sequence[tuple[str, str]]

NAMESPACE_KEY: Final = "nervenet-namespace"
TOKEN_KEY: Final = "authorization"  # noqa: S105  # the name of a header


def split_addresses(address: str) -> list[str]:
    """The targets of an address: `a:1,b:2` are two. `dns:///name:1` is one; gRPC resolves it and rotates its
    addresses."""
    if address.startswith("dns:///"):
        return [address]
    return [one.strip() for one in address.split(",")]


def receive_limit(payload_limit: int) -> int:
    """The largest message: two payloads and 4 MiB. A client does not know a node's limit, so it uses the maximum."""
    return 2 * payload_limit + (4 << 20)


def metadata_of(config: Config) -> Metadata:
    """Namespace and token, the metadata of each call. The token is read again, because it may have been rotated.

    Raises Unavailable if it cannot be read: nothing was sent, and a file that is being rewritten is complete in a
    moment.
    """
    try:
        token = config.current_token()
    except ConfigError as error:
        raise Unavailable(str(error), code="UNAVAILABLE", reason="TOKEN_UNREADABLE") from None
    if token is None:
        return ((NAMESPACE_KEY, config.namespace),)
    return ((NAMESPACE_KEY, config.namespace), (TOKEN_KEY, f"Bearer {token}"))


def metadata_for_agent(config: Config) -> Metadata:
    """The same for a call to an address that an agent has told. A token of this process alone stays here: the agent could
    name any address, and call others as this process with what it hears there. A shared token it knows already.
    """
    return metadata_of(config) if config.wants_shared_token else ((NAMESPACE_KEY, config.namespace),)


_OPTIONS: Final[Sequence[tuple[str, Any]]] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),  # also the minimum for a connection attempt
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", receive_limit(4 << 20)),
    ("grpc.max_send_message_length", -1),  # the receiver's limit counts
    ("grpc.enable_retries", 0),  # our code decides what may be repeated
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # clients do not share a broken connection
)


class Trust:
    """What the channels of one part of a process show and whom they trust: the files of the settings, or a context of the
    caller. Share one between channels: each looks at the files for itself otherwise."""

    def __init__(self, config: Config, tls: ssl.SSLContext | bool | None = None) -> None:
        self.config = config
        self.options = (*_OPTIONS, ("grpc.ssl_target_name_override", config.tls_name)) if config.tls_name else _OPTIONS
        self._tls = tls
        self._watches: dict[str | None, PemWatch] = {}

    def __repr__(self) -> str:
        return f"<Trust {list(self._watches.values())}>"

    def files_for(self, target: str) -> PemWatch | None:
        """The files of connections to a target. None: they are not secured. Raises ConfigError if they cannot be used."""
        ca: str | None = None
        if self._tls is False:
            return None
        if self._tls is None and (setting := self.config.tls_for(target)) != "on":
            if setting == "off":
                return None
            ca = setting
        watch = self._watches.get(ca)
        if watch is None:
            watch = self._watches[ca] = PemWatch(PemFiles(ca, self.config.tls_cert, self.config.tls_key))
        return watch

    def credentials(self, pem: Pem) -> grpc.ChannelCredentials:
        """For a new channel."""
        roots = pem.ca
        if isinstance(self._tls, ssl.SSLContext):  # gRPC has its own TLS: it can only use the trusted authorities
            roots = "".join(map(ssl.DER_cert_to_PEM_cert, self._tls.get_ca_certs(binary_form=True))).encode() or None
        return grpc.ssl_channel_credentials(roots, pem.key, pem.certificate)


class Channel:
    """A connection to one target. It connects at the first call, and prepares a method at its first use.

    When the files of its certificates change, the next call uses a new connection with what they hold then. gRPC cannot
    change the certificate of a channel (grpc#41779), so there is a new one below this; calls and streams of the old one
    end on their own, at the latest when the server closes a connection for its age.
    """

    __slots__ = ("_channel", "_closing", "_files", "_methods", "_retired", "_trust", "_version", "target")

    def __init__(
        self, target: str, config: Config, tls: ssl.SSLContext | bool | None = None, *, trust: Trust | None = None
    ) -> None:
        self.target = target
        self._trust = trust or Trust(config, tls)
        self._files = self._trust.files_for(target)
        self._closing: set[asyncio.Future[None]] = set()
        self._retired: list[tuple[float, grpc.aio.Channel]] = []
        self._open()

    def __repr__(self) -> str:
        return f"<Channel to {self.target}>"

    def __getitem__(self, name: str) -> Any:
        """The multi-callable of a method: `channel["GetWorkflow"](request, timeout=1, metadata=…)`."""
        if self._files is not None and self._files.look_if_due() != self._version:
            self._open_again()
        prepared = self._methods.get(name)
        if prepared is None:
            prepared = self._methods[name] = self._prepared(METHODS[name])
        return prepared

    def prepared(self, method: RpcMethod) -> Any:
        """The multi-callable of a method that may be outside the contract. Use it at once: the channel may be another one
        later."""
        if self._files is not None and self._files.look_if_due() != self._version:
            self._open_again()
        return self._prepared(method)

    def _prepared(self, method: RpcMethod) -> Any:
        shape = f"{'stream' if method.streams_in else 'unary'}_{'stream' if method.streams_out else 'unary'}"
        return getattr(self._channel, shape)(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )

    async def why_not_secured(self) -> str:
        """What is wrong with TLS between here and the target, with the setting to change; "" if it is something else."""
        files = None if self._files is None else self._files.files
        return await trouble(self.target, files, name=self._trust.config.tls_name or "", alpn="h2")

    async def close(self) -> None:
        retired, self._retired = self._retired, []
        await asyncio.gather(self._channel.close(), *(channel.close() for _, channel in retired))

    def _open(self) -> None:
        self._methods: dict[str, Any] = {}
        options = self._trust.options
        if self._files is None:
            self._version, self._channel = 0, grpc.aio.insecure_channel(self.target, options=options)
            return
        self._version = self._files.version
        credentials = self._trust.credentials(self._files.pem)
        self._channel = grpc.aio.secure_channel(self.target, credentials, options=options)

    def _open_again(self) -> None:
        """Use a new connection from now on. A connection that was replaced so long ago that its server has closed it is
        closed here too."""
        now = SYSTEM.monotonic()
        over = [channel for since, channel in self._retired if now - since > CONNECTION_LONGEST]
        self._retired = [one for one in self._retired if one[1] not in over]
        self._retired.append((now, self._channel))
        self._open()
        for channel in over:
            self._closing.add(closing := asyncio.ensure_future(channel.close()))
            closing.add_done_callback(self._closing.discard)
