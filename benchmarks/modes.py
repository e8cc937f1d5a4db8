# SPDX-License-Identifier: Apache-2.0
"""Several ways to run the same mesh, measured in turns within each round: what does each cost beside the first one?

    asked = command_line(__doc__, "metrics_cost")
    found = in_turns(MODES, asked.rounds, lambda mode: bench.slot(mode, asked.concurrency, asked.seconds))
    rows = summary(found, ("node", "agent"), LIMITS)
    print(table(rows))
    write(asked, {"rows": rows})

The order rotates from round to round, and ratios are those within a round, so that a machine that becomes slower weighs on all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from processes import machine

T = TypeVar("T")
Rounds = Sequence[Mapping[str, dict[str, Any]]]
"""The row of each mode, for each round."""


class Asked(NamedTuple):
    """The command line, and the machine it was given on."""

    rounds: int
    seconds: float
    concurrency: int
    out: Path
    machine: dict[str, Any]


def command_line(doc: str | None, name: str, concurrency: int = 200) -> Asked:
    """Read it, and print the machine."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds of a second each")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--concurrency", type=int, default=concurrency)
    parser.add_argument("--out", type=Path, default=Path(f"build/bench/{name}.json"))
    options = parser.parse_args()
    rounds, seconds = (2, 1.0) if options.quick else (options.rounds, options.seconds)
    facts = machine()
    print("  ".join(f"{what}: {fact}" for what, fact in facts.items()), flush=True)
    return Asked(rounds, seconds, options.concurrency, options.out, facts)


def in_turns(modes: Sequence[str], rounds: int, slot: Callable[[str], T]) -> list[dict[str, T]]:
    """What each mode gave in each round."""
    found = []
    for number in range(rounds):
        first = number % len(modes)
        found.append({mode: slot(mode) for mode in (*modes[first:], *modes[:first])})
    return found


def summary(rounds: Rounds, roles: Collection[str], limits: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """Of each mode: medians, and the medians of its ratios to the first mode. `roles`: whose CPU counts."""
    modes = list(rounds[0])  # the first round begins with the first mode

    def cpu(row: Mapping[str, Any]) -> float:
        return float(sum(row["cpu_ms_per_workflow"][role] for role in roles))

    return [
        {
            "mode": mode,
            "workflows_per_s": statistics.median(row[mode]["workflows_per_s"] for row in rounds),
            "cpu_ms": statistics.median(cpu(row[mode]) for row in rounds),
            "throughput": statistics.median(
                row[mode]["workflows_per_s"] / row[modes[0]]["workflows_per_s"] for row in rounds
            ),
            "cpu": statistics.median(cpu(row[mode]) / cpu(row[modes[0]]) for row in rounds),
            "limit": (limits or {}).get(mode),
        }
        for mode in modes
    ]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """For people."""
    of = f"of {rows[0]['mode']}"
    lines = [f"{'':14}{'workflows/s':>12}{of:>10}{'limit':>8}{'CPU ms':>9}{of:>10}"]
    for row in rows:
        limit = "" if row["limit"] is None else f"{row['limit']:.0%}"
        lines.append(
            f"{row['mode']:14}{row['workflows_per_s']:>12.0f}{row['throughput']:>10.1%}{limit:>8}{row['cpu_ms']:>9.3f}{row['cpu']:>10.1%}"
        )
    return "\n".join(lines)


def write(asked: Asked, result: Mapping[str, Any]) -> None:
    """As JSON, with the machine."""
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"machine": asked.machine, **result}, indent=1) + "\n")
    print(asked.out)
