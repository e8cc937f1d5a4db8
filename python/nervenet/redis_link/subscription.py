# SPDX-License-Identifier: Apache-2.0
"""A separate connection for pub/sub, with any number of channels.

Messages may get lost, so watchers re-read the journal anyway; at most the newest 10,000 wait for the iterator. After a
reconnect each channel gets one empty message as soon as it is subscribed again: it means that messages may have been
lost.
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

_MOST_MESSAGES: Final = 10_000
_CHANNELS_A_COMMAND: Final = 500

_log = logging.getLogger(__name__)


class Subscription:
    """Made by `Link.subscribe`. `on_close` is called when it is closed.

    Iterate over it (one iterator) for `(channel, data)`; the iteration ends when it is closed.
    """

    def __init__(self, name: str, source: ConnectionSource, on_close: Callable[[Subscription], object]) -> None:
        self._name = name
        self._source = source
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._channels: dict[bytes, asyncio.Future[None]] = {}
        self._messages: deque[tuple[bytes, bytes]] = deque(maxlen=_MOST_MESSAGES)
        self._news = asyncio.Event()
        self._connection: Connection | None = None
        self._closed = False
        self._task = self._loop.create_task(self._live(), name=f"subscription of {name}")

    def __repr__(self) -> str:
        return f"<Subscription of {self._name} to {len(self._channels)} channels>"

    def add(self, channel: bytes | str) -> asyncio.Future[None]:
        """Subscribe. The future is done when Redis has confirmed: later messages arrive. A second call has no
        effect."""
        name = channel.encode() if isinstance(channel, str) else channel
        confirmed = self._channels.get(name)
        if confirmed is None:
            confirmed = self._channels[name] = self._loop.create_future()
            if self._connection is not None:
                self._connection.write("SUBSCRIBE", name)
        return confirmed

    def remove(self, channel: bytes | str) -> None:
        """Unsubscribe. Messages that have arrived already are still delivered."""
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
        """Connect and subscribe again each time that the connection is lost."""
        while True:
            connection, server = await self._source.connect()
            try:
                self._source.check_server(server)
                connection.divert(self._on_message)
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

    def _on_message(self, message: Any) -> None:
        if isinstance(message, RedisRefused):
            self._refused(message)
        elif isinstance(message, list) and message[0] == b"message":
            self._deliver(message[1], message[2])
        elif isinstance(message, list) and message[0] == b"subscribe":
            self._confirm(message[1])

    def _confirm(self, channel: bytes) -> None:
        confirmed = self._channels.get(channel)
        if confirmed is None:
            return
        if confirmed.done():
            self._deliver(channel, b"")
        else:
            confirmed.set_result(None)

    def _refused(self, error: RedisRefused) -> None:
        _log.warning("Redis refused a subscription of %s: %s", self._name, error)
        waiting = next((confirmed for confirmed in self._channels.values() if not confirmed.done()), None)
        if waiting is not None:
            waiting.set_exception(error)

    def _deliver(self, channel: bytes, data: bytes) -> None:
        self._messages.append((channel, data))
        self._news.set()
