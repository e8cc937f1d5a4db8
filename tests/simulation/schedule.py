# SPDX-License-Identifier: Apache-2.0
"""One schedule: a mesh, some workflows, what breaks between which two commands; all of it from one seed.

    outcome = run(4711)
    assert not outcome.violations, outcome.story

The story ends when every accepted workflow has ended and everybody who was stopped or cut off is back; then the living
sweep and clean up until nothing is left to do, and `check.py` looks at what stands.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

from nervenet.durable.retry import LOST_MOST
from nervenet.node.node import Node
from nervenet.node.workflows.coordinator import Coordinator
from nervenet.records import Entry
from nervenet.timing import START_GRACE_MS
from tests.simulation.archive import SHARE, ArchiveCheck, SimulatedSink
from tests.simulation.check import Ledger, journal_key
from tests.simulation.clients import Clients, said
from tests.simulation.flows import World
from tests.simulation.loop import PROCESS, Stuck, VirtualLoop
from tests.simulation.mesh import NAMESPACE, Member, Surroundings
from tests.simulation.network import Network, Wire
from tests.simulation.registry import Registry
from tests.simulation.store import SCRIPTS, Store, Stream
from tests.simulation.weather import CRASH, CRASHES, CRASHES_SHARE, LEAVES, WEATHERS

GARBAGE: Final = b"\xff\xfe"
LOST_COMMANDS: Final = (0, 1, 2, 3, 5, 10, 20, 40, 80)
"""How many commands a crash of the server takes."""
COMPLETE: Final = 90.0
"""Virtual seconds within which the archive is complete once its sink works: a batch of a dead node waits for 15 of them."""
HORIZON: Final = 300.0
"""Virtual seconds after which what has not ended is lost. The slowest rescue is a sweep of `running` once a minute."""


@dataclass
class Outcome:
    """What became of a schedule."""

    seed: int
    violations: list[str]
    story: list[str]
    counted: Counter[str] = field(default_factory=Counter)
    virtual_seconds: float = 0.0
    commands: int = 0
    fingerprint: str = ""
    """Of every entry written, with its time, and of what was left: equal if a seed replays exactly."""


class _Errors(logging.Handler):
    """Errors that the product logs because nobody else hears of them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.heard.append(f"error: {record.getMessage()}")


