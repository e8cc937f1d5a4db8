# SPDX-License-Identifier: Apache-2.0
"""Workflows that ask several people at once, clean up behind themselves, and have children."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from nervenet import Context, Mesh, StartOptions, Task

mesh = Mesh("sagas")
FOLDER = Path(os.environ.get("STORY_FOLDER", "."))


def wrote(key: str, words: str) -> None:
    with (FOLDER / "effects").open("a", buffering=1) as file:
        file.write(f"{key} {words}\n")


@mesh.agent(slots=20)
async def book(task: Task, what: str) -> str:
    """Waits until it is told to stop."""
    wrote(task.workflow_id, f"books {what}")
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        wrote(task.workflow_id, f"stopped {what}")
        raise
    return what


@mesh.agent(slots=20)
async def undo(task: Task, what: str) -> str:
    """Takes a second, so that a node may die meanwhile."""
    wrote(task.workflow_id, f"undoes {what} #{task.attempt}")
    await asyncio.sleep(1)
    wrote(task.workflow_id, f"undone {what}")
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
