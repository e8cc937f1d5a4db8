# SPDX-License-Identifier: Apache-2.0
"""What the recovery benchmark runs: workflows that are always busy, either with tasks and timers or with long tasks.

nervenet node benchmarks/recovering.py        nervenet agent benchmarks/recovering.py
"""

from __future__ import annotations

import asyncio

from nervenet import Context, Mesh, Signal

mesh = Mesh("recovering")
go = Signal("go", str)


@mesh.agent(slots=1000)
async def work(seconds: float) -> float:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return seconds


@mesh.workflow
async def lively(ctx: Context, rounds: int) -> int:
    """A task of 0.4 s, which an agent records, then a timer of 0.4 s, which only an owner can; each begins when it likes."""
    await asyncio.sleep(0.8 * ctx.random.random())
    for _ in range(rounds):
        await ctx.call(work, 0.4)
        await asyncio.sleep(0.4)
    return rounds


@mesh.workflow
async def laborious(ctx: Context, rounds: int) -> int:
    """Long tasks, one after another."""
    for _ in range(rounds):
        await ctx.call(work, 3.0)
    return rounds


@mesh.workflow
async def parked(ctx: Context) -> str:
    """Waits for a signal."""
    return await ctx.receive(go)
