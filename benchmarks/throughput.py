# SPDX-License-Identifier: Apache-2.0
"""Throughput of the product beside the bare pump, interleaved in one run.

    python benchmarks/throughput.py [--quick] [--rounds 5] [--seconds 2] [--concurrency 1 50 200 500] [--work-ms 0]

A workflow is four no-op steps in sequence with a payload of 1 KB. Client, node and agent are a process each, Valkey (appending
to its file, fsync each second) and etcd are the embedded ones. At each concurrency the pump and the product take turns, which goes
first alternates, and rounds are repeated: this machine's speed changes from minute to minute, so only what was measured
within seconds of each other is divided. Shown is the median of the rounds; the share is the median of the rounds' shares.
"by CPU" divides the pump's CPU for a workflow by the product's: the figure that noise touches least.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import redis
from memory import measure as measure_memory
from processes import HOME, Process, cpu_ms, machine, product_environment, rss_mb

from nervenet.dev.servers import Server, etcd, valkey

SYSTEMS = ("pump", "nervenet")
PUMP, PRODUCT = SYSTEMS


@dataclass
class System:
    """One of the two that are compared: who takes orders, whose memory counts, whose CPU."""

    name: str
    namespace: str
    driver: Process
    node_pid: int
    pids: dict[str, int]


@dataclass
class Bench:
    """Everything that runs, and how each slot of the run is measured."""

    store: redis.Redis
    systems: dict[str, System]
    work_ms: int

    def slot(self, name: str, concurrency: int, seconds: float) -> dict[str, Any]:
        """One system at one concurrency for some seconds: a row."""
        system = self.systems[name]
        before = {who: cpu_ms(pid) for who, pid in system.pids.items()}
        answer = system.driver.ask(concurrency=concurrency, seconds=seconds)
        cpu = {who: cpu_ms(pid) - before[who] for who, pid in system.pids.items()}
        took = sorted(answer["took_ms"])
        row = {
            "system": name,
            "concurrency": concurrency,
            "work_ms": self.work_ms,
            "workflows_per_s": len(took) / answer["seconds"],
            "p50_ms": _percentile(took, 0.50),
            "p99_ms": _percentile(took, 0.99),
            "node_rss_mb": rss_mb(system.node_pid),
            "cpu_ms_per_workflow": {who: used / len(took) for who, used in cpu.items()},
        }
        self._forget(system.namespace)
        return row

    def _forget(self, namespace: str) -> None:
        """Closed workflows would fill Valkey's memory for the next slot; their books are waited for first."""
        until = time.monotonic() + 10
        while self.store.zcard(f"nn:{namespace}:running") and time.monotonic() < until:
            time.sleep(0.01)
        for pattern in ("wf", "closed"):
            names = list(self.store.scan_iter(f"nn:{namespace}:{pattern}:*", count=5000))
            for i in range(0, len(names), 5000):
                self.store.unlink(*names[i : i + 5000])


def _percentile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, round(share * (len(values) - 1)))]


def start(stack: ExitStack, work_ms: int) -> Bench:
    """All processes, both systems ready."""
    data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
    options = {"auto-aof-rewrite-percentage": "0"}  # a rewrite in one system's slot would be noise to the other's
    store, members = stack.enter_context(valkey(data / "valkey", options=options)), stack.enter_context(etcd())
    systems = {PUMP: start_pump(stack, store, work_ms), PRODUCT: start_product(stack, store, members, work_ms)}
    return Bench(redis.Redis(port=store.port), systems, work_ms)


def start_pump(stack: ExitStack, store: Server, work_ms: int) -> System:
    agent = stack.enter_context(Process("pump.py", "agent", store.url, "pump", "--work-ms", str(work_ms)))
    driver = stack.enter_context(Process("pump.py", "coordinator", store.url, "pump"))
    return System(
        PUMP, "pump", driver, driver.pid, {"coordinator": driver.pid, "agent": agent.pid, "valkey": store.pid}
    )


