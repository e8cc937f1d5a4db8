# SPDX-License-Identifier: Apache-2.0
"""What a run is in the archive, by the size of what it carries: bytes, and the CPU of the node that writes it.

    python benchmarks/archive_sizes.py [--runs 2000] [--index 1000000]

A run is one of four steps with six different texts (the input, four results, the output), cut from the pages of `docs`. The runs are
put into a Valkey as closed ones, and the archiver of a node writes them to a folder without pauses; CPU is that of this process, so reading from
Redis and compression are in it, and Redis itself is not. Then tables of the index are made for that many runs, merged as a node does it, and searched.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from processes import HOME

from nervenet.archive.index import MOST_ROWS, ROW, Place, Table, hash_of, merged
from nervenet.archive.reader import ArchiveReader
from nervenet.clock import SYSTEM
from nervenet.dev.servers import valkey
from nervenet.node.archiving import archiver
from nervenet.node.archiving.archiver import Archiver, merge_tables
from nervenet.objects import ObjectSink, open_sink
from nervenet.records import Body, Close, Outcome, Payload, Start, State
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.streams.archive import ArchiveList, WaitingRun
from nervenet.streams.keys import Keys
from nervenet.streams.script import packaged_scripts
from nervenet.wire import encode_entry

SIZES: Final = (100, 1_000, 10_000)
BATCH: Final = 1_000
NAMESPACE: Final = "sizes"


class Closed:
    """Closed runs in Redis, with texts of one size."""

    def __init__(self, link: Link, size: int) -> None:
        self._link, self._size, self._keys = link, size, Keys(NAMESPACE)
        self._text = "".join(path.read_text() for path in sorted((HOME / "docs").glob("*.md")))
        self._chance = random.Random(size)

    async def put(self, count: int) -> None:
        runs = []
        for n in range(count):
            runs += [await self._one(f"{self._size}-{n}", SYSTEM.now_ms() - 60_000 + n)]
        for start in range(0, count, 500):
            await ArchiveList(self._link, self._keys).add(runs[start : start + 500])

    async def _one(self, workflow_id: str, at: int) -> WaitingRun:
        keys, last = self._keys, b""
        for number, (name, body) in enumerate(self._entries(at), 1):
            last = b"%d-%d" % (at, number)
            await self._link.call(
                "XADD", keys.journal(workflow_id), last, "n", name, "e", encode_entry(body, "n-4kq2hd7a")
            )
        head = {"run": 1, "state": "SUCCEEDED", "owner": "n-4kq2hd7a", "last": last, "created": at - 9, "closed": at}
        head |= {"definition": "four", "version": 1, "python": "3.11", "keep": at + 3_600_000}
        await self._link.call("HSET", keys.head(workflow_id), *(word for pair in head.items() for word in pair))
        return WaitingRun(at, 1, workflow_id)

    def _entries(self, at: int) -> Iterator[tuple[str, Body]]:
        yield "start", Start("four", 1, "3.11", self._value(), self._chance.randbytes(32))
        for step in ("a", "b", "c", "d"):
            digest = self._chance.randbytes(16)
            yield (
                f"task:{step}",
                Outcome(self._value(), None, "work", digest, 1, "a-x2hd74kq", at - 5, at - 1, (), at - 6),
            )
        yield "close", Close(State.SUCCEEDED, self._value())

    def _value(self) -> Payload:
        start = self._chance.randrange(len(self._text) - self._size)
        return Payload("json", json.dumps(self._text[start : start + self._size], ensure_ascii=False).encode())


async def written(link: Link, folder: Path, size: int, runs: int) -> dict[str, float]:
    await Closed(link, size).put(runs)
    one = Archiver(_context(link), open_sink(folder.as_uri(), NAMESPACE))  # type: ignore[arg-type]  # what it needs of a node
    began = time.process_time()
    while await one.step():
        pass
    used = (time.process_time() - began) / runs * 1000
    kinds = {
        kind: sum(path.stat().st_size for path in (folder / NAMESPACE / kind).rglob("*") if path.is_file()) / runs
        for kind in ("runs", "list", "index")
    }
    return {"bytes": sum(kinds.values()), "list_and_index": kinds["list"] + kinds["index"], "cpu_ms": used}


def _context(link: Link) -> Any:
    counted = SimpleNamespace(**{name: lambda *_: None for name in ("wrote", "archived", "failed", "lost")})
    return SimpleNamespace(
        link=link,
        keys=Keys(NAMESPACE),
        metrics=SimpleNamespace(archive=counted),
        config=SimpleNamespace(namespace=NAMESPACE, retention_ms=4),
        status=SimpleNamespace(node_id="n-4kq2hd7a"),
        clock=SYSTEM,
        entropy=os.urandom,
    )


async def searched(folder: Path, rows: int) -> dict[str, float]:
    """Tables for this many runs, and looks for some that are in none of their objects: only the index is read."""
    sink = open_sink(folder.as_uri(), "index")
    for batch in range(rows // BATCH):
        places = sorted(Place(hash_of(f"w-{batch}-{n}"), batch, 9, batch, n, 9).packed() for n in range(BATCH))
        data = b"".join(places)
        await sink.create(Table.named(0, BATCH, data).name, data)
        if batch % archiver.MERGE_EVERY == 0:
            await merge_tables(sink)
    await merge_tables(sink)
    names = await sink.names("index")
    parts = [b"".join(sorted(os.urandom(ROW) for _ in range(MOST_ROWS // 8))) for _ in range(8)]
    began = time.thread_time()
    merged(parts)
    longest = (time.thread_time() - began) * 1000
    took = await _looks(sink, rows)
    size = sum(path.stat().st_size for path in folder.rglob("*.idx"))
    return {"tables": len(names), "mb": size / 1e6, "look_ms_p50": statistics.median(took), "longest_merge_ms": longest}


async def _looks(sink: ObjectSink, rows: int) -> list[float]:
    took = []
    for n in range(200):
        began = time.perf_counter()
        assert await ArchiveReader(sink).find(f"w-{n % (rows // BATCH)}-{n}") is None  # its object is not here
        took.append((time.perf_counter() - began) * 1000)
    return took


@contextmanager
def without_pauses() -> Iterator[None]:
    pace, archiver.PACE = archiver.PACE, 0.0  # type: ignore[misc]  # a constant, but for this
    yield
    archiver.PACE = pace  # type: ignore[misc]


async def measure(runs: int, rows: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="nervenet-bench-") as name, valkey() as store, without_pauses():
        link = await open_link(f"redis://127.0.0.1:{store.port}", name="sizes", scripts=packaged_scripts())
        for size in SIZES:
            row = found[f"{size}"] = await written(link, Path(name) / str(size), size, runs)
            print(
                f"{size:>6,} bytes each: {row['bytes'] / 1000:5.1f} KB in the archive, of which {row['list_and_index']:.0f} bytes list and"
                f" index; {row['cpu_ms']:.2f} ms of CPU",
                flush=True,
            )
        await link.close()
        row = found["index"] = await searched(Path(name), rows)
        print(
            f"index of {rows:,} runs: {row['tables']} tables, {row['mb']:.0f} MB, a look {row['look_ms_p50']:.1f} ms (median),"
            f" the longest merge {row['longest_merge_ms']:.0f} ms of CPU"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--index", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path("build/bench/archive_sizes.json"))
    asked = parser.parse_args()
    found = asyncio.run(measure(asked.runs, asked.index))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
