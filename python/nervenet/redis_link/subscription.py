# SPDX-License-Identifier: Apache-2.0
"""The pub/sub connection: hints from Redis, on as many channels as one likes.

Hints are allowed to get lost (watchers re-read the journal anyway), so nothing here is ever kept for long: the newest
10,000 wait to be iterated over. What a reconnect may have swallowed is made up for by an empty message on each channel as
soon as it is subscribed again: "look, something may have happened".
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nervenet.backoff import Backoff
from nervenet.redis_link.faults import LinkClosed, RedisRefused
from nervenet.supervision import supervise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nervenet.redis_link.connection import Connection
    from nervenet.redis_link.interfaces import ConnectionSource

__all__ = ["Subscription"]

_KEPT: Final = 10_000
_CHANNELS_A_COMMAND: Final = 500

_log = logging.getLogger(__name__)


class Subscription:
    """Made by `Link.subscribe`, with a function to call when it is closed. Iterate over it (one iterator) for `(channel, data)`; it ends when it is closed."""

    def __init__(self, name: str, source: ConnectionSource, on_close: Callable[[Subscription], object]) -> None:
        self._name = name
        self._source = source
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._channels: dict[bytes, asyncio.Future[None]] = {}
        self._messages: deque[tuple[bytes, bytes]] = deque(maxlen=_KEPT)
        self._news = asyncio.Event()
        self._connection: Connection | None = None
        self._closed = False
        self._task = self._loop.create_task(self._live(), name=f"subscription of {name}")

    def __repr__(self) -> str:
        return f"<Subscription of {self._name} to {len(self._channels)} channels>"

    def add(self, channel: bytes | str) -> asyncio.Future[None]:
        """Subscribe; done once Redis has confirmed it: what is published from then on is seen. Twice is once."""
        name = channel.encode() if isinstance(channel, str) else channel
        confirmed = self._channels.get(name)
        if confirmed is None:
            confirmed = self._channels[name] = self._loop.create_future()
            if self._connection is not None:
                self._connection.write("SUBSCRIBE", name)
        return confirmed

    def remove(self, channel: bytes | str) -> None:
        """Unsubscribe. What has arrived already is still given out."""
        name = channel.encode() if isinstance(channel, str) else channel
        confirmed = self._channels.pop(name, None)
        if confirmed is not None:
            confirmed.cancel()
            if self._connection is not None:
                self._connection.write("UNSUBSCRIBE", name)

    async def __aiter__(self) -> AsyncIterator[tuple[bytes, bytes]]:
        while True:
            while self._messages:
                yield self._messages.popleft()
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Close the connection and end the iteration."""
        if self._closed:
            return
        self._closed = True
        self._on_close(self)
        self._news.set()
        connection = self._connection
        self._task.cancel()
        await asyncio.wait((self._task,))
        for confirmed in self._channels.values():
            confirmed.cancel()
        if connection is not None:
            connection.abort("the subscription was closed")

    async def _live(self) -> None:
        with suppress(LinkClosed):
            await supervise(f"the subscription of {self._name}", self._keep, fatal=(LinkClosed,))

    async def _keep(self) -> None:
        """Subscribe again whenever the connection is lost."""
        while True:
            connection, server = await self._source.connect()
            try:
                self._source.met(server)
                connection.divert(self._hear)
                self._connection = connection
                names = list(self._channels)
                for start in range(0, len(names), _CHANNELS_A_COMMAND):
                    connection.write("SUBSCRIBE", *names[start : start + _CHANNELS_A_COMMAND])
                reason = await connection.lost
            except Exception as error:
                connection.abort(f"the subscription failed: {error!r}")
                raise
            finally:
                self._connection = None
            _log.info("subscriptions of %s: %s; connecting again", self._name, reason)
            await asyncio.sleep(Backoff().next())

    def _hear(self, message: Any) -> None:
        if isinstance(message, RedisRefused):
            self._refused(message)
        elif isinstance(message, list) and message[0] == b"message":
            self._give(message[1], message[2])
        elif isinstance(message, list) and message[0] == b"subscribe":
            self._confirm(message[1])

    def _confirm(self, channel: bytes) -> None:
        confirmed = self._channels.get(channel)
        if confirmed is None:
            return
        if confirmed.done():
            self._give(channel, b"")
        else:
            confirmed.set_result(None)

    def _refused(self, error: RedisRefused) -> None:
        _log.warning("Redis refused a subscription of %s: %s", self._name, error)
        waiting = next((confirmed for confirmed in self._channels.values() if not confirmed.done()), None)
        if waiting is not None:
            waiting.set_exception(error)

    def _give(self, channel: bytes, data: bytes) -> None:
        self._messages.append((channel, data))
        self._news.set()
