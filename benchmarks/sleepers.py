# SPDX-License-Identifier: Apache-2.0
"""What workflows cost that wait for long: memory of one node that owns 100,000 of them, and what it costs to wake some.

    python benchmarks/sleepers.py [--sleepers 100000] [--wake 2000]

Each waits for a signal, for at most a month, and has a kilobyte of input that hardly packs. They are started by the public
client, leave the node's memory, and some are woken: a few at first, then as many as the client can, while another client
asks the node for a workflow every 20 ms. About five minutes for 100,000.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from processes import HOME, Process, cpu_ms, product_environment, rss_mb

from nervenet.dev.servers import etcd, valkey

PATIENCE_S = 300.0
FEW = 1_000


def in_memory(metrics: str) -> dict[str, int]:
    """How many workflows the node has in memory, and how many not."""
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    found = {"loaded": 0, "unloaded": 0}
    for line in lines:
        if line.startswith("nervenet_workflow_hosted{"):
            found["unloaded" if 'memory="unloaded"' in line else "loaded"] = int(float(line.split()[-1]))
    return found


def until_unloaded(node: Process, count: int) -> None:
    """Wait until all have left memory. Raises TimeoutError."""
    until = time.monotonic() + PATIENCE_S
    while (found := in_memory(node.ready["metrics"]))["unloaded"] < count:
        if time.monotonic() > until:
            raise TimeoutError(f"after {PATIENCE_S:.0f} s {found} of {count}: {node.log()}")
        time.sleep(1)


def measure(sleepers: int, wake: int, home: Path = HOME) -> dict[str, Any]:
    """Start everything, let them fall asleep, wake some; prints lines for people."""
    with ExitStack() as stack:
        store, members = stack.enter_context(valkey()), stack.enter_context(etcd())
        env = product_environment(store, members, "sleepers", home)
        env |= {"NERVENET_MAX_WORKFLOWS": str(2 * sleepers), "NERVENET_METRICS": "127.0.0.1:0"}
        roles = home / "benchmarks" / "roles.py"
        node = stack.enter_context(Process(roles, "node", "--facts", env=env))
        env["NERVENET_ADDRESS"] = node.ready["address"]
        client = stack.enter_context(Process(roles, "sleeping", env=env))
        asker = stack.enter_context(Process(roles, "asking", env=env))
        idle = rss_mb(node.pid)
        in_memory_ms = woken_ms(client, node, first=10_000_000, count=FEW, started=True)
        began = time.monotonic()
        client.ask(start=sleepers, first=0)
        started_s, most = time.monotonic() - began, rss_mb(node.pid)
        print(f"idle {idle:.0f} MB; {sleepers} started in {started_s:.0f} s, then {most:.0f} MB", flush=True)
        until_unloaded(node, sleepers)
        asleep = rss_mb(node.pid)
        print(f"all have left memory: {asleep:.0f} MB", flush=True)
        before, began = cpu_ms(node.pid), time.monotonic()
        time.sleep(20)
        share = (cpu_ms(node.pid) - before) / 10 / (time.monotonic() - began)
        print(f"while they sleep the node uses {share:.1f} % of a core", flush=True)
        unloaded_ms = woken_ms(client, node, first=0, count=FEW)
        asker.tell(go=1)
        before = cpu_ms(node.pid)
        storm_s = client.ask(wake=wake, first=FEW)
        used = (cpu_ms(node.pid) - before) / wake
        p99, longest = asker.ask(stop=1)
        found = {
            "sleepers": sleepers,
            "idle_rss_mb": round(idle, 1),
            "asleep_rss_mb": round(asleep, 1),
            "most_rss_mb": round(max(most, asleep, rss_mb(node.pid)), 1),
            "asleep_cpu_percent": round(share, 2),
            "wake_and_end_cpu_ms": round(unloaded_ms, 3),
            "signal_and_end_in_memory_cpu_ms": round(in_memory_ms, 3),
            "storm_per_s": round(wake / storm_s),
            "storm_cpu_ms": round(used, 3),
            "answers_meanwhile_p99_ms": round(p99, 1),
            "answers_meanwhile_longest_ms": round(longest, 1),
        }
    print(json.dumps(found, indent=1))
    return found


def woken_ms(client: Process, node: Process, *, first: int, count: int, started: bool = False) -> float:
    """CPU of the node for each workflow that gets its signal and ends. `started`: they are started just before."""
    if started:
        client.ask(start=count, first=first)
    before = cpu_ms(node.pid)
    client.ask(wake=count, first=first)
    return (cpu_ms(node.pid) - before) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sleepers", type=int, default=100_000)
    parser.add_argument("--wake", type=int, default=5_000)
    parser.add_argument("--out", type=Path, default=Path("build/bench/sleepers.json"))
    options = parser.parse_args()
    found = measure(options.sleepers, options.wake)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
