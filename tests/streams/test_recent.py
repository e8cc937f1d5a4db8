# SPDX-License-Identifier: Apache-2.0
"""The outcomes that an agent remembers for a few seconds, and a Redis that has lost them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nervenet.clock import SYSTEM
from nervenet.redis_link.dial import ServerIdentity
from nervenet.redis_link.opening import open_link
from nervenet.streams.queues import LOOK, Wake, parse_wakes
from nervenet.streams.recent import OutcomeOfTask, RecentWrites
from nervenet.streams.script import packaged_scripts
from tests.support.data_plane import OWNER, DataPlane

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
    start = (await store.head(workflow_id)).start_id.decode()
    before = f"{int(start.partition('-')[0]) - 1}-1"
    recent.recorded(workflow_id, 1, "task:mine", b"mine", start)
    recent.recorded(workflow_id, 1, "task:former", b"of a task that was sent before it began", before)
    await recent.redis_came_back(OLD, NEW)
    assert await store.names(workflow_id) == ["start", "task:mine"]
    assert recent.written_back == 1


async def test_an_outcome_waits_for_the_entry_after_which_its_task_was_sent(store: DataPlane) -> None:
    """Without that entry, code that is replayed would find an answer before it has asked. The owner is told to look."""
    await store.queues.make_wake(OWNER)
    recent = RecentWrites(store.journal, store.queues, SYSTEM)
    workflow_id = await store.start()
    first = await store.journal.append(workflow_id, 1, "task:first", b"first")
    one = OutcomeOfTask(workflow_id, 1, "task:second", b"second", first.id.decode())
    assert (await recent.append(one._replace(after_entry_id="9999999999999-2"))).status == "gap"
    assert await store.names(workflow_id) == ["start", "task:first"]
    (wake,) = parse_wakes(await store.link.call(*store.queues.read_wakes(OWNER, "0", 10, 1)))
    assert isinstance(wake, Wake) and (wake.workflow_id, wake.name) == (workflow_id, LOOK)
    assert (await recent.append(one)).status == "new"


@pytest.mark.parametrize(
    "after",
    ["", "no id", "1-x", "9" * 20 + "-1", "١-١"],
    ids=["an older release", "damaged", "a damaged number", "too large", "other digits"],
)
async def test_an_outcome_that_does_not_say_when_it_was_sent_is_recorded(store: DataPlane, after: str) -> None:
    workflow_id = await store.start()
    recent = RecentWrites(store.journal, store.queues, SYSTEM)
    assert (await recent.append(OutcomeOfTask(workflow_id, 1, "task:one", b"one", after))).status == "new"


async def test_a_redis_without_the_run_of_the_outcome_gets_it_later(store: DataPlane) -> None:
    recent = RecentWrites(store.journal, store.queues, SYSTEM)
    workflow_id = await store.start()
    start = (await store.head(workflow_id)).start_id.decode()
    assert (await recent.append(OutcomeOfTask(workflow_id, 2, "task:one", b"one", start))).status == "gap"
    assert (await recent.append(OutcomeOfTask("gone", 1, "task:one", b"one", start))).status == "unknown"
    assert await store.names(workflow_id) == ["start"]
