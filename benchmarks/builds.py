# SPDX-License-Identifier: Apache-2.0
"""This build beside another one, interleaved in one run: what did a change cost?

    python benchmarks/builds.py REVISION [--rounds 10] [--seconds 2] [--concurrency 1 50 200 500]

The other build is any git revision whose `benchmarks/roles.py` takes the same orders; it is laid out under build/ and runs on
this environment's libraries. Workload, servers and measuring are those of throughput.py and memory.py. Half of the rounds run
on processes that were started in the other order: where a process comes to lie in memory is worth some per cent too.
Other Pythons and libraries: variants.py.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from memory import measure as measure_memory
from processes import HOME, machine
from throughput import Bench, median, start_product

from nervenet.dev.servers import etcd, valkey

THIS, THAT = BUILDS = ("this", "other")


def lay_out(revision: str) -> Path:
    """The revision's files in a folder of their own, fresh."""
    commit = subprocess.check_output(["git", "rev-parse", "--short", f"{revision}^{{commit}}"], cwd=HOME, text=True)
    folder = HOME / "build" / "bench" / commit.strip()
    if not folder.exists():
        folder.mkdir(parents=True)
        archive = subprocess.Popen(["git", "archive", commit.strip()], cwd=HOME, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=True)
        if archive.wait():
            raise SystemExit(f"git archive {revision} failed")
    return folder


def interleaved(homes: dict[str, Path], concurrency: list[int], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Rows of all rounds; who goes first alternates."""
    rows = []
    for first in range(min(rounds, 2)):
        started = dict(sorted(homes.items(), reverse=bool(first)))
        rows += _rounds(started, concurrency, range(first, rounds, 2), seconds)
    return rows


def _rounds(homes: dict[str, Path], concurrency: list[int], rounds: range, seconds: float) -> list[dict[str, Any]]:
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
        options = {"auto-aof-rewrite-percentage": "0"}
        store, members = stack.enter_context(valkey(data / "valkey", options=options)), stack.enter_context(etcd())
        systems = {name: start_product(stack, store, members, 0, name, home) for name, home in homes.items()}
        bench = Bench(redis.Redis(port=store.port), systems, 0)
        for name in BUILDS:
            bench.slot(name, max(concurrency), min(seconds, 1))  # warm
        return [
            bench.slot(name, n, seconds) | {"round": i}
            for turn, i in enumerate(rounds)
            for n in concurrency
            for name in (BUILDS if turn % 2 == 0 else BUILDS[::-1])
        ]


def ratio(rows: list[dict[str, Any]], n: int) -> float:
    """This build's workflows/s by the other's, the median of the rounds."""
    rates = {(row["round"], row["system"]): row["workflows_per_s"] for row in rows if row["concurrency"] == n}
    return statistics.median(rates[i, THIS] / rates[i, THAT] for i in {i for i, _ in rates})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="the build to compare with")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 50, 200, 500])
    parser.add_argument("--parked", type=int, default=1000, help="parked workflows for the memory figure, 0 = none")
    parser.add_argument("--out", type=Path, default=Path("build/bench/builds.json"))
    options = parser.parse_args()
    homes = {THIS: HOME, THAT: lay_out(options.revision)}
    print("  ".join(f"{what}: {fact}" for what, fact in machine().items()))
    rows = interleaved(homes, options.concurrency, options.rounds, options.seconds)
    print(f"{'at once':>7}{'this/s':>9}{'other/s':>9}{'ratio':>8}{'CPU ms':>9}{'other':>8}{'p50 ms':>9}{'other':>8}")
    for n in options.concurrency:
        here, there = (
            median([row for row in rows if row["concurrency"] == n and row["system"] == name]) for name in BUILDS
        )
        cpu = [sum(row["cpu_ms_per_workflow"].values()) for row in (here, there)]
        print(
            f"{n:>7}{here['workflows_per_s']:>9.0f}{there['workflows_per_s']:>9.0f}{ratio(rows, n):>8.3f}"
            f"{cpu[0]:>9.2f}{cpu[1]:>8.2f}{here['p50_ms']:>9.1f}{there['p50_ms']:>8.1f}"
        )
    result: dict[str, Any] = {"rows": rows, "machine": machine()}
    for name in BUILDS if options.parked else ():
        print(f"{name:5} ", end="", flush=True)
        result[f"memory_{name}"] = measure_memory(options.parked, homes[name])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
