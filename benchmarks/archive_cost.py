# SPDX-License-Identifier: Apache-2.0
"""What the archive costs: throughput with it beside throughput without, interleaved in one run; bytes and CPU of each workflow.

    python benchmarks/archive_cost.py [--quick] [--rounds 7] [--seconds 3] [--concurrency 200]

Two meshes of a client, a node and an agent share a Valkey and an etcd, and take turns within each round, in an order that alternates.
One archives into a folder. Workflows are `four`: four steps in sequence with 1 KB each. A slot counts what closes in its seconds; its CPU also
has what the node does until its archive is complete. Shown are the medians of the rounds, and of each round's ratios.

Then the archive is read: bytes for each run, and how long one read of a run takes.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from modes import command_line, in_turns, write
from processes import Process, cpu_ms, product_environment

from nervenet.archive.reader import ArchiveReader, Period
from nervenet.dev.servers import etcd, valkey
from nervenet.objects import open_sink

OFF, ON = "off", "archive"


class Mesh:
    """The processes of one mode."""

    def __init__(self, stack: ExitStack, store: Any, members: Any, mode: str, folder: Path) -> None:
        env = product_environment(store, members, mode) | {"NERVENET_BENCH_WORK_MS": "0", "NERVENET_RETENTION": "60s"}
        served = env | ({"NERVENET_ARCHIVE": folder.as_uri()} if mode == ON else {})
        self.mode, self.redis = mode, redis.Redis(port=store.port)
        self.node = stack.enter_context(Process("roles.py", "node", env=served))
        address = {"NERVENET_ADDRESS": self.node.ready}
        self.agent = stack.enter_context(Process("roles.py", "agent", env=served | address))
        self.client = stack.enter_context(Process("roles.py", "client", env=env | address))

    def slot(self, concurrency: int, seconds: float) -> dict[str, float]:
        """Some seconds of work, and the CPU of it until nothing is left to do."""
        before = [cpu_ms(each.pid) for each in (self.node, self.agent)]
        answer = self.client.ask(concurrency=concurrency, seconds=seconds)
        closed = len(answer["took_ms"])
        self._settle()
        used = sum(cpu_ms(each.pid) for each in (self.node, self.agent)) - sum(before)
        self._forget()
        took = sorted(answer["took_ms"])
        return {
            "workflows_per_s": closed / answer["seconds"],
            "cpu_ms": used / closed,
            "p99_ms": took[int(len(took) * 0.99)],
        }

    def _settle(self) -> None:
        until = time.monotonic() + 60
        names = ("running", "archive:{runs}", "archive:{runs}:batches")
        while any(self.redis.exists(f"nn:{self.mode}:{name}") for name in names) and time.monotonic() < until:
            time.sleep(0.05)

    def _forget(self) -> None:
        for pattern in ("wf", "closed"):
            names = list(self.redis.scan_iter(f"nn:{self.mode}:{pattern}:*", count=5000))
            for i in range(0, len(names), 5000):
                self.redis.unlink(*names[i : i + 5000])


def measured(rounds: int, seconds: float, concurrency: int, folder: Path) -> list[dict[str, dict[str, float]]]:
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
        store = stack.enter_context(valkey(data / "valkey", options={"auto-aof-rewrite-percentage": "0"}))
        members = stack.enter_context(etcd())
        meshes = {mode: Mesh(stack, store, members, mode, folder) for mode in (OFF, ON)}
        for mesh in meshes.values():
            mesh.slot(concurrency, 1.0)
        return in_turns((OFF, ON), rounds, lambda mode: meshes[mode].slot(concurrency, seconds))


async def read(folder: Path) -> dict[str, float]:
    """What the archive has, and what a read of it takes."""
    sink = open_sink(folder.as_uri(), ON)
    page, ids, reader = None, list[str](), ArchiveReader(sink)
    began = time.perf_counter()
    while len(ids) < 2_000 and (page is None or page.cursor is not None):
        page = await reader.page(1_000, lambda head: True, Period(), None if page is None else page.cursor)
        ids += [row.workflow_id for row in page.rows]
    listing = (time.perf_counter() - began) / max(len(ids), 1) * 1000
    tables = await sink.names("index")
    runs = sum(int(name.rpartition("/")[2].partition("-")[0]) for name in tables)
    sizes = {
        kind: sum(path.stat().st_size for path in (folder / ON / kind).rglob("*") if path.is_file()) / runs
        for kind in ("runs", "list", "index")
    }
    took = []
    for each in random.sample(ids, min(200, len(ids))):
        began = time.perf_counter()
        assert await reader.find(each) is not None
        took.append((time.perf_counter() - began) * 1000)
    return {
        "runs": runs,
        "tables": len(tables),
        **{f"{kind}_bytes": size for kind, size in sizes.items()},
        "find_ms_p50": statistics.median(took),
        "find_ms_p99": sorted(took)[int(len(took) * 0.99)],
        "list_ms_per_1000": listing,
    }


def main() -> None:
    asked = command_line(__doc__, "archive_cost")
    with tempfile.TemporaryDirectory(prefix="nervenet-archive-") as name:
        found = measured(asked.rounds, asked.seconds, asked.concurrency, Path(name))
        reading = asyncio.run(read(Path(name)))
    rows = {
        mode: {key: statistics.median(each[mode][key] for each in found) for key in found[0][mode]}
        for mode in (OFF, ON)
    }
    ratio = {key: statistics.median(each[ON][key] / each[OFF][key] for each in found) for key in found[0][ON]}
    for mode, row in rows.items():
        print(
            f"{mode:8} {row['workflows_per_s']:6.0f} workflows/s  CPU {row['cpu_ms']:.3f} ms  p99 {row['p99_ms']:.0f} ms"
        )
    print(f"of off   {ratio['workflows_per_s']:6.1%}               CPU {ratio['cpu_ms']:.1%}")
    print("  ".join(f"{key} {value:,.2f}" for key, value in reading.items()))
    write(asked, {"rounds": found, "rows": rows, "ratio": ratio, "read": reading})


if __name__ == "__main__":
    main()
