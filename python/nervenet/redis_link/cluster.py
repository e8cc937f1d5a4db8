# SPDX-License-Identifier: Apache-2.0
"""A Redis Cluster behind the face of a link: one auto-batching connection to each master, commands routed by their key.

It hides where slots are and that they move. What a caller notices: `in_order` is false, for commands of one tick go to
several servers; `connected` means that every slot is served. Who follows what:

- MOVED and ASK are followed inside `send` (nothing was done, so following is no second try), on the connection's error path;
  a command costs half as much again as with one server (4 µs instead of 3: its slot, and its words are remembered);
- TRYAGAIN, CLUSTERDOWN and lost connections are `call`'s to try again, as elsewhere;
- MOVED, a lost connection and a few quiet seconds make us ask all masters who serves what (`topology`).

Each master has a `Shard`, which heals as any link does and calls the hooks of `on_reconnect` when its server was
restarted. When a master is no master any more, every connection to it is closed at once, and the shards that have its slots
inherit what was known of it, so that a failover is announced as a restart is, for those slots. Slots that merely move
take their data along, and nothing is announced.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from nervenet.backoff import Backoff
from nervenet.redis_link.address import ClusterAddress, ServerAddress
from nervenet.redis_link.connection import Arg, Connection, failing
from nervenet.redis_link.dial import ServerIdentity, knock
from nervenet.redis_link.faults import BadAddress, ConnectionLost, LinkError, RedisRefused
from nervenet.redis_link.link import Link, RetryingCall, cancelled, exposure
from nervenet.redis_link.shard import Shard
from nervenet.redis_link.slots import SLOTS, key_of, slot_of
from nervenet.redis_link.topology import Member, Topology, merge, parse_nodes
from nervenet.supervision import supervise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Sequence

    from nervenet.redis_link.script import LuaScript

__all__ = ["ClusterLink"]

_ANSWER_WITHIN: Final = 0.5
_LOOK_EVERY: Final = 5.0
_LOOK_AT_MOST_EVERY: Final = 0.05
_WAIT_FOR_CHANGE: Final = 0.25
_HOPS: Final = 4

_log = logging.getLogger(__name__)


class ClusterLink(Link):
    """See the module; made by `opening.open_link`."""

    in_order = False

    def __init__(self, address: ClusterAddress, name: str, scripts: tuple[LuaScript, ...], patience: float) -> None:
        super().__init__(address, name, scripts, patience)
        self.scripts = scripts
        self._seeds = address.seeds
        self.counters = self._counters
        self.telling = asyncio.Lock()
        self._shards: dict[tuple[str, int], Shard] = {}
        self._others: frozenset[tuple[str, int]] = frozenset()
        self._slots: list[Shard | None] = [None] * SLOTS
        self._doubt = asyncio.Event()
        self._change: asyncio.Future[None] = self._loop.create_future()
        self._errands: set[asyncio.Task[None]] = set()

    @classmethod
    async def meet(
        cls, address: ClusterAddress, name: str, scripts: tuple[LuaScript, ...], wait: float, patience: float
    ) -> ClusterLink:
        """Connected to every master, or `ConnectionLost` after `wait` seconds."""
        link = cls(address, name, scripts, patience)
        try:
            await link._begin(link._loop.time() + wait)
        except BaseException:
            await link.close()
            raise
        return link

    async def _begin(self, deadline: float) -> None:
        backoff = Backoff()
        while True:
            await self._learn()
            left = deadline - self._loop.time()
            if not self.connected and left > 0:
                await asyncio.wait((self._change,), timeout=min(left, backoff.next()))
            if self.connected:
                break
            if left <= 0:
                raise ConnectionLost(f"not every slot of {self.address} is served: {self._trouble or self._unserved()}")
        watching = supervise(f"the view of {self.name} on {self.address}", self._watch)
        self._task = asyncio.create_task(watching, name=f"link {self.name}")
        if exposed := [str(shard.address) for shard in self._shards.values() if shard.server.exposed]:
            _log.warning("%s: %s", self.name, exposure(", ".join(exposed)))

    # ── the face ─────────────────────────────────────────────────────────────────────────────────────────────────────

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
    def in_flight(self) -> int:
        return sum(shard.in_flight for shard in self._shards.values())

    def send(self, *args: Arg) -> asyncio.Future[Any]:
        shard = self._shard(args)
        if shard is None:
            return failing(self._loop.create_future(), self._down())
        return shard.send(*args)

    def call(self, *args: Arg) -> Awaitable[Any]:
        shard = self._shard(args)
        return RetryingCall(self, args, None if shard is None or not shard.has_room else shard.send(*args))

    def serving(self, args: Sequence[Arg]) -> Shard:
        shard = self._shard(args)
        if shard is None:
            raise self._down()
        return shard

    def elsewhere(self, refused: RedisRefused) -> Shard:
        _, slot, place = str(refused).split()[:3]
        host, _, port = place.rpartition(":")
        shard = self._open_shard((host.strip("[]") or self._seeds[0].host, int(port)))
        if refused.code == "MOVED":
            self._slots[int(slot)] = shard
            self.look()
        return shard

    async def everywhere(self, *args: Arg) -> list[Any]:
        return await asyncio.gather(*(shard.forward(args) for shard in self._shards.values() if shard.slots))

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
        """To any master, each link to another one: what is published in a cluster is heard everywhere."""
        deadline = None if wait is None else self._loop.time() + wait
        backoff = Backoff()
        while not self._closed:
            shards = [shard for shard in self._shards.values() if shard.connected]
            try:
                if shards:
                    return await shards[slot_of(self.name.encode()) % len(shards)].connect(0, watched=watched)
            except LinkError as error:
                self._trouble = str(error)
            if deadline is not None and self._loop.time() >= deadline:
                break
            await asyncio.sleep(backoff.next())
        raise self._down()

    def met(self, server: ServerIdentity) -> None:
        """Any server will do."""

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await cancelled(self._task)
        for child in tuple(self._children):
            await child.close()
        await asyncio.gather(*(shard.close() for shard in self._shards.values()))
        for errand in tuple(self._errands):
            await cancelled(errand)
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
                self.look()
                await asyncio.wait((self._change,), timeout=min(left, _WAIT_FOR_CHANGE))
            else:
                await asyncio.sleep(min(left, backoff.next()))
            return True
        if error.code in ("CLUSTERDOWN", "MOVED"):
            self.look()
        return await super()._recovered(args, error, backoff, left)

    # ── following ────────────────────────────────────────────────────────────────────────────────────────────────────

    def redirect(self, future: asyncio.Future[Any], args: tuple[Arg, ...], refused: RedisRefused) -> None:
        """A member says that another one has the key: the command goes there, its caller goes on waiting."""
        self._errand(self._follow(future, args, refused))

    async def _follow(self, future: asyncio.Future[Any], args: tuple[Arg, ...], refused: RedisRefused) -> None:
        error: LinkError = refused
        for _ in range(_HOPS):
            try:
                reply = await self.elsewhere(refused).forward(args, asking=refused.code == "ASK")
            except RedisRefused as again:
                error = refused = again
                if again.elsewhere:
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

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    # ── who serves what ──────────────────────────────────────────────────────────────────────────────────────────────

    def look(self) -> None:
        """There is a doubt about who serves what: ask again."""
        self._doubt.set()

    def changed(self) -> None:
        """A shard came up or a slot has another master: whoever waits for that tries again."""
        waited, self._change = self._change, self._loop.create_future()
        waited.set_result(None)

    async def _watch(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._doubt.wait()
            except TimeoutError:
                pass
            self._doubt.clear()
            try:
                await self._learn()
            except LinkError as error:
                self._trouble = str(error)
                _log.warning("%s: who serves what in %s: %s", self.name, self.address, error)
            if self.connected:
                backoff.reset()
                await asyncio.sleep(_LOOK_AT_MOST_EVERY)
            else:
                await asyncio.sleep(max(_LOOK_AT_MOST_EVERY, backoff.next()))
                self.look()

    async def _learn(self) -> None:
        shards = [shard for shard in self._shards.values() if shard.connected]
        views = await _heard(shard.view() for shard in shards)
        if not views:
            places = {seed.where: seed for seed in self._seeds}
            known = [self._seeds[0].at(*place) for place in (*self._shards, *self._others)]
            places.update((one.where, one) for one in known)
            views = await _heard(self._ask(address) for address in places.values())
        if views:
            await self._install(merge(views))
        elif not shards:
            self._trouble = f"no member of {self.address} answers"

    async def _ask(self, address: ServerAddress) -> list[Member]:
        connection = Connection(self._loop, self.counters)
        try:
            await knock(connection, address)
            text = await connection.send(("CLUSTER", "NODES"))
        except RedisRefused as error:
            raise BadAddress(f"{address.where} is in no cluster: {error}") from error
        finally:
            connection.abort("asked what it was to be asked")
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
            await self._bury(self._shards.pop(where), before[where])
        self.changed()

    async def _bury(self, shard: Shard, had: tuple[range, ...]) -> None:
        heirs = {heir for slots in had for heir in self._slots[slots.start : slots.stop] if heir is not None}
        names = ", ".join(str(heir.address) for heir in heirs) or "nobody"
        _log.warning("%s: %s is no master any more; its slots are served by %s", self.name, shard.address, names)
        if shard.told.run_id:
            for heir in heirs:
                heir.inherit(shard.told)
        await shard.retire(f"{shard.address} is no master any more")

    def _open_shard(self, where: tuple[str, int]) -> Shard:
        shard = self._shards.get(where)
        if shard is None:
            shard = self._shards[where] = Shard(self, self._seeds[0].at(*where))
            shard.start()
        return shard

    def _unserved(self) -> str:
        down = [str(shard.address) for shard in self._shards.values() if shard.slots and not shard.connected]
        return f"{self._slots.count(None)} slots have no master; not connected to {', '.join(down) or 'none'}"


async def _heard(asks: Iterable[Coroutine[Any, Any, list[Member]]]) -> list[list[Member]]:
    """The views that came in time; what is wrong with our configuration is raised."""
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
    """Neighbouring slots of one owner, as (first, behind the last, owner)."""
    runs: list[tuple[int, int, tuple[str, int] | None]] = []
    start = 0
    for slot in range(1, len(owners) + 1):
        if slot == len(owners) or owners[slot] != owners[start]:
            runs.append((start, slot, owners[start]))
            start = slot
    return runs
