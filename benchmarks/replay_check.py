# SPDX-License-Identifier: Apache-2.0
"""What the replay check of `nervenet dev` costs a long workflow: its time with the check and without, and the loop's longest stop.

    python -m benchmarks.replay_check [--steps 1000] [--rounds 3]

First in `nervenet dev`, real processes, with NERVENET_REPLAY_CHECK on and off in turn. Then in `nervenet.dev.running`,
where a task beside the node looks at the clock every millisecond: how late it comes is how long the loop stood still.
Exit code 1 when the check costs more than half of the time without it, or stops the loop for 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nervenet.dev
from nervenet import Client, Config, Context, Mesh

MOST_RATIO = 1.5
MOST_STOP = 0.1
READY_WITHIN = 60.0

mesh = Mesh("replay-check")


@mesh.agent(slots=8)
async def echo(n: int) -> int:
    return n


@mesh.workflow
async def chain(ctx: Context, steps: int) -> int:
    """One step after the other: each is an entry, and each is folded again by every later check."""
    total = 0
    for n in range(steps):
        total += await ctx.call(echo, n)
    return total


async def timed(client: Client, steps: int) -> float:
    began = time.monotonic()
    assert await client.run(chain, steps) == steps * (steps - 1) // 2
    return time.monotonic() - began


@contextmanager
def nervenet_dev(check: str) -> Iterator[str]:
    """The address of a mesh in real processes."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder, "ready.json")
        command = [sys.executable, "-m", "nervenet", "dev", f"{__file__}:mesh", "--port", "0", "--no-reload"]
        process = subprocess.Popen(
            [*command, "--data", f"{folder}/data", "--ready-file", str(ready)],
            env={**os.environ, "NERVENET_REPLAY_CHECK": check},
            stderr=subprocess.DEVNULL,
        )
        try:
            until = time.monotonic() + READY_WITHIN
            while not ready.exists():
                assert process.poll() is None and time.monotonic() < until, "nervenet dev did not come up"
                time.sleep(0.05)
            yield json.loads(ready.read_text())["grpc"][0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


async def in_turn(addresses: dict[str, str], steps: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, one mesh after the other, so that a busy machine is busy for both."""
    took: dict[str, list[float]] = {check: [] for check in addresses}
    for number in range(rounds + 1):
        for check, address in addresses.items():
            async with Client(config=Config.load(environ={}, address=address)) as client:
                seconds = await timed(client, steps)
            if number:  # the first one warms up
                took[check].append(seconds)
    return took


async def longest_stop(steps: int) -> tuple[float, float]:
    """How late a task comes that looks at the clock every millisecond, at most, in seconds; and how much of the CPU the
    loop's thread used between two looks, at most, which a busy machine does not change."""
    worst = most = 0.0

    async def look() -> None:
        nonlocal worst, most
        while True:
            before, used = time.monotonic(), time.thread_time()
            await asyncio.sleep(0.001)
            worst, most = max(worst, time.monotonic() - before - 0.001), max(most, time.thread_time() - used)

    async with nervenet.dev.running(mesh) as client:
        await timed(client, 20)
        looking = asyncio.create_task(look())
        await timed(client, steps)
        looking.cancel()
    return worst, most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with nervenet_dev("off") as off, nervenet_dev("on") as on:
        took = asyncio.run(in_turn({"off": off, "on": on}, given.steps, given.rounds))
    for check, seconds in took.items():
        print(f"nervenet dev, check {check:3}: {' '.join(f'{s:.2f}' for s in seconds)} s for {given.steps} steps")
    ratio = statistics.median(took["on"]) / statistics.median(took["off"])
    stop, used = asyncio.run(longest_stop(given.steps))
    print(f"ratio of the medians: {ratio:.2f} (at most {MOST_RATIO})")
    print(
        f"longest stop of the loop: {stop * 1000:.0f} ms (at most {MOST_STOP * 1000:.0f}), {used * 1000:.0f} ms of CPU"
    )
    return int(ratio > MOST_RATIO or stop > MOST_STOP)


if __name__ == "__main__":
    raise SystemExit(main())
