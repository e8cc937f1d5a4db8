# SPDX-License-Identifier: Apache-2.0
"""A separate connection for one reader that blocks (XREAD, XREADGROUP), with its own deadline for each reply.

A read is never repeated automatically. A group read may have delivered entries before its connection broke: they are in
the consumer's pending list, and only the caller can read them there. So a broken read raises `ConnectionLost`, and the
next read connects again and increments `connects`. Then read the pending list (id 0), and once more a BLOCK later:
Redis may still deliver one entry to the old connection. A cancelled read closes its connection, so the same holds for
it.

In a cluster the reader has a connection to each server whose streams it reads. MOVED and ASK are no broken reads:
nothing was delivered, so the reader follows them.
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
_LIMIT: Final = LONGEST_BLOCK_MS / 1000 + 2.0
_MAX_REDIRECTS: Final = 4
_NEVER: Final = float("inf")


class Reader:
    """Made by `Link.dedicated`. `on_close` is called when it is closed. One read at a time."""

    def __init__(self, router: CommandRouter, on_close: Callable[[Reader], object]) -> None:
        self._router = router
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._connections: dict[ConnectionSource, Connection] = {}
        self._busy = self._closed = False
        self._read_by = _NEVER  # when the present read is overdue
        self._watchdog: asyncio.TimerHandle | None = None
        self.connects = 0

    def __repr__(self) -> str:
        return f"<Reader of {self._router.name}, {self._connections or 'not connected'}, {self.connects} connects>"

    async def read(self, *args: Arg) -> Any:
        """Send one command and wait for its reply, 4 s at most. Its BLOCK is 2,000 ms at most."""
        if self._busy:
            raise RuntimeError("a Reader reads one thing at a time")
        if self._closed:
            raise LinkClosed("this reader is closed")
        _check_block(args)
        self._busy = True
        asking = False
        try:
            server = self._router.server_of(args)
            for _ in range(_MAX_REDIRECTS):
                connection = self._connections.get(server)
                if connection is None or connection.lost.done():
                    connection = await self._connect(server)
                if asking:
                    connection.send(("ASKING",))
                self._watch()
                try:
                    return await connection.send_now(args)
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
                    if not refused.is_redirect:
                        raise
                    self._read_by = _NEVER
                    server, asking = self._router.follow_redirect(refused), refused.code == "ASK"
            raise ConnectionLost("the members of the cluster redirect this read in a circle")
        finally:
            self._busy = False
            self._read_by = _NEVER

    def interrupt(self, reason: str) -> None:
        """End a read that waits: it fails with `ConnectionLost`. The next one connects again."""
        for connection in self._connections.values():
            connection.abort(reason)

    async def close(self) -> None:
        """Close the connection. A read that waits fails with `LinkClosed`."""
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._on_close(self)
        self.interrupt("the reader was closed")

    async def _connect(self, server: ConnectionSource) -> Connection:
        connection, identity = await server.connect(self._router.patience, watched=False)
        self._connections = {at: one for at, one in self._connections.items() if not one.lost.done()}
        self._connections[server] = connection
        self.connects += 1
        try:
            await server.reached(identity)
        except BaseException:
            connection.abort("the commands go to another server")
            raise
        if self._closed:  # perhaps while it connected
            connection.abort("the reader was closed")
            raise LinkClosed("this reader is closed")
        return connection

    def _watch(self) -> None:
        """A read begins: it is overdue after `_LIMIT`."""
        self._read_by = self._loop.time() + _LIMIT
        if self._watchdog is None:
            self._watchdog = self._loop.call_at(self._read_by, self._look)

    def _look(self) -> None:
        """A timer for all reads, not one for each: it fires seldom, since a read usually ends before it does."""
        self._watchdog = None
        if self._read_by == _NEVER:
            return
        if self._loop.time() < self._read_by:
            self._watchdog = self._loop.call_at(self._read_by, self._look)
            return
        self.interrupt(f"no answer to a read within {_LIMIT:g} s")


def _check_block(args: tuple[Arg, ...]) -> None:
    if "BLOCK" in args and not 0 < (block := int(args[args.index("BLOCK") + 1])) <= LONGEST_BLOCK_MS:
        raise ValueError(
            f"BLOCK {block}: a read may block for 1 to {LONGEST_BLOCK_MS} ms, or a broken connection delays a task too long"
        )
