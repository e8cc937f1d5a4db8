# SPDX-License-Identifier: Apache-2.0
"""Processes stand still for a while and go on: SIGSTOP, SIGCONT. Everything must end within 7 s of the freeze's end.

    make freezes                                                    # 20 rounds of each cell, ten meshes side by side
    python -m tests.recovery.freezes --rounds 3 --seconds 8 --targets both --nodes 1

A cell is who stands still (a node, an agent, or one of each), for how long, and how many nodes there are (one node with one
agent, three nodes with two). Real processes; a round starts workflows of short steps one after another, freezes in the
middle of them, and measures how long after the freeze's end the last of them has ended. Most of that is waiting, so
many meshes run side by side. Prints maximum and p99 of each cell; exit code 1 where a round took longer than 7 s.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nervenet import WorkflowHandle
from tests.recovery.trips_app import Trip, round_trip
from tests.support.mesh import ProcessMesh, mesh_alone
from tests.support.torture import BUILD, command_line, conclude, quantile, wrong_ends
from tests.support.waiting import keep_asking

APP = "tests/recovery/trips_app.py"
WITHIN = 7.0
"""Seconds after the end of the freeze by which everything must have ended."""
GIVEN_UP = 75.0
"""So long a round is waited for, so that the report can say how late it was."""
AGENTS = {1: 1, 3: 2}
TARGETS = ("node", "agent", "both")
SECONDS = (3.0, 8.0, 12.0, 20.0)
WORKFLOWS = 20
BEAT, LONG = 0.3, 1.2
"""Seconds of a step, and of the first step of every fourth workflow: it may be in the middle of it when all stands still."""


@dataclass(frozen=True)
class Cell:
    """Who stands still for how long, among how many nodes."""

    nodes: int
    target: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.nodes} node{'s' if self.nodes > 1 else ' '}, {self.target:5} frozen for {self.seconds:4.3g} s"


@dataclass(frozen=True)
class Round:
    """What became of one: how long after the freeze's end the last workflow ended, and what went wrong."""

    cell: Cell
    seed: int
    late: float
    wrong: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.wrong) or self.late > WITHIN


class Frozen:
    """One mesh, used for one round after another."""

    def __init__(self, host: ProcessMesh, nodes: int) -> None:
        self.host = host
        host.start(nodes, AGENTS[nodes], "--name", "worker")
        self.nodes, self.agents = host.processes[:nodes], host.processes[nodes:]
        self._count = itertools.count()

    async def round(self, cell: Cell, seed: int) -> Round:
        """Start workflows, freeze in the middle of them, see when they have ended."""
        chance = random.Random(seed)
        runs: dict[str, tuple[WorkflowHandle[int], int]] = {}
        victims = [chance.choice(self.nodes)] if cell.target != "agent" else []
        victims += [chance.choice(self.agents)] if cell.target != "node" else []
        async with self.host.client() as client:
            for _ in range(WORKFLOWS):
                n = next(self._count)
                trip = Trip(n, BEAT, LONG if n % 4 == 3 else BEAT)
                start = partial(client.start, round_trip, trip, id=f"trip-{n}")
                runs[f"trip-{n}"] = await keep_asking(start, GIVEN_UP, every=0.05), trip.result
                await asyncio.sleep(chance.uniform(0.0, 0.12))
            for victim in victims:
                victim.kill(signal.SIGSTOP)
            await asyncio.sleep(cell.seconds)
            for victim in victims:
                victim.kill(signal.SIGCONT)
            ended = time.monotonic()
            wrong = await wrong_ends(runs, GIVEN_UP, every=0.05)
            late = time.monotonic() - ended
        return Round(cell, seed, late, "; ".join(wrong))


async def freeze(
    folder: Path, redis: str, registry: str, cells: Sequence[Cell], rounds: int, parallel: int, seed: int
) -> list[Round]:
    """Run every cell this many times, on `parallel` meshes side by side."""
    jobs: dict[int, list[tuple[Cell, int]]] = defaultdict(list)
    for number, (_, cell) in enumerate(itertools.product(range(rounds), cells)):
        jobs[cell.nodes].append((cell, seed + number))
    sizes = sorted(jobs)
    done: list[Round] = []

    async def mesh(number: int, nodes: int) -> None:
        place = folder / f"mesh-{number}"
        place.mkdir()
        with ProcessMesh(place, redis, registry, app=APP) as host:
            frozen = await asyncio.to_thread(Frozen, host, nodes)
            while jobs[nodes]:
                cell, seed = jobs[nodes].pop(0)
                one = await frozen.round(cell, seed)
                done.append(one)
                if one.failed:
                    print(f"seed {one.seed}: {cell}: {one.late:.1f} s {one.wrong} ({place})", flush=True)

    count = min(parallel, sum(map(len, jobs.values())))
    async with asyncio.TaskGroup() as group:
        for number in range(max(count, len(sizes))):
            group.create_task(mesh(number, sizes[number % len(sizes)]))
    return done


def report(done: Sequence[Round]) -> list[str]:
    """A line for each cell, and one for all."""
    by_cell: dict[Cell, list[Round]] = defaultdict(list)
    for one in done:
        by_cell[one.cell].append(one)
    lines = []
    for cell in sorted(by_cell, key=lambda cell: (cell.nodes, cell.target, cell.seconds)):
        late = [one.late for one in by_cell[cell]]
        bad = [one.seed for one in by_cell[cell] if one.failed]
        verdict = f"FAILED: seeds {bad}" if bad else "ok"
        lines.append(f"{cell}: {len(late)} rounds, max {max(late):.2f} s, p99 {quantile(late, 0.99):.2f} s  {verdict}")
    failed = sum(one.failed for one in done)
    return [*lines, f"{len(done) - failed} of {len(done)} rounds ended within {WITHIN:g} s of the freeze's end"]


def main() -> int:
    """Run it from the command line."""
    parser = command_line(__doc__, rounds=20, parallel=10, seed=1, out=BUILD / "freezes.json")
    parser.add_argument("--nodes", type=int, nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("--seconds", type=float, nargs="+", default=SECONDS)
    parser.add_argument("--folder", type=Path, help="keep the logs of the processes here")
    asked = parser.parse_args()
    cells = [Cell(*one) for one in itertools.product(asked.nodes, asked.targets, asked.seconds)]
    began = time.monotonic()
    with mesh_alone(APP, asked.folder) as place:
        servers = place.env["NERVENET_REDIS"], place.env["NERVENET_ETCD"]
        done = asyncio.run(freeze(place.folder, *servers, cells, asked.rounds, asked.parallel, asked.seed))
    rows = [{**vars(one.cell), "seed": one.seed, "late": round(one.late, 3), "wrong": one.wrong} for one in done]
    lines = [*report(done), f"in {time.monotonic() - began:.0f} s on {os.cpu_count()} cores"]
    return conclude(asked.out, rows, "\n".join(lines), [f"seed {one.seed} failed" for one in done if one.failed])


if __name__ == "__main__":
    sys.exit(main())
