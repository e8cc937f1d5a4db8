# SPDX-License-Identifier: Apache-2.0
"""How long a workflow stands still when a process dies: real processes, real signals, times from the journals.

    python benchmarks/recovery.py [--rounds 3] [--workflows 500] [--parked 10000] [--only node.kill …] [--json FILE]

Three nodes and four agents, started by the command line alone; each fault meets a mesh of its own. All workflows are under
way when it comes, each at another point. Redis' clock stamps every entry, and it is this machine's, so the time of the
signal can be compared with it. Shown per fault:

- *first*: from the signal to the first new entry of each workflow that the dead node owned, whoever appended it;
- *owner*: the same to the first entry that only an owner appends (half of each workflow's time is a timer of 0.4 s, so up
  to 0.8 s of this figure are the workflow's own);
- *again*: from the signal to the moment when another agent began each task that the dead agent held.

`pair.kill` kills two of three nodes at once; `heir.kill` kills a second one 0.1 s after the first, while it adopts (times from
the second signal). `node.storm` kills a node that owns many parked workflows beside its busy ones, while the other nodes have
work of their own: the longest gap between entries of those is shown, and the time until all are adopted. `mesh.cold` kills all
nodes and starts new ones when all leases are over: times from the first one that is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import redis
from processes import HOME, machine
from recovering import laborious, lively, parked

from nervenet import Client
from nervenet.dev.servers import etcd, tied, valkey
from nervenet.records import Attempt, FailureCode, Outcome
from nervenet.wire import decode_entry

APP: Final = str(Path(__file__).parent / "recovering.py")
BOUNDS: Final = {
    "node.kill": {"first": 2000, "owner": 2000},
    "node.stop": {"first": 7000, "owner": 7000},
    "agent.kill": {"again": 1000},
    "agent.stop": {"again": 7000},
    "pair.kill": {"first": 2000},
    "heir.kill": {"first": 2000},
    "node.storm": {"first": 2000},
    "mesh.cold": {"first": 2000},
}
ENOUGH: Final = {"kill": 4.0, "stop": 9.0}
LEASES_OVER: Final = 6.5
HEIR_AFTER: Final = 0.1


Times = dict[str, list[float | None]]


class Role:
    """A `nervenet node` or `nervenet agent`."""

    def __init__(self, name: str, folder: Path, env: dict[str, str], number: int) -> None:
        self._ready = folder / f"{name}-{number}.json"
        self.log = folder / f"{name}-{number}.log"
        command = [sys.executable, "-m", "nervenet", name, APP, "--ready-file", str(self._ready)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(tied(command), env=env, stdout=log, stderr=log, cwd=HOME)

    def ready(self) -> None:
        while not self._ready.exists():
            if self.process.poll() is not None:
                raise SystemExit(self.log.read_text())
            time.sleep(0.005)
        self.ready_at = self._ready.stat().st_mtime * 1000
        facts = json.loads(self._ready.read_text())
        self.id, self.address = str(facts["id"]), str(facts["address"])

    def hit(self, signum: int) -> float:
        """Send the signal; when, in ms."""
        os.kill(self.process.pid, signum)
        return time.time() * 1000

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Mesh:
    """Three nodes, four agents, and the journals that they leave."""

    def __init__(self, store: str, members: str, folder: Path) -> None:
        self.namespace = f"recovery-{time.time_ns()}"
        self.redis = redis.Redis.from_url(store)
        self._folder = folder
        self._count = 0
        self._env = os.environ | {
            "PYTHONPATH": str(HOME / "python"),
            "NERVENET_REDIS": store,
            "NERVENET_ETCD": members,
            "NERVENET_NAMESPACE": self.namespace,
            "NERVENET_LISTEN": "127.0.0.1:0",
            "NERVENET_LOG_LEVEL": "info",
            "NERVENET_MAX_WORKFLOWS": "20000",  # parked ones, and beside them those that are measured
        }
        self.nodes: list[Role] = []
        self.agents: list[Role] = []

    def fill(self) -> None:
        """Three nodes and four agents."""
        self.fill_nodes()
        self.agents = [self._start("agent") for _ in range(4)]
        for agent in self.agents:
            agent.ready()

    def fill_nodes(self) -> None:
        self.nodes = [self._start("node") for _ in range(3)]
        for node in self.nodes:
            node.ready()

    def _start(self, name: str) -> Role:
        self._count += 1
        addresses = {"NERVENET_ADDRESS": ",".join(node.address for node in self.nodes)} if name == "agent" else {}
        return Role(name, self._folder, self._env | addresses, self._count)

    def end(self) -> None:
        for role in (*self.nodes, *self.agents):
            role.end()

    def client(self, at: Role) -> Client:
        return Client(at.address, namespace=self.namespace)

    def owners(self, ids: list[str]) -> dict[str, str]:
        pipe = self.redis.pipeline(transaction=False)
        for workflow_id in ids:
            pipe.hget(f"nn:{self.namespace}:wf:{{{workflow_id}}}", "owner")
        return {w: owner.decode() for w, owner in zip(ids, pipe.execute(), strict=True)}

    def journals(self, ids: list[str]) -> dict[str, list[tuple[int, str, bytes]]]:
        """Of each workflow (ms, name, entry), in order."""
        pipe = self.redis.pipeline(transaction=False)
        for workflow_id in ids:
            pipe.xrange(f"nn:{self.namespace}:wf:{{{workflow_id}}}:journal")
        return {
            w: [(int(at.partition(b"-")[0]), entry[b"n"].decode(), entry[b"e"]) for at, entry in rows]
            for w, rows in zip(ids, pipe.execute(), strict=True)
        }


def after(rows: list[tuple[int, str, bytes]], ms: float, prefix: str = "") -> float | None:
    """From `ms` to the first later entry of that kind."""
    return next((at - ms for at, name, _ in rows if at > ms and name.startswith(prefix)), None)


def again(rows: list[tuple[int, str, bytes]], agent_id: str, ms: float) -> float | None:
    """From `ms` to the start of the attempt that ended a step which this agent was lost with."""
    lost: set[str] = set()
    for at, name, data in rows:
        body = decode_entry(name, data, 1, at).body
        if isinstance(body, Attempt) and body.agent_id == agent_id and body.failure is not None:
            if body.failure.code == FailureCode.AGENT_LOST:
                lost.add(name[8:].rpartition("#")[0])
        elif isinstance(body, Outcome) and name[5:] in lost:
            return body.started_ms - ms
    return None


async def busy(client: Client, many: int, prefix: str = "") -> list[str]:
    """Workflows that are under way, each at another point."""
    wanted = {f"{prefix}{time.time_ns()}-{i}": 12 for i in range(many)}
    return list(await client.start_many(lively, wanted))


async def hit_nodes(mesh: Mesh, what: str, how: str, workflows: int) -> Times:
    victims = mesh.nodes[: 1 if what == "node" else 2]
    ids: list[str] = []
    for victim in victims:
        async with mesh.client(victim) as client:
            ids += await busy(client, workflows // len(victims))
    await asyncio.sleep(3)
    dead = {victim.id for victim in victims}
    ids = [w for w, owner in mesh.owners(ids).items() if owner in dead]
    at = victims[0].hit(signal.SIGKILL if how == "kill" else signal.SIGSTOP)
    for victim in victims[1:]:
        if what == "heir":
            await asyncio.sleep(HEIR_AFTER)
        at = victim.hit(signal.SIGKILL)
    await asyncio.sleep(ENOUGH[how])
    return stood_still(mesh, ids, at)


def stood_still(mesh: Mesh, ids: list[str], at: float) -> Times:
    journals = mesh.journals(ids)
    return {
        "first": [after(rows, at) for rows in journals.values()],
        "owner": [after(rows, at, "timer:") for rows in journals.values()],
    }


async def hit_agent(mesh: Mesh, how: str, workflows: int) -> Times:
    victim = mesh.agents[0]
    async with mesh.client(mesh.nodes[0]) as client:
        started = await client.start_many(laborious, {f"{time.time_ns()}-{i}": 4 for i in range(workflows)})
        await asyncio.sleep(4)
    at = victim.hit(signal.SIGKILL if how == "kill" else signal.SIGSTOP)
    await asyncio.sleep(ENOUGH[how] + 4)
    found = [again(rows, victim.id, at) for rows in mesh.journals(list(started)).values()]
    return {"again": [one for one in found if one is not None]}


async def storm(mesh: Mesh, many: int, workflows: int) -> Times:
    """A node dies that owns many parked workflows beside its busy ones, while the others have their own work."""
    victim, other = mesh.nodes[:2]
    async with mesh.client(victim) as client, mesh.client(other) as elsewhere:
        ids: list[str] = []
        for start in range(0, many, 1000):
            wanted = [f"parked-{start + i}" for i in range(min(1000, many - start))]
            ids += await asyncio.gather(*(_start_parked(client, key) for key in wanted))
        own = await busy(elsewhere, 100, "own-")
        live = await busy(client, workflows)
        await asyncio.sleep(3)
    live = [w for w, owner in mesh.owners(live).items() if owner == victim.id]
    at = victim.hit(signal.SIGKILL)
    while victim.id in mesh.owners(ids).values():
        await asyncio.sleep(0.05)
    adopted = time.time() * 1000 - at
    await asyncio.sleep(2)
    gaps: list[float | None] = []
    for rows in mesh.journals(own).values():
        times = [ms for ms, _, _ in rows if ms > at - 2000]
        gaps.append(max((b - a for a, b in pairwise(times)), default=None))
    return stood_still(mesh, live, at) | {"adopted": [adopted], "gap": gaps}


async def cold(mesh: Mesh, workflows: int) -> Times:
    """Nobody is left who remembers; some other day, nodes are started on what Redis has."""
    async with mesh.client(mesh.nodes[0]) as client:
        ids = await busy(client, workflows)
        await asyncio.sleep(1)
    for node in mesh.nodes:
        node.hit(signal.SIGKILL)
        node.end()
    mesh.nodes = []
    await asyncio.sleep(LEASES_OVER)
    mesh.fill_nodes()
    at = mesh.nodes[0].ready_at
    await asyncio.sleep(ENOUGH["kill"])
    return stood_still(mesh, ids, at)


async def _start_parked(client: Client, key: str) -> str:
    return (await client.start(parked, id=key)).id


def figures(times: list[float | None]) -> dict[str, Any]:
    known = sorted(one for one in times if one is not None)
    if not known:
        return {"n": 0, "missing": len(times), "p99": float("inf")}
    cut = statistics.quantiles(known, n=100, method="inclusive") if len(known) > 1 else known * 99
    row = {"n": len(known), "p50": cut[49], "p99": cut[98], "max": known[-1]}
    return {key: round(value) for key, value in row.items()} | {"missing": len(times) - len(known)}


def table(report: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'fault':12} {'what':8} {'n':>6} {'p50 ms':>7} {'p99 ms':>7} {'max ms':>7} {'missing':>8}  bound"]
    for fault, measures in report.items():
        for what, row in measures.items():
            most = BOUNDS[fault].get(what)
            good = most is None or (row["p99"] < most and not row["missing"])
            verdict = "" if most is None else f"{most} ms " + ("ok" if good else "MISSED")
            cells = "".join(f" {row.get(key, '-'):>7}" for key in ("p50", "p99", "max"))
            lines.append(f"{fault:12} {what:8} {row['n']:>6}{cells} {row['missing']:>8}  {verdict}")
    return "\n".join(lines)


async def hit(mesh: Mesh, fault: str, args: argparse.Namespace) -> Times:
    what, _, how = fault.partition(".")
    if how == "storm":
        return await storm(mesh, args.parked, args.workflows)
    if how == "cold":
        return await cold(mesh, args.workflows)
    if what == "agent":
        return await hit_agent(mesh, how, args.workflows)
    return await hit_nodes(mesh, what, how, args.workflows)


def measure(args: argparse.Namespace, store: str, members: str, folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, Times] = {}
    for turn in range(args.rounds):
        for fault in args.only:
            place = folder / f"{fault}-{turn}"
            place.mkdir()
            mesh = Mesh(store, members, place)
            try:
                mesh.fill()
                times = asyncio.run(hit(mesh, fault, args))
            finally:
                mesh.end()
            for name, values in times.items():
                found.setdefault(fault, {}).setdefault(name, []).extend(values)
            print(fault, {name: figures(values) for name, values in times.items()}, file=sys.stderr, flush=True)
    return {fault: {what: figures(values) for what, values in one.items()} for fault, one in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workflows", type=int, default=500)
    parser.add_argument("--parked", type=int, default=10_000)
    parser.add_argument("--only", nargs="+", choices=BOUNDS, default=list(BOUNDS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="a folder for the processes' logs")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        store, members = stack.enter_context(valkey()), stack.enter_context(etcd())
        report = measure(args, store.url, members.url, folder)
    print(table(report))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "faults": report}, indent=2))


if __name__ == "__main__":
    main()
