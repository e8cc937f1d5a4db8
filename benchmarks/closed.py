# SPDX-License-Identifier: Apache-2.0
"""What closed workflows in Redis cost those that run: start, close and list with none of them, with 10,000 and with more.

    python benchmarks/closed.py [--closed 0 10000 100000]

The closed ones are copies of one that really ran (head and journal, four steps with empty texts), listed as of today. Then, beside them:
workflows one after another (median), 50 at once (workflows/s, CPU of node and Valkey for each), the first page of a list, and the first
page of failed ones, of which there are none: the node reads heads until its limit for a page. A million copies need about 5 GB of memory.
"Alone" and the lists are times, which other work on the machine makes longer; the CPU columns are not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from four import four
from processes import Process, cpu_ms, machine, product_environment

from nervenet import Client
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


async def page(raw: RawClient, state: str | None) -> None:
    """The first page of a list; of failed ones the first answer, which may be empty."""
    request: dict[str, Any] = {"page_size": 50}
    if state is not None:
        request["states"] = [state]
    await raw.call("ListWorkflows", **request)


async def measure(client: Client, raw: RawClient, pids: dict[str, int], seconds: float) -> dict[str, float]:
    alone = await median_ms(lambda: client.run(four, ""), 100)
    before = {who: cpu_ms(pid) for who, pid in pids.items()}
    began = time.monotonic()
    count = await together(client, seconds)
    took = time.monotonic() - began
    used = {f"{who}_ms": (cpu_ms(pid) - before[who]) / count for who, pid in pids.items()}
    newest = await median_ms(lambda: page(raw, None), 30)
    failed = await median_ms(lambda: page(raw, "WORKFLOW_STATE_FAILED"), 10)
    return {"alone_ms": alone, "workflows_per_s": count / took, **used, "list_ms": newest, "failed_ms": failed}


async def run(counts: list[int], seconds: float, rounds: int) -> list[dict[str, Any]]:
    rows = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-closed-"))
        store, members = stack.enter_context(valkey(Path(folder))), stack.enter_context(etcd())
        env = product_environment(store, members, NAMESPACE)
        node = stack.enter_context(Process("roles.py", "node", env=env))
        env["NERVENET_ADDRESS"] = node.ready
        stack.enter_context(Process("roles.py", "agent", env=env))
        link = stack.enter_context(redis.Redis(port=store.port))
        config = Config.load(environ={}, address=node.ready, namespace=NAMESPACE)
        pids = {"node": node.pid, "valkey": store.pid}
        async with Client(node.ready, namespace=NAMESPACE) as client, RawClient(config) as raw:
            await client.run(four, "", id="original")
            while not link.keys(f"nn:{NAMESPACE}:closed:*"):  # its end is booked a little later
                await asyncio.sleep(0.05)
            await together(client, 1)
            there = 0
            for count in counts:
                await asyncio.to_thread(copy, link, "original", there, count)
                there = max(there, count)
                found = [await measure(client, raw, pids, seconds) for _ in range(rounds)]
                row: dict[str, Any] = {"closed": count, "redis_mb": link.info("memory")["used_memory"] / 1e6}
                row |= {field: statistics.median(one[field] for one in found) for field in found[0]}
                rows.append(row)
                print(
                    f"| {count:,} | {row['alone_ms']:.1f} | {row['workflows_per_s']:,.0f} | {row['node_ms']:.2f} | {row['valkey_ms']:.2f} |"
                    f" {row['list_ms']:.1f} | {row['failed_ms']:.1f} | {row['redis_mb']:,.0f} |",
                    flush=True,
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--closed", type=int, nargs="+", default=[0, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/bench/closed.json"))
    options = parser.parse_args()
    facts = machine()
    print("  ".join(f"{what}: {fact}" for what, fact in facts.items()))
    print(
        "| closed | alone: p50 ms | 50 at once: workflows/s | CPU ms of the node | of Valkey | list: ms | failed ones: ms | Redis MB |"
    )
    print("| ---: " * 8 + "|")
    rows = asyncio.run(run(options.closed, options.seconds, options.rounds))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows, "machine": facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
