# SPDX-License-Identifier: Apache-2.0
"""What is lost when Redis and all nodes are killed at once? With `strict` nothing that was acknowledged.

    python -m tests.recovery.strict --times 50                      # appendfsync always, NERVENET_DURABILITY=strict
    python -m tests.recovery.strict --times 50 --durability normal  # appendfsync everysec: counts what is lost
    python -m tests.recovery.strict --times 50 --durability normal --power-cut  # the worst that everysec allows

Each time: two nodes over a Valkey, clients that start workflows, send signals and decide questions as fast as they are
answered, then SIGKILL to Valkey and both nodes at a random moment. Valkey starts again on what is on its disk, and the
heads and journals there are compared with what the clients were told. A kill takes no page cache along, as a power cut
would: what is lost here is what the server still held in its own memory, which `everysec` allows and `always` does not.
With --power-cut the append-only file is cut, after the kill, to what it held a second before: that is how much `everysec`
promises to have synced.

Ends with one line, and writes the same as JSON; exit code 1 when `strict` lost something.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any, NamedTuple

from nervenet import Client, Resolution
from nervenet.client.raw import RawClient
from nervenet.dev.servers import Server, etcd, valkey
from nervenet.errors import NervenetError
from nervenet.redis_link.opening import open_link
from nervenet.streams.keys import Keys
from tests.recovery import redis_app
from tests.support.mesh import ProcessMesh
from tests.support.torture import BUILD, command_line, conclude

APP = "tests/recovery/redis_app.py"
WRITERS = 8
AT_ONCE = 5
KINDS = ("start", "signal", "decision")


class Told(NamedTuple):
    """One acknowledgement: what has to stand in Redis now, under which name."""

    kind: str
    workflow_id: str
    entry: str


async def write(host: ProcessMesh, turn: int, writer: int, told: list[Told]) -> None:
    """Start, signal, decide, as fast as the nodes answer; until they are gone."""
    node = host.nodes[writer % len(host.nodes)]
    async with host.client(at=node) as client, RawClient(client.config) as raw:
        for n in itertools.count():
            stem = f"{turn}-{writer}-{n}"
            try:
                await _write(client, raw, stem, told)
            except (NervenetError, OSError, TimeoutError):
                return


async def _write(client: Client, raw: RawClient, stem: str, told: list[Told]) -> None:
    ids = {f"listens-{stem}-{k}": k for k in range(AT_ONCE)}
    asking = f"asks-{stem}"
    await client.start_many(redis_app.listens, ids)
    told += [Told("start", workflow_id, "start") for workflow_id in ids]
    await client.start(redis_app.asks, 1, id=asking)
    told.append(Told("start", asking, "start"))
    for workflow_id in ids:
        request = {"workflow_id": workflow_id, "signal": "go", "request_id": f"r-{workflow_id}"}
        await raw.call("SignalWorkflow", {**request, "payload": {"json": "1"}}, timeout=2)
        told.append(Told("signal", workflow_id, f"signal:r-{workflow_id}"))
    await client.resolve(f"{asking}/ask#1", Resolution.complete("yes"))
    told.append(Told("decision", asking, "decided:ask#1"))


async def missing(url: str, namespace: str, told: list[Told]) -> list[Told]:
    """What does not stand in its journal, under the name that its head knows."""
    link, keys = await open_link(url, wait=30), Keys(namespace)
    gone = []
    for one in told:
        at = await link.call("HGET", keys.head(one.workflow_id), f"e:{one.entry}")
        if not at or not await link.call("XRANGE", keys.journal(one.workflow_id), at, at):
            gone.append(one)
    await link.close()
    return gone


class Disk:
    """What the append-only file held when; to be cut back to what had been synced, had the power gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: deque[tuple[float, Path, int]] = deque(maxlen=1_000)

    @property
    def _file(self) -> Path:
        return max(self._folder.rglob("*.aof"), key=lambda path: path.stat().st_mtime)

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            file = self._file
            self._sizes.append((time.monotonic(), file, file.stat().st_size))
            await asyncio.sleep(0.01)

    def cut(self, seconds: float) -> int:
        """Take back what came in the last seconds, or since this looked first; how many bytes."""
        file, until = self._file, time.monotonic() - seconds
        sizes = [(at, size) for at, one, size in self._sizes if one == file]
        if not sizes:
            return 0
        size = max((size for at, size in sizes if at <= until), default=sizes[0][1])
        lost = file.stat().st_size - size
        with file.open("r+b") as opened:
            opened.truncate(size)
        return lost


