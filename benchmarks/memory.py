# SPDX-License-Identifier: Apache-2.0
"""What parked workflows cost: resident memory of a node with a thousand of them, and of each by difference. And what a busy
node has.

    python benchmarks/memory.py [--parked 1000] [--sleepers 100000]
    python benchmarks/memory.py --busy 20 [--beside REVISION]      # seconds under load, here and in an earlier build

Each parked one waits for a signal. What one costs is the difference between a thousand and two thousand of them: the first thousand
also brings what their sudden arrival leaves behind in the process, once. The load is that of throughput.py, for longer than
the ten seconds for which a node remembers what has closed.

Those that are parked are measured before they leave memory, and the last of all when all have left. With `--sleepers`, `sleepers.py` runs
behind it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sleepers
from processes import HOME, Process, cpu_ms, product_environment, rss_mb

from nervenet.dev.servers import etcd, valkey

LEFT_S = 40.0  # by then what only waits has left memory
SETTLE_S = 2.0  # for what a start leaves for later: the watch's first look, replies that are still parsed


def measure(parked: int, home: Path = HOME) -> dict[str, Any]:
    """Start everything, park them, read /proc; prints a line for people."""
    with ExitStack() as stack:
        store, members = stack.enter_context(valkey()), stack.enter_context(etcd())
        env = product_environment(store, members, "memory", home)
        roles = home / "benchmarks" / "roles.py"
        node = stack.enter_context(Process(roles, "node", env=env))
        env["NERVENET_ADDRESS"] = node.ready
        stack.enter_context(Process(roles, "agent", env=env))
        client = stack.enter_context(Process(roles, "parking", env=env))
        seen = [rss_mb(node.pid)]
        for _ in range(2):
            client.ask(workflows=parked)
            time.sleep(SETTLE_S)
            seen.append(rss_mb(node.pid))
        time.sleep(LEFT_S)
        asleep = rss_mb(node.pid)
    idle, once, twice = seen
    found = {
        "parked": parked,
        "node_rss_mb": round(once, 1),
        "left_rss_mb": round(asleep, 1),
        "idle_rss_mb": round(idle, 1),
        "kb_per_workflow": round((twice - once) * 1000 / parked, 2),
    }
    print(
        f"memory: a node with {parked} parked workflows has {found['node_rss_mb']} MB, without them"
        f" {found['idle_rss_mb']} MB; each more costs {found['kb_per_workflow']} KB; when {2 * parked} have left memory"
        f" it has {found['left_rss_mb']} MB"
    )
    return found


def measure_busy(seconds: float, concurrency: int, home: Path = HOME) -> dict[str, Any]:
    """Keep the node busy, and read /proc every fifth of a second. Half of the time is over before it counts."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
        store = stack.enter_context(valkey(data / "valkey", options={"auto-aof-rewrite-percentage": "0"}))
        env = product_environment(store, stack.enter_context(etcd()), "memory", home)
        roles = home / "benchmarks" / "roles.py"
        node = stack.enter_context(Process(roles, "node", env=env))
        env["NERVENET_ADDRESS"] = node.ready
        agent = stack.enter_context(Process(roles, "agent", env=env))
        client = stack.enter_context(Process(roles, "client", env=env))
        client.ask(concurrency=concurrency, seconds=1)  # warm
        used = cpu_ms(node.pid)
        watched, over = [], threading.Event()

        def watch() -> None:
            while not over.wait(0.2):
                watched.append((rss_mb(node.pid), rss_mb(agent.pid)))

        watching = threading.Thread(target=watch)
        watching.start()
        answer = client.ask(concurrency=concurrency, seconds=seconds)
        over.set()
        watching.join()
        used = cpu_ms(node.pid) - used
    done, counted = len(answer["took_ms"]), watched[len(watched) // 2 :]
    found = {
        "workflows_per_s": round(done / answer["seconds"]),
        "node_rss_mb": round(statistics.median(of_node for of_node, _ in counted), 1),
        "node_most_mb": round(max(of_node for of_node, _ in counted), 1),
        "agent_rss_mb": round(statistics.median(of_agent for _, of_agent in counted), 1),
        "node_cpu_ms": round(used / done, 3),
    }
    print(
        f"memory: at {found['workflows_per_s']} workflows/s a node has {found['node_rss_mb']} MB (at most"
        f" {found['node_most_mb']}), an agent {found['agent_rss_mb']} MB; {found['node_cpu_ms']} ms of CPU in the node for each"
    )
    return found


def busy(options: argparse.Namespace) -> dict[str, Any]:
    """This build, and the one beside it, in turn."""
    homes = {"this": HOME}
    if options.beside:
        from builds import lay_out  # it imports this module

        homes["other"] = lay_out(options.beside)
    found: dict[str, Any] = {name: [] for name in homes}
    for _ in range(options.rounds):
        for name, home in homes.items():
            print(f"{name}: ", end="", flush=True)
            found[name].append(measure_busy(options.busy, options.concurrency, home))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parked", type=int, default=1000)
    parser.add_argument(
        "--busy", type=float, default=0.0, metavar="SECONDS", help="a busy node instead of a parked one"
    )
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--beside", default="", metavar="REVISION", help="another build, measured in turn with this one"
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench/memory.json"))
    parser.add_argument("--sleepers", type=int, default=0)
    options = parser.parse_args()
    found = busy(options) if options.busy else measure(options.parked)
    if options.sleepers:
        found |= sleepers.measure(options.sleepers, wake=5_000)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
