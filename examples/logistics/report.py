# SPDX-License-Identifier: Apache-2.0
"""The table that people read, and the same figures as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .checks import Verdict
from .load import Load

SECONDS_PER_DAY: Final = 86_400
BEGIN, END = "<!-- Written by `make logistics`, begin -->", "<!-- Written by `make logistics`, end -->"


def part(
    name: str, load: Load, verdict: Verdict, kills: Sequence[Mapping[str, Any]], cpu_ms: Mapping[str, float]
) -> dict[str, Any]:
    """The row of one part."""
    took = load.took_s
    rate = len(took) / load.seconds
    return {
        "part": name,
        "updates": len(load.planned),
        "faults": sum(bool(one.fault) for one in load.planned),
        "seconds": round(load.seconds, 2),
        "updates_per_s": round(rate, 1),
        "updates_per_day": round(rate * SECONDS_PER_DAY),
        "p50_ms": _ms(took, 0.5),
        "p99_ms": _ms(took, 0.99),
        "max_ms": _ms(took, 1.0),
        "cpu_ms_per_update": {kind: round(used / max(1, len(took)), 3) for kind, used in cpu_ms.items()},
        "kills": list(kills),
        "workflows_taken_over": verdict.taken_over,
        "starts_repeated": load.starts_repeated,
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "wrong": len(verdict.wrong),
        "customers_notified": verdict.notified,
        "people_asked": verdict.asked,
        "people_answered": verdict.answered,
        "carrier_retries": verdict.carrier_retries,
        "repeated_in_flight": verdict.repeated_in_flight,
        "crimes": verdict.sentences[:50],
    }


def _ms(took_s: Sequence[float], share: float) -> float | None:
    """Of sorted values."""
    return round(took_s[round(share * (len(took_s) - 1))] * 1000, 1) if took_s else None


def machine() -> dict[str, str]:
    """What a figure means nothing without."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return {
        "cpu": f"{os.cpu_count()} × {model}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": load,
    }


MEASURES: Final = {
    "updates": ("updates", "{:,}"),
    "with a fault": ("faults", "{:,}"),
    "seconds": ("seconds", "{:,.1f}"),
    "updates/s": ("updates_per_s", "{:,.0f}"),
    "updates a day at this rate": ("updates_per_day", "{:,}"),
    "p50": ("p50_ms", "{:,.0f} ms"),
    "p99": ("p99_ms", "{:,.0f} ms"),
    "slowest": ("max_ms", "{:,.0f} ms"),
    "CPU ms for an update, all processes": ("cpu_ms_per_update", "{:.2f}"),
    "nodes killed with kill -9": ("kills", "{}"),
    "workflows that another node took over": ("workflows_taken_over", "{:,}"),
    "starts that a caller repeated": ("starts_repeated", "{:,}"),
    "customers notified": ("customers_notified", "{:,}"),
    "people asked": ("people_asked", "{:,}"),
    "people who answered": ("people_answered", "{:,}"),
    "carrier time-outs, cured by a retry": ("carrier_retries", "{:,}"),
    "requests repeated before their outcome was recorded": ("repeated_in_flight", "{:,}"),
    "lost": ("lost", "{:,}"),
    "done twice": ("doubled", "{:,}"),
    "ended wrongly": ("wrong", "{:,}"),
}


def table(parts: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, padded for a terminal: a line for each measure, a column for each part."""
    rows = [["", *(row["part"] for row in parts)]]
    for title, (name, form) in MEASURES.items():
        values = [_number(row[name]) for row in parts]
        rows.append([title, *("-" if value is None else form.format(value) for value in values)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    lines = [
        "| " + " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))) + " |"
        for row in rows
    ]  # fmt: skip
    return "\n".join([lines[0], rule, *lines[1:]])


def _number(value: Any) -> float | None:
    """Of kills, how many; of several processes, the sum."""
    if isinstance(value, Mapping):
        return sum(value.values()) if value else None
    return len(value) if isinstance(value, list) else value


def publish(page: Path, text: str) -> None:
    """Replace what a page has between its two marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
