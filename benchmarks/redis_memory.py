# SPDX-License-Identifier: Apache-2.0
"""What workflows cost in the memory of Redis, open and closed, by the size of what they carry.

    python benchmarks/redis_memory.py [--workflows 2000] [--archive]

A closed workflow is `four`: four steps in sequence that each take and return the same text, so the text is in its journal
six times (the input, four results, the output). An open one waits for a signal, with the text as its input. Each row is
the growth of Redis' `used_memory` by that number of workflows, divided by it. Bytes do not depend on how busy the machine is.
With `--archive` the node archives into a folder, and a closed workflow is measured once it is archived.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from four import four, parked
from processes import HOME, Process, product_environment

from nervenet import Client
from nervenet.dev.servers import Server, etcd, valkey

SIZES = (100, 1_000, 10_000)
SETTLE_S = 12.0
"""Nodes trim wakes, inboxes and queues a moment after the last workflow, and agents forget their outcomes."""


async def measure(workflows: int, *, archive: bool = False) -> list[dict[str, Any]]:
    rows = []
    with ExitStack() as stack:
        store, members = stack.enter_context(valkey()), stack.enter_context(etcd())
        env = product_environment(store, members, "memory")
        if archive:
            env["NERVENET_ARCHIVE"] = Path(stack.enter_context(tempfile.TemporaryDirectory())).as_uri()
        roles = HOME / "benchmarks" / "roles.py"
        env["NERVENET_ADDRESS"] = stack.enter_context(Process(roles, "node", env=env)).ready
        stack.enter_context(Process(roles, "agent", env=env))
        async with Client(env["NERVENET_ADDRESS"], namespace="memory") as client:
            await asyncio.gather(*(client.run(four, "x") for _ in range(200)), client.start(parked, "x"))
            for state, size in itertools.product(("closed", "open"), SIZES):
                rows += [await _row(client, store, state, size, workflows)]
    return rows


async def _row(client: Client, store: Server, state: str, size: int, workflows: int) -> dict[str, Any]:
    text = "x" * (size - 2)  # with its quotes
    before = await _settled(store)
    for first in range(0, workflows, 200):
        batch = range(first, min(first + 200, workflows))
        if state == "closed":
            await asyncio.gather(*(client.run(four, text) for _ in batch))
        else:
            await asyncio.gather(*(client.start(parked, text) for _ in batch))
    grown = (await _settled(store) - before) / workflows
    print(f"{state:>6}, {size:>6,} bytes each: {grown / 1000:6.1f} KB for each workflow", flush=True)
    return {"state": state, "payload_bytes": size, "kb_per_workflow": round(grown / 1000, 2)}


async def _settled(store: Server) -> int:
    await asyncio.sleep(SETTLE_S)
    while await asyncio.to_thread(_waits_for_archive, store):
        await asyncio.sleep(1)
    return await asyncio.to_thread(_used, store)


def _waits_for_archive(store: Server) -> bool:
    with redis.Redis(port=store.port) as connection:
        return bool(connection.exists("nn:memory:archive:{runs}", "nn:memory:archive:{runs}:batches"))


def _used(store: Server) -> int:
    with redis.Redis(port=store.port) as connection:
        return int(connection.info("memory")["used_memory"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflows", type=int, default=2_000)
    parser.add_argument("--archive", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("build/bench/redis_memory.json"))
    options = parser.parse_args()
    began = time.monotonic()
    rows = asyncio.run(measure(options.workflows, archive=options.archive))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{options.out}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
