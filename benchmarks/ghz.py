# SPDX-License-Identifier: Apache-2.0
"""What a load tool that is not ours measures: ghz (Go) against StartWorkflow and GetWorkflow of one node.

    tools/ghz                       builds it once (needs Go)
    python benchmarks/ghz.py [--loads 1:1000 50:5000 200:10000] [--connections 5]

ghz learns the contract by reflection from the node itself. With so many calls under way at once, so many in all, it asks for
three things:

- *start*: StartWorkflow, whose answer means that the workflow is durable. The node runs what it started meanwhile;
- *start and wait*: StartWorkflow with `wait`, whose answer has the workflow's result: four tasks, one after another;
- *get*: GetWorkflow of the workflows that *start* has left, ended by then.

Then every workflow that the node has under the row's label is awaited through our client, and counts as ended if its result
is the kilobyte that it was given; *ended* has how many, from the first start to the last end. All share the machine: each row
has the CPU that ghz took for a call beside the others', and its share of all cores; *a core* turns the node's CPU for a call
around. In a *start* row the node also works on the workflows that it has started. A call that fails or a workflow that does
not end fails the benchmark.
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
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from four import TEXT, four
from processes import HOME, Process, cpu_ms, machine, product_environment

from nervenet import Client
from nervenet.config import Config
from nervenet.dev.servers import etcd, tied, valkey

GHZ: Final = HOME / "build/ghz/ghz"
NAMESPACE: Final = "ghz-bench"
SERVICE: Final = "nervenet.v1.CoordinatorService"
PATIENCE: Final = 120.0
"""Seconds within which everything that a row has started has to end."""


class Load(NamedTuple):
    """So many calls under way at once, and so many in all (by number, as ghz counts not all of a time's last ones)."""

    concurrency: int
    calls: int

    @classmethod
    def of(cls, text: str) -> Load:
        concurrency, _, calls = text.partition(":")
        return cls(int(concurrency), int(calls))


class Loaded(NamedTuple):
    """ghz' own report, and what it used."""

    report: dict[str, Any]
    cpu_ms: float


class Ended(NamedTuple):
    """What the node says of the workflows of a row."""

    started: int
    ended: int
    seconds: float
    """From the first start to the last end, by the node's clock."""


def ghz(address: str, method: str, data: dict[str, Any], load: Load, connections: int) -> Loaded:
    """One run of ghz, which fills `{{.RequestNumber}}` in."""
    with tempfile.NamedTemporaryFile() as out:
        command = [str(GHZ), "--insecure", "--call", f"{SERVICE}/{method}", "--data", json.dumps(data)]
        command += ["--concurrency", str(load.concurrency), "--connections", str(min(connections, load.concurrency))]
        command += ["--total", str(load.calls), "--timeout", "60s", "--format", "json", "--output", out.name, address]
        process = subprocess.Popen(tied(command))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"ghz ended with {process.returncode}")
        return Loaded(json.load(out), 1000 * (used.ru_utime + used.ru_stime))


async def ended(config: Config, label: str) -> Ended:
    """Await every workflow with this label; a result other than the input is no end."""
    async with Client(config=config) as client, asyncio.timeout(PATIENCE):
        ids = [info.id async for info in client.list(labels={"row": label})]
        results = await asyncio.gather(*(client.handle(one, four).result() for one in ids), return_exceptions=True)
        infos = [info async for info in client.list(labels={"row": label}, state="SUCCEEDED")]
        ends = [info.closed for info in infos if info.closed is not None]
        seconds = (max(ends) - min(info.started for info in infos)).total_seconds() if ends else 0.0
        return Ended(len(ids), sum(result == TEXT for result in results), seconds)


def row(what: str, load: Load, loaded: Loaded, cpu: dict[str, float]) -> dict[str, Any]:
    report = loaded.report
    latency = {one["percentage"]: one["latency"] / 1e6 for one in report["latencyDistribution"] or ()}
    calls = report["count"]
    codes = report["statusCodeDistribution"] or {}
    return {
        "what": what,
        "concurrency": load.concurrency,
        "calls": calls,
        "calls_per_s": report["rps"],
        "p50_ms": latency.get(50),
        "p95_ms": latency.get(95),
        "p99_ms": latency.get(99),
        "errors": {code: count for code, count in codes.items() if code != "OK"},
        "cpu_us_per_call": {who: 1000 * used / calls for who, used in (cpu | {"ghz": loaded.cpu_ms}).items()},
        "calls_per_s_of_a_core": 1000 * calls / cpu["node"],
        "ghz_percent_of_machine": loaded.cpu_ms / (report["total"] / 1e6) / (os.cpu_count() or 1) * 100,
    }


