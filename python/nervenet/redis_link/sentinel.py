# SPDX-License-Identifier: Apache-2.0
"""The address of a master, from the sentinels that monitor it.

It hides the queries and the subscriptions. All sentinels are asked at the same time; the answer with the highest
configuration epoch counts, and among equal ones the most frequent. A sentinel that was cut off, or stopped together
with the old master, still names the old master, and writes to that one would be acknowledged and lost. For the same
reason it subscribes to `+switch-master` at each sentinel, not at the first that answers, and asks again regularly.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.backoff import Backoff
from nervenet.redis_link.connection import Connection, Counters
from nervenet.redis_link.dial import dial_unchecked
from nervenet.redis_link.faults import BadAddress, ConnectionLost, LinkError, RedisRefused
from nervenet.supervision import supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.redis_link.address import SentinelAddress, ServerAddress

__all__ = ["Sentinels"]

_ANSWER_WITHIN: Final = 1.0
_OTHERS_WITHIN: Final = 0.1
_ASK_EVERY: Final = 5.0

_log = logging.getLogger(__name__)


class _MasterAnswer(NamedTuple):
    """The answer of a sentinel about a master. The epoch rises with each failover."""

    epoch: int
    host: str
    port: int


class Sentinels:
    """The sentinels of one master. `find` asks them, `follow` calls back when they name another address."""

    def __init__(self, address: SentinelAddress) -> None:
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._counters = Counters()  # separate, because these are no commands of the data plane
        self._asking: dict[ServerAddress, Connection] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Sentinels of {self._address}>"

    async def find(self) -> ServerAddress:
        """The master's present address. Raises `ConnectionLost` if no sentinel answers, `BadAddress` if none knows
        it."""
        asks = {asyncio.ensure_future(self._ask(one)) for one in self._address.sentinels}
        try:
            named = await _answers(asks)
        finally:
            for ask in asks:
                ask.cancel()
        best = max(named, key=lambda one: (one.epoch, named.count(one)))
        return self._address.server.at(best.host, best.port)

    def follow(self, moved: Callable[[ServerAddress], None]) -> None:
        """From now on call `moved` with the master's address, each time that it may have changed."""
        self._task = asyncio.create_task(supervise(f"{self!r}", lambda: self._follow(moved)), name=f"{self!r}")

    async def close(self) -> None:
        """Stop, and close all connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        for connection in self._asking.values():
            connection.abort("the link was closed")

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, sentinel: ServerAddress) -> _MasterAnswer:
        connection = self._asking.get(sentinel)
        if connection is None or connection.lost.done():
            connection = Connection(self._loop, self._counters)
            await dial_unchecked(connection, sentinel)
            self._asking[sentinel] = connection
        try:
            facts = await connection.send(("SENTINEL", "MASTER", self._address.master))
        except RedisRefused as error:
            if error.code != "ERR":
                raise
            raise BadAddress(f"the sentinel {sentinel.where} knows no master {self._address.master!r}") from error
        fields = dict(zip(facts[::2], facts[1::2], strict=True))
        return _MasterAnswer(int(fields[b"config-epoch"]), fields[b"ip"].decode(), int(fields[b"port"]))

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
                    async with asyncio.timeout(_ASK_EVERY):
                        await self._news.wait()
                except TimeoutError:
                    pass

    async def _listen(self, sentinel: ServerAddress) -> None:
        backoff = Backoff()
        while True:
            connection = Connection(self._loop, self._counters)
            try:
                await dial_unchecked(connection, sentinel)
                connection.divert(self._on_message)
                connection.write("SUBSCRIBE", "+switch-master")
                backoff.reset()
                self._news.set()
                await connection.lost
            except LinkError as error:
                _log.debug("the sentinel %s: %s", sentinel.where, error)
            finally:
                connection.abort("no longer needed")
            await asyncio.sleep(backoff.next())

    def _on_message(self, message: Any) -> None:
        if isinstance(message, list) and message[0] == b"message":
            name, *_ = message[2].split()
            if name.decode() == self._address.master:
                self._news.set()


async def _answers(asks: set[asyncio.Task[_MasterAnswer]]) -> list[_MasterAnswer]:
    """The answers of all sentinels, or of those that are not much slower than the first."""
    failures: list[BaseException] = []
    named: list[_MasterAnswer] = []
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
