# SPDX-License-Identifier: Apache-2.0
"""One pipelined connection to Redis.

All commands of one tick of the event loop leave in one write, and replies are matched to callers by their order alone.
So a command costs 5 µs, not the 130 µs of a connection pool. It also means that no future may leave the queue: if a
caller is cancelled its place stays, and its reply is read and dropped.

hiredis (in C) packs commands and parses replies. The transport is an `asyncio.Protocol`, because asyncio's streams add
a task switch and a copy to each reply. The protocol is RESP2: no reply needs a type of RESP3, and Redis 6.2 and Valkey
give the same replies in it. Reconnecting and retrying are the link's task: a connection never connects a second time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis

from nervenet.clock import SYSTEM
from nervenet.metrics import Family, Histogram, catalog
from nervenet.redis_link.faults import ConnectionLost, LinkError, LinkFull, RedisRefused

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Arg", "Connection", "Counters", "failing"]

Arg = bytes | str | int | float

MAX_IN_FLIGHT: Final = 10_000
MAX_UNSENT: Final = 16 * 1024 * 1024
MAX_PAGES: Final = 64
_HARD: Final = 2  # send() fails at twice the load at which room() begins to wait

# The replies of these may be as large as a page (500 entries or 1 MiB), so at most 64 of them may be in flight.
_PAGE_READS: Final = frozenset({"XRANGE", "XREVRANGE", "XREAD", "XREADGROUP", "HGETALL"})

_CHECK_EVERY: Final = 0.5
_PING_AFTER: Final = 1.0
_SILENCE: Final = 3.0  # with the two above: a half-open connection is detected within 5 s

_TIMED: Final = 4  # one write in this many is timed

_NOTHING: Final = object()
_pack: Callable[[tuple[Arg, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its stub says 1-tuple


class Counters:
    """Totals of all connections of a link; sizes and times only of those that no reader blocks."""

    __slots__ = (
        "batch_size",
        "batch_sizes",
        "commands",
        "dropped",
        "reconnects",
        "retried",
        "round_trip",
        "round_trips",
        "writes",
    )

    def __init__(self) -> None:
        self.commands = self.writes = self.dropped = self.retried = self.reconnects = 0
        self.batch_sizes = Family.of_histograms(catalog.REDIS_BATCH)
        self.round_trips = Family.of_histograms(catalog.REDIS_ROUND_TRIP)
        self.batch_size: Histogram = self.batch_sizes.child()
        self.round_trip: Histogram = self.round_trips.child()


class Connection(asyncio.Protocol):
    """Commands in, futures out. `lost` is done, with the reason, as soon as the connection can no longer be used."""

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counters, *, watched: bool = True) -> None:
        self._loop = loop
        self._counters = counters
        self._watched = watched
        self._reader = hiredis.Reader(replyError=RedisRefused, notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._scheduled = False
        self._writing_paused = False
        self._unwritten = 0
        self._answered = 0
        self._pages: deque[int] = deque()  # the positions in the queue at which a reply of a page is expected
        self._room: deque[asyncio.Future[None]] = deque()
        self._push: Callable[[Any], None] | None = None
        self._pinged = False
        self._silent_since = self._checked_at = 0.0
        self._timed_write = 0.0  # when the write that is timed left; 0.0: none is
        self._timed_until = 0  # the position in the queue of its last reply
        self._timer: asyncio.TimerHandle | None = None
        self._reason: str | None = None
        self.on_lost: Callable[[], None] | None = None
        self.lost: asyncio.Future[str] = loop.create_future()

    def __repr__(self) -> str:
        state = f"lost: {self._reason}" if self._reason else f"{len(self._waiting)} in flight"
        return f"<Connection {state}>"

    # -- commands --------------------------------------------------------------------------------------------------

    def send(self, args: tuple[Arg, ...]) -> asyncio.Future[Any]:
        """Send a command at the end of this tick. An error is the exception of the future."""
        waiting = self._waiting
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._reason is not None:
            return failing(future, ConnectionLost(self._reason))
        if len(waiting) >= _HARD * MAX_IN_FLIGHT or self._unsent_bytes >= _HARD * MAX_UNSENT:
            return failing(future, LinkFull(f"{len(waiting)} commands, {self._unsent_bytes} bytes wait for Redis"))
        packed = _pack(args)
        if args[0] in _PAGE_READS:
            self._pages.append(self._answered + len(waiting))
        waiting.append(future)
        self._unsent.append(packed)  # as `_queue`: every call to Redis comes by here
        self._unsent_bytes += len(packed)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        return future

    def send_now(self, args: tuple[Arg, ...]) -> asyncio.Future[Any]:
        """`send` in a write of its own: for a reader, which sends one command at a time on a connection that is not watched."""
        transport = self._transport
        if self._watched or self._unsent or self._writing_paused or transport is None or self._reason is not None:
            return self.send(args)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(future)
        self._counters.commands += 1
        self._counters.writes += 1
        transport.write(_pack(args))
        return future

    def _queue(self, packed: bytes) -> None:
        self._unsent.append(packed)
        self._unsent_bytes += len(packed)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def flush(self) -> None:
        """Write now what the end of this tick would write, unless Redis works for others already: then more may join them.
        For callers that have nothing to add."""
        if self._unsent and len(self._unsent) == len(self._waiting):
            self._flush()

    @property
    def in_flight(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether a caller should await `room()` before the next command."""
        return len(self._waiting) >= MAX_IN_FLIGHT or self._unsent_bytes >= MAX_UNSENT or len(self._pages) >= MAX_PAGES

    async def room(self) -> None:
        """Return when there is room for another command, or the connection is lost."""
        while self.full and self._reason is None:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._room.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._make_room()  # the cancelled waiter may have been the one that was woken
                raise

    def divert(self, push: Callable[[Any], None]) -> None:
        """From now on give each message to `push`, instead of a future (for pub/sub)."""
        self._push = push

    def write(self, *args: Arg) -> None:
        """Send a command without a future for its reply (on a diverted connection)."""
        if self._reason is None:
            self._queue(_pack(args))

    def abort(self, reason: str) -> None:
        """Close the connection. All futures that wait for a reply fail with `ConnectionLost`."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    # -- called by the transport -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=1024 * 1024)
        self._silent_since = self._checked_at = self._loop.time()
        if self._watched:
            self._timer = self._loop.call_later(_CHECK_EVERY, self._check_silence)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection to Redis broke: {exc}" if exc else "Redis closed the connection")

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._silent_since = self._loop.time()
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._watched:
            self._silent_since = self._loop.time()
        self._reader.feed(data)
        try:
            if self._push is None:
                self._answer()
            else:
                self._push_all(self._push)
        except hiredis.ProtocolError as error:
            self.abort(f"what answers there does not speak Redis' protocol: {error}")
        if self._room:
            self._make_room()

    def _answer(self) -> None:
        waiting, reply_of = self._waiting, self._reader.gets
        while (reply := reply_of()) is not _NOTHING:
            if not waiting:
                self.abort(f"Redis sent a reply without a command: {reply}")
                return
            future = waiting.popleft()
            self._answered += 1
            if future.done():
                self._counters.dropped += 1
            elif type(reply) is RedisRefused:
                self._refuse(future, reply)
            else:
                future.set_result(reply)
        pages = self._pages
        while pages and pages[0] < self._answered:
            pages.popleft()
        if self._timed_write and self._answered >= self._timed_until:
            self._counters.round_trip.observe(SYSTEM.monotonic() - self._timed_write)
            self._timed_write = 0.0

    def _refuse(self, future: asyncio.Future[Any], reply: RedisRefused) -> None:
        future.set_exception(reply)
        if reply.demoted:  # it was a master at login: connect to the present one
            self._loop.call_soon(self.abort, f"the server is no longer a master ({reply.code})")

    def _push_all(self, push: Callable[[Any], None]) -> None:
        self._pinged = False
        while (reply := self._reader.gets()) is not _NOTHING:
            push(reply)

    def _flush(self) -> None:
        self._scheduled = False
        if self._writing_paused or self._transport is None or not self._unsent:
            return
        batch = self._unsent
        commands, in_flight = len(batch), len(self._waiting)
        counters = self._counters
        counters.commands += commands
        counters.writes += 1
        if self._watched:
            counters.batch_size.observe(commands)
            if not self._timed_write and not counters.writes % _TIMED:
                self._timed_write, self._timed_until = SYSTEM.monotonic(), self._answered + in_flight
        if commands == in_flight:  # no command was in flight before, so silence begins now
            self._silent_since = self._loop.time()
        self._unsent = []
        self._unsent_bytes = 0
        self._transport.write(batch[0] if commands == 1 else b"".join(batch))

    def _make_room(self) -> None:
        free = min(MAX_IN_FLIGHT - len(self._waiting), MAX_PAGES - len(self._pages))
        if not self.full:
            self._wake_waiters(free)

    def _wake_waiters(self, waiters: int) -> None:
        while waiters > 0 and self._room:
            waiter = self._room.popleft()
            if not waiter.done():
                waiter.set_result(None)
                waiters -= 1

    def _end(self, reason: str) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        if self._timer is not None:
            self._timer.cancel()
        if self.on_lost is not None:  # before the futures fail, so that no retry uses this connection
            self.on_lost()
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                failing(future, ConnectionLost(reason))
        self._unsent = []
        self._wake_waiters(len(self._room))
        if not self.lost.done():
            self.lost.set_result(reason)

    # -- is the peer alive? ----------------------------------------------------------------------------------------

    def _check_silence(self) -> None:
        if self._reason is not None:
            return
        now = self._loop.time()
        overslept = now - self._checked_at > 2 * _CHECK_EVERY  # replies of that time are not read yet
        self._checked_at = now
        if overslept or self._upload_moves():
            self._silent_since = now
        silence = now - self._silent_since
        if (self._waiting or self._pinged) and silence > _SILENCE:
            self.abort(f"no answer from Redis for {silence:.1f} s")
            return
        if not self._waiting and not self._pinged and silence > _PING_AFTER:
            self.ping()
        self._timer = self._loop.call_later(_CHECK_EVERY, self._check_silence)

    def _upload_moves(self) -> bool:
        """Whether the peer takes bytes: a large command on a slow line has no reply for a long time."""
        before, self._unwritten = self._unwritten, self._transport.get_write_buffer_size() if self._transport else 0
        return self._unwritten < before

    def ping(self) -> asyncio.Future[Any] | None:
        """Send a PING. A connection that does not answer it is closed."""
        if self._push is not None:
            self._pinged = True
            self.write("PING")
            return None
        future = self.send(("PING",))
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else reads its error
        return future


def failing(future: asyncio.Future[Any], error: LinkError) -> asyncio.Future[Any]:
    """A future that fails with `error`. It logs nothing if it is never awaited: a broken connection has thousands of
    them."""
    future.set_exception(error)
    future.exception()
    return future
