# SPDX-License-Identifier: Apache-2.0
"""What one sees while the audit runs: a live panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .effects import Load
from .processes import AGENTS
from .report import Report

VERDICT_STYLES = {"permissive": "green", "weak copyleft": "yellow", "strong copyleft": "red", "unknown": "dim"}


class Moment(NamedTuple):
    """The audit at one instant."""

    total: int
    done: int
    waiting: int
    failed: int
    load: Load
    seconds: float
    per_second: float
    note: str = ""

    @property
    def running(self) -> int:
        return self.total - self.done - self.waiting - self.failed


class Screen:
    """Shows moments; each replaces the one before on a terminal, and elsewhere only every second one is told."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._told = 0.0

    @contextmanager
    def open(self) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=8, transient=True) as self._live:
            yield
        self._live = None

    def show(self, moment: Moment) -> None:
        if self._live:
            self._live.update(_panel(moment))
        elif moment.seconds - self._told >= 2 or not moment.running:
            self._told = moment.seconds
            self.say(
                f"{moment.seconds:5.1f} s  {moment.done} done, {moment.running} running, {moment.waiting} waiting"
                f"{f', {moment.failed} failed' if moment.failed else ''}, {moment.per_second:.0f} tasks/s"
            )

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(line, highlight=False, soft_wrap=True)


def _panel(moment: Moment) -> Group:
    head = Text.assemble(
        (f"✓ {moment.done} done", "green"),
        "   ",
        (f"● {moment.running} running", "cyan"),
        "   ",
        (f"? {moment.waiting} waiting for a human", "yellow"),
        (f"   ✗ {moment.failed} failed" if moment.failed else "", "red"),
        (f"      {moment.per_second:4.1f} tasks/s   {moment.seconds:4.1f} s", "dim"),
    )
    bar = ProgressBar(total=moment.total, completed=moment.total - moment.running, width=60)
    table = Table.grid(padding=(0, 2))
    for plan in AGENTS:
        busy = min(moment.load.busy.get(plan.name, 0), plan.slots)
        slots = Text("█" * busy, "cyan") + Text("░" * (plan.slots - busy), "dim")
        done = f"{moment.load.done.get(plan.name, 0)} done"
        table.add_row(plan.name, slots, f"{busy}/{plan.slots}", Text(done, "dim"))
    note = [Text(moment.note, "magenta")] if moment.note else []
    return Group(head, bar, Text(), table, *note)


def print_rows(console: Console, report: Report) -> None:
    """The result: a table on a terminal, tab-separated lines elsewhere, so that a pipe loses nothing."""
    if not console.is_terminal:
        for row in report.rows:
            cells = (row.name, row.version, row.declared, row.found, f"{row.confidence:.3f}", row.verdict, row.state)
            line = "\t".join((*cells, row.escalation or "-"))
            console.file.write(f"{line}\n")  # rich would turn tabs into spaces
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("DISTRIBUTION", "DECLARED", "FOUND", "SURE", "VERDICT", "ESCALATION"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "SURE" else "left")
    for row in report.rows:
        waits = row.escalation is not None
        verdict = Text("? waits", "yellow") if waits else Text(row.verdict, VERDICT_STYLES[row.verdict])
        name = Text.assemble(row.name, " ", (row.version, "dim"))
        sure = f"{row.confidence:.2f}"
        table.add_row(name, row.declared or "–", row.found or "–", sure, verdict, Text(row.escalation or "", "dim"))
    console.print(table)


class Pace:
    """Tasks per second over the last two seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def at(self, ended: int) -> float:
        now = time.monotonic()
        self._seen = [(when, count) for when, count in self._seen if when > now - 2] + [(now, ended)]
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0
