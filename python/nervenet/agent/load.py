# SPDX-License-Identifier: Apache-2.0
"""The load of this process and the results of its recent tasks, which the selection of agents compares."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from nervenet.streams.tasks.attempt import TaskAverages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nervenet.agent.slots import Slots
    from nervenet.clock import Clock


class LoadSample(NamedTuple):
    active: int
    queued: int
    slots: int
    cpu: float
    average_ms: float
    error_rate: float
    sample_ms: int
    by_capability: Mapping[str, int]


class LoadMeter(TaskAverages):
    def __init__(self, slots: Slots, clock: Clock) -> None:
        super().__init__()
        self._slots = slots
        self._clock = clock
        self._seen = (clock.monotonic(), time.process_time())
        self._cpu = 0.0

    def sample(self) -> LoadSample:
        slots = self._slots
        active = sum(slots.by_capability.values())
        wall, cpu = self._clock.monotonic(), time.process_time()
        if wall - self._seen[0] >= 0.5:
            self._cpu = (cpu - self._seen[1]) / (wall - self._seen[0])
            self._seen = (wall, cpu)
        by_capability = {name: count for name, count in slots.by_capability.items() if count}
        return LoadSample(
            active=active,
            queued=max(0, slots.taken - active),
            slots=slots.total,
            cpu=self._cpu,
            average_ms=self.average_ms,
            error_rate=self.error_rate,
            sample_ms=self._clock.now_ms(),
            by_capability=by_capability,
        )