def measure(stack: ExitStack, options: argparse.Namespace) -> list[dict[str, Any]]:
    store, members = stack.enter_context(valkey()), stack.enter_context(etcd())
    env = product_environment(store, members, NAMESPACE)
    node = stack.enter_context(Process("roles.py", "node", env=env))
    env["NERVENET_ADDRESS"] = node.ready
    agent = stack.enter_context(Process("roles.py", "agent", env=env))
    pids = {"node": node.pid, "agent": agent.pid, "valkey": store.pid, "etcd": members.pid}
    config = Config.load(environ=env)
    rows: list[dict[str, Any]] = []
    runner = stack.enter_context(asyncio.Runner())

    def loaded(what: str, method: str, data: dict[str, Any], load: Load) -> dict[str, Any]:
        before = {who: cpu_ms(pid) for who, pid in pids.items()}
        told = ghz(node.ready, method, data, load, options.connections)
        return row(what, load, told, {who: cpu_ms(pid) - before[who] for who, pid in pids.items()})

    def started(label: str, **more: Any) -> dict[str, Any]:
        return {"workflow_id": f"{label}-{{{{.RequestNumber}}}}", "definition": "four", "labels": {"row": label},
                "input": {"json": json.dumps(TEXT)}, **more}  # fmt: skip

    loaded("warm-up", "StartWorkflow", started("warm-up", wait="30s"), Load(10, 300))
    for load in options.loads:
        for what, more in (("start", {}), ("start and wait", {"wait": "30s"})):
            label = f"{what.replace(' ', '-')}-{load.concurrency}"
            rows.append(loaded(what, "StartWorkflow", started(label, **more), load))
            rows[-1] |= runner.run(ended(config, label))._asdict()
        asked = {"workflow_id": f"start-{load.concurrency}-{{{{.RequestNumber}}}}"}
        rows.append(loaded("get", "GetWorkflow", asked, load))
    return rows


SHOWN: Final = ("node", "agent", "valkey", "ghz")


def table(rows: list[dict[str, Any]]) -> str:
    """As docs/benchmarks.md has it."""
    lines = [
        "| at once | | calls | calls/s | p50 ms | p95 ms | p99 ms | errors | ended | a core | ghz' share "
        f"| CPU µs per call: {' | '.join(SHOWN)} |",
        "| ---: | --- |" + " ---: |" * (9 + len(SHOWN)),
    ]
    for one in rows:
        times = " | ".join("–" if one[key] is None else f"{one[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
        errors = " ".join(f"{count:,} {code}" for code, count in one["errors"].items()) or "0"
        whole = f"{one['ended']:,} in {one['seconds']:.1f} s" if "ended" in one else ""
        used = " | ".join(f"{one['cpu_us_per_call'][each]:,.0f}" for each in SHOWN)
        lines.append(
            f"| {one['concurrency']} | {one['what']} | {one['calls']:,} | {one['calls_per_s']:,.0f} | {times} | {errors} | {whole} "
            f"| {one['calls_per_s_of_a_core']:,.0f} | {one['ghz_percent_of_machine']:.0f} % | {used} |"
        )
    return "\n".join(lines)


def problems(rows: list[dict[str, Any]]) -> list[str]:
    """What makes the figures none."""
    found = []
    for one in rows:
        name = f"{one['what']}, {one['concurrency']} at once"
        if one["errors"]:
            found.append(f"{name}: calls failed: {one['errors']}")
        if "ended" in one and not one["ended"] == one["started"] == one["calls"]:
            found.append(f"{name}: {one['calls']} calls, {one['started']} workflows, {one['ended']} ended")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--loads",
        type=Load.of,
        nargs="+",
        metavar="CONCURRENCY:CALLS",
        default=[Load(1, 1_000), Load(50, 5_000), Load(200, 10_000)],
        help="calls under way at once, and in all",
    )
    parser.add_argument("--connections", type=int, default=5, help="connections that ghz spreads its calls over")
    parser.add_argument("--out", type=Path, default=Path("build/bench/ghz.json"))
    options = parser.parse_args()
    if not GHZ.exists():
        print("ghz is not built: run tools/ghz first, which needs Go.", file=sys.stderr)
        return 2
    facts = machine()
    print("  ".join(f"{what}: {fact}" for what, fact in facts.items()))
    began = time.monotonic()
    with ExitStack() as stack:
        rows = measure(stack, options)
    print(table(rows))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows, "machine": facts}, indent=1) + "\n")
    wrong = problems(rows)
    print(
        f"ghz: {sum(one['calls'] for one in rows):,} calls in {time.monotonic() - began:.0f} s, {len(wrong)} problems"
    )
    for problem in wrong:
        print(f"✗ {problem}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
