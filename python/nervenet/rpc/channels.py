# SPDX-License-Identifier: Apache-2.0
"""Channels: addresses, TLS, token, keepalive and limits of a connection to a node or an agent.

One `Channel` has one target. `client/nodes.py` decides which of several nodes is used and what is retried: with its own
list of channels it knows which node answered, which gRPC's load balancing does not report.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc
import grpc.aio

from nervenet.errors import ConfigError, Unavailable
from nervenet.rpc.methods import METHODS, RpcMethod

if TYPE_CHECKING:
    from nervenet.config import Config

__all__ = ["Channel", "Metadata", "metadata_of", "receive_limit", "split_addresses"]

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


class Channel:
    """A connection to one target. It connects at the first call, and prepares a method at its first use."""

    __slots__ = ("_channel", "_methods", "target")

    def __init__(self, target: str, config: Config, tls: ssl.SSLContext | bool | None = None) -> None:
        self.target = target
        credentials = _credentials(target, config, tls)
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(target, credentials, options=_OPTIONS)
        self._methods: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Channel to {self.target}>"

    def __getitem__(self, name: str) -> Any:
        """The multi-callable of a method: `channel["GetWorkflow"](request, timeout=1, metadata=…)`."""
        prepared = self._methods.get(name)
        if prepared is None:
            prepared = self._methods[name] = self.prepared(METHODS[name])
        return prepared

    def prepared(self, method: RpcMethod) -> Any:
        """The multi-callable of a method that may be outside the contract."""
        shape = f"{'stream' if method.streams_in else 'unary'}_{'stream' if method.streams_out else 'unary'}"
        return getattr(self._channel, shape)(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )

    async def close(self) -> None:
        await self._channel.close()


def _credentials(target: str, config: Config, tls: ssl.SSLContext | bool | None) -> grpc.ChannelCredentials | None:
    roots: bytes | None = None
    if isinstance(tls, ssl.SSLContext):  # gRPC has its own TLS: it can only use the trusted authorities
        roots = "".join(map(ssl.DER_cert_to_PEM_cert, tls.get_ca_certs(binary_form=True))).encode() or None
    elif tls is False:
        return None
    elif tls is None and (setting := config.tls_for(target)) != "on":
        if setting == "off":
            return None
        roots = Path(setting).read_bytes()
    if config.tls_key is None or config.tls_cert is None:
        return grpc.ssl_channel_credentials(roots)
    key, chain = Path(config.tls_key).read_bytes(), Path(config.tls_cert).read_bytes()
    return grpc.ssl_channel_credentials(roots, key, chain)
