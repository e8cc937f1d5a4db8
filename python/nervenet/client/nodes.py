# SPDX-License-Identifier: Apache-2.0
"""Which node gets a request, and which requests are retried (protos/README.md, Common to all calls).

All nodes are alike, so one address is used until it does not answer, then the next one. Only UNAVAILABLE is retried,
and only where a repetition is harmless: reads, and writes that carry their id. If no node has ever answered, the client
gives up sooner (3 s) than if one has (20 s): the first is probably a wrong address, the second a restart.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from nervenet.client.encoding import Encoding
from nervenet.client.tracing import STARTS, begin, process_telemetry
from nervenet.clock import SYSTEM, Clock
from nervenet.codecs import open_codecs
from nervenet.errors import RequestError, Unavailable
from nervenet.grpc_import import grpc
from nervenet.rpc.channels import Channel, Metadata, Trust, metadata_of, split_addresses
from nervenet.rpc.methods import METHODS
from nervenet.rpc.status import error_of
from nervenet.security import NOTHING_DONE
from nervenet.telemetry import to_metadata
from nervenet.timing import CLIENT_FIRST_PATIENCE, CLIENT_PATIENCE

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from nervenet.config import Config

__all__ = ["Nodes", "Retry"]

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
CREDENTIALS_EXPIRED: Final = "CREDENTIALS_EXPIRED"
_ELSEWHERE: Final = NOTHING_DONE | {"NODE_REFUSED"}
"""Reasons of a node that cannot answer now, while another one may."""
EXPIRED_AGAIN: Final = 5.0
"""Seconds: credentials that are refused twice within them were not renewed in between."""
LEAST_TRY: Final = 1.0
"""Seconds: with less than this left of the caller's time, another try would only end without a reason."""
HEALTHY: Final = 10.0
"""Seconds: an attempt that lasted this long did not fail at connecting."""


class Retry:
    """How long one request, or one stream, is retried.

    `await retry.pause(error)` waits, or raises the error when time is up. Time counts from the first failure. After an
    attempt that lasted a while, or brought something, it counts from the start again.
    """

    def __init__(self, nodes: Nodes, limit: float | None = None) -> None:
        self._nodes = nodes
        self._began = self._last = float("-inf")
        self._limit = limit
        self._pause = FIRST_PAUSE

    def answered(self) -> None:
        """This attempt brought something, so the next failure counts as the first one. In a rolling restart, streams break soon."""
        self._last = float("-inf")

    async def pause(self, error: RequestError) -> None:
        now = self._nodes.clock.monotonic()
        if now - self._last > HEALTHY:
            self._began, self._pause = now, FIRST_PAUSE
        patience = CLIENT_PATIENCE if self._nodes.answered else CLIENT_FIRST_PATIENCE
        if self._limit is not None:
            patience = min(patience, self._limit)
        if error.reason == "BACKEND_DOWN" and self._nodes.ends_without_backend:
            patience = 0.0
        left = self._began + patience - now
        if left <= 0:
            raise await self._nodes.explained(error)
        pause = self._pause if error.retry_after is None else error.retry_after.total_seconds()
        await asyncio.sleep(min(pause, left))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._last = self._nodes.clock.monotonic()


