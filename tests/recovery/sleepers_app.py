# SPDX-License-Identifier: Apache-2.0
"""Workflows that wait for long. `sleepers_node.py` is what their nodes run."""

from __future__ import annotations

import asyncio

from nervenet import Context, Mesh, Signal

mesh = Mesh("sleepers-app")
go = Signal[int]("go", int)


@mesh.workflow
async def waits(ctx: Context, n: int) -> int:
    return n + await ctx.receive(go)


@mesh.workflow
async def sleeps(ctx: Context, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "rested"
