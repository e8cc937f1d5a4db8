# SPDX-License-Identifier: Apache-2.0
"""One run: for each setting a mesh, its load, its faults, the wait for rest, and the checkers' word."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from nervenet import Client
from tests.chaos.checker import Evidence, Violation, check, gather
from tests.chaos.faults import Hands, schedule
from tests.chaos.leaks import leaks, look
from tests.chaos.load import Load
from tests.chaos.mesh import NAMESPACE, Torture
from tests.chaos.recovery import samples
from tests.chaos.sabotage import liar
from tests.chaos.shapes import cases

CLAIMS = {
    "strict": "appendfsync always: nothing acknowledged is lost, whatever dies together",
    "replica": "asynchronous replication, nothing on disk: nothing is lost as long as the replica is in step "
    "when its master is hit, and no node dies while the failover is under way; what the replica lacked was written back by nodes and agents",
}
EVERY = {"strict": 2.2, "replica": 4.0}
"""Seconds between faults, on average."""
BURIED = 120.0
"""Until everything of the dead must be cleared away: a lease, and two walks of Bury with 30 s between them, and again once."""
IMPATIENT = 5.0
"""The same where something is to be found anyway."""
COPIES = 0.35


class Ask(NamedTuple):
    """What is asked of one mesh."""

    setting: str
    seed: int
    seconds: float
    workflows: int
    sabotage: str = ""
    nodes: int = 3
    agents: int = 4
    faults: bool = True

    @property
    def chance(self) -> str:
        return f"{self.seed} {self.setting}"


async def torture(ask: Ask, folder: Path) -> dict[str, Any]:
    """The whole run on one mesh; its report."""
    begun = time.monotonic()
    env = {"CHAOS_FORGET": "1"} if ask.sabotage == "keys" else {}
    tamper = liar(ask.sabotage)
    async with (
        Torture(folder, ask.setting, nodes=ask.nodes, agents=ask.agents, env=env, tamper=tamper) as mesh,
        Client(mesh.addresses, namespace=NAMESPACE) as client,
    ):
        load = Load(mesh, client, ask.chance)
        hands = Hands(mesh, lambda: sorted(load.busy))
        faults = schedule(ask.chance, ask.setting, ask.seconds, EVERY[ask.setting]) if ask.faults else []
        beside = [
            asyncio.create_task(work)
            for work in (load.answer(), load.copy(COPIES), _progress(load, hands), _guard(mesh, hands))
        ]
        try:
            await asyncio.gather(load.start(cases(ask.chance, ask.workflows), ask.seconds), hands.strike(faults))
            await load.settle()
        finally:
            await _stop(beside)
        leaked = await _at_rest(mesh, load, IMPATIENT if ask.sabotage else BURIED)
        evidence = await asyncio.to_thread(gather, mesh.redis_port, NAMESPACE, mesh.effects)
    found = check(evidence, load.accepted) + leaked + hands.troubles + load.troubles
    return _report(ask, load, hands, evidence, found, folder) | {"seconds": round(time.monotonic() - begun, 1)}


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    """Again where a client took a cancellation for the timeout that it met at the same time."""
    while tasks:
        for task in tasks:
            task.cancel()
        done, pending = await asyncio.wait(tasks, timeout=1)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        tasks = list(pending)


async def _at_rest(mesh: Torture, load: Load, within: float) -> list[Violation]:
    """What is left when the dead are buried."""
    until = time.monotonic() + within
    while True:
        addresses = [slot.address for slot in mesh.slots]
        try:
            there = await asyncio.to_thread(look, mesh.redis_port, mesh.etcd_urls(), NAMESPACE, addresses)
        except (RedisError, OSError):  # what is cleared away while we look is not there to be read
            if time.monotonic() > until + BURIED:
                raise
            continue
        found = leaks(there, load.expected)
        if not found or time.monotonic() > until:
            return found
        await asyncio.sleep(2)


async def _progress(load: Load, hands: Hands) -> None:
    begun, told = time.monotonic(), 0.0
    while True:
        await asyncio.sleep(1)
        with suppress(RedisError, OSError):
            open_now = len(await load.still_open())
            if time.monotonic() > told + 5:
                told = time.monotonic()
                print(
                    f"{told - begun:5.0f} s  {load.torture.setting}: {len(load.accepted)} accepted  {open_now} open  "
                    f"{load.duplicates} copies  {hands.counts.total()} faults",
                    file=sys.stderr,
                    flush=True,
                )


async def _guard(mesh: Torture, hands: Hands) -> None:
    """A process that ends by itself is a violation; somebody else takes its place."""
    while True:
        await asyncio.sleep(0.5)
        for slot in mesh.slots:
            if not slot.busy and slot.role is not None and not slot.role.alive:
                hands.troubles.append(("died", slot.name, slot.role.logs()))
                slot.busy = True
                await hands.again(slot)
                slot.busy = False


def _report(
    ask: Ask, load: Load, hands: Hands, evidence: Evidence, found: list[Violation], folder: Path
) -> dict[str, Any]:
    laws = Counter(law for law, _, _ in found)
    ran = Counter((key, attempt) for key, attempt, _ in evidence.executions)
    again = sum(times - 1 for times in ran.values())
    return {
        "setting": ask.setting,
        "claims": CLAIMS[ask.setting],
        "workflows": len(load.accepted),
        "children": sum(len(case.children) for case in load.accepted.values()),
        "parked": sum(case.parked for case in load.accepted.values()),
        "faults": dict(sorted(hands.counts.items())),
        "missed": dict(sorted(hands.missed.items())),
        "duplicates": {"injected": load.duplicates, "run again": again, "turned away": load.duplicates - again},
        "executions": len(evidence.executions),
        "effects": len(evidence.effects),
        "entries": sum(map(len, evidence.journals.values())),
        "written_back": _written_back(folder),
        "lost": laws["lost"] + laws["open"],
        "double": laws["double"] + laws["twice"],
        "leaks": laws["leak"],
        "samples": samples(hands.hits, evidence),
        "violations": found,
    }


def _written_back(folder: Path) -> dict[str, int]:
    """What nodes and agents say in their logs that Redis had lost and they remembered."""
    counts: Counter[str] = Counter()
    for log in folder.glob("*.log"):
        text = log.read_text(errors="replace")
        for entries, heads in re.findall(r"(\d+) entries and (\d+) heads were written back", text):
            counts += Counter(entries=int(entries), heads=int(heads))
        counts += Counter(outcomes=sum(map(int, re.findall(r"(\d+) outcomes were written back", text))))
    return dict(counts)
