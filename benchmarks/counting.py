# SPDX-License-Identifier: Apache-2.0
"""What the outage benchmark runs: short chains of short tasks, each of which leaves a line, so that re-runs are seen.

COUNTING=FOLDER nervenet node benchmarks/counting.py        COUNTING=FOLDER nervenet agent benchmarks/counting.py
"""

from __future__ import annotations

import os
from pathlib import Path

from nervenet import Context, Mesh, Task

mesh = Mesh("counting")
EFFECTS = Path(os.environ.get("COUNTING", ".")) / f"effects-{os.getpid()}"


@mesh.agent(slots=200)
async def count(task: Task, n: int) -> int:
    """One line for each attempt that runs, and one more than it was given."""
    with EFFECTS.open("a") as file:
        file.write(f"{task.id}\n")
    return n + 1


@mesh.workflow
async def chain(ctx: Context, n: int) -> int:
    """Four tasks, one after another."""
    for _ in range(4):
        n = await ctx.call(count, n)
    return n
