# SPDX-License-Identifier: Apache-2.0
"""The events channel: a hint on close and escalation always, on every entry only while somebody watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from nervenet.records import State
from nervenet.redis_link.subscription import Subscription
from tests.support.data_plane import OWNER, DataPlane


async def test_entries_are_published_only_while_somebody_watches(store: DataPlane) -> None:
    workflow = await store.start()
    async with Ears(store, workflow) as ears:
        await store.journal.append(workflow, 1, "signal:unseen", b"x")
        assert await store.journal.watch(workflow, 60_000)
        seen = await store.journal.append(workflow, 1, "signal:seen", b"x")
        assert await ears.hear() == seen.id
        await store.journal.set_head(workflow, 1, OWNER, at="page 3")
        assert await ears.hear() == seen.id, "something changed; the journal did not"


async def test_escalation_decision_and_close_are_always_published(store: DataPlane) -> None:
    workflow, journal = await store.start(), store.journal
    async with Ears(store, workflow) as ears:
        asked = await journal.append(workflow, 1, "escalated:ask#1", b"?", owner=OWNER)
        assert await ears.hear() == asked.id
        decision = await journal.decide(workflow, 1, "ask", 1, b"yes", outcome=b"yes")
        assert await ears.hear() == decision.outcome
        closed = await journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 60_000)
        assert await ears.hear() == closed.id


async def test_a_shorter_watch_does_not_cut_a_longer_one(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.watch(workflow, 60_000)
    until = (await store.head(workflow)).watch_until_ms
    await store.journal.watch(workflow, 10)
    assert (await store.head(workflow)).watch_until_ms == until


class Ears:
    """Listens to one workflow's channel."""

    def __init__(self, store: DataPlane, workflow: str) -> None:
        self._store, self._channel = store, store.keys.events(workflow)
        self._subscription: Subscription | None = None
        self._heard: AsyncIterator[tuple[bytes, bytes]] | None = None

    async def __aenter__(self) -> Ears:
        self._subscription = await self._store.link.subscribe()
        await self._subscription.add(self._channel)
        self._heard = aiter(self._subscription)
        return self

    async def hear(self) -> bytes:
        assert self._heard is not None
        async with asyncio.timeout(5):
            channel, data = await anext(self._heard)
        assert channel == self._channel
        return data

    async def __aexit__(self, *_: object) -> None:
        assert self._subscription is not None
        await self._subscription.close()
