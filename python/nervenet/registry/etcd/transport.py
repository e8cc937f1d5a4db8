# SPDX-License-Identifier: Apache-2.0
"""One gRPC channel for each member, one of them in use; rotation, login, and the rule about what may be repeated.

Rejected: one channel for all members with gRPC's load balancing. A suspended member, or one without a leader, looks
healthy to it. Here an error of any call makes all calls use the next member.
"""

from __future__ import annotations

import asyncio
import random
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from google.protobuf.message import Message

from nervenet.backoff import Backoff
from nervenet.clock import SYSTEM, Clock
from nervenet.grpc_import import grpc
from nervenet.metrics import Family, catalog
from nervenet.registry._etcd import etcd_pb2 as pb
from nervenet.registry.etcd.address import EtcdAddress, Tls
from nervenet.registry.etcd.faults import EtcdError, EtcdRefused, EtcdUnavailable, StaleToken, translate
from nervenet.security.handshake import trouble
from nervenet.security.pem import PemFiles, PemWatch

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

CONNECT_WITHIN: Final = 2.0
ANSWER_WITHIN: Final = 2.0
"""Seconds for one try at one member, so that a suspended member does not use up the time of a whole call."""

_OPTIONS: Final[Sequence[tuple[str, Any]]] = (
    # Detect a suspended member within seconds. etcd allows a ping every five, and none without a call (it sends GOAWAY).
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A cluster that is back gives each lease its full time again; all processes must reconnect within it.
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # the minimum for an attempt, with the TLS handshake
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.enable_retries", 0),  # this client decides what may be repeated
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # clients do not share a broken connection
)


@dataclass(frozen=True)  # no slots: Python 3.11 cannot make a frozen Generic with slots
class EtcdMethod(Generic[Q, A]):
    """A method of etcd, by its path: our messages have other names than etcd's."""

    path: str
    answer: type[A]


_HTTPS: Final = "write https:// in NERVENET_ETCD, with the cacert of its authority"
_HTTP: Final = "write http:// in NERVENET_ETCD"

_LOGIN: Final = EtcdMethod[pb.AuthenticateRequest, pb.AuthenticateResponse](
    "/etcdserverpb.Auth/Authenticate", pb.AuthenticateResponse
)


class Endpoint:
    """One member: its channel and the callables that were made for it."""

    __slots__ = ("_options", "_unary", "channel", "name")

    def __init__(self, name: str, credentials: grpc.ChannelCredentials | None, server_name: str = "") -> None:
        self.name = name
        override = (("grpc.ssl_target_name_override", server_name),) if server_name else ()
        self._options = (*_OPTIONS, *override)
        self.open(credentials)

    def __repr__(self) -> str:
        return f"<Endpoint {self.name}>"

    def open(self, credentials: grpc.ChannelCredentials | None) -> None:
        """A new channel. Calls and streams of the one before keep it until they end: etcd lets them go on."""
        self._unary: dict[str, grpc.aio.UnaryUnaryMultiCallable[Any, Any]] = {}
        self.channel = (
            grpc.aio.secure_channel(self.name, credentials, options=self._options)
            if credentials
            else grpc.aio.insecure_channel(self.name, options=self._options)
        )

    def unary(self, method: EtcdMethod[Q, A]) -> grpc.aio.UnaryUnaryMultiCallable[Q, A]:
        call = self._unary.get(method.path)
        if call is None:
            call = self._unary[method.path] = self.channel.unary_unary(
                method.path, request_serializer=_serialize, response_deserializer=method.answer.FromString
            )
        return call

    async def ready(self, patience: float) -> None:
        """Wait for the connection. EtcdUnavailable from here means that nothing was sent, so a write did not happen."""
        state = self.channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(patience):
                while state is not grpc.ChannelConnectivity.READY:
                    if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                        raise EtcdUnavailable(f"no etcd at {self.name}", sent=False)
                    await self.channel.wait_for_state_change(state)
                    state = self.channel.get_state(try_to_connect=True)
        except TimeoutError:
            raise EtcdUnavailable(f"no connection to etcd at {self.name} in {patience:.1f} s", sent=False) from None


