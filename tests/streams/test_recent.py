# SPDX-License-Identifier: Apache-2.0
"""The outcomes that an agent remembers for a few seconds, and a Redis that has lost them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nervenet.clock import SYSTEM
from nervenet.redis_link.dial import ServerIdentity
from nervenet.redis_link.opening import open_link
from nervenet.streams.recent import CLOCKS_APART_MS, RecentWrites
from nervenet.streams.script import packaged_scripts
from tests.support.data_plane import DataPlane

OLD, NEW = ServerIdentity("run 1", "data 1"), ServerIdentity("run 2", "data 2")


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[DataPlane]:
    link = await open_link(redis_url, name=namespace, scripts=packaged_scripts())
    yield DataPlane(link, namespace)
    await link.close()


async def test_an_outcome_is_written_again_and_one_of_another_life_is_not(store: DataPlane) -> None:
    """Somebody may have started the id again, with another input, before Redis had its former life back."""
    recent = RecentWrites(store.journal, store.queues, SYSTEM)
    workflow_id = await store.start()
    began = (await store.head(workflow_id)).created_ms
    recent.recorded(workflow_id, 1, "task:mine", b"mine", began)
    recent.recorded(
        workflow_id, 1, "task:former", b"of a task that was sent before it began", began - CLOCKS_APART_MS - 1
    )
    await recent.redis_came_back(OLD, NEW)
    assert await store.names(workflow_id) == ["start", "task:mine"]
    assert recent.written_back == 1
