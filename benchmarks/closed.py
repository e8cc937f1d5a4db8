# SPDX-License-Identifier: Apache-2.0
"""What closed workflows in Redis cost those that run, and those who look: with none of them, with 10,000 and with more.

    python benchmarks/closed.py [--closed 0 10000 100000 1000000]

The closed ones are copies of one that really ran (head and journal as DUMP gives them, four steps with empty texts and a label), listed
as of today: to run a million takes a quarter of an hour, and leaves the same keys. Then, beside them:

- alone: workflows one after another, from start to result, median
- at once: 50 of them, workflows/s, and the CPU of node and Valkey for each
- list: the first page of 50; the same with counts and waits, as `nervenet list` and the dashboard ask for it; with a label; those that
  failed, of which there are none, so the node reads heads until its limit for a page
- agents: all agents and what waits in queues, as `nervenet top` and the dashboard ask again and again
- show: one closed workflow
- idle: CPU of node and Valkey in percent of a processor during 65 seconds without work: two walks for what dead processes left
- turn: the longest turn of the node's event loop in all of this, in ms of CPU (turns.py)

Times are medians, which other work on the machine makes longer; CPU columns are not. A million need about 3 GB in Valkey.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import redis
from builds import lay_out
from four import four, mesh
from processes import HOME, Process, cpu_ms, machine, product_environment
from turns import serve_measured

from nervenet import Client, StartOptions
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.dev.servers import etcd, valkey

NAMESPACE = "closed"
COPIES_AT_A_TIME = 5_000


def copy(store: redis.Redis, original: str, first: int, last: int) -> None:
    """Copies `first` to `last` of a closed workflow, in the list of those that closed today."""
    key = f"nn:{NAMESPACE}:wf:{{%s}}"
    parts = {end: store.dump(key % original + end) or b"" for end in ("", ":journal")}
    now = time.time_ns() // 1_000_000
    day = f"nn:{NAMESPACE}:closed:{{{datetime.now(UTC):%Y-%m-%d}}}"
    for start in range(first, last, COPIES_AT_A_TIME):
        pipe = store.pipeline(transaction=False)
        ids = [f"old-{i}" for i in range(start, min(last, start + COPIES_AT_A_TIME))]
        for one in ids:
            for end, data in parts.items():
                pipe.restore(key % one + end, 7 * 24 * 3_600_000, data)
        pipe.zadd(day, {one: now - last + int(one[4:]) for one in ids})
        pipe.execute()


async def median_ms(work: Callable[[], Awaitable[object]], times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def together(client: Client, seconds: float, at_once: int = 50) -> int:
    """How many workflows ran within some seconds, this many at once."""
    until, count = time.monotonic() + seconds, 0

    async def one_after_another() -> None:
        nonlocal count
        while time.monotonic() < until:
            await client.run(four, "")
            count += 1

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return count


PAGES: dict[str, dict[str, Any]] = {
    "list": {},
    "counted": {"include_counts": True, "include_waits": True},
    "label": {"labels": {"team": "bench"}},
    "failed": {"states": ["WORKFLOW_STATE_FAILED"]},
}
"""Requests for the first page of a list."""
COLUMNS = {
    "alone_ms": "alone: ms",
    "workflows_per_s": "at once: /s",
    "node_ms": "node CPU: ms",
    "valkey_ms": "Valkey CPU: ms",
    "list_ms": "list: ms",
    "counted_ms": "with counts",
    "label_ms": "label",
    "failed_ms": "failed",
    "agents_ms": "agents: ms",
    "show_ms": "show: ms",
    "idle_node": "idle node: %",
    "idle_valkey": "idle Valkey: %",
    "turn_ms": "turn: ms",
    "redis_mb": "Redis MB",
}


async def measure(client: Client, raw: RawClient, pids: dict[str, int], seconds: float) -> dict[str, float]:
    alone = await median_ms(lambda: client.run(four, ""), 100)
    before = {who: cpu_ms(pid) for who, pid in pids.items()}
    began = time.monotonic()
    count = await together(client, seconds)
    took = time.monotonic() - began
    used = {f"{who}_ms": (cpu_ms(pid) - before[who]) / count for who, pid in pids.items()}
    found = {"alone_ms": alone, "workflows_per_s": count / took, **used}
    for name, fields in PAGES.items():
        found[f"{name}_ms"] = await median_ms(partial(raw.call, "ListWorkflows", page_size=50, **fields), 15)
    found["agents_ms"] = await median_ms(partial(raw.call, "ListAgents"), 5)
    found["show_ms"] = await median_ms(partial(raw.call, "GetWorkflow", workflow_id="original"), 30)
    return found


async def idle(pids: dict[str, int], seconds: float) -> dict[str, float]:
    """CPU without work, in percent of a processor."""
    before = {who: cpu_ms(pid) for who, pid in pids.items()}
    await asyncio.sleep(seconds)
    return {f"idle_{who}": (cpu_ms(pid) - before[who]) / seconds / 10 for who, pid in pids.items()}


async def run(counts: list[int], seconds: float, rounds: int, idle_seconds: float, home: Path) -> list[dict[str, Any]]:
    rows = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-closed-"))
        store, members = stack.enter_context(valkey(Path(folder))), stack.enter_context(etcd())
        env = product_environment(store, members, NAMESPACE, home)
        node = stack.enter_context(Process(Path(__file__), "node", env=env))
        address = env["NERVENET_ADDRESS"] = node.ready["address"]
        stack.enter_context(Process("roles.py", "agent", env=env))
        link = stack.enter_context(redis.Redis(port=store.port))
        config = Config.load(environ={}, address=address, namespace=NAMESPACE)
        pids = {"node": node.pid, "valkey": store.pid}
        async with Client(address, namespace=NAMESPACE) as client, RawClient(config) as raw:
            await client.run(four, "", id="original", options=StartOptions(labels={"team": "bench"}))
            while not link.keys(f"nn:{NAMESPACE}:closed:*"):  # its end is booked a little later
                await asyncio.sleep(0.05)
            await together(client, 1)
            there = 0
            for count in counts:
                await asyncio.to_thread(copy, link, "original", there, count)
                there = max(there, count)
                while link.info("persistence")[
                    "aof_rewrite_in_progress"
                ]:  # a million copies make Valkey rewrite its file
                    await asyncio.sleep(0.5)
                node.ask(take=True)
                found = [await measure(client, raw, pids, seconds) for _ in range(rounds)]
                row: dict[str, Any] = {"closed": count}
                row |= {field: statistics.median(one[field] for one in found) for field in found[0]}
                row |= await idle(pids, idle_seconds)
                row["turn_ms"] = node.ask(take=True)["longest_ms"]
                row["redis_mb"] = link.info("memory")["used_memory"] / 1e6
                rows.append(row)
                told = (
                    f"{row[field]:,.{0 if row[field] >= 20 else 1 if row[field] >= 1 else 2}f}" for field in COLUMNS
                )
                print(f"| {count:,} | {' | '.join(told)} |", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--closed", type=int, nargs="+", default=[0, 10_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=float, default=65.0, help="seconds without work")
    parser.add_argument("--revision", default="", help="measure another build of nervenet, with this tree's benchmark")
    parser.add_argument("--out", type=Path, default=Path("build/bench/closed.json"))
    options = parser.parse_args()
    home = lay_out(options.revision) if options.revision else HOME
    facts = machine()
    print("  ".join(f"{what}: {fact}" for what, fact in facts.items()))
    print(f"| closed | {' | '.join(COLUMNS.values())} |\n| ---: {'| ---: ' * len(COLUMNS)}|")
    rows = asyncio.run(run(options.closed, options.seconds, options.rounds, options.idle, home))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows, "machine": facts}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["node"]:
        serve_measured(mesh)
    else:
        main()
