# SPDX-License-Identifier: Apache-2.0
"""How many calls of Python and C functions a workflow costs node, agent and client: a figure that noise does not touch.

    python benchmarks/calls.py [--revision 893ab9c] [--concurrency 200] [--seconds 3] [--top 40]

cProfile counts the calls of each process' main thread while workflows run, and then for a while without any, which is subtracted:
a busy machine takes longer for as many workflows. Workload and processes are those of throughput.py. A
revision's package runs under this tree's benchmark. Two thirds of a workflow's CPU are the interpreter, so calls are what to
save (docs/benchmarks.md); times are not shown, because counting more than doubles them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from builds import lay_out
from processes import HERE, HOME, Process, product_environment

from nervenet.dev.servers import etcd, valkey

ROLES = ("node", "agent", "client")


def count(home: Path, concurrency: int, seconds: float) -> dict[str, Any]:
    """Workflows that ran, and for each role its calls by function."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-calls-")))
        store, members = stack.enter_context(valkey(folder / "valkey")), stack.enter_context(etcd())
        env = product_environment(store, members, "calls", home) | {"NERVENET_BENCH_CALLS": str(folder)}
        processes: dict[str, Process] = {}
        for role in ROLES:
            processes[role] = stack.enter_context(Process(HERE / "roles.py", role, env=env))
            if role == "node":
                env["NERVENET_ADDRESS"] = processes[role].ready
        ask = processes["client"].ask
        ask(concurrency=concurrency, seconds=0.5)  # warm
        with _counted(processes, folder) as busy:
            answer = ask(concurrency=concurrency, seconds=seconds)
            time.sleep(1.0)  # the last workflows' bookkeeping
        time.sleep(6.0)  # what watched them is over
        with _counted(processes, folder) as idle:
            time.sleep(4.0)
        return {
            "workflows": len(answer["took_ms"]),
            "seconds": answer["seconds"] + 1.0,
            "calls": busy,
            "idle_calls_per_s": {role: sum(row["calls"] for row in rows) / 4.0 for role, rows in idle.items()},
        }


@contextmanager
def _counted(processes: dict[str, Process], folder: Path) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """What each process calls in the block, once it is over."""
    found: dict[str, list[dict[str, Any]]] = {}
    for process in processes.values():
        os.kill(process.pid, signal.SIGUSR1)
    time.sleep(0.2)
    yield found
    for role, process in processes.items():
        os.kill(process.pid, signal.SIGUSR2)
        found[role] = _calls(folder / f"{role}.json")


def _calls(path: Path) -> list[dict[str, Any]]:
    """Each function with its calls and callees, once the process has written them."""
    until = time.monotonic() + 20
    while not path.exists():
        if time.monotonic() > until:
            raise SystemExit(f"no calls were written to {path}")
        time.sleep(0.02)
    found: list[dict[str, Any]] = json.loads(path.read_text())
    path.unlink()
    return found


def callers(rows: list[dict[str, Any]]) -> dict[str, list[tuple[int, str]]]:
    """Who calls a function, the most frequent first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        for callee, times in row["callees"].items():
            found.setdefault(callee, []).append((times, row["function"]))
    return {callee: sorted(each, reverse=True) for callee, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", default="", help="count those of another build")
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--top", type=int, default=40, help="functions to show for each process")
    parser.add_argument("--callers", type=int, default=0, help="callers to show for each function")
    parser.add_argument("--out", type=Path, default=Path("build/bench/calls.json"))
    options = parser.parse_args()
    home = lay_out(options.revision) if options.revision else HOME
    found = count(home, options.concurrency, options.seconds)
    workflows = found["workflows"]
    for role, rows in found["calls"].items():
        idle = found["idle_calls_per_s"][role] * found["seconds"]
        calls = (sum(row["calls"] for row in rows) - idle) / workflows
        print(
            f"{role}: {calls:.0f} calls per workflow ({workflows} workflows, without {idle / workflows:.0f} idle ones)"
        )
        by = callers(rows)
        for row in sorted(rows, key=lambda row: -row["calls"])[: options.top]:
            most = [f"{times / workflows:.1f} {who}" for times, who in by.get(row["function"], ())[: options.callers]]
            print(f"{row['calls'] / workflows:8.2f}  {row['function']}{'  ← ' if most else ''}{', '.join(most)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
