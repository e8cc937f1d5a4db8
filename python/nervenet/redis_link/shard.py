# SPDX-License-Identifier: Apache-2.0
"""The link to one master of a Redis Cluster, and a connection whose commands can follow a slot that has moved.

It heals and tells its hooks as any link does. What is different: it may be retired (its server is no master any more), it may
inherit what was known of another master, and "not here" (MOVED, ASK) is handed to the cluster together with the words
of the command instead of to the caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from nervenet.redis_link.address import RedisAddress, ServerAddress
from nervenet.redis_link.connection import Arg, Connection
from nervenet.redis_link.dial import ServerIdentity
from nervenet.redis_link.faults import ConnectionLost, LinkClosed, LinkError, RedisRefused
from nervenet.redis_link.link import Link, cancelled
from nervenet.redis_link.topology import Member, parse_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.redis_link.connection import Counters
    from nervenet.redis_link.link import Hook
    from nervenet.redis_link.script import LuaScript

__all__ = ["Cluster", "Shard"]


class Cluster(Protocol):
    """What a shard needs of the cluster's link."""

    address: RedisAddress
    name: str
    patience: float
    scripts: tuple[LuaScript, ...]
    counters: Counters
    on_reconnect: list[Hook]
    telling: asyncio.Lock

    @property
    def closed(self) -> bool:
        """Whether the whole link was closed."""
        ...

    def look(self) -> None:
        """Ask the masters again who serves what."""
        ...

    def changed(self) -> None:
        """Wake the commands that wait for a shard."""
        ...

    def redirect(self, future: asyncio.Future[Any], args: tuple[Arg, ...], refused: RedisRefused) -> None:
        """Send a command to the master that a MOVED or ASK names, and answer `future` with the reply."""
        ...


class _Member(Connection):
    """A connection that remembers the words of what is in flight, so that a command which belongs elsewhere can follow."""

    def __init__(
        self, shard: Shard, redirect: Callable[[asyncio.Future[Any], tuple[Arg, ...], RedisRefused], None]
    ) -> None:
        super().__init__(asyncio.get_running_loop(), shard.counters)
        self._redirect = redirect
        self._words: deque[tuple[Arg, ...] | None] = deque()
        self._answered_before = 0

    def send(self, args: tuple[Arg, ...], *, follow: bool = True) -> asyncio.Future[Any]:
        future = super().send(args)
        if not future.done():
            self._words.append(args if follow else None)
        return future

    def data_received(self, data: bytes) -> None:
        self._answered_before = self._answered
        super().data_received(data)
        for _ in range(self._answered - self._answered_before):
            self._words.popleft()

    def _refuse(self, future: asyncio.Future[Any], reply: RedisRefused) -> None:
        words = self._words[self._answered - 1 - self._answered_before]
        if reply.elsewhere and words is not None:
            self._redirect(future, words, reply)
        else:
            super()._refuse(future, reply)


class Shard(Link):
    """The link to one master of a cluster."""

    def __init__(self, cluster: Cluster, address: ServerAddress) -> None:
        super().__init__(address, cluster.name, cluster.scripts, cluster.patience)
        self._cluster = cluster
        self.counters = self._counters = cluster.counters
        self.on_reconnect = cluster.on_reconnect
        self.slots: tuple[range, ...] = ()

    @property
    def told(self) -> ServerIdentity:
        """The server that the hooks know of; blank before the first connection."""
        return self._told

    def start(self) -> None:
        """Connect in the background, and stay connected until retired."""
        self._task = asyncio.create_task(self._live(), name=f"link {self.name} to {self.address}")

    async def retire(self, reason: str) -> None:
        """Its server is no master any more: nothing is written there from now on, nothing waits for it."""
        self._closed, self._trouble = True, reason
        for connection in tuple(self._connections):
            connection.abort(reason)
        self._up.set()
        await cancelled(self._task)
        await cancelled(self._telling)

    def inherit(self, told: ServerIdentity) -> None:
        """It serves what another master did: who knew that one is told of this one."""
        if self._connection is None or not self._told.run_id:
            self._told = told
        else:
            self._announce(told)

    async def forward(self, args: tuple[Arg, ...], *, asking: bool = False) -> Any:
        """A command for this very member, once it is connected; if it belongs elsewhere, it fails with that."""
        try:
            async with asyncio.timeout(self.patience):
                await self._up.wait()
        except TimeoutError:
            raise self._down() from None
        connection = self._connection
        if not isinstance(connection, _Member):
            raise self._down()
        if asking:
            connection.send(("ASKING",))
        return await connection.send(args, follow=False)

    async def view(self) -> list[Member]:
        """What this master knows of the cluster."""
        text = await self.send("CLUSTER", "NODES")
        assert isinstance(self.address, ServerAddress)
        return parse_nodes(text.decode(), self.address.host)

    async def _keep(self) -> None:
        if self._last is None:
            connection, server = await self.connect()
            if not self._told.run_id:
                self._told = server
            self._arrived(connection, server)
        await super()._keep()

    async def _attempt(self, *, watched: bool) -> tuple[Connection, ServerIdentity]:
        try:
            return await super()._attempt(watched=watched)
        except LinkError:
            self._cluster.look()
            raise

    def _new_connection(self, *, watched: bool) -> Connection:
        return _Member(self, self._cluster.redirect) if watched else super()._new_connection(watched=False)

    def _down(self) -> LinkError:
        if self._cluster.closed:
            return LinkClosed(f"the link to {self._cluster.address} is closed")
        return ConnectionLost(self._trouble or f"not connected to {self.address}")

    def _use(self, connection: Connection) -> None:
        super()._use(connection)
        self._cluster.changed()

    def _lose(self) -> None:
        super()._lose()
        self._cluster.look()

    async def _tell(self, old: ServerIdentity, new: ServerIdentity) -> None:
        async with self._cluster.telling:  # one server at a time, as hooks know it from elsewhere
            await super()._tell(old, replace(new, slots=self.slots))
