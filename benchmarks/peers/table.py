# SPDX-License-Identifier: Apache-2.0
"""What people read of the peers, and the part of a page that a run replaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from comparing.measures import Row
from comparing.report import grid, time_of

PLAIN: Final = "nervenet"
"""The system that all others are compared with."""
COLUMNS: Final = ("client", "coordinator", "agent", "valkey", "etcd", "postgres")


def load_table(rows: Sequence[Row], base: str = PLAIN) -> str:
    """All rows, each beside the base of the same load."""
    found = {(row["work_ms"], row["concurrency"], row["system"]): row for row in rows}
    columns = [name for name in COLUMNS if any(name in row["cpu_ms_per_workflow"] for row in rows)]
    lines = []
    for (work_ms, concurrency, system), row in found.items():
        cpu, other = row["cpu_ms_per_workflow"], found.get((work_ms, concurrency, base))
        lines.append(
            [
                f"{concurrency:,} at once, {work_ms} ms",
                system,
                number(row["workflows_per_s"]),
                share(row, other, "workflows_per_s", is_base=system == base),
                time_of(row["p50_ms"]),
                time_of(row["p99_ms"]),
                f"{sum(cpu.values()):.2f}",
                share({"cpu": sum(cpu.values())}, _cpu(other), "cpu", is_base=system == base),
                *(f"{cpu[column]:.2f}" if column in cpu else "" for column in columns),
                f"{row['coordinator_mb']:.0f}",
            ]
        )
    heads = ("load", "system", "workflows/s", f"of {base}", "p50", "p99", "CPU ms", f"of {base}", *columns, "MB")
    return grid(heads, lines)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def share(row: Row, base: Row | None, field: str, *, is_base: bool) -> str:
    """How many times the base's."""
    if base is None or is_base or not base[field]:
        return ""
    return f"{row[field] / base[field]:.2f} ×"


def _cpu(row: Row | None) -> Row | None:
    return None if row is None else {"cpu": sum(row["cpu_ms_per_workflow"].values())}


def guarantees(rows: Iterable[Row], skipped: Mapping[str, str]) -> str:
    """Version and durability of each system, and what was skipped and why."""
    systems = {row["system"]: row for row in rows}
    lines = [f"- **{name}** ({row['version']}): {row['durability']}." for name, row in systems.items()]
    lines += [f"- **{name}**: skipped, {reason}" for name, reason in skipped.items()]
    return "\n".join(lines)


def about(result: Mapping[str, Any]) -> str:
    facts = result["machine"]
    return (
        f"{facts['cpu']}, Linux {facts['kernel']}, CPython {facts['python']}; {result['took_s'] / 60:.0f} minutes,"
        f" {max((row['rounds'] for row in result['rows']), default=0)} rounds. Load average before: {facts['load']}."
    )


def publish(page: Path, command: str, text: str) -> None:
    """Replace what a page has between the two marks of a command."""
    begin, end = f"<!-- Written by `{command}`, begin -->", f"<!-- Written by `{command}`, end -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} has no place for the figures: {begin} … {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
