# SPDX-License-Identifier: Apache-2.0
"""Where a master is, by the sentinels that watch it.

Hides how they are asked and heard. All of them are asked at once, and the answer of the highest configuration epoch
(among equals, of most) counts: a sentinel that was cut off (or stopped together with the old master) goes on naming the old one, and that master
would acknowledge writes that nobody ever sees again. For the same reason each sentinel is listened to for
`+switch-master`, not the first that answers; and whoever has heard nothing for a while asks again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.backoff import Backoff
from nervenet.redis_link.connection import Connection, Counters
from nervenet.redis_link.dial import knock
from nervenet.redis_link.faults import BadAddress, ConnectionLost, LinkError, RedisRefused
from nervenet.supervision import supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.redis_link.address import SentinelAddress, ServerAddress

__all__ = ["Sentinels"]

_ANSWER_WITHIN: Final = 1.0
_OTHERS_WITHIN: Final = 0.1
_LOOK_EVERY: Final = 5.0

_log = logging.getLogger(__name__)


class _Named(NamedTuple):
    """What a sentinel says of a master; the epoch rises with each failover."""

    epoch: int
    host: str
    port: int


class Sentinels:
    """The sentinels of one master. `find` asks them, `follow` calls back when they name another address."""

    def __init__(self, address: SentinelAddress) -> None:
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._counters = Counters()  # theirs are no commands of the mesh
        self._asking: dict[ServerAddress, Connection] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Sentinels of {self._address}>"

    async def find(self) -> ServerAddress:
        """The master's address now. `ConnectionLost` while none answers, `BadAddress` when they know no such master."""
        asks = {asyncio.ensure_future(self._ask(one)) for one in self._address.sentinels}
        try:
            named = await _answers(asks)
        finally:
            for ask in asks:
                ask.cancel()
        best = max(named, key=lambda one: (one.epoch, named.count(one)))
        return self._address.server.at(best.host, best.port)

    def follow(self, moved: Callable[[ServerAddress], None]) -> None:
        """From now on tell `moved` where the master is, whenever there may be news of it."""
        self._task = asyncio.create_task(supervise(f"{self!r}", lambda: self._follow(moved)), name=f"{self!r}")

    async def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        for connection in self._asking.values():
            connection.abort("the link was closed")

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, sentinel: ServerAddress) -> _Named:
        connection = self._asking.get(sentinel)
        if connection is None or connection.lost.done():
            connection = Connection(self._loop, self._counters)
            await knock(connection, sentinel)
            self._asking[sentinel] = connection
        try:
            facts = await connection.send(("SENTINEL", "MASTER", self._address.master))
        except RedisRefused as error:
            if error.code != "ERR":
                raise
            raise BadAddress(f"the sentinel {sentinel.where} knows no master {self._address.master!r}") from error
        said = dict(zip(facts[::2], facts[1::2], strict=True))
        return _Named(int(said[b"config-epoch"]), said[b"ip"].decode(), int(said[b"port"]))

    # ── listening ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self, moved: Callable[[ServerAddress], None]) -> None:
        async with asyncio.TaskGroup() as group:
            for one in self._address.sentinels:
                group.create_task(self._listen(one))
            while True:
                self._news.clear()
                try:
                    moved(await self.find())
                except LinkError as error:
                    _log.warning("the sentinels of %s: %s", self._address.master, error)
                try:
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._news.wait()
                except TimeoutError:
                    pass

    async def _listen(self, sentinel: ServerAddress) -> None:
        backoff = Backoff()
        while True:
            connection = Connection(self._loop, self._counters)
            try:
                await knock(connection, sentinel)
                connection.divert(self._hear)
                connection.write("SUBSCRIBE", "+switch-master")
                backoff.reset()
                self._news.set()
                await connection.lost
            except LinkError as error:
                _log.debug("the sentinel %s: %s", sentinel.where, error)
            finally:
                connection.abort("not listened to any more")
            await asyncio.sleep(backoff.next())

    def _hear(self, message: Any) -> None:
        if isinstance(message, list) and message[0] == b"message":
            name, *_ = message[2].split()
            if name.decode() == self._address.master:
                self._news.set()


async def _answers(asks: set[asyncio.Task[_Named]]) -> list[_Named]:
    """What they said: all of them, or those that are not much slower than the first."""
    failures: list[BaseException] = []
    named: list[_Named] = []
    pending, within = asks, _ANSWER_WITHIN
    while pending:
        done, pending = await asyncio.wait(pending, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
        for ask in done:
            if (failure := ask.exception()) is None:
                named.append(ask.result())
                within = _OTHERS_WITHIN
            else:
                failures.append(failure)
    if named:
        return named
    final = next((one for one in failures if isinstance(one, LinkError) and not one.retry), None)
    if final is not None:
        raise final
    raise ConnectionLost(f"no sentinel answers: {failures[0] if failures else 'all are silent'}")
