# SPDX-License-Identifier: Apache-2.0
"""The link to one Redis server: one shared connection for commands, and one for each reader that blocks.

It hides connecting, login, reconnecting, batching and retries, and whether the URL names one server or a master that
sentinels watch. `cluster.ClusterLink` has the same methods for a Redis Cluster. There are two ways to send a command:

- `send` is one try on the present connection. Its future fails with `ConnectionLost` when that connection breaks.
- `call` and `script` retry, for at most `patience` seconds. A command whose reply was lost is sent again, although it
  may have run: every command of the data plane is idempotent (law 2).

Each of them sends the command when it is called, not when it is awaited: all commands of one tick of the event loop
leave in one write. The order of two commands is only guaranteed if one is sent after the reply of the other.

    link = await open_link("redis://localhost:6379/0", name="n-4kq2hd7a")
    first, second = link.call("XADD", key, "*", "n", "start"), link.call("SADD", owned, workflow_id)  # one write
    await first, await second

The hooks in `on_reconnect` restore what Redis has lost. They are called with the old and the new identity when the pair
(run_id, master_replid) has changed: once after each restart or failover, and in a cluster once for each server that has
restarted (`new.holds(key)` tells whether it has a key). They run at the same time. The link works as usual while they run. If the connection
breaks meanwhile, they are cancelled and started again on the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from nervenet.backoff import Backoff
from nervenet.clock import SYSTEM
from nervenet.redis_link.address import RedisAddress, SentinelAddress, ServerAddress
from nervenet.redis_link.connection import Arg, Connection, Counters, failing
from nervenet.redis_link.dial import ServerIdentity, dial
from nervenet.redis_link.faults import (
    ConnectionLost,
    LinkClosed,
    LinkError,
    RedisRefused,
    UnfitServer,
)
from nervenet.redis_link.reader import Reader
from nervenet.redis_link.script import LuaScript
from nervenet.redis_link.sentinel import Sentinels
from nervenet.redis_link.skips import SkipCounter
from nervenet.redis_link.subscription import Subscription
from nervenet.supervision import supervise

__all__ = ["Hook", "Link", "RetryingCall", "answer_within", "cancelled", "exposure_warning"]

_CLOSE_WITHIN: Final = 2.0
_ANSWER_BY: ContextVar[tuple[float, float]] = ContextVar("answer_by", default=(0.0, 0.0))
"""Until when commands are retried, and when the caller stops listening, in the loop's time. After that moment it means
nothing: a task that outlives its caller has the usual patience."""


def answer_within(seconds: float, deadline: float) -> None:
    """In this task, commands are retried for at most `seconds` from now on, even if a link has more patience. So the caller hears
    why there is no answer, before its own `deadline` (also in seconds from now) ends the call without a reason."""
    now = asyncio.get_running_loop().time()
    _ANSWER_BY.set((now + seconds, now + deadline))


"""Seconds for which `close` waits for replies."""
_STABLE_AFTER: Final = 5.0
"""Seconds after which a connection counts as good, so that the pauses begin with the shortest again."""
_Child = TypeVar("_Child", Reader, Subscription)
_T = TypeVar("_T")

_log = logging.getLogger(__name__)

Hook = Callable[[ServerIdentity, ServerIdentity], Awaitable[None]]


class RetryingCall:
    """Awaitable returned by `call`. The command has already been sent; awaiting it retries on errors that may pass.

    It is no coroutine, because Python warns of a coroutine that is never awaited: when one of several calls fails, or
    its task is cancelled, the caller drops the others.
    """

    __slots__ = ("_args", "_link", "_reply")

    def __init__(self, link: Link, args: tuple[Arg, ...], reply: asyncio.Future[Any] | None) -> None:
        self._link = link
        self._args = args
        self._reply = reply

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._link.retry_until_answered(self._args, self._reply).__await__()


class Link:
    """A connection to Redis that reconnects. Open it with `opening.open_link`, share it in the process, and `close`
    it."""

    in_order = True
    """Whether commands of one tick arrive in their order, whatever their keys are. False for a cluster."""

    def __init__(self, address: RedisAddress, name: str, scripts: Iterable[LuaScript], patience: float) -> None:
        self.address = address
        self.name = name
        self.patience = patience
        self.on_reconnect: list[Hook] = []
        self.skips = SkipCounter()
        self._loop = asyncio.get_running_loop()
        self._sentinels = Sentinels(address) if isinstance(address, SentinelAddress) else None
        self.counters = Counters()
        self._scripts = {script.sha: script for script in scripts}
        self._connection: Connection | None = None
        self._last: Connection | None = None
        self._connections: dict[Connection, ServerAddress] = {}
        self._up = asyncio.Event()
        self._closed = False
        self._last_error = ""
        self._server = self._announced = ServerIdentity("", "")
        self._children: set[Reader | Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self.connected else f"down: {self._last_error}"
        return f"<{type(self).__name__} {self.name} to {self.address}, {state}>"

    async def begin(self, wait: float) -> None:
        """Connect for the first time, and stay connected from then on."""
        try:
            connection, server = await self.connect(wait)
        except BaseException:
            await self.close()
            raise
        self._announced = server
        self._arrived(connection, server)
        self._task = asyncio.create_task(self._live(), name=f"link {self.name}")
        if self._sentinels is not None:
            self._sentinels.follow(self._master_is)
        if server.exposed:
            _log.warning("%s: %s", self.name, exposure_warning(str(self.address)))

    @property
    def server(self) -> ServerIdentity:
        """The identity of the server that answered last."""
        return self._server

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def fails_over(self) -> bool:
        """Whether a replica may take the place of the server without a word to us before: sentinels decide, or a cluster."""
        return self._sentinels is not None

    @property
    def in_flight(self) -> int:
        """The number of commands that wait for their reply."""
        return self._connection.in_flight if self._connection else 0

    @property
    def has_room(self) -> bool:
        """Whether a command can be sent now."""
        return self._connection is not None and not self._connection.full

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, *args: Arg) -> asyncio.Future[Any]:
        """Send a command, one try. It leaves in one write with the others of this tick. The future may fail with a
        `LinkError`."""
        connection = self._connection
        if connection is None:
            return failing(self._loop.create_future(), self._down())
        return connection.send(args)

    def flush(self) -> None:
        """Write what was sent in this tick now, unless commands of others are in flight. For callers that have nothing to add."""
        if self._connection is not None:
            self._connection.flush()

    def call(self, *args: Arg) -> Awaitable[Any]:
        """`send` with retries, up to `patience` seconds, while the error is one that may pass. It waits for room
        first."""
        connection = self._connection
        if connection is None or connection.full:
            return RetryingCall(self, args, None)
        return RetryingCall(self, args, connection.send(args))

    def script(self, script: LuaScript, keys: Sequence[str | bytes], args: Sequence[Arg] = ()) -> Awaitable[Any]:
        """`call` of a script (EVALSHA). If the server does not know the script, it is loaded and called again."""
        if script.sha not in self._scripts:
            self._scripts[script.sha] = script
        return self.call("EVALSHA", script.sha, len(keys), *keys, *args)

    def load_unknown(self, args: tuple[Arg, ...], refused: RedisRefused) -> None:
        """Load the script of this command, if the server refused it because it does not know that. For callers of `send`."""
        if refused.code == "NOSCRIPT" and (script := self._scripts.get(str(args[1]))) is not None:
            self.server_of(args).send("SCRIPT", "LOAD", script.source)

    async def everywhere(self, *args: Arg) -> list[Any]:
        """`call` of a command that has no key, on each master. Returns their replies."""
        return [await self.call(*args)]

    async def room(self) -> None:
        """Return when there is room for another command. Await it before each `send` of a loop: at twice the load at
        which this waits, `send` fails with `LinkFull`."""
        while self._connection is not None and self._connection.full:
            await self._connection.room()

    async def until_connected(self, within: float) -> None:
        """Raises `ConnectionLost`, with the reason, if there is no connection within these seconds."""
        if self._connection is None:
            try:
                async with asyncio.timeout(within):
                    await self._up.wait()
            except TimeoutError:
                raise self._down() from None

    async def scan(self, match: str, count: int = 1_000) -> AsyncIterator[list[bytes]]:
        """All keys that match the pattern, in pages, of each master in turn."""
        cursor = b"0"
        while True:
            cursor, keys = await self.call("SCAN", cursor, "MATCH", match, "COUNT", count)
            if keys:
                yield keys
            if cursor == b"0":
                return

    async def ping(self) -> float:
        """The seconds of one round trip, which includes the commands that are in flight already."""
        began = SYSTEM.monotonic()
        await self.call("PING")
        return SYSTEM.monotonic() - began

    async def dedicated(self) -> Reader:
        """A separate connection for one reader that blocks. It connects at its first read."""
        return self._adopt(Reader(self, self._children.discard))

    async def subscribe(self) -> Subscription:
        """A separate connection for pub/sub."""
        return self._adopt(Subscription(self.name, self, self._children.discard))

    def server_of(self, args: Sequence[Arg]) -> Link:
        """The link to the server that has the key of this command. Raises `ConnectionLost` while there is none."""
        return self

    def follow_redirect(self, refused: RedisRefused) -> Link:
        """The link to the server that a MOVED or ASK names."""
        raise UnfitServer(f"{self.address} has become a member of a Redis Cluster: {refused}") from refused

    async def close(self) -> None:
        """Wait for the replies of commands in flight, two seconds at most, then close every connection."""
        if self._closed:
            return
        self._closed = True
        await cancelled(self._task)
        await cancelled(self._announcing)
        if self._sentinels is not None:
            await self._sentinels.close()
        connection = self._connection
        if connection is not None:
            await asyncio.wait((connection.send(("PING",)),), timeout=_CLOSE_WITHIN)
            connection.abort("the link was closed")
        self._connection = None
        self._up.set()
        for child in tuple(self._children):
            await child.close()
        for each in tuple(self._connections):
            each.abort("the link was closed")

    def _down(self) -> LinkError:
        if self._closed:
            return LinkClosed(f"the link to {self.address} is closed")
        return ConnectionLost(self._last_error or f"not connected to {self.address}")

    async def retry_until_answered(self, args: tuple[Arg, ...], reply: asyncio.Future[Any] | None) -> Any:
        try:
            if reply is not None:
                return await reply
            return await self._once(args)
        except LinkError as error:
            if not error.retry:
                raise
            return await self._retry(args, error)

    async def _once(self, args: tuple[Arg, ...]) -> Any:
        server = self.server_of(args)
        await server.room()
        return await server.send(*args)

    async def _retry(self, args: tuple[Arg, ...], error: LinkError) -> Any:
        now = self._loop.time()
        deadline, (answer_by, ends) = now + self.patience, _ANSWER_BY.get()
        if now < ends:
            deadline = min(deadline, answer_by)
        backoff = Backoff()
        while True:
            self.counters.retried += 1
            if not await self._recovered(args, error, backoff, deadline - self._loop.time()):
                error.add_note(f"tried again for {round(self._loop.time() - now, 1):g} s; {self._last_error or self!r}")
                raise error
            try:
                return await self._once(args)
            except LinkError as again:
                if not again.retry:
                    raise
                error = again

    async def _recovered(self, args: tuple[Arg, ...], error: LinkError, backoff: Backoff, left: float) -> bool:
        """Wait until another try can succeed. False: the time is over."""
        if left <= 0:
            return False
        if isinstance(error, RedisRefused):
            await asyncio.sleep(min(left, backoff.next()))
            self.load_unknown(args, error)
            return True
        try:
            async with asyncio.timeout(left):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    # -- staying connected -----------------------------------------------------------------------------------------

    async def connect(self, wait: float | None = None, *, watched: bool = True) -> tuple[Connection, ServerIdentity]:
        """A new connection to the present server. Tries for `wait` seconds; without `wait`, for ever."""
        deadline = None if wait is None else self._loop.time() + wait
        backoff = Backoff()
        while not self._closed:
            try:
                return await self._attempt(watched=watched)
            except LinkError as error:
                self._last_error = str(error)
                if deadline is not None and (not error.retry or self._loop.time() >= deadline):
                    raise
            await asyncio.sleep(backoff.next())
        raise self._down()

    async def _attempt(self, *, watched: bool) -> tuple[Connection, ServerIdentity]:
        address = await self._sentinels.find() if self._sentinels is not None else self.address
        assert isinstance(address, ServerAddress)
        connection = self._new_connection(watched=watched)
        self._connections[connection] = address
        connection.lost.add_done_callback(lambda _: self._connections.pop(connection, None))
        return connection, await dial(connection, address, self.name, self._scripts.values())

    def _new_connection(self, *, watched: bool) -> Connection:
        return Connection(self._loop, self.counters, watched=watched)

    def _master_is(self, address: ServerAddress) -> None:
        """Called with the master's address that the sentinels name. Connections to any other address go to a former
        master."""
        for each, where in tuple(self._connections.items()):
            if where != address:
                each.abort(f"the sentinels say that {address.where} is the master, no longer {where.where}")

    def check_server(self, server: ServerIdentity) -> None:
        """Reconnect the commands if a reader has reached another server than theirs."""
        if self._connection is not None and not server.same(self._server):
            self._connection.abort("another server answers at this address")

    async def reached(self, server: ServerIdentity) -> None:
        """Return once the commands go to this server, so once the hooks know of it: nothing that it has may be read before."""
        self.check_server(server)
        try:
            async with asyncio.timeout(self.patience):
                await self._up.wait()
        except TimeoutError:
            raise self._down() from None
        if not server.same(self._server):
            raise ConnectionLost("the commands go to another server")

    def _adopt(self, child: _Child) -> _Child:
        self._children.add(child)
        return child

    def _use(self, connection: Connection) -> None:
        if connection.lost.done():
            return
        connection.on_lost = self._lose
        self._connection = connection
        self._up.set()

    def _lose(self) -> None:
        self._connection = None
        self._up.clear()

    async def _live(self) -> None:
        with suppress(LinkClosed):
            await supervise(f"the link of {self.name} to {self.address}", self._keep, fatal=(LinkClosed,))

    async def _keep(self) -> None:
        """Connect again each time that the connection is lost."""
        backoff = Backoff()
        while True:
            began = self._loop.time()
            if self._last is not None:
                self._last_error = await self._last.lost
            _log.warning("%s: %s; connecting again", self.name, self._last_error)
            await cancelled(self._announcing)
            if self._loop.time() - began > _STABLE_AFTER:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            connection, server = await self.connect()
            self.counters.reconnects += 1
            _log.info("%s: connected again to %s", self.name, self.address)
            self._arrived(connection, server)

    def _arrived(self, connection: Connection, server: ServerIdentity) -> None:
        self._last = connection
        self._server = server
        self._use(connection)
        if not server.same(self._announced):
            self._announce(self._announced)

    def _announce(self, old: ServerIdentity) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
        self._announcing = asyncio.create_task(self._run_hooks(old, self._server), name=f"{self.name} came back")

    async def _run_hooks(self, old: ServerIdentity, new: ServerIdentity) -> None:
        _log.warning(
            "%s: Redis at %s has restarted or failed over (now %s; before: %s)", self.name, self.address, new, old
        )
        hooks = tuple(self.on_reconnect)
        if len(hooks) == 1:  # at once, in this task: what is done until it begins may have to be done again
            await self._run_hook(hooks[0], old, new)
        else:
            await asyncio.gather(*(self._run_hook(hook, old, new) for hook in hooks))
        # Only now: if the connection breaks while the hooks run, they start again on the next one.
        self._announced = new

    async def _run_hook(self, hook: Hook, old: ServerIdentity, new: ServerIdentity) -> None:
        try:
            await hook(old, new)
        except Exception:  # noqa: BLE001 - a bug in one hook must not stop the other hooks
            _log.exception("%s: a reconnect hook failed", self.name)


def exposure_warning(place: str) -> str:
    """The warning for a server whose failover could lose acknowledged writes."""
    return (
        f"{place} has replicas but min-replicas-to-write is 0: a master without connection to them still accepts writes,"
        " and a failover loses these; set min-replicas-to-write 1 and min-replicas-max-lag 10 on each server"
    )


async def cancelled(task: asyncio.Task[None] | None) -> None:
    """Cancel the task, if there is one, and wait for its end."""
    if task is not None:
        task.cancel()
        await asyncio.wait((task,))
