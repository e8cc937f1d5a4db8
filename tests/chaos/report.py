# SPDX-License-Identifier: Apache-2.0
"""What a run says at its end: one line, and build/chaos/report.json with every violation in full."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.chaos.recovery import figures
from tests.support.environment import ROOT

BUILD = ROOT / "build" / "chaos"
TOLD = {
    "node-kill owner": "node-kill",
    "agent-kill again": "agent-kill",
    "redis-kill first": "redis-kill",
    "failover first": "failover",
}


def merged(seeds: list[int], meshes: list[dict[str, Any]]) -> dict[str, Any]:
    """One report of many meshes; `samples` keeps the single recovery times, so that reports can be merged again."""
    total: dict[str, Any] = {"seeds": seeds, "workflows": 0, "faults": Counter(), "duplicates": Counter()}
    taken: dict[str, list[Any]] = defaultdict(list)
    for mesh in meshes:
        total["workflows"] += mesh["workflows"]
        total["faults"] += Counter(mesh["faults"])
        total["duplicates"] += Counter(mesh["duplicates"])
        for name, rows in mesh["samples"].items():
            taken[name] += rows
    for law in ("lost", "double", "leaks", "executions", "effects", "entries"):
        total[law] = sum(mesh[law] for mesh in meshes)
    total["kills"] = sum(
        count for kind, count in total["faults"].items() if kind.endswith("kill") or kind == "failover"
    )
    total["recovery"] = figures(taken)
    total["violations"] = [[mesh["setting"], *violation] for mesh in meshes for violation in mesh["violations"]]
    total["meshes"] = meshes
    return total


def lines(report: dict[str, Any], seconds: float) -> Iterable[str]:
    """Violations (the first of them), claims, and the one line at the end."""
    for setting, law, subject, words in report["violations"][:30]:
        yield f"  {setting} · {law}: {subject} {words}"
    if len(report["violations"]) > 30:
        yield f"  … and {len(report['violations']) - 30} more, in the report"
    for claims in dict.fromkeys(f"{mesh['setting']}: {mesh['claims']}" for mesh in report["meshes"]):
        yield f"  {claims}"
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(report["faults"].items()))
    recovery = ", ".join(
        f"{short} {row['p50']}/{row['p99']}" for name, short in TOLD.items() if (row := report["recovery"].get(name))
    )
    copies = report["duplicates"]
    yield (
        f"chaos: {len(report['violations'])} violations · {report['workflows']} workflows · {faults or 'no faults'} · "
        f"{copies['injected']} duplicates · lost {report['lost']} · double {report['double']} · leaks {report['leaks']} · "
        f"recovery p50/p99 ms: {recovery or 'none'} · seed {', '.join(map(str, report['seeds']))} · {seconds:.0f} s"
    )
