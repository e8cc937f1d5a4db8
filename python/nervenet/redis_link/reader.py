# SPDX-License-Identifier: Apache-2.0
"""A connection of its own for one reader that blocks (XREAD, XREADGROUP), with a deadline that does not trust the peer.

A read is never repeated by itself: entries that a group read had already handed out are in the consumer's pending list, and
only the caller knows how to take them from there. So a broken read raises `ConnectionLost`, the next one connects again, and
`connects` has risen: read your pending list (id 0) then, and once more a BLOCK later, because a half-dead predecessor of
this connection may still be handed one entry. That also holds for a cancelled read, which closes its connection.

Behind a cluster it has a connection to each server whose streams it reads. "Not here" (MOVED, ASK) is no broken read:
nothing was handed out, so it follows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from nervenet.redis_link.faults import ConnectionLost, LinkClosed, RedisRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.redis_link.connection import Arg, Connection
    from nervenet.redis_link.interfaces import CommandRouter, ConnectionSource

__all__ = ["LONGEST_BLOCK_MS", "Reader"]

LONGEST_BLOCK_MS: Final = 2_000
_GRACE: Final = 2.0
_HOPS: Final = 4


class Reader:
    """Made by `Link.dedicated`, with a function to call when it is closed. One read at a time."""

    def __init__(self, router: CommandRouter, on_close: Callable[[Reader], object]) -> None:
        self._router = router
        self._on_close = on_close
        self._connections: dict[ConnectionSource, Connection] = {}
        self._busy = self._closed = False
        self.connects = 0

    def __repr__(self) -> str:
        return f"<Reader of {self._router.name}, {self._connections or 'not connected'}, {self.connects} connects>"

    async def read(self, *args: Arg) -> Any:
        """Send one command and wait for its reply: its BLOCK (2,000 ms at most) and two seconds, no longer."""
        if self._busy:
            raise RuntimeError("a Reader reads one thing at a time")
        if self._closed:
            raise LinkClosed("this reader is closed")
        limit = _block_ms(args) / 1000 + _GRACE
        self._busy = True
        try:
            return await self._follow(limit, args)
        finally:
            self._busy = False

    async def close(self) -> None:
        """Close the connection; a read that waits fails with `ConnectionLost`."""
        self._closed = True
        self._on_close(self)
        for connection in self._connections.values():
            connection.abort("the reader was closed")

    async def _follow(self, limit: float, args: tuple[Arg, ...]) -> Any:
        server, asking = self._router.serving(args), False
        for _ in range(_HOPS):
            connection = await self._connected(server)
            try:
                return await self._within(limit, connection, args, asking=asking)
            except RedisRefused as refused:
                if not refused.elsewhere:
                    raise
                server, asking = self._router.elsewhere(refused), refused.code == "ASK"
        raise ConnectionLost("the members of the cluster send this read from one to another")

    async def _connected(self, server: ConnectionSource) -> Connection:
        connection = self._connections.get(server)
        if connection is None or connection.lost.done():
            connection, identity = await server.connect(self._router.patience, watched=False)
            self._connections = {at: one for at, one in self._connections.items() if not one.lost.done()}
            self._connections[server] = connection
            server.met(identity)
            self.connects += 1
        if self._closed:  # maybe while we connected
            connection.abort("the reader was closed")
            raise LinkClosed("this reader is closed")
        return connection

    async def _within(self, limit: float, connection: Connection, args: tuple[Arg, ...], *, asking: bool) -> Any:
        if asking:
            connection.send(("ASKING",))
        reply = connection.send(args)
        words = f"no answer to a read within {limit:g} s"
        overdue = asyncio.get_running_loop().call_later(limit, connection.abort, words)
        try:
            return await reply
        except asyncio.CancelledError:
            connection.abort("its reader was cancelled")
            raise
        except ConnectionLost:
            if self._closed:
                raise LinkClosed("the reader was closed while it read") from None
            raise
        except RedisRefused as refused:
            if refused.demoted:
                raise ConnectionLost(str(refused)) from None
            raise
        finally:
            overdue.cancel()


def _block_ms(args: tuple[Arg, ...]) -> int:
    if "BLOCK" not in args:
        return 0
    block = int(args[args.index("BLOCK") + 1])
    if not 0 < block <= LONGEST_BLOCK_MS:
        raise ValueError(f"BLOCK {block}: a read blocks for 1 to {LONGEST_BLOCK_MS} ms, or its broken link eats a task")
    return block
