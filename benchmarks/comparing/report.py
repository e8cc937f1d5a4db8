# SPDX-License-Identifier: Apache-2.0
"""What people read: Markdown tables, which a terminal shows well enough, and the verdict on each figure that we promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from .measures import Host, knees
from .systems import CENTRAL, NAIVE, NERVENET, SYSTEMS

Row = Mapping[str, Any]
PUBLISHED_RATE: Final = 40
"""Workflows that arrive per second: 2,400 a minute."""


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, padded for a terminal. The first column is text, the others are numbers."""
    cells = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = ["| " + " | ".join(_pad(cell, widths[i], i) for i, cell in enumerate(row)) + " |" for row in cells]
    rule = (
        "| " + " | ".join("-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)) + " |"
    )
    return "\n".join([lines[0], rule, *lines[1:]])


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def time_of(ms: float | None) -> str:
    if ms is None:
        return ""
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


class Found:
    """The result of a run, as table.json has it."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.rows: Sequence[Row] = result["rows"]
        self.open: Sequence[Row] = result["open_loop"]
        self.recovery: Sequence[Row] = result["recovery"]
        self.memory: Sequence[Row] = result["memory"]
        self.linearity: Sequence[Row] = result["linearity"]

    def at_once(self, system: str, concurrency: int, work_ms: int) -> Row | None:
        return _first(self.rows, system=system, concurrency=concurrency, work_ms=work_ms)

    def arriving(self, system: str, rate: int = PUBLISHED_RATE) -> Row | None:
        return _first(self.open, system=system, rate=rate)

    def fastest(self, system: str) -> float:
        return max((row["workflows_per_s"] for row in self.rows if row["system"] == system), default=0.0)

    def slowest_recovery(self, system: str, field: str = "first_step_max_ms") -> float | None:
        """The worst of the rounds with `four`."""
        found = [
            row[field]
            for row in self.recovery
            if row["system"] == system and row["workflow"] == "four" and row[field] is not None
        ]
        return max(found, default=None)

    def above_idle(self, system: str, number: int = 0) -> float | None:
        """Megabytes of one kind of load, in the order of the rows."""
        found = [row["above_idle_mb"] for row in self.memory if row["system"] == system]
        return found[number] if len(found) > number else None


def _first(rows: Iterable[Row], **wanted: object) -> Row | None:
    return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), None)


def summary(found: Found) -> str:
    """The published figures, and ours beside them."""

    def line(what: str, before: str, after: str, figure: Callable[[str], str]) -> list[str]:
        return [what, before, after, *(figure(system) for system in (CENTRAL, NERVENET, NAIVE))]

    def field(row: Row | None, name: str) -> str:
        return time_of(row[name]) if row else ""

    def megabytes(system: str) -> str:
        extra = found.above_idle(system)
        return "" if extra is None else f"{extra:.0f} MB"

    rows = [
        line("p50, 40 workflows/s arrive", "1.2 s", "340 ms", lambda s: field(found.arriving(s), "p50_ms")),
        line("p99, 40 workflows/s arrive", "8.7 s", "1.1 s", lambda s: field(found.arriving(s), "p99_ms")),
        line("p50, 200 at once", "4.2 s", "", lambda s: field(found.at_once(s, 200, 50), "p50_ms")),
        line("p99, 200 at once", "", "", lambda s: field(found.at_once(s, 200, 50), "p99_ms")),
        line("p50, 500 at once", "12 s, timeouts", "", lambda s: field(found.at_once(s, 500, 50), "p50_ms")),
        line("workflows a minute, at most", "200", "2,400", lambda s: f"{60 * found.fastest(s):,.0f}"),
        line("recovery: last workflow goes on after", "5 min", "2 s", lambda s: time_of(found.slowest_recovery(s))),
        line("memory of a coordinator above idle, 500 in flight", "2.4 GB", "48 MB", megabytes),
    ]
    heads = ("", "central, published", "distributed, published", "central, fair", "nervenet", "central, naive")
    return grid(heads, rows)


def closed_table(found: Found) -> str:
    rows = []
    for row in found.rows:
        cpu = row["cpu_ms_per_workflow"]
        rows.append(
            [
                f"{row['concurrency']:,} at once, {row['work_ms']} ms",
                row["system"],
                f"{row['workflows_per_s']:,.0f}",
                time_of(row["p50_ms"]),
                time_of(row["p99_ms"]),
                f"{row['coordinator_mb']:.0f}",
                f"{sum(cpu.values()):.2f}",
                *(f"{cpu[role]:.2f}" if role in cpu else "" for role in ROLES),
            ]
        )
    heads = ("load", "system", "workflows/s", "p50", "p99", "MB", "CPU ms", *ROLES)
    return grid(heads, rows)


ROLES: Final = ("client", "coordinator", "agent", "valkey", "etcd")


def open_table(found: Found) -> str:
    rates = list(dict.fromkeys(row["rate"] for row in sorted(found.open, key=lambda row: row["rate"])))
    rows = []
    for rate in rates:
        cells = [f"{rate:,} workflows/s arrive"]
        for system in SYSTEMS:
            row = found.arriving(system, rate)
            cells += [time_of(row["p50_ms"]), time_of(row["p99_ms"])] if row else ["", ""]
        rows.append(cells)
    return grid(("", *(f"{system} {name}" for system in SYSTEMS for name in ("p50", "p99"))), rows)


def recovery_table(found: Found) -> str:
    rows = [
        [
            f"{row['system']}, {row['workflow']}",
            f"{row['hurt']} of {row['in_flight']}",
            time_of(row["first_step_min_ms"]),
            time_of(row["first_step_p50_ms"]),
            time_of(row["first_step_max_ms"]),
            time_of(row["last_end_ms"]),
            time_of(row["undisturbed_last_end_ms"]),
            str(row["steps_repeated"]),
            str(row["lost"]),
        ]
        for row in found.recovery
    ]
    heads = ("", "hurt", "first", "p50", "last", "last end", "without a kill", "steps run twice", "not ended")
    return grid(heads, rows)


def memory_table(found: Found) -> str:
    rows = [
        [
            row["load"],
            row["system"],
            f"{row['idle_mb']:.0f}",
            f"{row['peak_mb']:.0f}",
            f"{row['above_idle_mb']:.0f}",
            f"{row['rss_mb']:.0f}",
        ]
        for row in found.memory
    ]
    return grid(("MB of the coordinating process", "system", "idle", "at most", "above idle", "with libraries"), rows)


def linearity_table(found: Found, host: Host) -> str:
    rows = []
    for row in found.linearity:
        cpu = row["cpu_ms_per_workflow"]
        carries = host.carries(row)
        rows.append(
            [
                f"{row['system']}: {row['nodes']} × node, {row['agents']} × agent",
                f"{row['workflows_per_s']:,.0f}",
                f"{sum(cpu.values()):.2f}",
                *(f"{cpu[role]:.2f}" if role in cpu else "" for role in ROLES),
                f"{carries['host_with_one_valkey']:,.0f}",
                f"{carries['host_with_a_cluster']:,.0f}",
            ]
        )
    cores = f"{host.cores} cores"
    heads = ("", "workflows/s here", "CPU ms", *ROLES, f"{cores}, one Valkey", f"{cores}, a cluster")
    return grid(heads, rows)


VERDICTS: Final = {True: "met", False: "NOT MET", None: "not measured"}


def targets(found: Found) -> list[tuple[str, str, bool | None]]:
    """What must show: the promise, the figure, and whether it is kept; None: not measured."""
    checks: list[tuple[str, str, bool | None]] = []

    def check(what: str, value: float | None, most: float, shown: Callable[[float], str]) -> None:
        checks.append((what, "", None) if value is None else (what, shown(value), value < most))

    def of(row: Row | None, name: str) -> float | None:
        return float(row[name]) if row else None

    arriving, at_200 = found.arriving(NERVENET), found.at_once(NERVENET, 200, 50)
    check("40 workflows/s arrive, 50 ms steps: p50 < 230 ms", of(arriving, "p50_ms"), 230, time_of)
    check("40 workflows/s arrive, 50 ms steps: p99 < 300 ms", of(arriving, "p99_ms"), 300, time_of)
    check("200 at once, 50 ms steps: p50 < 340 ms", of(at_200, "p50_ms"), 340, time_of)
    check("200 at once, 50 ms steps: p99 < 400 ms", of(at_200, "p99_ms"), 400, time_of)
    fastest = found.fastest(NERVENET)
    checks.append(
        (
            "more than 800 workflows/s (48,000 a minute)",
            f"{fastest:,.0f} workflows/s",
            fastest > 800 if found.rows else None,
        )
    )
    check("kill -9: every workflow continues in < 2 s", found.slowest_recovery(NERVENET), 2000, time_of)
    check(
        "500 workflows in flight: < 48 MB above an idle node", found.above_idle(NERVENET), 48, lambda mb: f"{mb:.0f} MB"
    )
    lost = sum(row["lost"] for row in found.recovery)
    ended = "all" if not lost else f"all but {lost}"
    checks.append(("kill -9: every workflow of every system ends", ended, lost == 0 if found.recovery else None))
    return checks


def sections(found: Found) -> str:
    """Everything, as Markdown."""
    verdicts = [[what, value, VERDICTS[met]] for what, value, met in targets(found)]
    knee = ", ".join(f"{system} {rate:,}" for system, rate in knees(found.open).items())
    parts = {
        "Beside the published figures": summary(found),
        "Promises": grid(("", "measured", ""), verdicts),
    }
    if found.rows:
        parts["A fixed number at once"] = closed_table(found)
    if found.open:
        fastest = f"The fastest arrivals with a p99 below one second, per second: {knee}."
        parts["Arrivals at a fixed rate"] = f"{open_table(found)}\n\n{fastest}"
    if found.recovery:
        parts["Recovery"] = recovery_table(found)
    if found.memory:
        parts["Memory"] = memory_table(found)
    if found.linearity:
        parts["More nodes and agents"] = linearity_table(found, Host())
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items())
