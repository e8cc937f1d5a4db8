# SPDX-License-Identifier: Apache-2.0
"""Connections to the simulated Redis: what the link gets instead of a socket.

Commands of one connection arrive in their order, those of different ones in any. Between any two commands that the
server executes, `Network.plan` may name a fault: it is counted in commands, so a crash falls exactly there, before the
command, or after it and before its reply. A killed process' last commands still arrive up to a moment of chance, then
none, as with a real socket buffer.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from nervenet.redis_link.dial import ServerIdentity
from nervenet.redis_link.faults import ConnectionLost, RedisRefused
from tests.simulation.loop import PROCESS, Process, VirtualLoop
from tests.simulation.store import Store, text

_HAND_ON = (b":inbox:{", b":queue:{")
_APPENDING = ("journal_append", "task_complete", "decision_append")


class Network:
    """All connections of a schedule. `faults` maps the number of a command to what happens there."""

    def __init__(self, loop: VirtualLoop, store: Store, chance: random.Random) -> None:
        self.loop = loop
        self.store = store
        self.chance = chance
        self.faults: dict[int, list[Callable[[Wire], str]]] = {}
        self.duplicates = self.late = 0.0
        self.copies = 1
        self.lost_wakes = 0.0
        self.counted: Counter[str] = Counter()
        self.executed = 0
        self.wires: list[Wire] = []
        self.identity = ServerIdentity("run 1", "data 1", "simulated")
        self._kept = store.kept()
        self._down_until = 0.0
        self._blocked: dict[bytes, deque[Blocked]] = {}
        self._late: dict[int, tuple[Any, ...]] = {}
        self.nobody = contextvars.Context()
        store.on_add = self._added
        store.loses_wake = self._loses_wake

    def latency(self) -> float:
        """Mostly a fraction of a millisecond; now and then something hangs."""
        dice = self.chance.random()
        return dice * 0.001 if dice < 0.98 else (dice - 0.98) * 10.0

    def connection(self, *_: Any, **__: Any) -> Wire:
        """In place of `nervenet.redis_link.connection.Connection`."""
        wire = Wire(self, PROCESS.get())
        self.wires = [known for known in self.wires if not known.lost.done()]
        self.wires.append(wire)
        return wire

    async def dial(self, wire: Wire, *_: Any) -> ServerIdentity:
        """In place of `nervenet.redis_link.dial.dial`."""
        await asyncio.sleep(self.latency())
        if self.loop.now < self._down_until:
            wire.abort("the simulated server is down")
        if wire.lost.done():
            raise ConnectionLost(wire.lost.result())
        return self.identity

    def process_died(self, process: Process) -> None:
        for wire in self.wires:
            if wire.process is process:
                wire.cut_off()

    def cut(self, process: Process) -> None:
        """Every connection of a living process breaks."""
        for wire in self.wires:
            if wire.process is process and not wire.lost.done():
                wire.abort("the simulated link was cut")

    # ── a server that crashes ────────────────────────────────────────────────────────────────────────────────────────

    def sync(self) -> None:
        """The server's file is synced: what stands now survives the next crash."""
        self._kept = self.store.kept()

    def crash(self, down: float) -> None:
        """The server dies, and comes back seconds later with what was synced. What was under way to it is gone."""
        self.store.come_back(self._kept)
        life = f"{int(self.identity.run_id.split()[1]) + 1}"
        self.identity = ServerIdentity(f"run {life}", f"data {life}", "simulated")
        self._down_until = self.loop.now + down
        self._late.clear()
        for wire in self.wires:
            if wire.process is None or wire.process.alive:
                wire.server_died()

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def execute(self, wire: Wire, words: tuple[Any, ...]) -> Any:
        """One command at the server, with what the schedule has in store for this moment. Errors come as values."""
        self.executed += 1
        lost = ""
        for fault in self.faults.pop(self.executed, ()):
            lost = fault(wire) or lost
        if lost == "before":
            return _NOTHING
        reply = self._once(words)
        if lost == "after":
            return _NOTHING
        return reply

    def _once(self, words: tuple[Any, ...]) -> Any:
        name = words[0]
        if name == "XADD":
            if self.duplicates and any(part in words[1] for part in _HAND_ON):
                return self._copied(words)
        elif name == "EVALSHA":
            if self.duplicates and self.chance.random() < self.duplicates / 4:
                self.counted["commands repeated"] += 1  # the reply was lost, the link said it again
                self._guarded(words)
            if self.late and self.store.script_names[text(words[1]).decode()] in _APPENDING:
                self._perhaps_late(words)
        return self._guarded(words)

    def _loses_wake(self) -> bool:
        """Whoever sends it, a process or a script."""
        lost = bool(self.lost_wakes) and self.chance.random() < self.lost_wakes
        self.counted["wakes lost"] += lost
        return lost

    def _copied(self, words: tuple[Any, ...]) -> Any:
        reply = self._guarded(words)
        if reply is not None and self.chance.random() < self.duplicates:
            for _ in range(self.copies):
                self._guarded(words)
            self.counted["tasks delivered again"] += self.copies
        if self.late:
            self._perhaps_late(words)
        return reply

    def _perhaps_late(self, words: tuple[Any, ...]) -> None:
        """The same once more, seconds later: its workflow may be in its next run by then, or closed."""
        if self.chance.random() < self.late:
            number = self.executed
            self._late[number] = words
            self.loop.call_later(self.chance.random() ** 2 * 8.0, self._comes_late, number, context=self.nobody)

    def _comes_late(self, number: int) -> None:
        words = self._late.pop(number, None)
        if words is not None:
            self.counted["commands that came late" if words[0] == "EVALSHA" else "tasks that came late"] += 1
            self._guarded(words)

    def all_comes(self) -> None:
        """Whatever is under way arrives now, and from here on everything comes once."""
        self.duplicates = self.late = 0.0
        for number in list(self._late):
            self._comes_late(number)

    def _guarded(self, words: tuple[Any, ...]) -> Any:
        try:
            return self.store.execute(*words)
        except RedisRefused as error:
            return error

    # ── blocking reads ───────────────────────────────────────────────────────────────────────────────────────────────

    def block(self, wire: Wire, words: tuple[Any, ...], answer: Callable[[Any], None]) -> None:
        at = words.index("STREAMS")
        ms = int(words[words.index("BLOCK") + 1])
        blocked = Blocked(wire, words, answer)
        self._blocked.setdefault(words[at + 1], deque()).append(blocked)
        self.loop.call_later(ms / 1000, blocked.give_up, context=self.nobody)

    def _added(self, key: bytes) -> None:
        if self._blocked.get(key):
            self.loop.call_soon(self._serve, key, context=self.nobody)

    def _serve(self, key: bytes) -> None:
        waiting = self._blocked.get(key)
        while waiting:
            blocked = waiting[0]
            if not blocked.over:
                reply = self._guarded(blocked.words)
                if reply is None:
                    return
                blocked.over = True
                blocked.answer(reply)
            waiting.popleft()


