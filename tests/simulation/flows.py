# SPDX-License-Identifier: Apache-2.0
"""What the simulated mesh runs: small workflows of every shape, each with the one outcome that is right.

`World` is what the agents' code finds around it: how long work takes, when it fails, and what it did.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from nervenet.definitions import Signal
from nervenet.durable.context import Context
from nervenet.mesh import Mesh
from nervenet.options import CallOptions, RetryPolicy, Timeouts

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

mesh = Mesh(
    "simulated",
    defaults=CallOptions(
        retry=RetryPolicy(initial_interval=timedelta(milliseconds=100)), timeouts=Timeouts(accept=timedelta(seconds=2))
    ),
)
word = Signal("word", int)


class World:
    """One schedule's surroundings; `now` is the one that runs."""

    now: World

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.failures: Counter[int] = Counter()
        self.done: Counter[int] = Counter()
        World.now = self

    async def work(self, n: int) -> int:
        """Mostly quick, now and then long; fails twice at most for the same input."""
        dice = self.chance.random()
        await asyncio.sleep(dice * 0.05 if dice < 0.85 else (dice - 0.85) * 20)
        if self.failures[n] < 2 and self.chance.random() < 0.08:
            self.failures[n] += 1
            raise RuntimeError("bad luck")
        self.done[n] += 1
        return n * 2


@mesh.agent
async def double(n: int) -> int:
    return await World.now.work(n)


@mesh.workflow
async def chain(ctx: Context, n: int) -> int:
    return await ctx.call(double, await ctx.call(double, n) + 1)


@mesh.workflow
async def fan(ctx: Context, n: int) -> int:
    return sum(await asyncio.gather(*(ctx.call(double, n + i) for i in range(3))))


@mesh.workflow
async def naps(ctx: Context, n: int) -> int:
    await asyncio.sleep(0.3)
    return await ctx.call(double, n)


@mesh.workflow
async def hears(ctx: Context, n: int) -> int:
    return await ctx.call(double, n) + await ctx.receive(word)


@mesh.workflow
async def family(ctx: Context, n: int) -> int:
    return await ctx.call(chain, n) + 1


@mesh.workflow
async def lives(ctx: Context, n: int) -> int:
    """Three runs of the same id."""
    if ctx.run < 3:
        ctx.continue_as_new(lives, await ctx.call(double, n))
    return await ctx.call(double, n)


@mesh.workflow
async def hurries(ctx: Context, n: int) -> int:
    try:
        return await asyncio.wait_for(ctx.call(double, n), 1.0)
    except TimeoutError:
        return -1


HEARD = 1_000
EXPECTED: dict[str, Callable[[int], set[int]]] = {
    "chain": lambda n: {(2 * n + 1) * 2},
    "fan": lambda n: {6 * n + 6},
    "naps": lambda n: {2 * n},
    "hears": lambda n: {2 * n + HEARD},
    "family": lambda n: {(2 * n + 1) * 2 + 1},
    "lives": lambda n: {8 * n},
    "hurries": lambda n: {2 * n, -1},
}
