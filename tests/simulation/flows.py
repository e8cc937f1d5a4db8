# SPDX-License-Identifier: Apache-2.0
"""What the simulated mesh runs: small workflows of every shape, each with the outcomes that are right.

`World` is what the agents' code finds around it: how long work takes, when it fails, and what it did. Runs of one id
have different inputs, so that an entry that crossed from one to the other would show in what comes out.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from nervenet.definitions import Signal
from nervenet.durable.context import Context
from nervenet.mesh import Mesh
from nervenet.options import CallOptions, RetryPolicy, Timeouts

mesh = Mesh(
    "simulated",
    defaults=CallOptions(
        retry=RetryPolicy(initial_interval=timedelta(milliseconds=100)), timeouts=Timeouts(accept=timedelta(seconds=2))
    ),
)
word = Signal("word", int)


WRONG: set[int] = set()
"""The inputs for which the code of `errs` has an error, until it is corrected. Not in `World`: what the code refers to is searched
for signals at each start of a node, and a world holds everything."""


class World:
    """One schedule's surroundings; `now` is the one that runs."""

    now: World

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.luckless = self.hopeless = self.slow = 0.0
        self.kill_me: Callable[[], None] = lambda: None
        """Ends the process that runs."""
        self.deaths_by_poison: Counter[int] = Counter()
        self.failures: Counter[int] = Counter()
        self.done: Counter[int] = Counter()
        WRONG.clear()
        self.wrong = WRONG
        World.now = self

    async def work(self, n: int) -> int:
        """Mostly quick, now and then long; fails twice at most for the same input."""
        await self._take_time()
        if self.failures[n] < 2 and self.chance.random() < self.luckless:
            self.failures[n] += 1
            raise RuntimeError("bad luck")
        self.done[n] += 1
        return n * 2

    async def try_hard(self, n: int) -> int:
        """Needs more attempts than it has, mostly: somebody has to grant them, or to answer instead."""
        await self._take_time()
        if self.chance.random() < self.hopeless:
            raise RuntimeError("not this time")
        return n * 2

    async def poison(self, n: int) -> int:
        """Ends every agent that runs it, sooner or later."""
        await self._take_time()
        self.deaths_by_poison[n] += 1
        self.kill_me()
        await asyncio.Event().wait()
        return n

    async def _take_time(self) -> None:
        quick = self.chance.random() >= self.slow
        await asyncio.sleep(self.chance.random() * (0.05 if quick else 3.0))


@mesh.agent
async def double(n: int) -> int:
    return await World.now.work(n)


@mesh.agent(
    options=CallOptions(
        retry=RetryPolicy(initial_interval=timedelta(milliseconds=50), max_attempts=2, on_exhausted="escalate")
    )
)
async def struggle(n: int) -> int:
    return await World.now.try_hard(n)


@mesh.agent
async def deadly(n: int) -> int:
    return await World.now.poison(n)


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


@mesh.workflow
async def echoes(ctx: Context, n: int) -> int:
    """A word that nobody has read goes along into the next run."""
    if ctx.run == 1:
        ctx.continue_as_new(echoes, await ctx.call(double, n))
    return n + await ctx.receive(word)


@mesh.workflow
async def asks(ctx: Context, n: int) -> int:
    answer = await ctx.ask("Go on?", choices=[*CHOICES], deadline=timedelta(seconds=2), default="later")
    return n + CHOICES[answer.value]


@mesh.workflow
async def begs(ctx: Context, n: int) -> int:
    return await ctx.call(struggle, n)


@mesh.workflow
async def stops(ctx: Context, n: int) -> int:
    """Canceled by its client, more or less in the middle; cleans up behind itself."""
    try:
        return await ctx.call(double, await ctx.call(chain, n))
    except asyncio.CancelledError:
        await ctx.call(double, n, options=UNDO)
        raise


@mesh.workflow
async def lingers(ctx: Context, n: int) -> int:
    """Stays open behind its step: who ends that a second time is late, but not as late as `close`."""
    answer = await ctx.call(struggle, n, options=AT_ONCE)
    await asyncio.sleep(5.0)
    return answer


@mesh.workflow
async def errs(ctx: Context, n: int) -> int:
    """BLOCKED in its middle, until its code is corrected and it is replayed."""
    half = await ctx.call(double, n)
    if n in WRONG:
        raise KeyError(n)
    return await ctx.call(double, half + 1)


@mesh.workflow
async def poisoned(ctx: Context, n: int) -> int:
    return await ctx.call(deadly, n)


CHOICES = {"yes": 1, "no": 2, "later": 3}
UNDO = CallOptions(step="undo")
AT_ONCE = CallOptions(retry=RetryPolicy(max_attempts=1, on_exhausted="escalate"))
"""The first failure is put to a human."""
HEARD = 1_000
EXPECTED: dict[str, Callable[[int], set[int]]] = {
    "chain": lambda n: {(2 * n + 1) * 2},
    "fan": lambda n: {6 * n + 6},
    "naps": lambda n: {2 * n},
    "hears": lambda n: {2 * n + HEARD},
    "family": lambda n: {(2 * n + 1) * 2 + 1},
    "lives": lambda n: {8 * n},
    "hurries": lambda n: {2 * n, -1},
    "echoes": lambda n: {2 * n + HEARD},
    "asks": lambda n: {n + step for step in CHOICES.values()},
    "begs": lambda n: {2 * n, -n},
    "stops": lambda n: {(2 * n + 1) * 4},
    "lingers": lambda n: {2 * n, -n},
    "errs": lambda n: {(2 * n + 1) * 2},
    "poisoned": lambda n: {-n},  # a human's word; nothing else ends it
}
CANCELABLE = frozenset(("stops",))
BEGGING = frozenset(("begs", "lingers"))
"""Those whose step a human has to help, mostly."""
RESTARTED = frozenset(("chain", "fan", "naps"))
"""Those that a client may begin again when they are closed."""
