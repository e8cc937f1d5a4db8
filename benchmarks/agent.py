# SPDX-License-Identifier: Apache-2.0
"""What an agent's side of one no-op task costs: CPU of its process for each task of a full inbox.

    python benchmarks/agent.py [tasks] [slots] [--profile]

The inbox is filled first, then a fresh agent process works it off. Heads exist, wakes go to a stream that is there. CPU
is what the machine's noise touches least; the process' own start is not counted.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
import time
import uuid

import uvloop

from nervenet.definitions import define_agent
from nervenet.dev.servers import valkey
from tests.agent.world import world_at


async def nothing(document: dict[str, str]) -> dict[str, str]:
    return document


async def measure(tasks: int, slots: int, profile: bool) -> None:
    with valkey(options={"appendonly": "yes", "appendfsync": "everysec"}) as server:
        async with world_at(server.url, f"bench-{uuid.uuid4().hex[:8]}") as world:
            owner = world.owner
            value = {"text": "x" * 1000}
            async with world.agent(define_agent(nothing, slots=slots)) as agent:
                agent.drain()
                await agent.drained()
                for _ in range(0, tasks, 200):
                    await asyncio.gather(*(owner.ask(agent, "nothing", value, digest=b"12345678") for _ in range(200)))
                watch = cProfile.Profile()
                began, cpu = time.perf_counter(), time.process_time()
                if profile:
                    watch.enable()
                agent.resume()

                async def done() -> bool:
                    return await owner.nothing_pending(agent.agent_id)

                while not await done():
                    await asyncio.sleep(0.05)
                wall, used = time.perf_counter() - began, time.process_time() - cpu
                watch.disable()
                print(
                    f"{tasks} tasks, {slots} slots: {used / tasks * 1e6:.1f} µs CPU per task, {tasks / wall:.0f} tasks/s"
                )
                if profile:
                    pstats.Stats(watch).sort_stats("tottime").print_stats(28)


def main() -> None:
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    tasks, slots = [*numbers, 20_000, 200][:2] if len(numbers) != 1 else (numbers[0], 200)
    uvloop.run(measure(tasks, slots, "--profile" in sys.argv))


if __name__ == "__main__":
    main()
