# SPDX-License-Identifier: Apache-2.0
"""A store of objects that is slow, fails, writes a half and hears of things twice, and what must be true of the archive in it.

A schedule with an archive promises: what a node marks as archived is in a whole object by then, so Redis forgets nothing that is
not; and once the faults are over, each closed run is in the objects exactly once, and the reader finds the last one of each workflow.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from nervenet.archive.reader import ArchiveReader
from nervenet.archive.segment import unpacked
from nervenet.objects import ObjectMissing, SinkError
from tests.simulation.check import Ledger
from tests.simulation.loop import VirtualLoop

SHARE: Final = 0.4
"""How many schedules have an archive."""
HALF: Final = ".part"
"""Ends the name of what a writer left half written: no reader takes it for an object."""
Run = tuple[str, int]


class SimulatedSink:
    """One store for all nodes of a schedule, in place of a bucket. `trouble`: how many calls go wrong, from 0 to 1."""

    def __init__(self, loop: VirtualLoop, seed: int, nobody: contextvars.Context) -> None:
        self.chance = random.Random(f"sink {seed}")
        self.objects: dict[str, bytes] = {}
        self.trouble = self.chance.choice((0.0, 0.2, 0.5, 0.8))
        self.slow = self.chance.choice((0.01, 0.5, 5.0, 20.0))
        self.counted: Counter[str] = Counter()
        self._loop, self._nobody = loop, nobody

    def calm(self) -> None:
        """From here on everything works at once."""
        self.trouble, self.slow = 0.0, 0.01

    def lines(self) -> Counter[Run]:
        """How often each run is in the whole objects."""
        found: Counter[Run] = Counter()
        for name, data in self.objects.items():
            if name.startswith("runs/") and name.endswith(".jsonl.gz"):
                for line in unpacked(data).splitlines():
                    told = json.loads(line)
                    found[told["workflow_id"], told["run"]] += 1
        return found

    # ── what nodes call ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, name: str, data: bytes) -> None:
        how = self._fate(("fails", "answer lost", "half written", "comes again", "comes late"))
        await asyncio.sleep(self.chance.random() * self.slow)
        if how == "half written":
            self.objects[name + HALF] = data[: len(data) // 2]
        elif how == "comes late":  # the writer may be dead by then
            self._loop.call_later(self.chance.random() * 10, self._put, name, data, context=self._nobody)
        elif how != "fails":
            self._put(name, data)
        if how == "comes again":
            self._put(name, data[::-1])  # the first writer has written
        elif how:
            raise SinkError(f"simulated: {how}")

    async def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        await self._perhaps()
        if name not in self.objects:
            raise ObjectMissing("there is no such object")
        return self.objects[name][start:end]

    async def names(self, prefix: str) -> list[str]:
        await self._perhaps()
        return sorted(name for name in self.objects if name.startswith(f"{prefix}/"))

    async def folders(self, prefix: str) -> list[str]:
        return sorted({name.split("/")[1] for name in await self.names(prefix)})

    async def delete(self, name: str) -> None:
        await self._perhaps()
        self.objects.pop(name, None)

    def _put(self, name: str, data: bytes) -> None:
        self.objects.setdefault(name, data)

    def _fate(self, ways: tuple[str, ...]) -> str:
        if self.chance.random() >= self.trouble:
            return ""
        how = self.chance.choice(ways)
        self.counted[f"archive: {how}"] += 1
        return how

    async def _perhaps(self) -> None:
        how = self._fate(("fails",))
        await asyncio.sleep(self.chance.random() * self.slow)
        if how:
            raise SinkError("simulated: away")


class ArchiveCheck:
    """Compares the store with the ledger."""

    def __init__(self, sink: SimulatedSink, ledger: Ledger) -> None:
        self.sink, self._ledger = sink, ledger
        self.violations: list[str] = []

    def marked(self, keys: list[bytes], args: list[bytes]) -> None:
        """A node says that a run is archived: from now on Redis may forget it."""
        run = (id_in(keys[0]), int(args[0]))
        if not self.sink.lines()[run]:
            self.violations.append(f"marked as archived, and no object has it: {run}")

    def closed(self) -> set[Run]:
        """Every run that has ever closed."""
        found = set()
        for key, written in self._ledger.written.items():
            run = 0
            for _, name, _ in written:
                run += name == b"start"
                if name == b"close":
                    found.add((id_in(key), run))
        return found

    def missing(self) -> set[Run]:
        return self.closed() - set(self.sink.lines())

    async def end(self) -> Iterable[str]:
        """What is wrong once all faults are over."""
        found, closed, lines = list(self.violations), self.closed(), self.sink.lines()
        found += [f"closed, and not in the archive: {run}" for run in sorted(closed - set(lines))]
        found += [f"in the archive {lines[run]} times: {run}" for run in sorted(lines) if lines[run] > 1]
        found += [f"in the archive, and never closed: {run}" for run in sorted(set(lines) - closed)]
        reader = ArchiveReader(self.sink)
        last = dict(sorted(closed))  # the highest run of each
        for workflow_id, run in last.items():
            told: Any = await reader.find(workflow_id)
            if told is None or told.head.run != run:
                found.append(f"the reader finds run {told and told.head.run} of {workflow_id}, whose last is {run}")
        return found


def id_in(key: bytes) -> str:
    return key[key.index(b"{") + 1 : key.index(b"}")].decode()
