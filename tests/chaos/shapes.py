# SPDX-License-Identifier: Apache-2.0
"""Workflows as the driver knows them: an input by chance, and what must come out of it, computed here and not there."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

Plan = dict[str, Any]
SHARES = {
    "chain": 39, "retries": 14, "long": 8, "fan": 6, "nap": 10, "listen": 8, "family": 6, "plea": 3, "parked": 1, "again": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One workflow to start, the result it must have, how long after its start a signal comes, and its children.

    `busy`: there is always a short task under way, so standing still is the mesh's doing. `parked`: nobody answers its
    question, so it must be waiting for a human when all is over.
    """

    id: str
    definition: str
    plan: Plan
    outcome: int
    signal_after: float | None = None
    children: tuple[str, ...] = ()
    busy: bool = False
    parked: bool = False


def mixed(v: int, times: int = 1) -> int:
    for _ in range(times):
        v = (v * 48271 + 11) % 2147483647
    return v


def case(id: str, shape: str, chance: random.Random) -> Case:
    """One workflow of that shape."""
    v, ms = chance.randrange(1, 1 << 30), chance.choice((50, 50, 80, 120, 200, 300, 500))
    match shape:
        case "fan":
            twenty = [{"v": v + i, "ms": chance.choice((50, 100, 300))} for i in range(20)]
            return Case(id, "fan", {"jobs": twenty}, sum(mixed(v + i) for i in range(20)) % 2147483647, busy=True)
        case "nap":
            return Case(id, "nap", {"v": v, "ms": ms, "sleep_ms": chance.randint(300, 6000)}, mixed(v, 2))
        case "listen":
            return Case(id, "listen", {"v": v, "ms": ms}, mixed(mixed(v) + 7), signal_after=chance.uniform(0, 3))
        case "family":
            parts = [{"v": v + i, "jobs": [{"ms": ms}] * 2} for i in range(2)]
            total = sum(mixed(v + i, 2) for i in range(2)) % 2147483647
            return Case(id, "family", {"parts": parts}, total, children=(f"{id}/chain", f"{id}/chain.2"))
        case "plea" | "parked":
            return Case(id, "plea", {"v": v, "ms": 50}, mixed(v), parked=shape == "parked")
        case "again":
            return Case(id, "again", {"v": v, "ms": ms, "left": 2}, mixed(v, 3))
    jobs: list[Plan] = [{"ms": chance.choice((50, 80, 120, 300))} for _ in range(chance.randint(3, 8))]
    if shape == "retries":
        jobs[1]["fails"] = chance.randint(1, 3)
    if shape == "long":
        jobs[0]["ms"] = chance.randint(1500, 5000)
    plan = {"v": v, "jobs": jobs, "tells": chance.random() < 0.2}
    return Case(id, "chain", plan, mixed(v, len(jobs)), busy=shape != "long")


def cases(seed: str, count: int) -> list[Case]:
    """The workflows of a run, in the order in which they are started; one of each shape first."""
    chance = random.Random(f"{seed} shapes")
    shapes = [*SHARES, *chance.choices(list(SHARES), list(SHARES.values()), k=count)][:count]
    return [case(f"w{i:05}", shape, chance) for i, shape in enumerate(shapes)]
