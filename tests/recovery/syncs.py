# SPDX-License-Identifier: Apache-2.0
"""Is the disk of Redis really where `redis_link/persistence.py` says? Held against the system calls of a real server.

    python -m tests.recovery.syncs [--seconds 30] [--delay 0 0.3 0.7 1.5]

It needs strace, which also makes each fdatasync of the server take longer by `--delay` seconds. Clients write all the time. Each
answer "what was acknowledged before this moment is on the disk" must be true: a sync that began after the moment had ended when
the answer came. WAITAOF is asked beside it, for comparison. Ends with 1 if an answer was early.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nervenet.dev.binaries import find_valkey
from nervenet.dev.servers import free_port
from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.redis_link.persistence import DurableMarks, look
from nervenet.timing import DURABILITY_LOOK_EVERY

LINE = re.compile(r"(\d+) +([\d.]+) (.*)")
TOOK = re.compile(r"<([\d.]+)>$")


class Answer(NamedTuple):
    """All that was acknowledged before `safe` is on the disk, said at `at` (seconds since 1970)."""

    safe: float
    at: float


def traced(folder: Path, port: int, delay: float) -> list[str]:
    """The command of a server whose syncs are written down and take longer."""
    inject = ("-e", f"inject=fdatasync:delay_enter={round(delay * 1e6)}") if delay else ()
    options = ("--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", "", "--logfile", "")
    strace = ("strace", "-f", "-ttt", "-T", "-e", "trace=fdatasync,fsync", *inject, "-o", str(folder / "trace"))
    return [*strace, str(find_valkey()), *options]


def syncs(trace: Path) -> list[tuple[float, float]]:
    """When each sync began and ended."""
    found, begun = [], dict[str, float]()
    for line in trace.read_text().splitlines():
        if (match := LINE.fullmatch(line)) is None:
            continue
        thread, at, what = match.groups()
        if "unfinished" in what:
            begun[thread] = float(at)
        elif "resumed" in what and thread in begun:
            found.append((begun.pop(thread), float(at)))
        elif took := TOOK.search(what):
            found.append((float(at), float(at) + float(took[1])))
    return found


async def writes(link: Link) -> None:
    while True:
        await link.call("XADD", "stream", "MAXLEN", 1000, "*", "f", "x" * 500)
        await asyncio.sleep(0.002)


async def asks(link: Link, seconds: float) -> tuple[list[Answer], list[Answer]]:
    """What the product's looks say, and what WAITAOF says."""
    durable, ours, theirs = DurableMarks[float](), list[Answer](), list[Answer]()
    reader, until = await link.dedicated(), time.time() + seconds
    while time.time() < until:
        at, mark = asyncio.get_running_loop().time(), time.time()
        safe = durable.look(mark, at, await look(link))
        if safe is not None:
            ours.append(Answer(safe, time.time()))
        await reader.read("SET", "marker", "x")
        acknowledged = time.time()
        if (await reader.read("WAITAOF", 1, 0, 1500))[0]:
            theirs.append(Answer(acknowledged, time.time()))
        await asyncio.sleep(max(0, mark + DURABILITY_LOOK_EVERY - time.time()))
    await reader.close()
    return ours, theirs


def early(answers: list[Answer], done: list[tuple[float, float]]) -> int:
    """How many came before the sync that makes them true."""
    return sum(not any(begun >= one.safe and ended <= one.at for begun, ended in done) for one in answers)


async def measure(delay: float, seconds: float) -> int:
    with tempfile.TemporaryDirectory(prefix="nervenet-syncs-") as place:
        folder, port = Path(place), free_port()
        server = subprocess.Popen(traced(folder, port, delay), stdout=subprocess.DEVNULL)
        try:
            link = await open_link(f"redis://127.0.0.1:{port}/0", wait=20)
            writing = asyncio.create_task(writes(link))
            ours, theirs = await asks(link, seconds)
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            with suppress(LinkError):
                await link.send("SHUTDOWN", "NOSAVE")
            await link.close()
            await asyncio.to_thread(server.wait, 30)
        finally:
            with suppress(OSError):  # both have ended
                for child in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)  # strace ends with it
            await asyncio.to_thread(server.wait)
        done = syncs(folder / "trace")
    wrong = early(ours, done)
    lag = sum(one.at - one.safe for one in ours) / max(1, len(ours))
    print(
        f"syncs of {delay:g} s: {len(ours)} answers, {lag:.1f} s behind, {wrong} of them early;"
        f" {early(theirs, done)} of {len(theirs)} answers of WAITAOF are early"
    )
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--delay", type=float, nargs="+", default=[0.0, 0.3, 0.7, 1.5])
    asked = parser.parse_args()
    if shutil.which("strace") is None:
        sys.exit("strace is not installed: it is how this script sees when the server syncs")
    return int(sum(asyncio.run(measure(delay, asked.seconds)) for delay in asked.delay) > 0)


if __name__ == "__main__":
    sys.exit(main())
