# SPDX-License-Identifier: Apache-2.0
"""The work that all systems do, by the same code.

`four`: four steps, one after another. Each gets the text of the step before it, works, and returns the text: 1 KB.
`twenty`: twenty steps. Each works and returns a note of 3.2 KB, which the workflow keeps. So its state grows to 64 KB.

How many milliseconds a step works is the number before `|` in the text. Work is a sleep: the agents wait for something else, as agents do.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

STEPS = {"four": 4, "twenty": 20}
SLOTS = 1000
KILOBYTE = 1022  # with its quotes, 1 KB of JSON
NOTE = "n" * (64 * 1024 // STEPS["twenty"])

_folder = os.environ.get("BENCH_STEPS")
_log = (Path(_folder) / f"steps-{os.getpid()}").open("a", buffering=1) if _folder else None


def text(work_ms: int) -> str:
    return f"{work_ms}|".ljust(KILOBYTE, "x")


def work_s(given: str) -> float:
    """How long a step works that gets this text."""
    return int(given.partition("|")[0]) / 1000


def expected(workflow: str, given: str) -> Any:
    return given if workflow == "four" else len(NOTE) * STEPS["twenty"]


async def work(task_id: str, given: str) -> None:
    """One step. `task_id` is written down where the benchmark asks for it, to see which steps began when, and how often."""
    if _log is not None:
        _log.write(f"{time.monotonic():.6f} {task_id}\n")
    if seconds := work_s(given):
        await asyncio.sleep(seconds)
