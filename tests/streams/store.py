# SPDX-License-Identifier: Apache-2.0
"""What the tests of the data plane share: the parts over one link, and a workflow to try them on."""

from __future__ import annotations

import asyncio
import itertools

from nervenet.redis_link.link import Link
from nervenet.streams.answers import Created, NewWorkflow
from nervenet.streams.groups import ConsumerGroups
from nervenet.streams.heads import Head
from nervenet.streams.journal import JournalStore
from nervenet.streams.keys import Keys
from nervenet.streams.listing import Listing
from nervenet.streams.ownership import Ownership
from nervenet.streams.queues import Queues

OWNER = "n-aaaaaaaa"
OTHER = "n-bbbbbbbb"
FIRST = "classify-aaaaaaaa"
SECOND = "classify-bbbbbbbb"
REQ = bytes(range(32))


class Store:
    """All parts of `streams` over one link."""

    def __init__(self, link: Link, namespace: str) -> None:
        self.link = link
        self.keys = Keys(namespace)
        self.journal = JournalStore(link, self.keys)
        self.ownership = Ownership(link, self.keys)
        self.queues = Queues(link, self.keys)
        self.groups = ConsumerGroups(link, self.keys)
        self.listing = Listing(link, self.keys)
        self._numbers = itertools.count(1)

    async def start(self, workflow_id: str = "", owner: str = OWNER) -> str:
        """Start a workflow as a node does; its id."""
        workflow_id = workflow_id or f"review-{next(self._numbers)}"
        created = await self.create(workflow_id, owner)
        assert created.status == "created"
        return workflow_id

    async def create(self, workflow_id: str, owner: str = OWNER, within_ms: int = 5_000) -> Created:
        score = await self.ownership.running_add(workflow_id)
        await self.ownership.own(owner, workflow_id)
        new = NewWorkflow(workflow_id, owner, "review", 1, "3.11", REQ, b"start", score, score + within_ms, '{"a":"b"}')
        return await self.journal.create(new)

    async def head(self, workflow_id: str) -> Head:
        head = await self.journal.head(workflow_id)
        assert head is not None
        return head

    async def names(self, workflow_id: str) -> list[str]:
        """The names of all entries, in journal order; checks on the way that n is dense and the clock goes forward."""
        entries = await self.journal.read(workflow_id)
        assert [entry.n for entry in entries] == list(range(1, len(entries) + 1))
        assert sorted(entry.ms for entry in entries) == [entry.ms for entry in entries]
        return [entry.name for entry in entries]

    async def snapshot(self) -> dict[bytes, bytes | None]:
        """Every key of the namespace with its value, byte by byte."""
        _, keys = await self.link.call("SCAN", 0, "MATCH", f"nn:{self.keys.namespace}:*", "COUNT", 10_000)
        return {key: await self.link.call("DUMP", key) for key in sorted(keys)}

    async def clock_moves(self) -> int:
        """Return once Redis' clock is past the millisecond in which this was called."""
        began = now = await self.journal.now_ms()
        async with asyncio.timeout(5):
            while now == began:
                now = await self.journal.now_ms()
        return now
