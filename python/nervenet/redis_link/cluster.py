# SPDX-License-Identifier: Apache-2.0
"""A link to a Redis Cluster: one pipelined connection to each master; commands are routed by their key.

It hides where slots are, and that they move. It differs from a link to one server in two things: `in_order` is false,
because commands of one tick go to several servers, and `connected` means that every slot is served. What handles what:

- `send` follows MOVED and ASK. The command had no effect, so this is no second try. It costs time only in case of an
  error, but each command takes 4 µs instead of 3: for its slot, and because its arguments are remembered.
- `call` retries after TRYAGAIN, CLUSTERDOWN and lost connections, as any link does.
- After a MOVED, after a lost connection, and every few seconds it asks all masters which slots they serve (`topology`).

Each master has a `Shard`, a link that reconnects and calls the hooks of `on_reconnect` after a restart of its server.
When a server is no longer a master, all connections to it are closed at once. The shards that now serve its slots
inherit its identity, so the hooks are called for a failover as for a restart, for those slots. When slots move, their
data move too, and no hook is called.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from nervenet.backoff import Backoff
from nervenet.redis_link.address import ClusterAddress, ServerAddress
from nervenet.redis_link.connection import Arg, Connection, failing
from nervenet.redis_link.dial import ServerIdentity, dial_unchecked
from nervenet.redis_link.faults import BadAddress, ConnectionLost, LinkError, RedisRefused
from nervenet.redis_link.link import Link, RetryingCall, cancelled, exposure_warning
from nervenet.redis_link.shard import Shard
from nervenet.redis_link.slots import SLOTS, key_of, slot_of
from nervenet.redis_link.topology import Member, Topology, merge, parse_nodes
from nervenet.supervision import supervise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Sequence

    from nervenet.redis_link.script import LuaScript

__all__ = ["ClusterLink"]

_ANSWER_WITHIN: Final = 0.5
_REFRESH_EVERY: Final = 5.0
_REFRESH_AT_MOST_EVERY: Final = 0.05
_WAIT_FOR_CHANGE: Final = 0.25
_MAX_REDIRECTS: Final = 4

_log = logging.getLogger(__name__)


class ClusterLink(Link):
    """See the module. Made by `opening.open_link`."""

    in_order = False

    def __init__(self, address: ClusterAddress, name: str, scripts: tuple[LuaScript, ...], patience: float) -> None:
        super().__init__(address, name, scripts, patience)
        self.scripts = scripts
        self._seeds = address.seeds
        self.hooks_lock = asyncio.Lock()
        self._shards: dict[tuple[str, int], Shard] = {}
        self._others: frozenset[tuple[str, int]] = frozenset()
        self._slots: list[Shard | None] = [None] * SLOTS
        self._refresh_wanted = asyncio.Event()
        self._change: asyncio.Future[None] = self._loop.create_future()
        self._background: set[asyncio.Task[None]] = set()

    @classmethod
    async def meet(
        cls, address: ClusterAddress, name: str, scripts: tuple[LuaScript, ...], wait: float, patience: float
    ) -> ClusterLink:
        """Connect to each master. Raises `ConnectionLost` after `wait` seconds."""
        link = cls(address, name, scripts, patience)
        try:
            await link._connect_all(link._loop.time() + wait)
        except BaseException:
            await link.close()
            raise
        return link

    async def _connect_all(self, deadline: float) -> None:
        backoff = Backoff()
        while True:
            await self._learn()
            left = deadline - self._loop.time()
            if not self.connected and left > 0:
                await asyncio.wait((self._change,), timeout=min(left, backoff.next()))
            if self.connected:
                break
            if left <= 0:
                raise ConnectionLost(
                    f"not every slot of {self.address} is served: {self._last_error or self._unserved()}"
                )
        watching = supervise(f"the view of {self.name} on {self.address}", self._watch)
        self._task = asyncio.create_task(watching, name=f"link {self.name}")
        if exposed := [str(shard.address) for shard in self._shards.values() if shard.server.exposed]:
            _log.warning("%s: %s", self.name, exposure_warning(", ".join(exposed)))

    # ── the methods of a link ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def connected(self) -> bool:
        return None not in self._slots and all(shard.connected for shard in self._shards.values() if shard.slots)

    @property
    def server(self) -> ServerIdentity:
        """The master of the first slot."""
        return self._slots[0].server if self._slots[0] is not None else ServerIdentity("", "")

    @property
    def fails_over(self) -> bool:
        return bool(self._others)

    @property
    def in_flight(self) -> int:
        return sum(shard.in_flight for shard in self._shards.values())

    def send(self, *args: Arg) -> asyncio.Future[Any]:
        shard = self._shard(args)
        if shard is None:
            return failing(self._loop.create_future(), self._down())
        return shard.send(*args)

    def flush(self) -> None:
        for shard in self._shards.values():
            shard.flush()

    def call(self, *args: Arg) -> Awaitable[Any]:
        shard = self._shard(args)
        return RetryingCall(self, args, None if shard is None or not shard.has_room else shard.send(*args))

    def server_of(self, args: Sequence[Arg]) -> Shard:
        shard = self._shard(args)
        if shard is None:
            raise self._down()
        return shard

    def follow_redirect(self, refused: RedisRefused) -> Shard:
        _, slot, place = str(refused).split()[:3]
        host, _, port = place.rpartition(":")
        shard = self._open_shard((host.strip("[]") or self._seeds[0].host, int(port)))
        if refused.code == "MOVED":
            self._slots[int(slot)] = shard
            self.refresh()
        return shard

    async def everywhere(self, *args: Arg) -> list[Any]:
        return await asyncio.gather(*(shard.forward(args) for shard in self._shards.values() if shard.slots))

    async def until_connected(self, within: float) -> None:
        """Nothing to wait for: a command whose own master is away fails alone."""

    async def room(self) -> None:
        for shard in tuple(self._shards.values()):
            await shard.room()

    async def scan(self, match: str, count: int = 1_000) -> AsyncIterator[list[bytes]]:
        for shard in tuple(self._shards.values()):
            cursor = b"0" if shard.slots else b""
            while cursor:
                cursor, keys = await shard.forward(("SCAN", cursor, "MATCH", match, "COUNT", count))
                if keys:
                    yield keys
                cursor = cursor if cursor != b"0" else b""

    async def connect(self, wait: float | None = None, *, watched: bool = True) -> tuple[Connection, ServerIdentity]:
        """A new connection to any master: all masters of a cluster have the same pub/sub messages."""
        deadline = None if wait is None else self._loop.time() + wait
        backoff = Backoff()
        while not self._closed:
            shards = [shard for shard in self._shards.values() if shard.connected]
            try:
                if shards:
                    return await shards[slot_of(self.name.encode()) % len(shards)].connect(0, watched=watched)
            except LinkError as error:
                self._last_error = str(error)
            if deadline is not None and self._loop.time() >= deadline:
                break
            await asyncio.sleep(backoff.next())
        raise self._down()

    def check_server(self, server: ServerIdentity) -> None:
        """Nothing to do: any server of the cluster will do."""

    async def reached(self, server: ServerIdentity) -> None:
        """Nothing to wait for, either."""

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await cancelled(self._task)
        for child in tuple(self._children):
            await child.close()
        await asyncio.gather(*(shard.close() for shard in self._shards.values()))
        for task in tuple(self._background):
            await cancelled(task)
        self.changed()

    def _shard(self, args: Sequence[Arg]) -> Shard | None:
        key = key_of(args)
        return self._slots[0 if key is None else slot_of(key)]

    async def _recovered(self, args: tuple[Arg, ...], error: LinkError, backoff: Backoff, left: float) -> bool:
        if not isinstance(error, RedisRefused):
            if left <= 0 or self._closed:
                return False
            shard = self._shard(args)
            if shard is None or not shard.connected:
                self.refresh()
                await asyncio.wait((self._change,), timeout=min(left, _WAIT_FOR_CHANGE))
            else:
                await asyncio.sleep(min(left, backoff.next()))
            return True
        if error.code in ("CLUSTERDOWN", "MOVED"):
            self.refresh()
        return await super()._recovered(args, error, backoff, left)

    # ── following redirects ──────────────────────────────────────────────────────────────────────────────────────────

    def redirect(self, future: asyncio.Future[Any], args: tuple[Arg, ...], refused: RedisRefused) -> None:
        """Send a command to the master that a MOVED or ASK names, and answer `future` with its reply."""
        self._in_background(self._follow(future, args, refused))

    async def _follow(self, future: asyncio.Future[Any], args: tuple[Arg, ...], refused: RedisRefused) -> None:
        error: LinkError = refused
        for _ in range(_MAX_REDIRECTS):
            try:
                reply = await self.follow_redirect(refused).forward(args, asking=refused.code == "ASK")
            except RedisRefused as again:
                error = refused = again
                if again.is_redirect:
                    continue
            except LinkError as lost:
                error = lost
            else:
                if not future.done():
                    future.set_result(reply)
                return
            break
        if not future.done():
            failing(future, error)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # ── which master serves which slots ──────────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        """Ask the masters again, soon."""
        self._refresh_wanted.set()

    def changed(self) -> None:
        """A shard has connected or a slot has another master: wake the commands that wait for this."""
        waited, self._change = self._change, self._loop.create_future()
        waited.set_result(None)

    async def _watch(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async with asyncio.timeout(_REFRESH_EVERY):
                    await self._refresh_wanted.wait()
            except TimeoutError:
                pass
            self._refresh_wanted.clear()
            try:
                await self._learn()
            except LinkError as error:
                self._last_error = str(error)
                _log.warning(
                    "%s: cannot learn which master of %s serves which slots: %s", self.name, self.address, error
                )
            if self.connected:
                backoff.reset()
                await asyncio.sleep(_REFRESH_AT_MOST_EVERY)
            else:
                await asyncio.sleep(max(_REFRESH_AT_MOST_EVERY, backoff.next()))
                self.refresh()

    async def _learn(self) -> None:
        shards = [shard for shard in self._shards.values() if shard.connected]
        views = await _views_in_time(shard.view() for shard in shards)
        if not views:
            places = {seed.where: seed for seed in self._seeds}
            known = [self._seeds[0].at(*place) for place in (*self._shards, *self._others)]
            places.update((one.where, one) for one in known)
            views = await _views_in_time(self._ask(address) for address in places.values())
        if views:
            await self._install(merge(views))
        elif not shards:
            self._last_error = f"no member of {self.address} answers"

    async def _ask(self, address: ServerAddress) -> list[Member]:
        connection = Connection(self._loop, self.counters)
        try:
            await dial_unchecked(connection, address)
            text = await connection.send(("CLUSTER", "NODES"))
        except RedisRefused as error:
            raise BadAddress(f"{address.where} is in no cluster: {error}") from error
        finally:
            connection.abort("it has answered")
        return parse_nodes(text.decode(), address.host)

    async def _install(self, topology: Topology) -> None:
        self._others = topology.others
        served: dict[tuple[str, int], list[range]] = {}
        for start, stop, where in _runs(topology.owners):
            shard = self._open_shard(where) if where is not None else None
            self._slots[start:stop] = [shard] * (stop - start)
            if where is not None:
                served.setdefault(where, []).append(range(start, stop))
        gone = [where for where in self._shards if where not in topology.masters]
        before = {where: shard.slots for where, shard in self._shards.items()}
        for where, shard in self._shards.items():
            shard.slots = tuple(served.get(where, ()))
        for where in gone:
            await self._remove_shard(self._shards.pop(where), before[where])
        self.changed()

    async def _remove_shard(self, shard: Shard, slots: tuple[range, ...]) -> None:
        successors = {
            successor for part in slots for successor in self._slots[part.start : part.stop] if successor is not None
        }
        names = ", ".join(str(successor.address) for successor in successors) or "no other"
        _log.warning("%s: %s is no longer a master; its slots are served by %s", self.name, shard.address, names)
        if shard.announced.run_id:
            for successor in successors:
                successor.inherit(shard.announced)
        await shard.retire(f"{shard.address} is no longer a master")

    def _open_shard(self, where: tuple[str, int]) -> Shard:
        shard = self._shards.get(where)
        if shard is None:
            shard = self._shards[where] = Shard(self, self._seeds[0].at(*where))
            shard.start()
        return shard

    def _unserved(self) -> str:
        down = [str(shard.address) for shard in self._shards.values() if shard.slots and not shard.connected]
        return f"{self._slots.count(None)} slots have no master; not connected to {', '.join(down) or 'none'}"


async def _views_in_time(asks: Iterable[Coroutine[Any, Any, list[Member]]]) -> list[list[Member]]:
    """The views that arrive in time. Raises errors of the configuration."""
    tasks = [asyncio.ensure_future(ask) for ask in asks]
    if not tasks:
        return []
    await asyncio.wait(tasks, timeout=_ANSWER_WITHIN)
    views = []
    for task in tasks:
        if not task.done():
            task.cancel()
        elif (error := task.exception()) is None:
            views.append(task.result())
        elif not (isinstance(error, LinkError) and error.retry):
            raise error
    return views


def _runs(owners: Sequence[tuple[str, int] | None]) -> list[tuple[int, int, tuple[str, int] | None]]:
    """Ranges of slots with the same owner, as (first slot, slot after the last, owner)."""
    runs: list[tuple[int, int, tuple[str, int] | None]] = []
    start = 0
    for slot in range(1, len(owners) + 1):
        if slot == len(owners) or owners[slot] != owners[start]:
            runs.append((start, slot, owners[start]))
            start = slot
    return runs
