# SPDX-License-Identifier: Apache-2.0
"""The link to one master of a Redis Cluster, and a connection whose commands can follow a slot that has moved.

It reconnects and calls its hooks as any link does, with three differences: it can be retired, when its server is no
longer a master; it can inherit the identity of another master; and the cluster, not the caller, gets the reply MOVED or
ASK, together with the arguments of the command.
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
    """The part of the cluster's link that a shard uses."""

    address: RedisAddress
    name: str
    patience: float
    scripts: tuple[LuaScript, ...]
    counters: Counters
    on_reconnect: list[Hook]
    hooks_lock: asyncio.Lock

    @property
    def closed(self) -> bool:
        """Whether the link to the cluster was closed."""
        ...

    def refresh(self) -> None:
        """Ask the masters again, soon, which slots they serve."""
        ...

    def changed(self) -> None:
        """Wake the commands that wait for a shard."""
        ...

    def redirect(self, future: asyncio.Future[Any], args: tuple[Arg, ...], refused: RedisRefused) -> None:
        """Send a command to the master that a MOVED or ASK names, and answer `future` with the reply."""
        ...


class _ShardConnection(Connection):
    """A connection that remembers the arguments of commands in flight, so that they can follow a redirect."""

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
        if reply.is_redirect and words is not None:
            self._redirect(future, words, reply)
        else:
            super()._refuse(future, reply)


class Shard(Link):
    """The link to one master of a cluster."""

    def __init__(self, cluster: Cluster, address: ServerAddress) -> None:
        super().__init__(address, cluster.name, cluster.scripts, cluster.patience)
        self._cluster = cluster
        self.counters = cluster.counters
        self.on_reconnect = cluster.on_reconnect
        self.slots: tuple[range, ...] = ()

    @property
    def announced(self) -> ServerIdentity:
        """The server that the hooks were called with last; blank before the first connection."""
        return self._announced

    def start(self) -> None:
        """Connect in the background, and stay connected until `retire`."""
        self._task = asyncio.create_task(self._live(), name=f"link {self.name} to {self.address}")

    async def retire(self, reason: str) -> None:
        """Its server is no longer a master: send nothing more to it, and wait for nothing from it."""
        self._closed, self._last_error = True, reason
        for connection in tuple(self._connections):
            connection.abort(reason)
        self._up.set()
        await cancelled(self._task)
        await cancelled(self._announcing)

    def inherit(self, former: ServerIdentity) -> None:
        """This shard now serves slots of another master, whose identity this is: call the hooks with both
        identities."""
        if self._connection is None or not self._announced.run_id:
            self._announced = former
        else:
            self._announce(former)

    async def forward(self, args: tuple[Arg, ...], *, asking: bool = False) -> Any:
        """Send a command to this master, when it is connected. A MOVED or ASK is raised, not followed."""
        try:
            async with asyncio.timeout(self.patience):
                await self._up.wait()
        except TimeoutError:
            raise self._down() from None
        connection = self._connection
        if not isinstance(connection, _ShardConnection):
            raise self._down()
        if asking:
            connection.send(("ASKING",))
        return await connection.send(args, follow=False)

    async def view(self) -> list[Member]:
        """This master's view of the cluster."""
        text = await self.send("CLUSTER", "NODES")
        assert isinstance(self.address, ServerAddress)
        return parse_nodes(text.decode(), self.address.host)

    async def _keep(self) -> None:
        if self._last is None:
            connection, server = await self.connect()
            if not self._announced.run_id:
                self._announced = server
            self._arrived(connection, server)
        await super()._keep()

    async def _attempt(self, *, watched: bool) -> tuple[Connection, ServerIdentity]:
        try:
            return await super()._attempt(watched=watched)
        except LinkError:
            self._cluster.refresh()
            raise

    def _new_connection(self, *, watched: bool) -> Connection:
        return _ShardConnection(self, self._cluster.redirect) if watched else super()._new_connection(watched=False)

    def _down(self) -> LinkError:
        if self._cluster.closed:
            return LinkClosed(f"the link to {self._cluster.address} is closed")
        return ConnectionLost(self._last_error or f"not connected to {self.address}")

    def _use(self, connection: Connection) -> None:
        super()._use(connection)
        self._cluster.changed()

    def _lose(self) -> None:
        super()._lose()
        self._cluster.refresh()

    async def _run_hooks(self, old: ServerIdentity, new: ServerIdentity) -> None:
        async with self._cluster.hooks_lock:  # for one server at a time, as with a link to one server
            await super()._run_hooks(old, replace(new, slots=self.slots))
