# SPDX-License-Identifier: Apache-2.0
"""One run: a mesh, its load, its faults by seed, second copies of tasks, the wait for the end, the checker's word."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from nervenet import Client, Resolution
from nervenet.errors import AlreadyClosed, NervenetError
from tests.chaos.checker import Violation, check, gather
from tests.chaos.mesh import NAMESPACE, Slot, Torture
from tests.chaos.processes import ROOT
from tests.chaos.shapes import Case, cases

BUILD = ROOT / "build" / "chaos"
FAULTS = {"node-kill": 4, "agent-kill": 4, "node-stop": 2, "agent-stop": 2, "redis-kill": 1, "etcd-kill": 1}
SETTLE = 90.0


class Run:
    """What happens to one mesh."""

    def __init__(self, torture: Torture, client: Client, seed: int, seconds: float) -> None:
        self.torture, self.client, self.seconds = torture, client, seconds
        self.chance = random.Random(f"{seed} faults")
        self.accepted: dict[str, Case] = {}
        self.faults: Counter[str] = Counter()
        self.troubles: list[Violation] = []
        self.duplicates = 0
        self._server_lock = asyncio.Lock()

    async def load(self, todo: list[Case]) -> None:
        """People: each workflow at its time; a signal for those that listen."""
        begun = time.monotonic()

        async def one(i: int, case: Case) -> None:
            await asyncio.sleep(max(0.0, begun + i * self.seconds / len(todo) - time.monotonic()))
            await self._patiently(lambda: self.client.start(case.definition, case.plan, id=case.id))
            self.accepted[case.id] = case
            if case.signal_after is not None:
                await asyncio.sleep(case.signal_after)
                await self._patiently(lambda: self.client.handle(case.id).signal("go", 7))

        await asyncio.gather(*(one(i, case) for i, case in enumerate(todo)))

    async def _patiently(self, act: Callable[[], Awaitable[object]]) -> None:
        """Again and again while the mesh is out of reach."""
        until = time.monotonic() + SETTLE
        while True:
            try:
                async with asyncio.timeout(10):
                    await act()
                return
            except AlreadyClosed:
                return
            except (NervenetError, TimeoutError):
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.25)

    async def answer(self) -> None:
        """Humans grant whatever waits for them."""
        while True:
            await asyncio.sleep(0.7)
            with suppress(NervenetError, TimeoutError):
                async with asyncio.timeout(10):
                    for one in [one async for one in self.client.escalations()]:
                        await self.client.resolve(one.id, Resolution.retry(2, comment="granted"))

    async def copy(self, p: float) -> None:
        """Each task of an inbox or queue is sent again with probability p."""
        door: Any = self.torture.redis
        seen = set[bytes]()
        while True:
            await asyncio.sleep(0.02)
            with suppress(RedisError, OSError):
                for kind in ("inbox", "queue"):
                    async for key in door.scan_iter(f"nn:{NAMESPACE}:{kind}:*"):
                        for entry, fields in await door.xrange(key, count=100):
                            if entry not in seen and self.chance.random() < p:
                                copied = await door.xadd(key, fields, nomkstream=True)
                                self.duplicates += copied is not None
                                seen.add(copied or b"")
                            seen.add(entry)

    async def strike(self, every: float) -> None:
        """Faults until the time is up, overlapping; comes back when all is put right."""
        until = time.monotonic() + self.seconds
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until:
                await asyncio.sleep(self.chance.expovariate(1 / every))
                kind = self.chance.choices(list(FAULTS), list(FAULTS.values()))[0]
                group.create_task(self._fault(kind, self.chance.randrange(1 << 30)))

    async def _fault(self, kind: str, pick: int) -> None:
        target, _, deed = kind.partition("-")
        if target in ("redis", "etcd"):
            async with self._server_lock:
                self.faults[kind] += 1
                await (self.torture.valkey if target == "redis" else self.torture.etcd).restart()
            return
        slots = self.torture.nodes if target == "node" else self.torture.agents
        idle = [slot for slot in slots if not slot.busy]
        if idle:
            await self._process_fault(kind, deed, idle[pick % len(idle)], pick)

    async def _process_fault(self, kind: str, deed: str, slot: Slot, pick: int) -> None:
        assert slot.role is not None
        slot.busy = True
        self.faults[kind] += 1
        try:
            if deed == "stop":
                slot.role.send(signal.SIGSTOP)
                await asyncio.sleep((1.0, 9.0)[pick % 2])
                slot.role.send(signal.SIGCONT)
                return
            slot.role.kill()
            await asyncio.sleep(0.5 + pick % 3)
            for _ in range(6):  # its servers may be down just then; a supervisor would start it again too
                with suppress(RuntimeError):
                    await self.torture.bring_up(slot)
                    return
            self.troubles.append(("driver", "", f"{slot.name} never came back:\n{slot.role.tail()}"))
        finally:
            slot.busy = False

    async def open_ids(self) -> list[str]:
        ids = list(self.accepted)
        pipe = self.torture.redis.pipeline(transaction=False)
        for one in ids:
            pipe.hexists(f"nn:{NAMESPACE}:wf:{{{one}}}", "closed")
        return [one for one, closed in zip(ids, await pipe.execute(), strict=True) if not closed]

    async def settle(self) -> None:
        """Until every accepted workflow has ended, or the patience has."""
        until = time.monotonic() + SETTLE
        while await self.open_ids() and time.monotonic() < until:
            await asyncio.sleep(0.3)

    async def progress(self) -> None:
        begun = time.monotonic()
        while True:
            await asyncio.sleep(3)
            with suppress(RedisError, OSError):
                open_now = len(await self.open_ids())
                print(
                    f"{time.monotonic() - begun:4.0f} s  {len(self.accepted)} accepted  {open_now} open  "
                    f"{self.duplicates} copies  {self.faults.total()} faults",
                    file=sys.stderr,
                    flush=True,
                )


async def execute(seed: int, seconds: float, workflows: int, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The whole run; its report."""
    begun, folder = time.monotonic(), BUILD / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    async with Torture(folder, env=env) as torture, Client(torture.addresses, namespace=NAMESPACE) as client:
        run = Run(torture, client, seed, seconds)
        beside = [asyncio.create_task(work) for work in (run.answer(), run.copy(0.3), run.progress())]
        try:
            await asyncio.gather(run.load(cases(seed, workflows)), run.strike(2.5))
            await run.settle()
        finally:
            for task in beside:
                task.cancel()
            _, left = await asyncio.wait(beside, timeout=5)
            run.troubles += [("driver", "", f"does not stop: {task.get_stack()}") for task in left]
        evidence = await asyncio.to_thread(gather, torture.valkey.port, NAMESPACE, torture.effects)
    found = check(evidence, run.accepted) + run.troubles
    laws = Counter(law for law, _, _ in found)
    return {
        "seed": seed,
        "workflows": len(run.accepted),
        "faults": dict(run.faults),
        "duplicates": run.duplicates,
        "executions": len(evidence.executions),
        "effects": len(evidence.effects),
        "lost": laws["lost"] + laws["open"],
        "double": laws["double"] + laws["twice"],
        "redis": "appendfsync always",
        "seconds": round(time.monotonic() - begun, 1),
        "violations": found,
    }


def main() -> int:
    """SEED, MINUTES and WORKFLOWS from the environment; SABOTAGE=1 makes the world forget its keys."""
    ask = os.environ.get
    minutes = float(ask("MINUTES") or 1)
    env = {"CHAOS_FORGET": "1"} if ask("SABOTAGE") else {}
    report = asyncio.run(execute(int(ask("SEED") or 1), minutes * 60, int(ask("WORKFLOWS") or 240 * minutes), env))
    (BUILD / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    for law, workflow, words in report["violations"][:30]:
        print(f"  {law}: {workflow} {words}")
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(report["faults"].items()))
    print(
        f"chaos: {len(report['violations'])} violations · {report['workflows']} workflows · {faults} · "
        f"{report['duplicates']} duplicates · lost {report['lost']} · double {report['double']} · seed {report['seed']} · "
        f"{report['seconds']} s"
    )
    return 1 if report["violations"] else 0
