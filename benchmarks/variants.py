# SPDX-License-Identifier: Apache-2.0
"""This build in several environments, interleaved in one run: what does another Python, library or setting give?

    python benchmarks/variants.py VARIANT… [--rounds 8] [--seconds 2] [--concurrency 1 200]
    python benchmarks/variants.py grpcio==1.66.2 python=/usr/bin/python3.11 "python=python3.13 GRPC_EXPERIMENTS=-event_engine_client"

A variant is one argument of one or more words: python=COMMAND is another Python, NAME==VERSION another version of a distribution,
rev=REVISION another build, NAME=VALUE a variable in the environment of client, node and agent. The first row is this tree in the
environment that runs the benchmark. Other environments are made once, in build/environments, of requirements/runtime.txt without
hashes; grpcio's companions get grpcio's version, or the newest of that minor release.

Workload, servers and measuring are those of throughput.py. Each round begins with another variant. All processes are started again,
in another order, after every fourth round: where a process comes to lie in memory is worth some per cent. A ratio is the median of the rounds' ratios to the first row. "waits" are the voluntary
context switches of all threads for one workflow.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis
from builds import lay_out
from environments import FOLDER, run
from processes import HOME, machine, waits
from throughput import Bench, median, start_product

from nervenet.dev.servers import etcd, valkey

BASE: Final = "this"
ROUNDS_OF_A_START: Final = 4
ROLES: Final = ("client", "node", "agent")
LOCK: Final = HOME / "requirements/runtime.txt"
LOCKED: Final = re.compile(r"(?P<name>[a-z0-9.-]+)==(?P<version>[^ ;]+)(?P<marker> ;[^\\]*)?")


@dataclass
class Variant:
    """What differs from this tree in this environment."""

    name: str
    python: str = sys.executable
    home: Path = HOME
    versions: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Variant:
        """A variant as an argument names it."""
        variant = cls(text)
        for word in text.split():
            if not (match := re.fullmatch(r"([\w.-]+)(==?)(.+)", word)):
                raise SystemExit(
                    f"{word} is no part of a variant: use python=COMMAND, rev=REVISION, NAME==VERSION or NAME=VALUE"
                )
            match match.groups():
                case name, "==", version:
                    variant.versions[name] = version
                case "python", _, command:
                    variant.python = command
                case "rev", _, revision:
                    variant.home = lay_out(revision)
                case name, _, value:
                    variant.environment[name] = value
        return variant

    def install(self) -> str:
        """The Python of its environment, which is made if there is none."""
        if self.python == sys.executable and not self.versions:
            return sys.executable
        requirements = "\n".join(self._requirements()) + "\n"
        folder = FOLDER / f"variant-{hashlib.sha256((self.python + requirements).encode()).hexdigest()[:12]}"
        python = str(folder / "bin/python")
        if not (folder / ".ready").exists():
            print(f"Installing {self.name} into {folder} (once).", file=sys.stderr)
            run([self.python, "-m", "venv", "--clear", str(folder)])
            (folder / "requirements.txt").write_text(requirements)
            pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
            run([*pip, "-r", str(folder / "requirements.txt")])
            run([*pip, str(HOME)])  # for its version; the code is that of the variant's tree
            (folder / ".ready").touch()
        return python

    def _requirements(self) -> list[str]:
        """The lines of the lock without hashes, with this variant's versions."""
        found = []
        for locked in filter(None, map(LOCKED.match, LOCK.read_text().splitlines())):
            name, version = locked["name"], f"=={locked['version']}"
            if name in self.versions:
                version = f"=={self.versions[name]}"
            elif name.startswith("grpcio-") and (grpcio := self.versions.get("grpcio")):
                version = f"~={grpcio.rpartition('.')[0]}.0"
            found.append(f"{name}{version}{locked['marker'] or ''}")
        return found


class Counted(Bench):
    """Also counts how often a process waited."""

    def slot(self, name: str, concurrency: int, seconds: float) -> dict[str, Any]:
        pids = {role: self.systems[name].pids[role] for role in ROLES}
        before = {role: waits(pid) for role, pid in pids.items()}
        row = super().slot(name, concurrency, seconds)
        workflows = row["workflows_per_s"] * seconds
        return row | {"waits": {role: (waits(pid) - before[role]) / workflows for role, pid in pids.items()}}


