# SPDX-License-Identifier: Apache-2.0
"""A node that stops (SIGSTOP) loses no task of an agent that keeps the rules.

    python -m tests.gateway.stopped_node --rounds 20

Each round, agents that do everything as late as the rules allow (a status once each interval, the node given up after three,
connected again at the end of `reconnect_within`) run tasks behind a node, which is stopped at a random moment. They go to
the other node, which owns the workflows. When every claim that nobody renewed has ended, the tasks are let go on: each
must have begun once, as attempt 1, and count once.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from nervenet import timing
from nervenet.v1 import task_pb2
from tests.gateway.app import call
from tests.gateway.world import Speaker, value_of
from tests.support.mesh import ProcessMesh, mesh_alone
from tests.support.torture import command_line
from tests.support.waiting import until

AGENTS = 8
EACH = 2


async def a_round(host: ProcessMesh, chance: random.Random, name: str) -> str:
    """One stop of a node; what was lost, "" = nothing."""
    heir, victim = host.up(host.node(), host.node())
    began: list[tuple[str, int]] = []
    gate = asyncio.Event()

    async def work(task: task_pb2.TaskEnvelope) -> Any:
        began.append((task.task_id, task.attempt))
        await gate.wait()
        return value_of(task.input)

    async with AsyncExitStack() as stack:
        speakers = []
        for n in range(AGENTS):
            where = [victim.address, heir.address]
            speaker = Speaker(partial(list, where), {"work": work}, name=f"a{n}", credit=EACH, as_late_as_allowed=True)
            speakers.append(await stack.enter_async_context(speaker))
            await asyncio.sleep(chance.uniform(0, timing.STATUS_INTERVAL / AGENTS))
        client = await stack.enter_async_context(host.client(heir))
        count = AGENTS * EACH
        runs = await client.start_many(call, {f"{name}-{n}": n for n in range(count)})
        await until(lambda: len(began) == count, "all run")
        await asyncio.sleep(chance.uniform(0.5, 0.5 + 2 * timing.GATEWAY_RENEW_EVERY))
        victim.kill(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            await until(lambda: all(len(speaker.welcomes) > 1 for speaker in speakers), "all are elsewhere")
            over = stopped + timing.CLAIM_TTL + 1.5  # the owner looks at a claim in doubt once a second
            await asyncio.sleep(over - time.monotonic())
        finally:
            victim.kill(signal.SIGCONT)
        await asyncio.sleep(0.5)
        gate.set()
        lost = sorted({(task_id, attempt) for task_id, attempt in began if attempt != 1})
        for key, run in runs.items():
            found = await run.result(timeout=20)
            if found != int(key.rpartition("-")[2]):
                lost.append((key, 0))
    victim.kill()
    heir.kill()
    return f"{len(lost)} of {count}: {lost}" if lost or len(began) != count else ""


async def main(rounds: int, seed: int) -> int:
    print(f"seed {seed}")
    chance, failed = random.Random(seed), 0
    with mesh_alone("tests/gateway/app.py") as host:
        for n in range(rounds):
            lost = await a_round(host, chance, f"r{n}")
            failed += bool(lost)
            print(f"round {n + 1}: {lost or 'nothing lost'}", flush=True)
    print(f"{rounds - failed} of {rounds} rounds without a loss")
    return 1 if failed else 0


if __name__ == "__main__":
    given = command_line(__doc__, rounds=20, seed=random.SystemRandom().randrange(1 << 32)).parse_args()
    raise SystemExit(asyncio.run(main(given.rounds, given.seed)))
