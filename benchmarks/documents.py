# SPDX-License-Identifier: Apache-2.0
"""A document pipeline at 50, 500, 5,000 and 50,000 documents an hour, with agents whose work takes 1 to 3 s each.

    make bench-documents                                    # about 7 minutes; each rate for 75 s
    make bench-documents ARGS="--rates 5000 --seconds 60 --seed 7"

A document goes through OCR, split, extract (all of its 2 to 6 pages in parallel), validate and store. One node; one agent process for each step.
Documents arrive at random moments with the given mean rate, the first one at once, and nobody waits for an earlier one. A latency counts from
the moment at which the document was due (no coordinated omission). It is compared with the ideal: the same times of work, without a mesh.

The slots of each step come from Little's law: at a rate r and a mean time of work t, m = r × t tasks are under way on average. Arrivals are random,
so the step gets m + 4 √(m b) + 2 slots, rounded up, and a document hardly ever waits for one. (The 2 is for slow arrivals, whose number varies most.)
b is 1 for tasks that arrive alone. Pages arrive in groups, and b is the mean square of their number divided by its mean: 4.5.

Writes build/bench/documents.json. Exits with 1 if a document has a wrong result or none. `--publish` also puts the table into docs/benchmarks/logistics.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pipeline
from comparing.report import grid
from processes import HOME, Process, cpu_ms, machine, product_environment, rss_mb

from nervenet import Client, NervenetError
from nervenet.dev.servers import etcd, valkey

IDLE_S: Final = 5.0
LOOKS_EVERY_S: Final = 0.5
PATIENCE_S: Final = 120.0
PAGE: Final = HOME / "docs/benchmarks/logistics.md"
BEGIN, END = "<!-- Written by `make bench-documents`, begin -->", "<!-- Written by `make bench-documents`, end -->"


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def slots_for(per_hour: float) -> dict[str, int]:
    """By Little's law, with a margin for random arrivals."""
    mean_s = (pipeline.SHORTEST_S + pipeline.LONGEST_S) / 2
    busy = {step: per_hour / 3600 * pipeline.calls_per_document(step) * mean_s for step in pipeline.STEPS}
    slots = {step: 2 + math.ceil(each + 4 * math.sqrt(each * pipeline.group(step))) for step, each in busy.items()}
    return slots | {"extract": max(slots["extract"], pipeline.PAGES[1])}  # no document waits for its own pages


def arrivals(per_hour: float, seconds: float, seed: int) -> list[float]:
    """Seconds after the beginning. The first document arrives at once: at 50 an hour there would be none otherwise."""
    dice = random.Random(f"{seed} {per_hour}")
    found, at = [0.0], 0.0
    while (at := at + dice.expovariate(per_hour / 3600)) < seconds:
        found.append(at)
    return found


class Pipeline:
    """The processes for one rate."""

    def __init__(self, stack: ExitStack, slots: dict[str, int]) -> None:
        store, members = stack.enter_context(valkey()), stack.enter_context(etcd())
        env = product_environment(store, members, "documents")
        node = stack.enter_context(Process("pipeline.py", "node", env=env))
        self.address: str = node.ready
        env["NERVENET_ADDRESS"] = self.address
        agents = [Process("pipeline.py", "agent", step, str(count), env=env) for step, count in slots.items()]
        for agent in agents:
            stack.enter_context(agent)
        self.node, self.agents = node.pid, [agent.pid for agent in agents]
        self._pids = {"node": [self.node], "agents": self.agents, "valkey": [store.pid], "etcd": [members.pid]}

    def cpu_ms(self) -> dict[str, float]:
        """What each kind of process has used so far; the client is this process."""
        return {"client": cpu_ms(os.getpid())} | {role: sum(map(cpu_ms, pids)) for role, pids in self._pids.items()}


