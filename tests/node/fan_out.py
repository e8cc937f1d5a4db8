# SPDX-License-Identifier: Apache-2.0
"""For how long a fan-out of 5,000 calls blocks the event loop of its node.

    python -m tests.node.fan_out

Measured as CPU time of the loop's thread between two turns of a task that only yields, so that other work of the machine
counts little. Three rounds: the calls are made and sent, then the workflow is canceled.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial

from nervenet.dev.servers import etcd, valkey
from nervenet.node.node import Node
from nervenet.records import Cancel
from tests.node.hand import World, start
from tests.node.test_fan_out import mesh
from tests.support.waiting import until

COUNT = 5_000


async def longest(worst: list[float]) -> None:
    last = time.thread_time()
    while True:
        await asyncio.sleep(0.0005)
        now = time.thread_time()
        worst[0], last = max(worst[0], now - last), now


async def main() -> None:
    async with valkey() as redis, etcd() as registry:
        world = World(redis.url, registry.url, f"fan-{uuid.uuid4().hex[:8]}")
        async with world.node(mesh, max_queued=100 * COUNT) as node:
            for n in range(3):
                run = f"wide-{n}"
                for what in ("made and sent", "canceled"):
                    worst = [0.0]
                    probe = asyncio.create_task(longest(worst))
                    if what == "canceled":
                        await node.facts.record(run, 1, "cancel", Cancel("enough", "by hand"), "by hand")
                    else:
                        (await start(node, "fan", run, str(COUNT).encode())).cancel()
                    await until(partial(done, node, run, what), within=60)
                    probe.cancel()
                    print(f"round {n + 1}, {what}: at most {worst[0] * 1000:.0f} ms")


def done(node: Node, run: str, what: str) -> bool:
    coordinator = node.hosted.coordinators.get(run)
    return coordinator is None if what == "canceled" else coordinator is not None and len(coordinator.sent) == COUNT


if __name__ == "__main__":
    asyncio.run(main())