class Blocked:
    """A read that waits at the server."""

    __slots__ = ("answer", "over", "wire", "words")

    def __init__(self, wire: Wire, words: tuple[Any, ...], answer: Callable[[Any], None]) -> None:
        self.wire, self.words, self.answer = wire, words, answer
        self.over = False
        wire.blocked = self

    def give_up(self) -> None:
        if not self.over:
            self.over = True
            self.answer(None)


_NOTHING = object()


class Wire:
    """One connection, with the interface that `Link` and `Reader` use."""

    full = False

    def __init__(self, network: Network, process: Process | None) -> None:
        self.process = process
        self.on_lost: Callable[[], None] | None = None
        self.blocked: Blocked | None = None
        self._network = network
        self._loop = network.loop
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self._reason = ""
        self._arrival = self._answer = 0.0
        self._open_until = float("inf")

    @property
    def in_flight(self) -> int:
        return len(self._waiting)

    async def room(self) -> None:
        """There always is."""

    def flush(self) -> None:
        """Each command leaves at once."""

    def send_now(self, words: tuple[Any, ...]) -> asyncio.Future[Any]:
        return self.send(words)

    def send(self, words: tuple[Any, ...]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._reason:
            future.set_exception(ConnectionLost(self._reason))
            future.exception()
            return future
        self._waiting[future] = None
        self._arrival = max(self._arrival, self._loop.now + self._network.latency())
        self._loop.call_at(self._arrival, self._arrive, words, future, context=self._network.nobody)
        return future

    def abort(self, why: str) -> None:
        if self._reason:
            return
        self._reason = why
        self.cut_off()
        if self.on_lost is not None:
            self.on_lost()
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionLost(why))
                future.exception()
        if not self.lost.done():
            self.lost.set_result(why)

    def cut_off(self) -> None:
        """What is under way arrives up to a moment of chance, and nothing that waits there is answered."""
        self._open_until = min(self._open_until, self._loop.now + self._network.latency())
        if self.blocked is not None:
            self.blocked.over = True

    def server_died(self) -> None:
        """Nothing that was sent arrives, nothing is answered."""
        self._open_until = -1.0
        if self.blocked is not None:
            self.blocked.over = True
        self.abort("the simulated server died")

    def _arrive(self, words: tuple[Any, ...], future: asyncio.Future[Any]) -> None:
        if self._loop.now > self._open_until:
            return
        reply = self._network.execute(self, words)
        if reply is None and "BLOCK" in words:
            self._network.block(self, words, lambda late: self._send_back(future, late))
        else:
            self._send_back(future, reply)

    def _send_back(self, future: asyncio.Future[Any], reply: Any) -> None:
        if reply is _NOTHING:  # the connection breaks here: nothing more that was sent on it arrives or is answered
            self._open_until = -1.0
            self.abort("the simulated link was cut")
            return
        self._answer = max(self._answer, self._loop.now + self._network.latency())
        self._loop.call_at(self._answer, self._answered, future, reply, context=self._network.nobody)

    def _answered(self, future: asyncio.Future[Any], reply: Any) -> None:
        self._waiting.pop(future, None)
        if future.done():
            return
        if isinstance(reply, RedisRefused):
            future.set_exception(reply)
            future.exception()
        else:
            future.set_result(_plain(reply))


def _plain(reply: Any) -> Any:
    """As hiredis gives it: bytes, ints, lists, None."""
    return bytes(reply) if isinstance(reply, bytes) and type(reply) is not bytes else reply
