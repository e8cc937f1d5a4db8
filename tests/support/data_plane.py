# SPDX-License-Identifier: Apache-2.0
"""The data plane by hand: every part of `streams` over one link, and workflows to try them on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from nervenet.records import Entry
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.streams.answers import Created, NewWorkflow
from nervenet.streams.groups import ConsumerGroups
from nervenet.streams.heads import Head
from nervenet.streams.journal import JournalStore
from nervenet.streams.keys import Keys
from nervenet.streams.listing import Listing
from nervenet.streams.ownership import Ownership
from nervenet.streams.queues import Queues
from nervenet.streams.script import packaged_scripts
from nervenet.wire import decode_entry

OWNER = "n-aaaaaaaa"
OTHER = "n-bbbbbbbb"
FIRST = "classify-aaaaaaaa"
SECOND = "classify-bbbbbbbb"
REQ = bytes(range(32))


class DataPlane:
    """What nodes and agents do to Redis, one command at a time. `tests.agent.world.Owner` is a node by hand, `tests.node.hand.Hand`
    an agent."""

    def __init__(self, link: Link, namespace: str) -> None:
        self.link = link
        self.keys = Keys(namespace)
        self.journal = JournalStore(link, self.keys)
        self.ownership = Ownership(link, self.keys)
        self.queues = Queues(link, self.keys)
        self.groups = ConsumerGroups(link, self.keys)
        self.listing = Listing(link, self.keys)
        self.numbers = itertools.count(1)

    @classmethod
    @asynccontextmanager
    async def open(cls, redis_url: str, namespace: str, *more: Any) -> AsyncIterator[Self]:
        link = await open_link(redis_url, name=namespace, scripts=packaged_scripts())
        try:
            yield cls(link, namespace, *more)
        finally:
            await link.close()

    async def start(self, workflow_id: str = "", owner: str = OWNER, entry: bytes = b"start") -> str:
        """Start a workflow as a node does; its id."""
        workflow_id = workflow_id or f"review-{next(self.numbers)}"
        created = await self.create(workflow_id, owner, entry=entry)
        assert created.status == "created"
        return workflow_id

    async def create(
        self, workflow_id: str, owner: str = OWNER, within_ms: int = 5_000, entry: bytes = b"start"
    ) -> Created:
        score = await self.ownership.running_add(workflow_id)
        await self.ownership.own(owner, workflow_id)
        new = NewWorkflow(workflow_id, owner, "review", 1, "3.11", REQ, entry, score, score + within_ms, '{"a":"b"}')
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

    async def lose(self, workflow_id: str, down_to: int) -> None:
        """What a Redis that came back without its tail has: head and journal as they were after entry `down_to`."""
        head, journal, _ = self.keys.written(workflow_id)
        entries = await self.journal.read(workflow_id)
        owner = await self.link.call("HGET", head, "owner")
        await self.link.call("DEL", head, journal)
        await self.clock_moves()
        kept = entries[:down_to]
        if not kept:
            return
        for entry in kept:
            await self.link.call("XADD", journal, entry.id, "n", entry.name, "e", entry.data)
        markers = [word for entry in kept for word in (f"e:{entry.name}", entry.id)]
        size = sum(len(entry.data) for entry in kept)
        fields = ("run", 1, "state", "RUNNING", "last", kept[-1].id, "bytes", size, "owner", owner)
        await self.link.call("HSET", head, *fields, *markers)

    async def clock_moves(self) -> int:
        """Return once Redis' clock is past the millisecond in which this was called."""
        began = now = await self.journal.now_ms()
        async with asyncio.timeout(5):
            while now == began:
                now = await self.journal.now_ms()
        return now


async def entries_of(journal: JournalStore, workflow_id: str) -> dict[str, Entry]:
    """The whole journal by name, in order."""
    return {raw.name: decode_entry(raw.name, raw.data, raw.n, raw.ms) for raw in await journal.read(workflow_id)}
