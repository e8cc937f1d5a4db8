# SPDX-License-Identifier: Apache-2.0
"""How soon a watcher has what a running attempt emits: the delay from `task.emit` to a client of another node.

    python benchmarks/tokens.py [--streams 1 50] [--every-ms 5 20 100] [--seconds 5] [--out build/bench/tokens.json]

Two nodes, one agent, Valkey and etcd are processes of their own. Each stream is a workflow whose one step emits the time at
a fixed rate; its watcher is connected to the second node, whichever node runs the workflow. Both times are this machine's
clock. `redis_commands_per_s` is of the whole mesh while the streams run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from nervenet import Client, Context, Mesh, Task
from nervenet.redis_link.opening import open_link

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.support.mesh import ProcessMesh, mesh_alone  # noqa: E402  # the repository is no package

mesh = Mesh("tokens")


@mesh.agent(slots=1_000)
async def speak(task: Task, pace: tuple[int, float]) -> None:
    count, every = pace
    loop = asyncio.get_running_loop()
    began = loop.time() + 2.0  # the watchers connect meanwhile
    for n in range(count):
        await asyncio.sleep(began + n * every - loop.time())
        task.emit([n, time.time()])


@mesh.workflow
async def talk(ctx: Context, pace: tuple[int, float]) -> None:
    await ctx.call(speak, pace)


async def watch(client: Client, workflow_id: str, delays: list[float]) -> int:
    """Note the delay of each token, in ms; the number of those that were lost or came out of order."""
    wrong, expected = 0, 0
    async for part in client.handle(workflow_id).partials("speak", tuple[int, float]):
        n, said = part.value
        delays.append((time.time() - said) * 1e3)
        wrong += n != expected
        expected = n + 1
    return wrong


async def measure(host: ProcessMesh, streams: int, every_ms: float, seconds: float) -> dict[str, Any]:
    first, second = host.nodes
    count, delays = max(5, int(seconds * 1e3 / every_ms)), list[float]()
    link = await open_link(host.env["NERVENET_REDIS"], name="bench")
    async with host.client(first) as starter, host.client(second) as watcher:
        ids = [f"{streams}-{every_ms:g}-{n}" for n in range(streams)]
        runs = await asyncio.gather(*(starter.start(talk, (count, every_ms / 1e3), id=each) for each in ids))
        before, began = await commands(link), time.monotonic()
        wrong = await asyncio.gather(*(watch(watcher, each, delays) for each in ids))
        rate = (await commands(link) - before) / (time.monotonic() - began)
        await asyncio.gather(*(run.result() for run in runs))
    await link.close()
    delays.sort()
    return {
        "streams": streams,
        "every_ms": every_ms,
        "tokens": len(delays),
        "lost_or_out_of_order": sum(wrong) + streams * count - len(delays),
        "p50_ms": round(delays[len(delays) // 2], 1),
        "p99_ms": round(delays[int(len(delays) * 0.99)], 1),
        "max_ms": round(delays[-1], 1),
        "redis_commands_per_s": round(rate),
    }


async def commands(link: Any) -> int:
    text: bytes = await link.call("INFO", "stats")
    (line,) = (each for each in text.decode().splitlines() if each.startswith("total_commands_processed:"))
    return int(line.partition(":")[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 50])
    parser.add_argument("--every-ms", type=float, nargs="+", default=[5.0, 20.0, 100.0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench/tokens.json")
    options = parser.parse_args()
    rows = []
    print(
        f"{'streams':>7} {'every':>8} {'tokens':>7} {'lost':>5} {'p50':>9} {'p99':>9} {'max':>9} {'Redis commands':>16}"
    )
    with mesh_alone(__file__) as host:
        host.start(2, 1)
        for streams in options.streams:
            for every_ms in options.every_ms:
                row = asyncio.run(measure(host, streams, every_ms, options.seconds))
                rows.append(row)
                print(
                    f"{streams:>7} {every_ms:>5g} ms {row['tokens']:>7} {row['lost_or_out_of_order']:>5} "
                    f"{row['p50_ms']:>6} ms {row['p99_ms']:>6} ms {row['max_ms']:>6} ms {row['redis_commands_per_s']:>14}/s"
                )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