class Nodes:
    """The nodes of one mesh, as a client knows them. It connects at the first call.

    `ends_without_backend`: a node that says that Redis or etcd is away is not asked again: a person wants to know it at once.
    """

    def __init__(
        self,
        config: Config,
        tls: ssl.SSLContext | bool | None = None,
        clock: Clock = SYSTEM,
        *,
        ends_without_backend: bool = False,
    ) -> None:
        self.config = config
        self.ends_without_backend = ends_without_backend
        self.clock = clock
        self.namespace = config.namespace
        self.answered = False
        self.telemetry = process_telemetry()
        self.encoding = Encoding(open_codecs(config.codec))
        self._trust = Trust(config, tls)
        self._targets = split_addresses(config.address)
        self._channels: dict[str, Channel] = {}
        self._turn = 0
        self._expired_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Nodes {self.config.address}, using {self.current}>"

    @property
    def current(self) -> str:
        return self._targets[self._turn % len(self._targets)]

    def metadata(self) -> Metadata:
        return metadata_of(self.config)

    def channel(self) -> Channel:
        """The channel to the node that is used now."""
        channel = self._channels.get(self.current)
        if channel is None:
            channel = self._channels[self.current] = Channel(self.current, self.config, trust=self._trust)
        return channel

    def turn(self, away_from: Channel) -> None:
        """That node did not answer: use the next one. A later report about the same node changes nothing."""
        if away_from.target == self.current:
            self._turn += 1

    async def call(self, name: str, request: Message, *, timeout: float | None = None) -> Any:
        """One unary call. Raises the RequestError tree, and TimeoutError when `timeout` seconds passed."""
        request = self.encoding.encoded(request)
        if name in STARTS:
            with begin(self.telemetry, name, self.current, getattr(request, "workflow_id", "")) as call:
                return await self._call(name, request, timeout, to_metadata(call.trace))
        return await self._call(name, request, timeout)

    async def _call(self, name: str, request: Message, timeout: float | None, trace: Metadata = ()) -> Any:
        retry = Retry(self, timeout)
        again = METHODS[name].repeatable_as(request)
        ends = None if timeout is None else self.clock.monotonic() + timeout
        while True:
            left = None if ends is None else max(ends - self.clock.monotonic(), 0.0)
            try:
                return await self.once(name, request, timeout=left, trace=trace)
            except Unavailable as error:
                late = ends is not None and ends - self.clock.monotonic() < LEAST_TRY
                if late or (not again and error.reason not in NOTHING_DONE):
                    raise await self.explained(error) from None
                await retry.pause(error)

    async def once(self, name: str, request: Message, *, timeout: float | None = None, trace: Metadata = ()) -> Any:
        """One try at one node; the next try goes to the next node if this one was out of reach."""
        channel = self.channel()
        try:
            answer = await channel[name](request, timeout=timeout, metadata=(*self.metadata(), *trace))
        except grpc.aio.AioRpcError as error:
            raise self.translated(error, channel) from None
        self.answered = True
        return self.encoding.decoded(answer, request)

    async def stream(self, name: str, request: Message) -> AsyncIterator[Any]:
        """The answers of one server stream, one try."""
        channel = self.channel()
        call = channel[name](request, metadata=self.metadata())
        try:
            async for answer in call:
                self.answered = True
                yield self.encoding.decoded(answer, request)
        except grpc.aio.AioRpcError as error:
            raise self.translated(error, channel) from None
        finally:
            call.cancel()

    def translated(self, error: grpc.aio.AioRpcError, channel: Channel) -> RequestError | TimeoutError:
        """`refused`, of gRPC's error."""
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return TimeoutError(f"{channel.target} did not answer in time")
        return self.refused(error_of(error, channel.target), channel)

    def refused(self, found: RequestError, channel: Channel) -> RequestError:
        """What a node has answered, for who decides whether to try again. With UNAVAILABLE the next node is used."""
        if isinstance(found, Unavailable) and (not found.reason or found.reason in _ELSEWHERE):
            self.turn(channel)
        else:
            self.answered = True
        return self._with_new_credentials(found)

    def _with_new_credentials(self, error: RequestError) -> RequestError:
        """An error that is retried, where credentials have just expired: they are read again for each call, and streams outlive them."""
        if error.reason != CREDENTIALS_EXPIRED:
            return error
        now, before = self.clock.monotonic(), self._expired_at
        self._expired_at = now
        if now - before < EXPIRED_AGAIN:
            return error
        return Unavailable(error.message, code="UNAVAILABLE", reason=CREDENTIALS_EXPIRED)

    async def explained(self, error: RequestError) -> RequestError:
        """The error for people, when the client gives up: which address it used, where that came from, what to do."""
        if not isinstance(error, Unavailable) or error.reason:
            return error
        config = self.config
        source = config.sources.get("address", "default")
        origin = "NERVENET_ADDRESS is not set" if source == "default" else f"from {source}"
        words = f"no node answered at {config.address} ({origin}). Start one: nervenet dev app.py"
        if why := await self.channel().why_not_secured():
            words = f"no node answered at {config.address} ({origin}): {why}"
        elif self.answered:
            words = f"the node at {config.address} no longer answers: {error.message}"
        return Unavailable(words, code="UNAVAILABLE")

    async def close(self) -> None:
        channels, self._channels = self._channels, {}
        await asyncio.gather(*(channel.close() for channel in channels.values()))
