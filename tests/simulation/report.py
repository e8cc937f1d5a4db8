# SPDX-License-Identifier: Apache-2.0
"""Many schedules on all cores; what comes of them is one line for people and build/simulation/report.json.

Seeds go in chunks to forked processes that end with their chunk: nothing that one schedule leaves behind is ever
collected, which is faster than tidying up, and no chunk can know of another.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.simulation.sabotage import SABOTAGES
from tests.simulation.schedule import run
from tests.simulation.weather import FAULTS

REPORT: Final = Path("build/simulation/report.json")
MOST: Final = 100
"""So many violations are kept in full."""


@dataclass
class Report:
    """What came of the schedules so far."""

    first_seed: int
    copies: int = 1
    sabotage: str = ""
    schedules: int = 0
    commands: int = 0
    violating: int = 0
    virtual_seconds: float = 0.0
    seconds: float = 0.0
    counted: Counter[str] = field(default_factory=Counter)
    violations: dict[int, list[str]] = field(default_factory=dict)
    stories: dict[int, list[str]] = field(default_factory=dict)

    def add(self, part: Report) -> None:
        self.schedules += part.schedules
        self.commands += part.commands
        self.violating += part.violating
        self.virtual_seconds += part.virtual_seconds
        self.counted.update(part.counted)
        if len(self.violations) < MOST:
            self.violations.update(part.violations)
            self.stories.update(part.stories)

    @property
    def duplicates(self) -> int:
        """Copies of tasks, at once or late; repeated commands come on top."""
        return self.counted["tasks delivered again"] + self.counted["tasks that came late"]

    @property
    def line(self) -> str:
        """Everything that counts, in one line."""
        faults = sum(self.counted[kind] for kind in FAULTS)
        after = f" with sabotage {self.sabotage!r}" if self.sabotage else ""
        return (
            f"{self.schedules:,} schedules{after} (seeds {self.first_seed} to {self.first_seed + self.schedules - 1}),"
            f" {self.counted['workflows']:,} workflows, {faults:,} faults,"
            f" {self.duplicates:,} duplicate deliveries: {self.violating:,} with a violation;"
            f" {self.seconds:,.0f} s, {60 * self.schedules / max(self.seconds, 0.001):,.0f} schedules/min"
        )

    def write(self) -> None:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        known = {**self.__dict__, "counted": dict(sorted(self.counted.items())), "line": self.line}
        REPORT.write_text(json.dumps(known, indent=1) + "\n")


def write_found(found: dict[str, int | None]) -> None:
    """By which schedule each sabotage was noticed."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.with_name("sabotage.json").write_text(json.dumps(found, indent=1) + "\n")


Chunk = tuple[int, int, int, str, bool]
"""First seed, how many, copies, sabotage, whether Redis crashes in each."""


def chunk(work: Chunk) -> Report:
    """So many schedules in a row, in this process."""
    first, count, copies, name, crashes = work
    part = Report(first, copies, name)
    sabotage = SABOTAGES[name] if name else None
    for seed in range(first, first + count):
        outcome = run(seed, sabotage, copies, crashes=crashes)
        part.schedules += 1
        part.commands += outcome.commands
        part.virtual_seconds += outcome.virtual_seconds
        part.counted.update(outcome.counted)
        if outcome.violations:
            part.violating += 1
            part.violations[seed], part.stories[seed] = outcome.violations, outcome.story
    return part


def schedules(
    first: int,
    count: int,
    *,
    copies: int = 1,
    sabotage: str = "",
    crashes: bool = False,
    workers: int = 2,
    size: int = 100,
) -> Iterator[Report]:
    """The report as it grows. Leaving the iterator ends the processes."""
    report = Report(first, copies, sabotage)
    began = time.monotonic()
    parts = [(at, min(size, first + count - at), copies, sabotage, crashes) for at in range(first, first + count, size)]
    with multiprocessing.get_context("fork").Pool(workers, _quiet, maxtasksperchild=1) as pool:
        for part in pool.imap(chunk, parts):
            report.add(part)
            report.seconds = time.monotonic() - began
            yield report


def _quiet() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and ends us
    warnings.simplefilter("ignore", RuntimeWarning)
    sys.unraisablehook = lambda _: None  # processes of a schedule die in the middle of a `finally`, as they would
