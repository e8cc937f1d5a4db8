# SPDX-License-Identifier: Apache-2.0
"""The callers: a process that starts workflows of one system, checks every result, and says how long each took.

It takes orders in JSON lines. All systems get the same orders and are driven by the same code.

    {"loop": "closed", "work_ms": 50, "concurrency": 200, "seconds": 2}      each caller starts its next workflow when its last one ends
    {"loop": "open", "work_ms": 50, "rate": 40, "seconds": 4, "seed": 1}     arrivals at random moments, at this mean rate
    {"loop": "burst", "work_ms": 500, "workflows": 250, "over_s": 1}         all of them within a second; when each began and ended

In the open loop nobody waits for an earlier workflow, and a latency counts from the moment at which the workflow was due: a system
or a caller that falls behind cannot hide it (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

from .work import expected, text

PATIENCE_S: Final = 150.0
Start = Callable[[str, str, str], Awaitable[Any]]
"""Workflow, input and id → the result."""


class Callers:
    def __init__(self, start: Start) -> None:
        self._start = start
        self._prefix = uuid.uuid4().hex[:12]
        self._count = 0

    async def take_orders(self) -> None:
        """Until the input ends."""
        loops: dict[str, Callable[..., Awaitable[Any]]] = {
            "closed": self.closed,
            "open": self.open,
            "burst": self.burst,
        }
        print(json.dumps("ready"), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            print(json.dumps(await loops[order.pop("loop")](**order)), flush=True)

    async def closed(
        self, concurrency: int, seconds: float, work_ms: int = 0, workflow: str = "four"
    ) -> dict[str, Any]:
        took_ms: list[float] = []
        began = time.perf_counter()

        async def caller() -> None:
            while (at := time.perf_counter()) - began < seconds:
                await self._run(workflow, work_ms, self._next_id())
                took_ms.append((time.perf_counter() - at) * 1000)

        await asyncio.gather(*(caller() for _ in range(concurrency)))
        return {"seconds": time.perf_counter() - began, "took_ms": took_ms}

    async def open(
        self, rate: float, seconds: float, seed: int, work_ms: int = 0, workflow: str = "four"
    ) -> dict[str, Any]:
        took_ms: list[float] = []
        dice = random.Random(seed)
        began = time.perf_counter()

        async def one(due: float) -> None:
            await self._run(workflow, work_ms, self._next_id())
            took_ms.append((time.perf_counter() - due) * 1000)

        async with asyncio.TaskGroup() as group:
            due = began
            while (due := due + dice.expovariate(rate)) < began + seconds:
                if (ahead := due - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead)
                group.create_task(one(due))
        return {"seconds": time.perf_counter() - began, "took_ms": took_ms}

    async def burst(
        self, workflows: int, over_s: float, work_ms: int = 0, workflow: str = "four"
    ) -> dict[str, tuple[float, float | None]]:
        """Workflow id → when it was due and when it ended, by the clock that all processes share; None: not within two and a half minutes."""
        ends: dict[str, tuple[float, float | None]] = {}

        async def one(due: float, workflow_id: str) -> None:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._run(workflow, work_ms, workflow_id)
            except TimeoutError:
                ends[workflow_id] = (due, None)
            else:
                ends[workflow_id] = (due, time.monotonic())

        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for i in range(workflows):
                due = began + over_s * i / workflows
                if (ahead := due - time.monotonic()) > 0:
                    await asyncio.sleep(ahead)
                group.create_task(one(due, self._next_id()))
        return ends

    async def _run(self, workflow: str, work_ms: int, workflow_id: str) -> None:
        given = text(work_ms)
        if (result := await self._start(workflow, given, workflow_id)) != expected(workflow, given):
            raise RuntimeError(f"{workflow_id} has a wrong result: {str(result)[:100]}")

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"