def start_product(
    stack: ExitStack,
    store: Server,
    members: Server,
    work_ms: int,
    name: str = PRODUCT,
    home: Path = HOME,
    python: str = sys.executable,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> System:
    """The product of a checkout, by its own benchmark's roles."""
    env = product_environment(store, members, name, home) | {"NERVENET_BENCH_WORK_MS": str(work_ms)} | dict(environment)
    roles = home / "benchmarks" / "roles.py"
    node = stack.enter_context(Process(roles, "node", env=env, python=python))
    env["NERVENET_ADDRESS"] = node.ready
    agent = stack.enter_context(Process(roles, "agent", env=env, python=python))
    client = stack.enter_context(Process(roles, "client", env=env, python=python))
    who = {"client": client, "node": node, "agent": agent, "valkey": store, "etcd": members}
    return System(name, name, client, node.pid, {role: each.pid for role, each in who.items()})


def run(bench: Bench, concurrency: list[int], rounds: int, seconds: float) -> list[list[dict[str, Any]]]:
    """The rows of each round."""
    for name in SYSTEMS:
        bench.slot(name, max(concurrency), min(seconds, 1))  # warm
    found = []
    for i in range(rounds):
        order = SYSTEMS if i % 2 == 0 else SYSTEMS[::-1]
        found.append([bench.slot(name, n, seconds) for n in concurrency for name in order])
    return found


def median(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of all rounds' rows of the same system and concurrency."""

    def of(field: str, *path: str) -> float:
        return round(statistics.median((row[field][path[0]] if path else row[field]) for row in rows), 3)

    first = rows[0]
    result: dict[str, Any] = {field: first[field] for field in ("system", "concurrency", "work_ms")}
    result |= {field: of(field) for field in ("workflows_per_s", "p50_ms", "p99_ms", "node_rss_mb")}
    result["cpu_ms_per_workflow"] = {who: of("cpu_ms_per_workflow", who) for who in first["cpu_ms_per_workflow"]}
    return result


def summary(
    rounds: list[list[dict[str, Any]]], concurrency: list[int]
) -> tuple[list[dict[str, Any]], dict[int, float]]:
    """The median rows, and the product's share of the pump by concurrency."""
    by = {(n, name): [_row(rows, n, name) for rows in rounds] for n in concurrency for name in SYSTEMS}
    shares = {
        n: statistics.median(
            product["workflows_per_s"] / pump["workflows_per_s"]
            for pump, product in zip(by[n, PUMP], by[n, PRODUCT], strict=True)
        )
        for n in concurrency
    }
    return [median(rows) for rows in by.values()], shares


def _row(rows: list[dict[str, Any]], concurrency: int, name: str) -> dict[str, Any]:
    return next(row for row in rows if row["concurrency"] == concurrency and row["system"] == name)


def _cpu(row: dict[str, Any]) -> float:
    """CPU ms of one workflow, all processes."""
    return float(sum(row["cpu_ms_per_workflow"].values()))


def table(rows: list[dict[str, Any]], shares: Mapping[int, float]) -> str:
    """For people."""
    lines = [
        f"{'at once':>7}  {'system':9}{'workflows/s':>12}{'of pump':>9}{'by CPU':>8}{'p50 ms':>9}{'p99 ms':>9}{'node MB':>9}   CPU ms per workflow"
    ]
    for row in rows:
        cpu = row["cpu_ms_per_workflow"]
        share = by_cpu = ""
        if row["system"] == PRODUCT:
            share = f"{shares[row['concurrency']]:.0%}"
            by_cpu = f"{_cpu(_row(rows, row['concurrency'], PUMP)) / _cpu(row):.0%}"
        used = "  ".join(f"{who} {ms:.2f}" for who, ms in cpu.items())
        lines.append(
            f"{row['concurrency']:>7}  {row['system']:9}{row['workflows_per_s']:>12.0f}{share:>9}{by_cpu:>8}{row['p50_ms']:>9.1f}"
            f"{row['p99_ms']:>9.1f}{row['node_rss_mb']:>9.1f}   {_cpu(row):.2f} = {used}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of a second each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 50, 200, 500])
    parser.add_argument("--work-ms", type=int, default=0, help="how long each step works")
    parser.add_argument("--parked", type=int, default=1000, help="parked workflows for the memory figure, 0 = none")
    parser.add_argument("--out", type=Path, default=Path("build/bench/throughput.json"))
    options = parser.parse_args()
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    facts = machine()
    print("  ".join(f"{what}: {fact}" for what, fact in facts.items()))
    with ExitStack() as stack:
        bench = start(stack, options.work_ms)
        rows, shares = summary(run(bench, options.concurrency, rounds, seconds), options.concurrency)
    print(table(rows, shares))
    result: dict[str, Any] = {"rows": rows, "machine": facts}
    if options.parked:
        result["memory"] = measure_memory(options.parked)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{options.out}")


if __name__ == "__main__":
    main()