class Memory:
    """The most that the processes had, in MB."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.node = self.agents = 0.0

    def look(self) -> None:
        self.node = max(self.node, rss_mb(self._pipeline.node))
        self.agents = max(self.agents, *map(rss_mb, self._pipeline.agents))

    async def follow(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOKS_EVERY_S)


@asynccontextmanager
async def followed(memory: Memory) -> AsyncIterator[None]:
    task = asyncio.create_task(memory.follow())
    try:
        yield
    finally:
        task.cancel()
        memory.look()


async def load(client: Client, due_s: Sequence[float], prefix: str, failed: dict[str, str]) -> dict[str, float]:
    """Document → how many seconds it took, counted from when it was due. What has a wrong result or none is in `failed`."""
    took: dict[str, float] = {}
    began = time.perf_counter()

    async def one(name: str, due: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                result = await client.run(pipeline.document, name, id=name)
        except (NervenetError, TimeoutError) as error:
            failed[name] = f"{type(error).__name__}: {error}"
            return
        took[name] = time.perf_counter() - due
        if result != f"{name}: {pipeline.FIELDS * pipeline.pages_of(name)} fields":
            failed[name] = f"wrong result: {result}"

    async with asyncio.TaskGroup() as group:
        for number, at in enumerate(due_s):
            if (ahead := began + at - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            group.create_task(one(f"{prefix}-{number}", began + at))
    return took


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


async def measure(per_hour: float, seconds: float, seed: int, idle_s: float) -> dict[str, Any]:
    """The row of one rate."""
    slots = slots_for(per_hour)
    with ExitStack() as stack:
        mesh = Pipeline(stack, slots)
        async with Client(mesh.address, namespace="documents") as client:
            await client.run(pipeline.document, pipeline.WARM_UP)
            before = mesh.cpu_ms()
            await asyncio.sleep(idle_s)
            idle = {role: (used - before[role]) / idle_s for role, used in mesh.cpu_ms().items()}
            memory, failed = Memory(mesh), dict[str, str]()
            before, began = mesh.cpu_ms(), time.perf_counter()
            async with followed(memory):
                took = await load(client, arrivals(per_hour, seconds, seed), f"s{seed}-{per_hour:g}", failed)
            lasted = time.perf_counter() - began
            cpu = {role: used - before[role] for role, used in mesh.cpu_ms().items()}
    if not took:
        raise SystemExit(f"no document has ended; the first of {len(failed)}: {next(iter(failed.items()))}")
    ideal = {name: pipeline.ideal_s(name) for name in took}
    added_ms = [(seconds - ideal[name]) * 1000 for name, seconds in took.items()]
    count = len(took)
    return {
        "documents_per_hour": per_hour,
        "seconds": seconds,
        "documents": count,
        "failed": failed,
        "pages": sum(map(pipeline.pages_of, took)),
        "slots": slots,
        "p50_ms": round(percentile(list(took.values()), 0.5) * 1000),
        "p99_ms": round(percentile(list(took.values()), 0.99) * 1000),
        "ideal_p50_ms": round(percentile(list(ideal.values()), 0.5) * 1000),
        "ideal_p99_ms": round(percentile(list(ideal.values()), 0.99) * 1000),
        "added_p50_ms": round(percentile(added_ms, 0.5), 1),
        "added_p99_ms": round(percentile(added_ms, 0.99), 1),
        "idle_cpu_percent": {role: round(each / 10, 2) for role, each in idle.items()},
        "cpu_ms_per_document": {role: round(used / count, 2) for role, used in cpu.items()},
        "cpu_ms_per_document_above_idle": {
            role: round(max(0.0, used - idle[role] * lasted) / count, 2) for role, used in cpu.items()
        },
        "node_mb": round(memory.node, 1),
        "largest_agent_mb": round(memory.agents, 1),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    heads = (
        "documents an hour", "arrived", "pages", "slots of " + ", ".join(pipeline.STEPS), "p50", "ideal", "added", "p99", "ideal", "added",
        "CPU ms each", "above idle", "idle CPU", "node MB", "agent MB",
    )  # fmt: skip
    return grid(heads, [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[str]:
    def total(name: str) -> float:
        return float(sum(row[name].values()))

    latencies = [
        text
        for p in ("p50", "p99")
        for text in (
            f"{row[f'{p}_ms'] / 1000:.2f} s",
            f"{row[f'ideal_{p}_ms'] / 1000:.2f} s",
            f"{row[f'added_{p}_ms']:.0f} ms",
        )
    ]
    return [
        f"{row['documents_per_hour']:,.0f}",
        f"{row['documents']:,}",
        f"{row['pages']:,}",
        " ".join(str(count) for count in row["slots"].values()),
        *latencies,
        f"{total('cpu_ms_per_document'):.1f}",
        f"{total('cpu_ms_per_document_above_idle'):.1f}",
        f"{total('idle_cpu_percent'):.1f} %",
        f"{row['node_mb']:.0f}",
        f"{row['largest_agent_mb']:.0f}",
    ]


def publish(text: str) -> None:
    """Replace what the page has between its two marks."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


@contextmanager
def interruptible() -> Iterator[None]:
    """Every process ends with its block; say so."""
    try:
        yield
    except KeyboardInterrupt:
        print("\nInterrupted: every process that was started has ended.", file=sys.stderr)
        raise SystemExit(130) from None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[50, 500, 5_000, 50_000], help="documents an hour")
    parser.add_argument("--seconds", type=float, default=75, help="how long documents arrive at each rate (75)")
    parser.add_argument("--idle-s", type=float, default=IDLE_S, help="how long the idle mesh is measured before")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--publish", action="store_true", help=f"also write {PAGE.relative_to(HOME)}")
    parser.add_argument("--out", type=Path, default=Path("build/bench/documents.json"))
    options = parser.parse_args()
    facts = machine()
    result: dict[str, Any] = {"seed": options.seed, "machine": facts, "rows": []}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with interruptible():
        for per_hour in options.rates:
            slots = slots_for(per_hour)
            say(f"{per_hour:,.0f} documents an hour for {options.seconds:g} s; slots: {slots}")
            row = asyncio.run(measure(per_hour, options.seconds, options.seed, options.idle_s))
            result["rows"].append(row)
            options.out.write_text(json.dumps(result, indent=1) + "\n")
            say(f"{row['documents']:,} documents: p50 {row['p50_ms']} ms, ideal {row['ideal_p50_ms']} ms")
    about = (
        f"{facts['cpu']}, Linux {facts['kernel']}, CPython {facts['python']}; seed {options.seed}; documents arrive for"
        f" {options.seconds:g} s at each rate; load average before: {facts['load']}."
    )
    text = f"{about}\n\n{table(result['rows'])}"
    print(f"{text}\n\n{options.out}")
    failed = {name: words for row in result["rows"] for name, words in row["failed"].items()}
    for name, words in list(failed.items())[:20]:
        print(f"✗ {name}: {words}")
    if options.publish:
        publish(text)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
