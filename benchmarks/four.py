# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks run: four steps, one after another, that hand their kilobyte back; and a workflow that waits.

nervenet node benchmarks/four.py        nervenet agent benchmarks/four.py
"""

from __future__ import annotations

import asyncio
import os

from nervenet import Context, Mesh, Signal

WORK_S = int(os.environ.get("NERVENET_BENCH_WORK_MS", "0")) / 1000
TEXT = "x" * int(os.environ.get("NERVENET_BENCH_BYTES", "1022"))
"""With its quotes, 1 KB of JSON if nothing else is said."""

mesh = Mesh("four")
go = Signal("go", str)


@mesh.agent(slots=1000)
async def noop(text: str) -> str:
    """Hands back what it got, after a while if it is told to take one."""
    if WORK_S:
        await asyncio.sleep(WORK_S)
    return text


@mesh.workflow
async def four(ctx: Context, text: str) -> str:
    """Four steps in sequence."""
    for _ in range(4):
        text = await ctx.call(noop, text)
    return text


@mesh.workflow
async def parked(ctx: Context, text: str) -> str:
    """Waits for a signal that nobody sends."""
    return await ctx.receive(go)


@mesh.workflow
async def sleeper(ctx: Context, text: str) -> str:
    """Waits for a signal, for at most a month."""
    async with asyncio.timeout(30 * 24 * 3600):
        return await ctx.receive(go)


@mesh.workflow
async def napper(ctx: Context, seconds: float) -> str:
    """Waits for a timer."""
    await asyncio.sleep(seconds)
    return "rested"