class Schedule:
    """See the module."""

    def __init__(self, seed: int, sabotage: Callable[[Store], None] | None, copies: int, crashes: bool) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.loop = VirtualLoop()
        self.store = Store(self.loop.time)
        if sabotage is not None:
            sabotage(self.store)
        self.ledger = Ledger(self.store)
        self.network = Network(self.loop, self.store, self.chance)
        self.registry = Registry(self.network)
        self.surroundings = Surroundings(self.loop, self.network, self.registry, self.chance)
        self.archive: ArchiveCheck | None = None
        self.world = World(self.chance)
        self.weather = self.chance.choice(WEATHERS)
        if crashes or random.Random(f"torn {seed}").random() < CRASHES_SHARE:
            self.weather = CRASHES
        elif random.Random(f"archive {seed}").random() < SHARE:
            self._with_archive(seed)
        self.members: list[Member] = []
        self.story: list[str] = []
        self.clients = Clients(self.members, self.ledger, self.chance, self.world, self._tell)
        self.counted: Counter[str] = Counter()
        self._copies = copies
        self._archive_is_wrong: list[str] = []
        self._began = self.loop.now

    def run(self) -> Outcome:
        errors = _Errors()
        logger = logging.getLogger("nervenet")
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.addHandler(errors)
        with ExitStack() as stack:
            stack.callback(logger.removeHandler, errors)
            for patch in (*self.surroundings.patches(), self._overheard()):
                stack.enter_context(patch)
            whole = self.loop.create_task(self._story())
            try:
                ended = self.loop.run(whole, HORIZON)
                if ended:
                    whole.result()
            except Stuck:
                ended = False
            living = {name for member in self.members if member.alive and (name := self._id(member))}
            violations = self.ledger.end(self.clients.owed, living)
            if not ended and not violations:
                violations.append("lost: the story did not come to its end")
            violations += self.surroundings.broken + errors.heard
            if self.archive is not None:
                violations += self._archive_is_wrong if ended else self.archive.violations
                self.counted.update(self.archive.sink.counted)
                self.counted["schedules with an archive"] += 1
            violations += [f"error: {error}" for error in self.loop.errors]
            violations += [f"error: {member} broke: {error!r}" for member in self.members if (error := member.error)]
            self.counted.update(self.network.counted)
            self.counted.update(self.ledger.answers)
            self.counted["workflows"] += len(self.clients.owed)
            self.counted[LEAVES] += self.clients.left
            for n, deaths in self.world.deaths_by_poison.items():
                self.counted[f"poisons that ended {deaths} agents"] += 1
                if deaths > LOST_MOST:
                    violations.append(f"not stopped: the poison of {n} ended {deaths} agents")
            self.counted["innocents that a human was asked about"] += self.clients.innocents_asked
            seconds = self.loop.now - self._began
            for member in self.members:
                member.process.kill()
            self.loop.close()
        return Outcome(
            self.seed, violations, self.story, self.counted, seconds, self.store.commands, self._fingerprint()
        )

    def _with_archive(self, seed: int) -> None:
        sink = SimulatedSink(self.loop, seed, self.network.nobody)
        self.surroundings.sink, self.archive = sink, ArchiveCheck(sink, self.ledger)
        self.store.on_archived = self.archive.marked

    def _overheard(self) -> Any:
        """Every entry that any coordinator folds is shown to the ledger."""
        product = Coordinator._at

        def at(coordinator: Coordinator, entry: Entry, data: bytes) -> None:
            self.ledger.folded(coordinator, coordinator.workflow_id, entry, data)
            product(coordinator, entry, data)

        return mock.patch.object(Coordinator, "_at", at)

    def _fingerprint(self) -> str:
        what = (self.ledger.written, self.story, self.network.executed, self.loop.now, sorted(self.store.data))
        return hashlib.sha256(repr(what).encode()).hexdigest()[:16]

    # ── the story ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _story(self) -> None:
        chance, weather = self.chance, self.weather
        self.world.luckless, self.world.hopeless, self.world.slow = weather.luckless, weather.hopeless, weather.slow
        self.world.kill_me = self._poisoned
        self.registry.old_news = weather.old_news
        self.clients.ponder, self.clients.leaving = weather.ponder, weather.leaving
        for kind, count in (("node", chance.choice(weather.nodes)), ("agent", chance.choice(weather.agents))):
            for _ in range(count):
                self._join(kind)
        for member in self.members:
            await member.up.wait()
        self._plan()
        helping = self.loop.create_task(self.clients.help_with_lost_agents())
        unloading = self.loop.create_task(self._unload())
        workflows = [(i, chance.choice(weather.shapes)) for i in range(1, chance.choice(weather.workflows) + 1)]
        lives = [self.clients.run(f"{shape}-{i}", shape, 100 * i + 1) for i, shape in workflows]
        lives += [self.clients.batch(i) for i in range(5, 5 + chance.choice(weather.batches))]
        await asyncio.gather(*lives)
        while not all(self._closed(key) for key in list(self.ledger.run)) or self._writes_back():
            await asyncio.sleep(0.2)
            self._replace_those_that_gave_up()
        helping.cancel()
        unloading.cancel()
        await self._tidy()
        if self.archive is not None:
            self._archive_is_wrong = list(await self.archive.end())

    def _closed(self, key: bytes) -> bool:
        return b"close" in self.ledger.run[key]

    def _writes_back(self) -> bool:
        """Whether a node has yet to write back what Redis lost: what looks closed may have a next run (seed 9219711)."""
        nodes = (member.thing for member in self.members if member.kind == "node" and member.able)
        return any(node.recovery.is_under_way for node in nodes)

    def _join(self, kind: str) -> Member:
        member = Member(self.surroundings, kind, len(self.members) + 1)
        self.members.append(member)
        member.life.add_done_callback(lambda _: self._over(member))
        return member

    def _over(self, member: Member) -> None:
        """If it gave up while it started, its supervisor soon starts another: it may be the last that callers wait for (seed 9933245)."""
        if member.gave_up:
            self.loop.call_later(1.0, self._replace_those_that_gave_up, context=self.network.nobody)

    def _replace_those_that_gave_up(self) -> None:
        for member in tuple(self.members):
            if member.gave_up and not member.replaced:
                member.replaced = True
                self._join(member.kind)

    def _id(self, member: Member) -> str:
        thing = member.thing
        return "" if thing is None else thing.node_id if member.kind == "node" else thing.agent_id

    def _poisoned(self) -> None:
        """The agent that runs this ends; its supervisor starts another."""
        victim = next(member for member in self.members if member.process is PROCESS.get())
        self._tell(f"poison: {victim}")
        victim.kill(proven=self.chance.random() < 0.5)
        self.loop.call_later(self.chance.random(), self._join, victim.kind, context=self.network.nobody)

    def _tell(self, what: str) -> None:
        self.story.append(f"{self.loop.now - self._began:8.3f} s, command {self.network.executed}: {what}")

    async def _tidy(self) -> None:
        """Everybody comes back, sweeps and buries, until there is nothing more to do (or too long)."""
        self.network.faults.clear()
        self._mend_lists()
        now = self.loop.now
        back = [until for until in self.registry.away.values() if until > now]
        while any(member.process.alive and member.process.stopped for member in self.members):
            await asyncio.sleep(0.5)
        await asyncio.sleep(max(back, default=now) - now + 0.1)
        self.network.all_comes()
        for kind in ("node", "agent"):
            if not any(member.kind == kind and member.alive for member in self.members):
                self._join(kind)
        for turn in range(2):
            for member in tuple(self.members):
                if member.alive:
                    await member.settled()
            if turn == 0:
                self._replace_those_that_gave_up()
        await self._all_registered()
        for _ in range(6 + self._copies // 50):  # a thousand copies take their time
            nodes = [member for member in self.members if member.kind == "node" and member.able]
            for node in nodes:
                sweeper, reaper = node.thing._sweeper, node.thing._reaper
                for walk in (sweeper.own_set, sweeper.running, sweeper.escalations, reaper.walk):
                    await node.process.run(said(walk()))
            if self.archive is not None:
                await self._complete(self.archive)
            if not self._leaks():
                await asyncio.sleep(1.0)  # a walk may have left a command on its way (seed 9600823)
                if not self._leaks():
                    return
            await asyncio.sleep(START_GRACE_MS / 1000 if self._might_begin() else 3.0)

    def _leaks(self) -> list[str]:
        living = {name for member in self.members if member.alive and (name := self._id(member))}
        return list(self.ledger.leaks(living))

    async def _unload(self) -> None:
        """Now and then, what waits at a node leaves memory: a part of it, and some of that is wanted again at once."""
        chance = random.Random(f"unload {self.seed}")
        share = chance.choice((0.0, 0.3, 1.0))
        while share:
            await asyncio.sleep(chance.random() * 0.15)
            for node in [member for member in self.members if member.kind == "node" and member.able]:
                await node.process.run(said(self._unload_at(node.thing, chance, share)))

    async def _unload_at(self, node: Node, chance: random.Random, share: float) -> None:
        for coordinator in tuple(node.hosted.coordinators.values()):
            if chance.random() < share and node.unloader.unload_now(coordinator):
                self.counted["unloaded"] += 1
                if chance.random() < 0.2:
                    node.unloader.load_soon(coordinator.workflow_id)

    async def _all_registered(self) -> None:
        """Who was cut off has noticed that its lease is gone, and has a new id: or it would get one after the last walk
        (seed 1700508)."""
        while not all(self._is_registered(member) for member in self.members if member.staying and member.up.is_set()):
            await asyncio.sleep(0.2)

    def _is_registered(self, member: Member) -> bool:
        return f"/nervenet/{NAMESPACE}/{member.kind}s/{self._id(member)}" in self.registry.keys

    async def _complete(self, archive: ArchiveCheck) -> None:
        """The faults of the sink end; then everything that has closed comes into it, and nothing is listed for it any more."""
        archive.sink.calm()
        until = self.loop.now + COMPLETE
        lists = (b"nn:simulated:archive:{runs}", b"nn:simulated:archive:{runs}:members")
        while self.loop.now < until and (archive.missing() or any(map(self.store.get, lists))):
            await asyncio.sleep(1.0)

    def _might_begin(self) -> bool:
        """Whether a start is listed whose node or whose Redis failed in the middle of it: that is cleared up after its grace."""
        running: Any = self.store.get(b"nn:simulated:running") or ()
        owned: Any = [self.store.get(key) or () for key in tuple(self.store.data) if b":owned:{" in key]
        listed = [*running, *(member for members in owned for member in members)]
        headless = any(journal_key(member.decode()) not in self.ledger.run for member in listed)
        return headless or bool(self.store.get(b"nn:simulated:restarting"))

    # ── what breaks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _plan(self) -> None:
        chance, network, weather = self.chance, self.network, self.weather
        network.duplicates = chance.choice(weather.duplicates)
        network.late = chance.choice(weather.late)
        network.copies = self._copies
        network.lost_wakes = chance.choice(weather.lost_wakes)
        kinds = [chance.choice(weather.faults) for _ in range(chance.choice(weather.many))]
        while kinds.count("kill node") > 2:  # what takes three nodes with it is BLOCKED (seed 50032)
            kinds.remove("kill node")
        for kind in kinds:
            at = network.executed + chance.randrange(1, weather.reach)
            network.faults.setdefault(at, []).append(lambda wire, kind=kind: self._break(kind, wire))

        crashing = random.Random(f"crash {self.seed}")
        for _ in range(crashing.choice(weather.crashes)):
            at = network.executed + crashing.randrange(1, weather.reach)
            synced = max(network.executed, at - crashing.choice(LOST_COMMANDS)) + 1
            network.faults.setdefault(synced, []).append(lambda _: self._sync())
            network.faults.setdefault(at + 1, []).append(lambda _: self._crash(crashing))

    def _sync(self) -> str:
        """What stands now is on the disk of Redis."""
        self.network.sync()
        return ""

    def _crash(self, chance: random.Random) -> str:
        """The server of Redis loses its last commands."""
        self.counted[CRASH] += 1
        down = chance.choice((0.0, 0.1, 0.5, 2.0))
        self._tell(f"crash: the server is away for {down} s")
        self.network.crash(down)
        self.ledger.crashed()
        return "before"

    def _break(self, kind: str, wire: Wire) -> str:
        """Answers what becomes of the command that is being executed: '', lost 'before' it ran, or 'after'."""
        self.counted[kind] += 1
        if kind in ("lose reply", "lose command"):
            self._tell(f"{kind} of {wire.process}")
            return "after" if kind == "lose reply" else "before"
        if kind in ("garble", "vanish"):
            self._tell(f"{kind}: {self._garble() if kind == 'garble' else self._vanish()}")
            return ""
        able = [member for member in self.members if member.alive and member.kind in kind]
        here = [member for member in able if member.process is wire.process]
        if kind == "cut links":
            here = [member for member in self.members if member.alive]
        if not (victims := here or able):
            return ""
        victim = self.chance.choice(victims)
        self._tell(f"{kind}: {victim}, in the middle of {wire.process}")
        self._hit(kind.partition(" ")[0] if kind != "cut off " + victim.kind else "cut off", victim)
        return self.chance.choice(("", "before", "after")) if victim.process is wire.process else ""

    def _hit(self, how: str, victim: Member) -> None:
        loop, chance, nobody = self.loop, self.chance, self.network.nobody
        seconds = chance.choice(self.weather.pauses)
        if how == "kill":
            victim.kill(proven=chance.random() < 0.5)
            if chance.random() < 0.7 or not any(m.kind == victim.kind and m.staying for m in self.members):
                loop.call_later(chance.random() * 3, self._join, victim.kind, context=nobody)
        elif how == "stop":
            victim.process.stop()
            loop.call_later(seconds, victim.process.go_on, context=nobody)
        elif how == "cut off":
            self.registry.away[victim.process] = loop.now + seconds
        elif how == "drain":
            others = [m for m in self.members if m.kind == "node" and m.able and m.staying and m is not victim]
            if others and victim.able:
                victim.leaving.set()
        else:
            self.network.cut(victim.process)

    def _vanish(self) -> str:
        """Law 3: a stream entry, a pending-list entry, a claim, a wake or a member of an owned set is gone."""
        found: list[tuple[str, Callable[[], object]]] = []
        for key, value in self.store.data.items():
            if isinstance(value, Stream) and not key.endswith(b":journal"):
                found += [(f"{key!r} {at}", lambda v=value, at=at: v.entries.pop(at)) for at in value.entries]
                for group in value.groups.values():
                    pending = [(at, lambda g=group, at=at: g.pending.pop(at)) for at in group.pending]
                    found += [(f"pending {key!r} {at}", act) for at, act in pending]
            elif b":owned:{" in key:
                found += [(f"{key!r} {m!r}", lambda k=key, m=m: self.store.do_srem(k, m)) for m in value]
            elif b":wf:{" in key and isinstance(value, dict):
                claims = [f for f in value if f[:2] == b"c:"]
                found += [(f"{key!r} {f!r}", lambda v=value, f=f: v.pop(f)) for f in claims]
        return self._one_of(found)

    def _garble(self) -> str:
        """A record that cannot be read: an entry of a journal, which blocks its workflow until somebody cancels it, or a
        member of a list, a piece of news, a task, which cost nothing."""
        found: list[tuple[str, Callable[[], object]]] = []
        for key, value in self.store.data.items():
            if b":owned:{" in key:
                found.append((f"{key!r}", lambda k=key: self.store.do_sadd(k, GARBAGE)))
            elif key.endswith((b":running", b":escalations")):
                found.append((f"{key!r}", lambda k=key: self.store.do_zadd(k, 7, GARBAGE)))
            elif isinstance(value, Stream) and b":wake:{" in key:
                found.append((f"{key!r}", lambda k=key: self.store.do_xadd(k, "*", GARBAGE, GARBAGE)))
            elif isinstance(value, Stream) and (b":inbox:{" in key or b":queue:{" in key):
                found.append((f"{key!r}", lambda k=key: self.store.do_xadd(k, "*", "e", GARBAGE)))
            elif key.endswith(b":journal") and self._may_be_garbled(key):
                found.append((f"{key!r}", lambda k=key: self._garble_journal(k)))
        return self._one_of(found)

    def _one_of(self, found: list[tuple[str, Callable[[], object]]]) -> str:
        """Do it, and say what it was."""
        if not found:
            return "nothing was there"
        what, act = self.chance.choice(found)
        act()
        return what

    def _may_be_garbled(self, key: bytes) -> bool:
        """Workflows that nobody waits for but their clients."""
        shape = key[key.index(b"{") + 1 : key.index(b"}")].decode().partition("-")[0]
        known = key in self.ledger.run  # not the copy of an earlier run, which waits for the archive
        return known and shape in ("chain", "naps", "fan") and not self._closed(key) and key not in self.ledger.garbled

    def _garble_journal(self, key: bytes) -> None:
        head = key.removesuffix(b":journal")
        run = self.store.do_hget(head, "run")
        keys = (head, key, head + b":ckpt")
        words = ("EVALSHA", SCRIPTS["journal_append"].sha, 3, *keys, run, "signal:garbled", GARBAGE, "")
        answer = self.store.execute(*words)
        if answer[0] == b"new":
            self.ledger.garbled.add(key)
            workflow_id = key[key.index(b"{") + 1 : key.index(b"}")].decode()
            cancel = lambda: self.loop.create_task(self.clients.cancel(workflow_id))  # noqa: E731
            self.loop.call_later(20, cancel, context=self.network.nobody)

    def _mend_lists(self) -> None:
        """What the living pass over stays where it is until somebody takes it out."""
        for key in tuple(self.store.data):
            if b":owned:{" in key:
                self.store.do_srem(key, GARBAGE)
            elif key.endswith((b":running", b":escalations")):
                self.store.do_zrem(key, GARBAGE)


def run(
    seed: int, sabotage: Callable[[Store], None] | None = None, copies: int = 1, *, crashes: bool = False
) -> Outcome:
    """One schedule, whole; `crashes`: in any case one in which Redis loses its last commands. The collector is off meanwhile: what it would run, and when, is not of the seed."""
    gc.disable()
    try:
        return Schedule(seed, sabotage, copies, crashes).run()
    finally:
        gc.enable()