async def once(
    server: Server, etcd_url: str, folder: Path, turn: int, chance: random.Random, durability: str, power_cut: bool
) -> tuple[list[Told], list[Told]]:
    """One kill; what was acknowledged before it, and what of that is gone."""
    told: list[Told] = []
    disk = Disk(server.data)
    watching = asyncio.create_task(disk.watch())
    with ProcessMesh(folder, server.url, etcd_url) as host:
        host.env["NERVENET_DURABILITY"] = durability
        await asyncio.to_thread(host.up, *(host.node(APP) for _ in range(2)))
        writers = [asyncio.create_task(write(host, turn, n, told)) for n in range(WRITERS)]
        await asyncio.sleep(chance.uniform(0.5, 2.5))
        for pid in (server.pid, *(node.pid for node in host.nodes)):
            os.kill(pid, signal.SIGKILL)
        acknowledged = list(told)
        watching.cancel()
        if power_cut:
            disk.cut(1.0)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await server.restart()
        return acknowledged, await missing(server.url, host.namespace, acknowledged)


async def torture(times: int, durability: str, seed: int, *, folder: Path, power_cut: bool = False) -> dict[str, Any]:
    """The whole of it; the report."""
    chance, began = random.Random(seed), time.monotonic()
    fsync = "always" if durability == "strict" else "everysec"
    acknowledged, lost = Counter[str](), Counter[str]()
    worst, hit = 0, 0
    async with etcd() as members, valkey(folder / "valkey", options={"appendfsync": fsync}) as server:
        for turn in range(times):
            place = folder / f"turn-{turn}"
            place.mkdir()
            told, gone = await once(server, members.url, place, turn, chance, durability, power_cut)
            acknowledged.update(one.kind for one in told)
            lost.update(one.kind for one in gone)
            worst, hit = max(worst, len(gone)), hit + bool(gone)
    return {
        "durability": durability,
        "appendfsync": fsync,
        "power_cut": power_cut,
        "kills": times,
        "seed": seed,
        "acknowledged": {kind: acknowledged[kind] for kind in KINDS},
        "lost": {kind: lost[kind] for kind in KINDS},
        "kills_that_lost": hit,
        "most_lost_at_once": worst,
        "seconds": round(time.monotonic() - began, 1),
    }


def line(report: dict[str, Any]) -> str:
    """The report for people."""
    told, lost = report["acknowledged"], report["lost"]
    what = ", ".join(f"{lost[kind]} of {told[kind]} {kind}s" for kind in KINDS)
    return (
        f"{report['durability']} (appendfsync {report['appendfsync']}{', the last second cut off' * report['power_cut']}): "
        f"{report['kills']} kills of Redis and all nodes at"
        f" once, lost {what}; {report['kills_that_lost']} kills lost anything, seed {report['seed']}"
    )


def main() -> int:
    """Run it from the command line."""
    parser = command_line(__doc__, times=50, power_cut=False, seed=random.randrange(1 << 16), out=BUILD)
    parser.add_argument("--durability", choices=("strict", "normal"), default="strict")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nervenet-strict-") as folder:
        torment = torture(asked.times, asked.durability, asked.seed, folder=Path(folder), power_cut=asked.power_cut)
        report = asyncio.run(torment)
    wrong = [f"lost: {report['lost']}"] if asked.durability == "strict" and any(report["lost"].values()) else []
    out = asked.out / f"{asked.durability}{'-power-cut' * asked.power_cut}.json"
    return conclude(out, report, line(report), wrong)


if __name__ == "__main__":
    sys.exit(main())
