# SPDX-License-Identifier: Apache-2.0
"""Workflows that come in all the time while Redis is in trouble, and what must be true of them in the end."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from nervenet import Client, WorkflowHandle
from nervenet.errors import RequestError
from tests.mesh import stories
from tests.support.mesh import ProcessMesh
from tests.support.waiting import keep_asking, until

WITHIN = 90.0
NO_ANSWER: Any = {"ignore": (RequestError,), "codes": ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")}


class Load:
    """Errands that wait at their gate, and greetings that come in one after another until `finish`."""

    def __init__(self, host: ProcessMesh, client: Client) -> None:
        self._host, self._client = host, client
        self._over = asyncio.Event()
        self._coming = asyncio.create_task(self._come())
        self._waiting: dict[str, WorkflowHandle[list[str]]] = {}
        self.accepted: list[str] = []

    async def wait_at_gates(self, count: int) -> None:
        """Start so many errands; return when the handler of each one runs."""
        names = {f"errand-{n}": f"e{n}" for n in range(len(self._waiting), len(self._waiting) + count)}
        self._waiting |= await self._client.start_many(stories.errand, names)
        for name in names.values():
            await self._host.effect(name, "said #1", WITHIN)

    async def more(self, count: int) -> None:
        """Wait until so many more greetings have been accepted."""
        wanted = len(self.accepted) + count
        await until(lambda: len(self.accepted) >= wanted, f"{wanted} greetings are accepted", WITHIN)

    async def finish(self) -> None:
        """Open the gates; every accepted workflow ends with its own result."""
        self._over.set()
        await self._coming
        for workflow_id in self._waiting:
            self._host.open(workflow_id.replace("errand-", "e"))
        for workflow_id in self._waiting:
            got = await self.result(workflow_id)
            assert got == ["first!", f"{workflow_id.replace('errand-', 'e')}: once upon a time", "last!"], workflow_id
        for workflow_id in self.accepted:
            assert await self.result(workflow_id) == ["a!", "b!"], workflow_id

    async def result(self, workflow_id: str) -> object:
        return await keep_asking(lambda: self._client.handle(workflow_id).result(timeout=WITHIN), WITHIN, **NO_ANSWER)

    async def _come(self) -> None:
        while not self._over.is_set():
            workflow_id = f"greeting-{len(self.accepted)}"
            start = partial(self._client.start, stories.greet, ["a", "b"], id=workflow_id)
            await keep_asking(start, WITHIN, **NO_ANSWER)
            self.accepted.append(workflow_id)
            await asyncio.sleep(0.02)