def interleaved(
    variants: list[Variant], concurrency: list[int], rounds: int, seconds: float, work_ms: int
) -> list[dict[str, Any]]:
    """The rows of all rounds."""
    rows = []
    for first in range(0, rounds, ROUNDS_OF_A_START):
        with ExitStack() as stack:
            bench = _start(stack, _rotated(variants, first), work_ms)
            for variant in variants:
                bench.slot(variant.name, max(concurrency), min(seconds, 1))  # warm
            for number in range(first, min(rounds, first + ROUNDS_OF_A_START)):
                rows += [
                    bench.slot(variant.name, n, seconds) | {"round": number}
                    for n in concurrency
                    for variant in _rotated(variants, number)
                ]
    return rows


def _rotated(variants: list[Variant], number: int) -> list[Variant]:
    """Another one first for each number, and in the other order once each has been first."""
    times, begin = divmod(number, len(variants))
    return (variants[begin:] + variants[:begin])[:: -1 if times % 2 else 1]


def _start(stack: ExitStack, variants: list[Variant], work_ms: int) -> Bench:
    data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
    options = {"auto-aof-rewrite-percentage": "0"}
    store, members = stack.enter_context(valkey(data / "valkey", options=options)), stack.enter_context(etcd())
    systems = {}
    for variant in variants:
        namespace = f"v{hashlib.sha256(variant.name.encode()).hexdigest()[:8]}"
        system = start_product(
            stack, store, members, work_ms, namespace, variant.home, variant.install(), variant.environment
        )
        systems[variant.name] = system
    return Counted(redis.Redis(port=store.port), systems, work_ms)


def ratio(rows: list[dict[str, Any]], n: int, name: str, what: str) -> float:
    """The median of the rounds' ratios to the first variant."""
    values = {(row["round"], row["system"]): row[what] for row in rows if row["concurrency"] == n}
    return statistics.median(values[i, name] / values[i, BASE] for i in {i for i, _ in values})


def table(rows: list[dict[str, Any]], n: int, names: list[str]) -> str:
    """For people: one concurrency."""
    width = max(map(len, names)) + 2
    lines = [
        f"{n} at once",
        f"{'':{width}}{'/s':>6}{'p50':>8}{'ratio':>7}{'p99':>8}{'CPU ms':>8}{'ratio':>7}"
        + "".join(f"{role:>8}{'ratio':>7}" for role in ROLES)
        + "   waits: "
        + ", ".join(ROLES),
    ]
    for name in names:
        mine = [row for row in rows if row["concurrency"] == n and row["system"] == name]
        whole, cpu = median(mine), statistics.median(row["cpu_ms"] for row in mine)
        roles = "".join(
            f"{whole['cpu_ms_per_workflow'][role]:>8.2f}{ratio(rows, n, name, role):>7.3f}" for role in ROLES
        )
        lines.append(
            f"{name:{width}}{whole['workflows_per_s']:>6.0f}{whole['p50_ms']:>8.2f}{ratio(rows, n, name, 'p50_ms'):>7.3f}"
            f"{whole['p99_ms']:>8.1f}"
            f"{cpu:>8.2f}{ratio(rows, n, name, 'cpu_ms'):>7.3f}{roles}   "
            + ", ".join(f"{statistics.median(row['waits'][role] for row in mine):.1f}" for role in ROLES)
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", metavar="VARIANT")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 200])
    parser.add_argument("--work-ms", type=int, default=0, help="how long each step works")
    parser.add_argument("--out", type=Path, default=Path("build/bench/variants.json"))
    options = parser.parse_args()
    variants = [Variant(BASE), *map(Variant.parse, options.variants)]
    for variant in variants:
        variant.install()
    print("  ".join(f"{what}: {fact}" for what, fact in machine().items()))
    rows = interleaved(variants, options.concurrency, options.rounds, options.seconds, options.work_ms)
    for row in rows:
        used = row["cpu_ms_per_workflow"]
        row |= {"cpu_ms": sum(used.values())} | {role: used[role] for role in ROLES}
    for n in options.concurrency:
        print(table(rows, n, [variant.name for variant in variants]), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows, "machine": machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
