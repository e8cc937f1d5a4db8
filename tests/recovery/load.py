# SPDX-License-Identifier: Apache-2.0
"""Workflows that come in all the time while Redis is in trouble, and what must be true of them in the end."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from nervenet import Client
from nervenet.errors import RequestError
from tests.mesh import stories
from tests.support.mesh import ProcessMesh
from tests.support.torture import wrong_ends
from tests.support.waiting import keep_asking, until

WITHIN = 90.0
NO_ANSWER: Any = {"ignore": (RequestError,), "codes": ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")}


class Load:
    """Errands that wait at their gate, and greetings that come in one after another until `finish`."""

    def __init__(self, host: ProcessMesh, client: Client) -> None:
        self._host, self._client = host, client
        self._over = asyncio.Event()
        self._coming = asyncio.create_task(self._come())
        self._waiting: list[str] = []
        self.accepted: list[str] = []

    async def wait_at_gates(self, count: int) -> None:
        """Start this many errands; return when the handler of each one runs."""
        names = [f"e{n}" for n in range(len(self._waiting), len(self._waiting) + count)]
        self._waiting += names
        await self._client.start_many(stories.errand, {f"errand-{name}": name for name in names})
        for name in names:
            await self._host.effect(name, "said #1", WITHIN)

    async def more(self, count: int) -> None:
        """Wait until this many more greetings have been accepted."""
        wanted = len(self.accepted) + count
        await until(lambda: len(self.accepted) >= wanted, f"{wanted} greetings are accepted", WITHIN)

    async def finish(self) -> None:
        """Open the gates; every accepted workflow ends with its own result."""
        self._over.set()
        await self._coming
        for name in self._waiting:
            self._host.open(name)
        runs = {f"errand-{name}": ["first!", f"{name}: once upon a time", "last!"] for name in self._waiting}
        runs |= {workflow_id: ["a!", "b!"] for workflow_id in self.accepted}
        handles = {workflow_id: (self._client.handle(workflow_id), result) for workflow_id, result in runs.items()}
        assert await wrong_ends(handles, WITHIN, **NO_ANSWER) == []

    async def _come(self) -> None:
        while not self._over.is_set():
            workflow_id = f"greeting-{len(self.accepted)}"
            start = partial(self._client.start, stories.greet, ["a", "b"], id=workflow_id)
            await keep_asking(start, WITHIN, **NO_ANSWER)
            self.accepted.append(workflow_id)
            await asyncio.sleep(0.02)
