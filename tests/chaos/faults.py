# SPDX-License-Identifier: Apache-2.0
"""What is done to a mesh: a schedule by seed, decided before the run, and the hands that carry it out.

Faults overlap: each is a task of its own, and only what cannot be hit twice at once (a slot, the servers) is taken by one
fault at a time; one that finds nothing free to hit is counted as missed, not as done.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from redis.exceptions import RedisError

from nervenet.dev.servers import ServerFailed
from tests.chaos.mesh import Slot, Torture
from tests.chaos.recovery import Hit, Orphans

COMMON = {
    "node-kill": 5, "agent-kill": 5, "node-stop": 2, "agent-stop": 2,
    "etcd-kill": 1, "etcd-cut": 1, "grpc-stall": 1, "delay": 2,
}  # fmt: skip
KINDS = {
    "strict": COMMON | {"redis-kill": 1, "redis-cut": 2, "redis-stall": 2},
    "replica": COMMON | {"failover": 3},
}
STOPS = (1.0, 9.0)
"""Shorter than every lease, and longer than all of them."""
CUTS = (0.3, 2.0, 8.0)
SETTLED = 3.0
"""After a failover, until nodes may be hit again: what they remember has been written back by then."""


class Fault(NamedTuple):
    at: float
    kind: str
    pick: int


def schedule(seed: str, setting: str, seconds: float, every: float) -> list[Fault]:
    """At what time what happens; `pick` chooses whom and for how long."""
    chance = random.Random(f"{seed} faults")
    kinds = KINDS[setting]
    found, at = list[Fault](), 0.0
    while True:
        at += chance.expovariate(1 / every)
        if at > seconds:
            return found
        found.append(Fault(at, chance.choices(list(kinds), list(kinds.values()))[0], chance.randrange(1 << 30)))


class Hands:
    """Carries a schedule out on one mesh; `hits` and `troubles` tell what came of it."""

    def __init__(self, torture: Torture, open_busy: Callable[[], list[str]]) -> None:
        self.torture = torture
        self.orphans = Orphans(torture, open_busy)
        self.counts: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.hits: list[Hit] = []
        self.troubles: list[tuple[str, str, str]] = []
        self._servers = asyncio.Lock()

    async def strike(self, faults: list[Fault]) -> None:
        """All of them, each at its time; comes back when everything is put right."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, begun + fault.at - time.monotonic()))
                group.create_task(self._strike(fault))

    async def _strike(self, fault: Fault) -> None:
        kind, pick = fault.kind, fault.pick
        if kind in ("redis-kill", "etcd-kill", "failover"):
            async with self._servers:
                await self._server_fault(kind, pick)
            return
        slots = self.torture.nodes if kind.startswith(("node", "etcd", "grpc")) else self.torture.agents
        if kind in ("delay", "redis-cut", "redis-stall"):
            slots = self.torture.slots
        idle = [slot for slot in slots if not slot.busy]
        if not idle:
            self.missed[kind] += 1
            return
        slot = idle[pick % len(idle)]
        slot.busy = True
        try:
            if slot.kind == "node" and self.torture.replicated is not None:
                async with self.torture.node_faults:
                    await self._slot_fault(kind, slot, pick)
            else:
                await self._slot_fault(kind, slot, pick)
        finally:
            slot.busy = False

    # ── servers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _server_fault(self, kind: str, pick: int) -> None:
        torture = self.torture
        try:
            if kind == "failover":
                async with torture.node_faults:
                    if not await torture.in_step():
                        self.missed[kind] += 1
                        return
                    how = (signal.SIGKILL, signal.SIGSTOP)[pick % 2]
                    await self._done(await self.orphans.look(kind, None), torture.failover(how))
                    await asyncio.sleep(SETTLED)
            elif kind == "redis-kill":
                assert torture.valkey is not None
                await self._done(await self.orphans.look(kind, None), torture.valkey.restart())
            else:
                await self._done(Hit(kind, now_ms()), self._etcd(pick))
        except (AssertionError, ServerFailed, OSError, RedisError) as error:
            self.troubles.append(("driver", kind, f"the server did not come back: {error}"))

    async def _etcd(self, pick: int) -> None:
        member = self.torture.etcd[pick % len(self.torture.etcd)]
        member.kill()
        await asyncio.sleep(pick % 4)
        await member.restart()

    async def _done(self, hit: Hit, act: Awaitable[object]) -> None:
        """Note that it was done, and until when it lasted."""
        self.counts[hit.kind] += 1
        self.hits.append(hit)
        try:
            await act
        finally:
            hit.until_ms = now_ms()

    # ── processes and their cables ───────────────────────────────────────────────────────────────────────────────────

    async def _slot_fault(self, kind: str, slot: Slot, pick: int) -> None:
        match kind.partition("-")[2]:
            case "kill":
                await self._done(await self.orphans.look(kind, slot), self._kill(slot, pick))
            case "stop" if STOPS[pick % 2] > 5:
                await self._done(await self.orphans.look(kind, slot), self._stop(slot, STOPS[1]))
            case "stop":
                await self._done(Hit(kind, now_ms()), self._stop(slot, STOPS[0]))
            case _:
                await self._done(Hit(kind, now_ms()), self._cables(kind, slot, pick))

    async def _kill(self, slot: Slot, pick: int) -> None:
        slot.kill()
        await asyncio.sleep(0.5 + pick % 3)
        await self.again(slot)

    async def again(self, slot: Slot) -> None:
        """Somebody new in this place; its servers may be down just then, and a supervisor would try again too."""
        for _ in range(6):
            try:
                await self.torture.bring_up(slot)
                return
            except AssertionError:
                assert slot.role is not None
                slot.role.kill()  # it may be slow and not dead, and would sit on the place
                await asyncio.sleep(1)
        assert slot.role is not None
        self.troubles.append(("driver", slot.name, f"it never came back:\n{slot.role.logs()}"))

    async def _stop(self, slot: Slot, seconds: float) -> None:
        assert slot.role is not None
        slot.role.kill(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        slot.role.kill(signal.SIGCONT)

    async def _cables(self, kind: str, slot: Slot, pick: int) -> None:
        target, _, deed = kind.partition("-")
        of = {"redis": slot.redis, "grpc": slot.front}
        there = [one for one in [of[target]] if one] if target in of else slot.etcd if target == "etcd" else slot.cables
        for cable in there:
            if deed == "cut":
                cable.cut()
            elif deed == "stall":
                cable.stall()
            else:
                cable.lag = (0.05, 0.15, 0.4)[pick % 3]
        await asyncio.sleep(CUTS[pick % 3] if deed else 5.0)
        for cable in there:
            await cable.mend()


def now_ms() -> int:
    return int(time.time() * 1000)