class Stream(Generic[Q, A]):
    """A bidirectional call that raises our errors."""

    __slots__ = ("_call", "_channel", "endpoint")

    def __init__(self, endpoint: Endpoint, call: grpc.aio.StreamStreamCall[Q, A]) -> None:
        self.endpoint, self._call = endpoint, call
        self._channel = endpoint.channel  # kept: the endpoint may have another one before this stream ends

    async def send(self, request: Q) -> None:
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise translate(error) from None
        except asyncio.InvalidStateError as error:
            raise EtcdUnavailable(f"{self.endpoint.name} ended the stream: {error}", sent=True) from None

    async def receive(self) -> A:
        try:
            answer = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise translate(error) from None
        if answer is grpc.aio.EOF:
            raise EtcdUnavailable(f"{self.endpoint.name} ended the stream", sent=True)
        return cast("A", answer)

    def close(self) -> None:
        self._call.cancel()


class Transport:
    """The members, and the one that is in use."""

    def __init__(
        self,
        address: EtcdAddress,
        tls: Tls,
        *,
        patience: float,
        clock: Clock = SYSTEM,
        chance: random.Random | None = None,
    ) -> None:
        self.address, self.clock, self.chance = address, clock, chance or random.Random()
        self.patience = patience
        self._tls = tls
        self._files = _watched(tls) if address.secure else None
        self._version = 1
        self._retired: weakref.WeakSet[grpc.aio.Channel] = weakref.WeakSet()
        names = self.chance.sample(address.endpoints, len(address.endpoints))  # so that clients use different members
        credentials = self._credentials()
        self.endpoints = [Endpoint(name, credentials, tls.name) for name in names]
        self.current = self.endpoints[0]
        self.calls = Family.of_histograms(catalog.RPC_CLIENT)
        self._token = ""
        self._auth_disabled = False  # a user is configured, but authentication is off in the server
        self._login_lock = asyncio.Lock()
        self._closed = False

    def rotate(self, failed: Endpoint) -> None:
        """Use the next member after `failed`. Many calls that fail together move one step, not many."""
        if failed is self.current:
            at = self.endpoints.index(failed)
            self.current = self.endpoints[(at + 1) % len(self.endpoints)]

    async def call(self, method: EtcdMethod[Q, A], request: Q, *, repeat: bool, patience: float | None = None) -> A:
        """The answer of any member. `repeat`: the request may happen twice without harm.

        Raises EtcdUnavailable when the time is over, or at once if the request may have happened and must not be
        repeated.
        """
        deadline = self.clock.monotonic() + (self.patience if patience is None else patience)
        backoff, logins = Backoff(self.chance), 0
        while True:
            endpoint, token = self.current, self._token
            left = max(0.05, deadline - self.clock.monotonic())
            try:
                return await self.once(endpoint, method, request, left)
            except StaleToken:
                logins += 1
                if not self.address.user or logins > 2 or method is _LOGIN:
                    raise
                await self._login(token)
            except EtcdUnavailable as fault:
                self.rotate(endpoint)
                left = deadline - self.clock.monotonic()
                if left <= 0 or (fault.sent and not repeat):
                    raise await self._explained(fault, endpoint) from None
                await asyncio.sleep(min(backoff.next(), left))

    async def once(self, endpoint: Endpoint, method: EtcdMethod[Q, A], request: Q, patience: float) -> A:
        """One try at one member."""
        self._check_open()
        self._renew_if_changed()
        channel = endpoint.channel  # kept until the answer is here
        began = self.clock.monotonic()
        try:
            await endpoint.ready(min(patience, CONNECT_WITHIN))
            token = await self._authority(method)
            began = self.clock.monotonic()
            answer = await endpoint.unary(method)(
                request, timeout=min(patience, ANSWER_WITHIN), metadata=self._metadata(token)
            )
        except EtcdUnavailable:
            self.timed(method, began, "UNAVAILABLE")
            raise
        except grpc.aio.AioRpcError as error:
            self.timed(method, began, error.code().name)
            raise translate(error) from None
        finally:
            del channel
        self.timed(method, began)
        return answer

    def timed(self, method: EtcdMethod[Any, Any], began: float, code: str = "OK") -> None:
        """Count a call that is over."""
        failed = "" if code == "OK" else code
        self.calls.child("grpc", method.path[1:], code, failed).observe(self.clock.monotonic() - began)

    async def stream(self, method: EtcdMethod[Q, A]) -> Stream[Q, A]:
        """A new stream to the member in use. The caller retries, and calls `rotate` when the stream breaks."""
        self._check_open()
        self._renew_if_changed()
        endpoint = self.current
        try:
            await endpoint.ready(CONNECT_WITHIN)
            token = await self._authority(method)
        except EtcdUnavailable:
            self.rotate(endpoint)
            raise
        open_stream: grpc.aio.StreamStreamMultiCallable[Q, A] = endpoint.channel.stream_stream(
            method.path, request_serializer=_serialize, response_deserializer=method.answer.FromString
        )
        return Stream(endpoint, open_stream(metadata=self._metadata(token)))

    def forget_token(self) -> None:
        """Log in before the next call: a watch was refused because of its token."""
        self._token = ""

    async def close(self) -> None:
        self._closed = True
        channels = [*(endpoint.channel for endpoint in self.endpoints), *self._retired]
        await asyncio.gather(*(channel.close(None) for channel in channels))

    def _credentials(self) -> grpc.ChannelCredentials | None:
        if not self.address.secure:
            return None
        if self._files is None:
            return grpc.ssl_channel_credentials()
        pem = self._files.pem
        return grpc.ssl_channel_credentials(pem.ca, pem.key, pem.certificate)

    def _renew_if_changed(self) -> None:
        """New channels for new calls, once the files have changed."""
        if self._files is None or (version := self._files.look_if_due()) == self._version:
            return
        self._version = version
        credentials = self._credentials()
        for endpoint in self.endpoints:
            self._retired.add(endpoint.channel)
            endpoint.open(credentials)

    async def _explained(self, fault: EtcdUnavailable, endpoint: Endpoint) -> EtcdUnavailable:
        """The error with its reason, if that is TLS."""
        if fault.sent:
            return fault
        files = None
        if self.address.secure:
            files = _files(self._tls)
        why = await trouble(endpoint.name, files, name=self._tls.name, alpn="h2", enable=_HTTPS, disable=_HTTP)
        return EtcdUnavailable(f"{fault}: {why}", sent=False) if why else fault

    def _check_open(self) -> None:
        if self._closed:
            raise EtcdError("this etcd client is closed")

    def _metadata(self, token: str) -> grpc.aio.Metadata:
        # hasleader: a member without a leader reports it at once, instead of letting the call wait.
        pairs = [("hasleader", "true"), ("token", token)] if token else [("hasleader", "true")]
        return grpc.aio.Metadata(*pairs)

    async def _authority(self, method: EtcdMethod[Any, Any]) -> str:
        if method is _LOGIN:
            return ""
        if self.address.user and not self._token and not self._auth_disabled:
            await self._login("")
        return self._token

    async def _login(self, stale: str) -> None:
        async with self._login_lock:
            if self._token != stale:  # another call just did
                return
            request = pb.AuthenticateRequest(name=self.address.user, password=self.address.password)
            try:
                self._token = (await self.call(_LOGIN, request, repeat=True)).token
            except EtcdRefused as refusal:
                if "not enabled" not in str(refusal):
                    raise
                self._auth_disabled = True  # until a call is refused because it has no token
            else:
                self._auth_disabled = False


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _watched(tls: Tls) -> PemWatch | None:
    files = _files(tls)
    return PemWatch(files) if files else None


def _files(tls: Tls) -> PemFiles:
    ca, certificate, key = (str(path) if path else None for path in (tls.ca, tls.certificate, tls.key))
    options = [f"{option} of NERVENET_ETCD" for option in ("cacert", "cert", "key", "name")]
    return PemFiles(ca, certificate, key, *options)
