# SPDX-License-Identifier: Apache-2.0
"""Every node (and every agent) of a mesh is replaced in turn, under load: nothing fails, repeats or stalls.

    make rolling                                                       # 3 nodes, 2 agents, 200 workflows at a time
    make rolling ARGS="--order before --rounds 3"                      # the new process serves before the old one is asked to go

Real processes as an operator starts them, and SIGTERM. Clients, one at each node's address and all others behind it, keep
this many workflows under way: whenever one ends, they start the next. Each workflow is five beats long; what it takes
beyond that is the mesh's, and counts as slow above two seconds. Each finished step leaves a line in a file.

Ends with one line, and writes the same as JSON; exit code 1 where a workflow failed, was slow, or a step was done twice.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import redis

from nervenet import Client
from nervenet.dev.servers import free_port
from tests.recovery.trips_app import BEATS, Trip, round_trip
from tests.support.mesh import ProcessMesh, mesh_alone
from tests.support.processes import NervenetProcess
from tests.support.torture import BUILD, command_line, conclude, quantile

APP = "tests/recovery/trips_app.py"
SLOW = 2.0
BEAT = 0.5
SLOWEST = 10
CLIENTS = 6
Order = Literal["after", "before"]


class Traffic:
    """So many workflows under way at any moment, through all addresses, until `end`."""

    def __init__(self, host: ProcessMesh, addresses: list[str], at_once: int, beat: float) -> None:
        self._host, self._addresses, self._beat, self._nominal = host, addresses, beat, beat * BEATS
        self._ending = False
        self._n = itertools.count()
        self._under_way = 0
        self._full = asyncio.Event()
        self._at_once = at_once
        self.took: dict[str, tuple[float, float]] = {}
        """Id → when it began, and what it took beyond its beats, in seconds."""
        self.failed: dict[str, str] = {}
        self._tasks = [asyncio.create_task(self._client(i)) for i in range(CLIENTS)]

    async def full(self, within: float = 60) -> None:
        """Return when all of them are under way."""
        async with asyncio.timeout(within):
            await self._full.wait()

    async def end(self, within: float = 60) -> None:
        """Start no more; return when all have ended."""
        self._ending = True
        async with asyncio.timeout(within):
            await asyncio.gather(*self._tasks)

    async def _client(self, i: int) -> None:
        turn = i % len(self._addresses)
        addresses = [*self._addresses[turn:], *self._addresses[:turn]]
        share = self._at_once // CLIENTS + (i < self._at_once % CLIENTS)
        async with Client(",".join(addresses), namespace=self._host.namespace) as client:
            await asyncio.gather(*(self._one_after_the_other(client, k / max(1, share)) for k in range(share)))

    async def _one_after_the_other(self, client: Client, phase: float) -> None:
        await asyncio.sleep(phase * self._nominal)  # spread, so that every restart meets every step
        first = True
        while first or not self._ending:
            n = next(self._n)
            workflow_id, began = f"trip-{n}", time.monotonic()
            if first:
                self._under_way += 1
                if self._under_way == self._at_once:
                    self._full.set()
            first = False
            try:
                trip = Trip(n, self._beat, self._beat)
                if (result := await client.run(round_trip, trip, id=workflow_id)) != trip.result:
                    self.failed[workflow_id] = f"gave {result}"
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what the report is about
                self.failed[workflow_id] = repr(error)
            self.took[workflow_id] = began, time.monotonic() - began - self._nominal


class Rolled:
    """What was replaced, and when."""

    def __init__(self) -> None:
        self.restarts: list[tuple[str, str, float, float]] = []
        """Kind, id of the leaver, when it was asked to go, how long it took to go."""
        self.codes = Counter[int]()

    async def replace(
        self, kind: str, old: NervenetProcess, make: Callable[[], NervenetProcess], order: Order
    ) -> NervenetProcess:
        """SIGTERM to the old one, and a new one in its place."""
        new = old
        if order == "before":
            new = await asyncio.to_thread(make().ready)
        began = time.monotonic()
        old.kill(signal.SIGTERM)
        self.codes[await asyncio.to_thread(old.wait, 60)] += 1
        self.restarts.append((kind, old.id, began, time.monotonic() - began))
        if order == "after":
            new = await asyncio.to_thread(make().ready)
        return new


async def roll(
    host: ProcessMesh,
    *,
    nodes: int = 3,
    agents: int = 2,
    at_once: int = 200,
    order: Order = "after",
    rounds: int = 1,
    replaced: tuple[str, ...] = ("node", "agent"),
    pause: float = 0.5,
    beat: float = BEAT,
    builds: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> dict[str, Any]:
    """Start a mesh in `host`, put it under load, replace each process in turn; the report.

    Args:
        host: Where the processes run.
        nodes: How many nodes.
        agents: How many agents.
        at_once: Workflows under way at any moment.
        order: Whether a process leaves before its successor starts, or after.
        rounds: How often each process is replaced.
        replaced: Which kinds are replaced, in this order.
        pause: Seconds between two replacements.
        beat: Seconds of each step.
        builds: Environment of the first processes, and of those that replace them.
    """
    first, then = builds
    nominal = beat * BEATS
    ports = [free_port() for _ in range(nodes)]
    spare = [free_port() for _ in range(nodes)] if order == "before" else ports
    addresses = [f"127.0.0.1:{port}" for port in dict.fromkeys([*ports, *spare])]
    host.env["NERVENET_ADDRESS"] = ",".join(addresses)

    def node(port: int, build: Mapping[str, str] = then) -> NervenetProcess:
        return host.node(APP, "--listen", f"127.0.0.1:{port}", **build)

    def agent(build: Mapping[str, str] = then) -> NervenetProcess:
        return host.agent("--name", "worker", app=APP, NERVENET_ADDRESS=",".join(addresses), **build)

    serving = list(await asyncio.to_thread(host.up, *(node(port, first) for port in ports)))
    working = list(await asyncio.to_thread(host.up, *(agent(first) for _ in range(agents))))
    traffic, rolled = Traffic(host, addresses, at_once, beat), Rolled()
    began = time.monotonic()
    await traffic.full()
    await asyncio.sleep(nominal)
    calm_until = time.monotonic()
    for turn in range(rounds):
        there = spare if turn % 2 == 0 else ports
        for kind in replaced:
            for i in range(nodes if kind == "node" else 0):
                serving[i] = await rolled.replace("node", serving[i], partial(node, there[i]), order)
                await asyncio.sleep(pause)
            for i in range(agents if kind == "agent" else 0):
                working[i] = await rolled.replace("agent", working[i], agent, order)
                await asyncio.sleep(pause)
    rolled_until = time.monotonic()
    await traffic.end()
    effects = Counter((host.folder / "effects").read_text().splitlines())
    steps = Counter(line.partition(" ")[2].rpartition("#")[0] for line in effects.elements())
    before = sorted(took for at, took in traffic.took.values() if at + took + nominal < calm_until)
    during = sorted(
        took for at, took in traffic.took.values() if calm_until <= at + took + nominal and at < rolled_until
    )
    slow = {w: round(took, 2) for w, (_, took) in traffic.took.items() if took > SLOW}
    slowest = sorted(traffic.took.items(), key=lambda item: -item[1][1])[:SLOWEST]
    return {
        "nodes": nodes,
        "agents": agents,
        "at_once": at_once,
        "order": order,
        "restarts": dict(Counter(kind for kind, *_ in rolled.restarts)),
        "exit_codes": dict(rolled.codes),
        "leaving_seconds": [
            (kind, who, round(at - began, 2), round(took, 2)) for kind, who, at, took in rolled.restarts
        ],
        "workflows": len(traffic.took),
        "failed": traffic.failed,
        "repeated_steps": {step: count for step, count in steps.items() if count > 1},
        "slow": slow,
        "slowest": {w: where(host, began, w, at, at + took + nominal) for w, (at, took) in slowest},
        "overhead_before": _spread(before),
        "overhead_during": _spread(during),
        "seconds": round(time.monotonic() - began, 1),
    }


def where(host: ProcessMesh, epoch: float, workflow_id: str, began: float, ended: float) -> str:
    """Where one stood still: on its way in, between which entries of its journal, or on its way out."""
    key = f"nn:{host.namespace}:wf:{{{workflow_id}}}:journal"
    with redis.Redis.from_url(host.redis) as store:
        rows: Any = store.xrange(key)
    shift = time.time() - time.monotonic()
    moments = [("asked for", began + shift)]
    moments += [(entry[b"n"].decode(), int(at.partition(b"-")[0]) / 1000) for at, entry in rows]
    moments.append(("told", ended + shift))
    gaps = [(b[1] - a[1], f"{a[0]} to {b[0]}", a[1] - shift - epoch) for a, b in itertools.pairwise(moments)]
    return ", ".join(f"{what} {gap:.2f} s from {since:.2f}" for gap, what, since in sorted(gaps, reverse=True)[:2])


def _spread(values: list[float]) -> dict[str, float]:
    parts = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(quantile(values, part), 3) for name, part in parts.items()} if values else {}


def violations(report: dict[str, Any]) -> list[str]:
    """What failed, was done twice, stalled, or left with an error."""
    found = [f"{kind}: {report[kind]}" for kind in ("failed", "repeated_steps", "slow") if report[kind]]
    return found + [f"exit code {code}" for code in report["exit_codes"] if code]


def line(report: dict[str, Any]) -> str:
    """The report for people."""
    what = " and ".join(f"{count} {kind}s" for kind, count in report["restarts"].items())
    took = report["overhead_during"]
    return (
        f"{what} restarted in turn under {report['at_once']} workflows at a time ({report['workflows']} in all): "
        f"{len(report['failed'])} failed, {len(report['repeated_steps'])} steps repeated, {len(report['slow'])} slow; "
        f"overhead p50 {took.get('p50')} s, p99 {took.get('p99')} s, max {took.get('max')} s "
        f"(before: max {report['overhead_before'].get('max')} s)"
    )


def main() -> int:
    """Run it from the command line."""
    defaults = {"nodes": 3, "agents": 2, "at_once": 200, "rounds": 1, "replaced": "node,agent", "logs": False}
    parser = command_line(__doc__, **defaults, out=BUILD / "rolling.json")
    parser.add_argument("--order", choices=("after", "before"), default="after")
    options = vars(parser.parse_args())
    out, logs, replaced = options.pop("out"), options.pop("logs"), options.pop("replaced")
    with mesh_alone(APP) as host:
        report = asyncio.run(roll(host, replaced=tuple(replaced.split(",")), **options))
        if logs:
            print(*(f"── {one.id} pid {one.pid}\n{one.log}" for one in host.processes), sep="\n")
    return conclude(out, report, line(report), violations(report))


if __name__ == "__main__":
    sys.exit(main())
