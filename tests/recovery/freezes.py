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

import argparse
import asyncio
import itertools
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nervenet import Client
from nervenet.dev.servers import etcd, valkey
from nervenet.errors import RequestError
from tests.recovery import freezes_app
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

APP = "tests/recovery/freezes_app.py"
WITHIN = 7.0
"""Seconds after the end of the freeze by which everything must have ended."""
GIVEN_UP = 75.0
"""So long a round is waited for, so that the report can say how late it was."""
AGENTS = {1: 1, 3: 2}
TARGETS = ("node", "agent", "both")
SECONDS = (3.0, 8.0, 12.0, 20.0)
WORKFLOWS = 20


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


class Frozen:
    """One mesh, used for one round after another."""

    def __init__(self, host: ProcessMesh, nodes: Sequence[NervenetProcess], agents: Sequence[NervenetProcess]) -> None:
        self.host, self.nodes, self.agents = host, nodes, agents
        self._count = itertools.count()

    @classmethod
    def start(cls, host: ProcessMesh, nodes: int) -> Frozen:
        serving = host.up(*(host.node(APP) for _ in range(nodes)))
        return cls(host, serving, host.up(*(host.agent("--name", "worker", app=APP) for _ in range(AGENTS[nodes]))))

    async def round(self, cell: Cell, seed: int) -> Round:
        """Start workflows, freeze in the middle of them, see when they have ended."""
        chance = random.Random(seed)
        ids: dict[str, int] = {}
        victims = [chance.choice(self.nodes)] if cell.target != "agent" else []
        victims += [chance.choice(self.agents)] if cell.target != "node" else []
        async with Client(self.host.addresses, namespace=self.host.namespace) as client:
            for _ in range(WORKFLOWS):
                n = next(self._count)
                await _insisting(lambda n=n: client.start(freezes_app.walk, n, id=f"walk-{n}"))  # type: ignore[misc]
                ids[f"walk-{n}"] = n
                await asyncio.sleep(chance.uniform(0.0, 0.12))
            for victim in victims:
                victim.kill(signal.SIGSTOP)
            await asyncio.sleep(cell.seconds)
            for victim in victims:
                victim.kill(signal.SIGCONT)
            ended = time.monotonic()
            wrong = await asyncio.gather(*(self._end(client, one, n, ended) for one, n in ids.items()))
            late = time.monotonic() - ended
        return Round(cell, seed, late, "; ".join(filter(None, wrong)))

    async def _end(self, client: Client, id: str, n: int, since: float) -> str:
        """Wait for its end; what is wrong with it."""
        run = client.handle(id, freezes_app.walk)
        try:
            async with asyncio.timeout(since + GIVEN_UP - time.monotonic()):
                result = await _insisting(lambda: run.result(timeout=5))
        except TimeoutError:
            return f"{id} has not ended in {GIVEN_UP:g} s"
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what the report is about
            return f"{id}: {error!r}"
        return "" if result == freezes_app.expected(n) else f"{id} gave {result}"


async def _insisting(ask: Callable[[], Awaitable[Any]]) -> Any:
    """As a careful caller does: a node that does not answer is asked again."""
    while True:
        with suppress(RequestError, TimeoutError):
            return await ask()
        await asyncio.sleep(0.05)


async def freeze(
    folder: Path, redis: str, registry: str, cells: Sequence[Cell], rounds: int, parallel: int, seed: int
) -> list[Round]:
    """Every cell so many times, on `parallel` meshes side by side."""
    jobs: dict[int, list[tuple[Cell, int]]] = defaultdict(list)
    for number, (_, cell) in enumerate(itertools.product(range(rounds), cells)):
        jobs[cell.nodes].append((cell, seed + number))
    sizes = sorted(jobs)
    done: list[Round] = []

    async def mesh(number: int, nodes: int) -> None:
        place = folder / f"mesh-{number}"
        place.mkdir()
        with ProcessMesh(place, redis, registry) as host:
            frozen = await asyncio.to_thread(Frozen.start, host, nodes)
            while jobs[nodes]:
                cell, seed = jobs[nodes].pop(0)
                one = await frozen.round(cell, seed)
                done.append(one)
                if one.wrong or one.late > WITHIN:
                    print(f"seed {one.seed}: {cell}: {one.late:.1f} s {one.wrong} ({place})", flush=True)

    count = min(parallel, sum(map(len, jobs.values())))
    async with asyncio.TaskGroup() as group:
        for number in range(max(count, len(sizes))):
            group.create_task(mesh(number, sizes[number % len(sizes)]))
    return done


def p99(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


def report(done: Sequence[Round]) -> tuple[list[str], bool]:
    """A line for each cell, and whether all of it was in time."""
    by_cell: dict[Cell, list[Round]] = defaultdict(list)
    for one in done:
        by_cell[one.cell].append(one)
    lines = []
    for cell in sorted(by_cell, key=lambda cell: (cell.nodes, cell.target, cell.seconds)):
        late = [one.late for one in by_cell[cell]]
        bad = [one.seed for one in by_cell[cell] if one.wrong or one.late > WITHIN]
        verdict = f"FAILED: seeds {bad}" if bad else "ok"
        lines.append(f"{cell}: {len(late)} rounds, max {max(late):.2f} s, p99 {p99(late):.2f} s  {verdict}")
    failed = sum(bool(one.wrong) or one.late > WITHIN for one in done)
    lines.append(f"{len(done) - failed} of {len(done)} rounds ended within {WITHIN:g} s of the freeze's end")
    return lines, not failed


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of each cell")
    parser.add_argument("--parallel", type=int, default=10, help="meshes side by side")
    parser.add_argument("--nodes", type=int, nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("--seconds", type=float, nargs="+", default=SECONDS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the logs of the processes here")
    parser.add_argument("--out", type=Path, default=Path("build/recovery/freezes.json"))
    asked = parser.parse_args()
    cells = [Cell(*one) for one in itertools.product(asked.nodes, asked.targets, asked.seconds)]
    began = time.monotonic()
    with ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-freezes-")))
        folder.mkdir(parents=True, exist_ok=True)
        members, server = stack.enter_context(etcd()), stack.enter_context(valkey())
        done = asyncio.run(freeze(folder, server.url, members.url, cells, asked.rounds, asked.parallel, asked.seed))
    lines, well = report(done)
    print(*lines, f"in {time.monotonic() - began:.0f} s on {os.cpu_count()} cores", sep="\n")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**vars(one.cell), "seed": one.seed, "late": round(one.late, 3), "wrong": one.wrong} for one in done]
    asked.out.write_text(json.dumps(rows, indent=1) + "\n")
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
