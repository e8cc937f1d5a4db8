# SPDX-License-Identifier: Apache-2.0
"""CPU of this process per Redis command, the link beside redis-py's pool and pipeline, in one run.

    python benchmarks/link.py [--uvloop] [--commands 40000]

Each command is an XADD of a 200-byte entry to a capped stream. "at once" is how many are issued in one tick and awaited
together. Only the client's CPU is counted (the server is another process), and the best of three rounds is shown, because the
machine's noise only ever adds.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

import redis.asyncio

from nervenet.dev.servers import valkey
from nervenet.redis_link.opening import open_link

Issue = Callable[[int], Awaitable[object]]

_ENTRY = b"x" * 200
_XADD = ("XADD", "bench", "MAXLEN", "~", 1000, "*", "n", "task:classify", "e", _ENTRY)


async def measure(issue: Issue, at_once: int, commands: int) -> tuple[float, float]:
    """CPU µs and wall µs of one command."""
    best = (float("inf"), float("inf"))
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(commands // at_once):
            await issue(at_once)
        spent = time.process_time() - cpu, time.perf_counter() - wall
        best = min(best, spent)
    return best[0] / commands * 1e6, best[1] / commands * 1e6


async def main(commands: int) -> None:
    async with valkey() as server:
        link = await open_link(server.url)
        client = redis.asyncio.Redis.from_url(server.url)

        async def sends(n: int) -> None:
            for reply in [link.send(*_XADD) for _ in range(n)]:
                await reply

        async def calls(n: int) -> None:
            for reply in [link.call(*_XADD) for _ in range(n)]:
                await reply

        async def tasks(n: int) -> None:
            await asyncio.gather(*(link.call(*_XADD) for _ in range(n)))

        async def pool(n: int) -> None:
            await asyncio.gather(*(client.execute_command(*_XADD) for _ in range(n)))

        async def pipeline(n: int) -> None:
            pipe = client.pipeline(transaction=False)
            for _ in range(n):
                pipe.execute_command(*_XADD)
            await pipe.execute()

        ways: list[tuple[str, Issue, int]] = [
            ("link.send", sends, 1),
            ("link.call, issued together", calls, 1),
            ("link.call, a task each", tasks, 1),
            ("redis-py pool, a task each", pool, 10),
            ("redis-py pipeline", pipeline, 10),
        ]
        print(f"{'CPU µs per command (wall µs)':32}" + "".join(f"{n:>10} at once" for n in (1, 8, 64)))
        for name, issue, slower in ways:
            cells = [await measure(issue, n, commands // slower // (4 if n == 1 else 1)) for n in (1, 8, 64)]
            print(f"{name:32}" + "".join(f"{f'{cpu:.1f} ({wall:.1f})':>18}" for cpu, wall in cells))
        await client.aclose()
        await link.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=40_000)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    if options.uvloop:
        import uvloop

        uvloop.run(main(options.commands))
    else:
        asyncio.run(main(options.commands))
