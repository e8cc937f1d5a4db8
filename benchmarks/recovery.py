# SPDX-License-Identifier: Apache-2.0
"""How long a workflow stands still when a process dies: real processes, real signals, times from the journals.

    python benchmarks/recovery.py [--rounds 3] [--workflows 500] [--parked 10000] [--only node.kill …] [--json FILE]

Three nodes and four agents, started by the command line alone. In each round one of them is hit while all workflows are
under way, and replaced afterwards. Redis' clock stamps every entry, and it is this machine's, so the time of the signal
can be compared with it. Shown per fault:

- *first*: from the signal to the first new entry of each workflow that the dead node owned, whoever appended it;
- *owner*: the same to the first entry that only an owner appends (half of each workflow's time is a timer of 0.4 s, so
  0.4 s and more of this figure are the workflow's own);
- *again*: from the signal to the moment when another agent began each task that the dead agent held.

`node.storm` kills a node that owns many parked workflows while the others work: their own workflows' longest gap between
entries is shown beside the time until all are adopted.
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
    "node.kill": ("first", 2000),
    "node.stop": ("first", 7000),
    "agent.kill": ("again", 1000),
    "agent.stop": ("again", 7000),
    "node.storm": ("adopted", None),
}
ENOUGH: Final = {"kill": 5.0, "stop": 9.0, "storm": 0.0}


class Role:
    """A `nervenet node` or `nervenet agent`."""

    def __init__(self, name: str, folder: Path, env: dict[str, str], number: int) -> None:
        self.name = name
        self._ready = folder / f"{name}-{number}.json"
        self.log = folder / f"{name}-{number}.log"
        command = [sys.executable, "-m", "nervenet", name, APP, "--ready-file", str(self._ready)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(tied(command), env=env, stdout=log, stderr=log, cwd=HOME)

    def ready(self) -> None:
        while not self._ready.exists():
            if self.process.poll() is not None:
                raise SystemExit(self.log.read_text())
            time.sleep(0.02)
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
        }
        self.nodes: list[Role] = []
        self.agents: list[Role] = []

    def fill(self) -> None:
        """Until there are three nodes and four agents."""
        self.nodes = [node for node in self.nodes if node.process.poll() is None]
        self.agents = [agent for agent in self.agents if agent.process.poll() is None]
        for roles, name, many in ((self.nodes, "node", 3), (self.agents, "agent", 4)):
            new = [self._start(name) for _ in range(many - len(roles))]
            for role in new:
                role.ready()
            roles += new

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


async def hit_node(mesh: Mesh, how: str, workflows: int) -> dict[str, list[float | None]]:
    victim = mesh.nodes[0]
    async with mesh.client(victim) as client:
        started = await client.start_many(lively, {f"{time.time_ns()}-{i}": 12 for i in range(workflows)})
        await asyncio.sleep(3)
    ids = [w for w, owner in mesh.owners(list(started)).items() if owner == victim.id]
    at = victim.hit(signal.SIGKILL if how == "kill" else signal.SIGSTOP)
    await asyncio.sleep(ENOUGH[how])
    journals = mesh.journals(ids)
    victim.end()
    return {
        "first": [after(rows, at) for rows in journals.values()],
        "owner": [after(rows, at, "timer:") for rows in journals.values()],
    }


async def hit_agent(mesh: Mesh, how: str, workflows: int) -> dict[str, list[float | None]]:
    victim = mesh.agents[0]
    async with mesh.client(mesh.nodes[0]) as client:
        started = await client.start_many(laborious, {f"{time.time_ns()}-{i}": 4 for i in range(workflows)})
        await asyncio.sleep(4)
    at = victim.hit(signal.SIGKILL if how == "kill" else signal.SIGSTOP)
    await asyncio.sleep(ENOUGH[how] + 4)
    found = [again(rows, victim.id, at) for rows in mesh.journals(list(started)).values()]
    victim.end()
    return {"again": [one for one in found if one is not None]}


async def storm(mesh: Mesh, many: int) -> dict[str, list[float | None]]:
    """A node dies that owns many parked workflows, while the others have their own work."""
    victim, other = mesh.nodes[:2]
    async with mesh.client(victim) as client, mesh.client(other) as busy:
        own = await busy.start_many(lively, {f"own-{time.time_ns()}-{i}": 30 for i in range(100)})
        ids: list[str] = []
        for start in range(0, many, 1000):
            wanted = {f"{time.time_ns()}-{start + i}": None for i in range(min(1000, many - start))}
            ids += await asyncio.gather(*(_start_parked(client, key) for key in wanted))
    at = victim.hit(signal.SIGKILL)
    while victim.id in mesh.owners(ids).values():
        await asyncio.sleep(0.05)
    adopted = time.time() * 1000 - at
    await asyncio.sleep(2)
    gaps: list[float | None] = []
    for rows in mesh.journals(list(own)).values():
        times = [ms for ms, _, _ in rows if ms > at - 2000]
        gaps.append(max((b - a for a, b in pairwise(times)), default=None))
    victim.end()
    return {"adopted": [adopted], "gap": gaps}


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
            bounded, most = BOUNDS[fault]
            verdict = (
                "" if what != bounded or most is None else f"{most} ms " + ("ok" if row["p99"] < most else "MISSED")
            )
            cells = "".join(f" {row.get(key, '-'):>7}" for key in ("p50", "p99", "max"))
            lines.append(f"{fault:12} {what:8} {row['n']:>6}{cells} {row['missing']:>8}  {verdict}")
    return "\n".join(lines)


async def measure(args: argparse.Namespace, mesh: Mesh) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, list[float | None]]] = {}
    for _ in range(args.rounds):
        for fault in args.only:
            mesh.fill()
            what, _, how = fault.partition(".")
            if how == "storm":
                times = await storm(mesh, args.parked)
            else:
                times = await (hit_node if what == "node" else hit_agent)(mesh, how, args.workflows)
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
        mesh = Mesh(store.url, members.url, folder)
        stack.callback(mesh.end)
        report = asyncio.run(measure(args, mesh))
    print(table(report))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "faults": report}, indent=2))


if __name__ == "__main__":
    main()
