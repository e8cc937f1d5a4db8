# SPDX-License-Identifier: Apache-2.0
"""What `--processes N` gives: throughput, and CPU for a workflow, with 1, 2 and 4 processes of a node and of an agent.

    python benchmarks/cores.py [--processes 1 2 4] [--rounds 5] [--seconds 3] [--clients 8] [--concurrency 400]

A workflow is that of `throughput.py`: four steps in sequence, 1 KB. The clients are processes of their own, all at the one
address of the node; the system decides which process gets which connection, and a process hosts what is started over its connections.
The numbers of processes take turns, and the rounds are repeated. All meshes share one Valkey and one etcd; only one has work at a
time. "Busiest" is the part of the node's CPU that its busiest process had: 1/N where connections are spread evenly.

More processes help only where there are cores for them: nodes, agents, clients and Valkey share this machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from processes import HERE, Process, cpu_ms, machine, product_environment, tree_cpu_ms

from nervenet.dev.servers import Server, etcd, valkey

READY_WITHIN = 120


@dataclass
class Mesh:
    """A node and an agent of this many processes each, and clients."""

    processes: int
    namespace: str
    node: int
    agent: int
    members: list[int]
    clients: list[Process]


def command(stack: ExitStack, folder: Path, env: dict[str, str], role: str, processes: int) -> tuple[int, Any]:
    """Start `nervenet node` or `nervenet agent`; its pid, and its ready file once it is there."""
    file = folder / f"{env['NERVENET_NAMESPACE']}-{role}.json"
    words = [role, str(HERE / "four.py"), "--processes", str(processes), "--ready-file", str(file), "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "nervenet", *words], env={**os.environ, **env})
    stack.callback(process.wait)
    stack.callback(process.terminate)
    until = time.monotonic() + READY_WITHIN
    while not file.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{role} with {processes} processes does not serve")
        time.sleep(0.05)
    return process.pid, json.loads(file.read_text())


def start(stack: ExitStack, folder: Path, store: Server, members: Server, processes: int, clients: int) -> Mesh:
    """All processes of one mesh, ready."""
    name = f"cores-{processes}"
    env = product_environment(store, members, name)
    node, facts = command(stack, folder, env, "node", processes)
    env["NERVENET_ADDRESS"] = facts["address"]
    agent, _ = command(stack, folder, env, "agent", processes)
    there = [stack.enter_context(Process("roles.py", "client", env=env)) for _ in range(clients)]
    own = [one["pid"] for one in facts.get("processes", [])] or [node]
    return Mesh(processes, name, node, agent, own, there)


def slot(mesh: Mesh, store: Server, concurrency: int, seconds: float) -> dict[str, Any]:
    """Some seconds of work: a row."""
    pids = {"node": mesh.node, "agent": mesh.agent}
    before = {who: tree_cpu_ms(pid) for who, pid in pids.items()} | {"valkey": cpu_ms(store.pid)}
    clients = sum(cpu_ms(client.pid) for client in mesh.clients)
    each = [cpu_ms(pid) for pid in mesh.members]
    for client in mesh.clients:
        client.tell(concurrency=concurrency // len(mesh.clients), seconds=seconds)
    answers = [client.hear() for client in mesh.clients]
    took = sorted(ms for answer in answers for ms in answer["took_ms"])
    used = {who: tree_cpu_ms(pid) - before[who] for who, pid in pids.items()}
    used["valkey"] = cpu_ms(store.pid) - before["valkey"]
    used["clients"] = sum(cpu_ms(client.pid) for client in mesh.clients) - clients
    shares = [cpu_ms(pid) - was for pid, was in zip(mesh.members, each, strict=True)]
    forget(store, mesh.namespace)
    return {
        "processes": mesh.processes,
        "workflows_per_s": len(took) / statistics.mean(answer["seconds"] for answer in answers),
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[min(len(took) - 1, len(took) * 99 // 100)],
        "busiest": max(shares) / sum(shares),
        **{f"{who}_ms": ms / len(took) for who, ms in used.items()},
        "cpu_ms": sum(used.values()) / len(took),
    }


def forget(store: Server, namespace: str) -> None:
    """Closed workflows would fill Valkey's memory for the next slot."""
    with redis.Redis(port=store.port) as link:
        until = time.monotonic() + 10
        while link.zcard(f"nn:{namespace}:running") and time.monotonic() < until:
            time.sleep(0.01)
        for pattern in ("wf", "closed"):
            names = list(link.scan_iter(f"nn:{namespace}:{pattern}:*", count=5000))
            for i in range(0, len(names), 5000):
                link.unlink(*names[i : i + 5000])


def table(rows: list[dict[str, Any]]) -> str:
    """For people, and for docs/benchmarks.md."""
    lines = [
        "| processes | workflows/s | p50 ms | p99 ms | CPU ms per workflow: all | node | agent | clients | Valkey | busiest |",
        "| ---: " * 10 + "|",
    ]
    lines += [
        f"| {row['processes']} | {row['workflows_per_s']:,.0f} | {row['p50_ms']:.0f} | {row['p99_ms']:.0f} | {row['cpu_ms']:.2f}"
        f" | {row['node_ms']:.2f} | {row['agent_ms']:.2f} | {row['clients_ms']:.2f} | {row['valkey_ms']:.2f} | {row['busiest']:.0%} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--concurrency", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("build/bench/cores.json"))
    options = parser.parse_args()
    facts = machine()
    print("  ".join(f"{what}: {fact}" for what, fact in facts.items()))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-cores-")))
        store = stack.enter_context(valkey(folder / "valkey", options={"auto-aof-rewrite-percentage": "0"}))
        members = stack.enter_context(etcd())
        meshes = [start(stack, folder, store, members, n, options.clients) for n in options.processes]
        for mesh in meshes:
            slot(mesh, store, options.concurrency, 1.0)  # warm
        rounds = []
        for i in range(options.rounds):
            turn = meshes if i % 2 == 0 else meshes[::-1]
            rounds.append({mesh.processes: slot(mesh, store, options.concurrency, options.seconds) for mesh in turn})
    rows = [
        {field: statistics.median(one[n][field] for one in rounds) for field in rounds[0][n]} for n in options.processes
    ]
    print(table(rows))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows, "rounds": rounds, "machine": facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
