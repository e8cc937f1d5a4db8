# SPDX-License-Identifier: Apache-2.0
"""What a minute without etcd costs: tasks per second before, during and after it, and what was run twice.

    python benchmarks/outage.py [--seconds 60] [--around 20] [--concurrent 50] [--json FILE]

Two nodes and two agents, started by the command line alone, and a client that keeps so many chains of four tasks under
way. etcd, their only member, is killed and comes back on the same data. Each task leaves a line, so a task that ran
twice is seen; ids of nodes and agents are compared, and new starts come in all the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import counting
from processes import HOME, cpu_ms, machine

from nervenet import Client
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.dev.servers import Server, etcd, tied, valkey

APP: Final = str(Path(counting.__file__))
STEPS: Final = 4
ENOUGH: Final = 0.8
WARM_UP: Final = 5.0


class Roles:
    """Two nodes, two agents."""

    def __init__(self, store: Server, members: Server, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.namespace = f"outage-{time.time_ns()}"
        self.env = os.environ | {
            "PYTHONPATH": str(HOME / "python"),
            "COUNTING": str(folder),
            "NERVENET_REDIS": store.url,
            "NERVENET_ETCD": members.url,
            "NERVENET_NAMESPACE": self.namespace,
            "NERVENET_LISTEN": "127.0.0.1:0",
        }
        nodes = [self._start("node", i) for i in range(2)]
        self.address = self.env["NERVENET_ADDRESS"] = ",".join(self._ready(node)["address"] for node in nodes)
        for agent in [self._start("agent", i) for i in range(2)]:
            self._ready(agent)

    def _start(self, role: str, number: int) -> Path:
        ready = self._folder / f"{role}-{number}.json"
        command = [sys.executable, "-m", "nervenet", role, APP, "--ready-file", str(ready)]
        with ready.with_suffix(".log").open("wb") as log:
            self._processes.append(subprocess.Popen(tied(command), env=self.env, stdout=log, stderr=log, cwd=HOME))
        return ready

    def _ready(self, file: Path) -> dict[str, Any]:
        while not file.exists():
            if any(process.poll() is not None for process in self._processes):
                raise SystemExit(file.with_suffix(".log").read_text())
            time.sleep(0.02)
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    async def members(self) -> set[str]:
        """The ids of all nodes and agents, as a node lists them."""
        config = Config.load(environ={}, address=self.address, namespace=self.namespace)
        async with RawClient(config) as client:
            nodes, agents = await client.call("ListNodes"), await client.call("ListAgents")
        return {node.node_id for node in nodes.nodes} | {entry.agent.agent_id for entry in agents.agents}

    def cpu_ms(self) -> float:
        """What nodes and agents have used so far."""
        return sum(cpu_ms(process.pid) for process in self._processes)

    def effects(self) -> Counter[str]:
        return Counter(line for file in self._folder.glob("effects-*") for line in file.read_text().splitlines())

    def end(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


class Load:
    """So many chains under way at any time; when each ended."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._over = False
        self.started = 0
        self.ended: list[float] = []
        self.failed = Counter[str]()

    async def run(self, concurrent: int) -> None:
        await asyncio.gather(*(self._loop() for _ in range(concurrent)))

    def stop(self) -> None:
        self._over = True

    async def _loop(self) -> None:
        while not self._over:
            self.started += 1
            try:
                got = await self._client.run(counting.chain, 0, id=f"chain-{self.started}")
                assert got == STEPS, got
            except Exception as error:  # noqa: BLE001 - whatever a user would see is what is counted here
                self.failed[repr(error)[:120]] += 1
            self.ended.append(time.monotonic())

    def tasks(self, begin: float, end: float) -> int:
        return STEPS * sum(begin <= at < end for at in self.ended)

    def rate(self, begin: float, end: float) -> float:
        """Tasks per second."""
        return self.tasks(begin, end) / (end - begin)


class Mark:
    """A moment between two parts, and what had been used by then."""

    def __init__(self, roles: Roles) -> None:
        self.at, self.cpu = time.monotonic(), roles.cpu_ms()


async def measure(args: argparse.Namespace, members: Server, roles: Roles) -> dict[str, Any]:
    async with Client(roles.address, namespace=roles.namespace) as client:
        load = Load(client)
        running = asyncio.create_task(load.run(args.concurrent))
        await asyncio.sleep(WARM_UP)
        before = await roles.members()
        marks = [Mark(roles)]
        await asyncio.sleep(args.around)
        marks.append(Mark(roles))
        members.kill()
        await asyncio.sleep(args.seconds)
        marks.append(Mark(roles))
        await members.restart()
        back = time.monotonic()
        await asyncio.sleep(args.around)
        marks.append(Mark(roles))
        after = await roles.members()
        load.stop()
        await running
    parts = list(pairwise(marks))
    rates = [round(load.rate(begin.at, end.at)) for begin, end in parts]
    costs = [round((end.cpu - begin.cpu) / load.tasks(begin.at, end.at), 3) for begin, end in parts]
    effects = roles.effects()
    return {
        "before": rates[0],
        "during": rates[1],
        "after": rates[2],
        "share": round(rates[1] / rates[0], 3),
        "seconds": args.seconds,
        "cpu_ms_per_task": costs,
        "etcd_back_after": round(back - marks[2].at, 2),
        "workflows": load.started,
        "failed": dict(load.failed),
        "tasks": len(effects),
        "missing": STEPS * (load.started - load.failed.total()) - len(effects),
        "run_twice": sum(times > 1 for times in effects.values()),
        "new_ids": len(after - before),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--around", type=float, default=20)
    parser.add_argument("--concurrent", type=int, default=50)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="a folder for the processes' logs")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        store, members = stack.enter_context(valkey()), stack.enter_context(etcd(folder / "etcd"))
        roles = Roles(store, members, folder)
        stack.callback(roles.end)
        found = asyncio.run(measure(args, members, roles))
    good = found["share"] >= ENOUGH and not (found["failed"] or found["run_twice"] or found["missing"])
    print(
        f"etcd away for {args.seconds:g} s: {found['during']} tasks/s, {found['share']:.0%} of {found['before']} before"
        f" ({found['after']} after), CPU per task {' → '.join(map(str, found['cpu_ms_per_task']))} ms;"
        f" {found['run_twice']} of {found['tasks']} tasks ran twice,"
        f" {found['failed'] or 'no'} failed, {found['new_ids']} ids changed: {'ok' if good else 'MISSED'}"
    )
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), **found}, indent=2))
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
