# SPDX-License-Identifier: Apache-2.0
"""The callers: they start a workflow for each update, await its end, and note how long it took.

`as_fast_as_possible` is a closed loop: each caller starts its next update when its last one has ended. `as_they_arrive` is an open loop: each
update starts when it is due, whatever the earlier ones do. Its latency counts from the moment at which it was due, so a mesh or a caller that falls
behind cannot hide it (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from nervenet import Client, NervenetError
from nervenet.errors import Overloaded, Unavailable

from .generate import Planned
from .models import Outcome
from .workflow import shipment_update

PATIENCE_S: Final = 120.0
"""An update that has no end this long after it was due is lost."""
PAUSE_S: Final = 0.5

Sabotage = Literal["", "drop", "double", "repeat"]
"""What is done wrong on purpose, to test the checks: nobody starts an update; it is started twice; a request is repeated after its end."""


@dataclass(frozen=True)
class End:
    """How an update ended for its caller."""

    outcome: Outcome | None
    error: str
    took_s: float


class Load:
    """Drives one part of the run."""

    def __init__(self, client: Client, planned: Sequence[Planned], sabotage: Sabotage = "") -> None:
        self.planned = planned
        self.ends: dict[str, End] = {}
        self.started = 0
        self.starts_repeated = 0
        self.seconds = 0.0
        self._client = client
        plain = [one.update.id for one in planned if not one.fault]
        self._victim = (sabotage, plain[len(plain) // 2] if sabotage else "")

    @property
    def in_flight(self) -> int:
        return self.started - len(self.ends)

    @property
    def took_s(self) -> list[float]:
        """Of the updates that have an outcome, the shortest first."""
        return sorted(end.took_s for end in self.ends.values() if end.outcome is not None)

    @property
    def errors(self) -> Counter[str]:
        return Counter(end.error for end in self.ends.values() if end.error)

    async def as_fast_as_possible(self, at_once: int) -> None:
        waiting = iter(self.planned)
        began = time.perf_counter()

        async def caller() -> None:
            for one in waiting:
                await self._handle(one, time.perf_counter())

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(caller())
        self.seconds = time.perf_counter() - began

    async def as_they_arrive(self, speed: float) -> None:
        """`speed`: how many seconds of the plan pass in a second."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for one in self.planned:
                due = began + one.at_s / speed
                if (ahead := due - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead)
                group.create_task(self._handle(one, due))
        self.seconds = time.perf_counter() - began

    async def _handle(self, one: Planned, due: float) -> None:
        self.started += 1
        outcome, error = None, ""
        if self._victim != ("drop", one.update.id):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    outcome = await self._run(one, one.update.id)
                    if self._victim == ("double", one.update.id):
                        await self._run(one, f"{one.update.id}-again")
            except (NervenetError, TimeoutError) as failure:
                error = f"{type(failure).__name__}: {failure}"
        self.ends[one.update.id] = End(outcome, error, time.perf_counter() - due)

    async def _run(self, one: Planned, workflow_id: str) -> Outcome:
        """The same id and the same input are the same workflow, so it is safe to repeat a start that nobody has answered."""
        while True:
            try:
                return await self._client.run(shipment_update, one.update, id=workflow_id)
            except (Unavailable, Overloaded):
                self.starts_repeated += 1
                await asyncio.sleep(PAUSE_S)
