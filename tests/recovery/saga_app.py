# SPDX-License-Identifier: Apache-2.0
"""Workflows that ask several people at once, clean up behind themselves, and have children."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from nervenet import Context, Mesh, StartOptions, Task
from tests.support.story import record

mesh = Mesh("sagas")


@mesh.agent(slots=20)
async def book(task: Task, what: str) -> str:
    """Waits until it is told to stop."""
    record(task.workflow_id, f"books {what}")
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        record(task.workflow_id, f"stopped {what}")
        raise
    return what


@mesh.agent(slots=20)
async def undo(task: Task, what: str) -> str:
    """Takes a second, so that a node may die meanwhile."""
    record(task.workflow_id, f"undoes {what} #{task.attempt}")
    await asyncio.sleep(1)
    record(task.workflow_id, f"undone {what}")
    return what


@mesh.workflow
async def asks(ctx: Context, seconds: float) -> list[str]:
    """Three questions at once; the last one answers itself."""
    soon = ctx.now() + timedelta(seconds=seconds)
    answers = await asyncio.gather(
        ctx.ask("Red?", choices=["yes", "no"]),
        ctx.ask("Green?", choices=["yes", "no"]),
        ctx.ask("Blue?", choices=["yes", "no"], deadline=soon, default="no"),
    )
    return [f"{a.value} by {a.resolver}" for a in answers]


async def compensate(ctx: Context) -> None:
    for what in ("car", "flight"):
        await ctx.call(undo, what)


@mesh.workflow
async def trip(ctx: Context, _: int) -> str:
    """Cancelled while an agent works: what was done is undone, step by step."""
    try:
        return await ctx.call(book, "flight")
    except asyncio.CancelledError:
        await asyncio.shield(compensate(ctx))
        raise


@mesh.workflow
async def parent(ctx: Context, _: int) -> str:
    await ctx.start(trip, 1, id=f"{ctx.workflow_id}-goes-along")
    await ctx.start(trip, 2, id=f"{ctx.workflow_id}-stays", options=StartOptions(abandon_children=True))
    await asyncio.sleep(600)
    return "never"
