# SPDX-License-Identifier: Apache-2.0
"""nervenet's side of the comparison: the agents and workflows of work.py."""

from __future__ import annotations

from nervenet import Context, Mesh, Task

from .work import NOTE, SLOTS, STEPS
from .work import work as work_for

mesh = Mesh("table")


@mesh.agent(slots=SLOTS)
async def work(task: Task, text: str) -> str:
    """Hands back what it got."""
    await work_for(task.id, text)
    return text


@mesh.agent(slots=SLOTS)
async def write(task: Task, text: str) -> str:
    """Writes a note."""
    await work_for(task.id, text)
    return NOTE


@mesh.workflow
async def four(ctx: Context, text: str) -> str:
    """Four steps in sequence."""
    for _ in range(STEPS["four"]):
        text = await ctx.call(work, text)
    return text


@mesh.workflow
async def twenty(ctx: Context, text: str) -> int:
    """Twenty steps in sequence; keeps every note."""
    notes = [await ctx.call(write, text) for _ in range(STEPS["twenty"])]
    return sum(len(note) for note in notes)
