# SPDX-License-Identifier: Apache-2.0
"""Slots of the whole process and of each capability: how many tasks may run. The task reader waits here for room."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping


class Slots:
    """A task takes its slot when it is read, so that no more tasks are read than there is room for."""

    def __init__(self, total: int, by_capability: Mapping[str, int]) -> None:
        self.total = total
        self.limits = dict(by_capability)
        self.taken = 0
        self.free = total  # how many more tasks may be read
        self.by_capability = dict.fromkeys(by_capability, 0)
        self._room = asyncio.Event()
        self._room.set()

    def __repr__(self) -> str:
        return f"<Slots {self.taken} of {self.total}>"

    def free_for(self, capability: str) -> int:
        """How many more tasks of this capability may run."""
        return max(0, min(self.free, self.limits[capability] - self.by_capability[capability]))

    def has_room(self, capability: str) -> bool:
        """Whether a task of this capability that was already read may run."""
        return self.by_capability[capability] < self.limits[capability]

    def take(self) -> None:
        """A task was read. Its capability is counted by `start`."""
        self.taken += 1
        if self.free:
            self.free -= 1
            if not self.free:
                self._room.clear()

    def give_back(self) -> None:
        self.taken -= 1
        if self.taken < self.total:
            if not self.free:
                self._room.set()
            self.free += 1

    def start(self, capability: str) -> None:
        self.by_capability[capability] += 1

    def end(self, capability: str) -> None:
        self.by_capability[capability] -= 1

    async def room(self) -> None:
        """Return when another task may be read."""
        await self._room.wait()
