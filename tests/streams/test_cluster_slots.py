# SPDX-License-Identifier: Apache-2.0
"""Every script touches one slot only: a server in cluster mode (alone, with all slots) would refuse it otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Connection

from nervenet.dev.servers import ServerFailed, free_port, valkey
from nervenet.records import State
from nervenet.redis_link.cluster import ClusterLink
from nervenet.redis_link.opening import open_link
from nervenet.streams.archive import ArchiveList
from nervenet.streams.ownership import ClosedWorkflow
from nervenet.streams.queues import OutgoingWake
from nervenet.streams.script import packaged_scripts
from tests.support.data_plane import FIRST, OTHER, OWNER, DataPlane

NOT_IN_A_CLUSTER = {"task_complete"}
"""A workflow and the wake of its owner are in two slots."""


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    server = valkey(options={"cluster-enabled": "yes", "cluster-port": str(free_port())})
    try:
        server.start()
    except ServerFailed as error:
        if "cluster-port" not in str(error):
            raise
        pytest.skip("Redis 7 is the first that may choose the port of its cluster bus")
    yield server.url
    server.stop()


@pytest.fixture
async def clustered(cluster_url: str, namespace: str) -> AsyncIterator[DataPlane]:
    connection = Connection(host="127.0.0.1", port=int(cluster_url.rpartition(":")[2]))

    async def call(*words: bytes | str | float) -> Any:
        await connection.send_command(*words)
        return await connection.read_response()

    if b"cluster_slots_assigned:0" in await call("CLUSTER", "INFO"):
        await call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    await connection.disconnect()
    link = await open_link(cluster_url, wait=20, scripts=packaged_scripts())
    yield DataPlane(link, namespace)
    await link.close()


async def test_the_life_of_a_workflow_crosses_no_slot(clustered: DataPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    store, journal = clustered, clustered.journal
    called, call = set(), store.link.call

    def noted(*words: Any) -> Any:
        if words[0] == "EVALSHA":
            called.add(words[1])
        return call(*words)

    monkeypatch.setattr(store.link, "call", noted)
    workflow, inbox = await store.start("team/review:7"), store.keys.inbox(FIRST)
    await store.queues.make_inbox(FIRST)
    await store.queues.make_wake(OWNER)
    sent = await store.queues.send_inbox(FIRST, b"task")
    assert sent is not None
    assert (await store.groups.place(inbox, sent)).kind == "unread"
    assert (await journal.claim(workflow, 1, "classify", 1, FIRST)).status == "run"
    assert await journal.renew(workflow, 1, "classify", 1, FIRST, checkpoint=b"half")
    assert await journal.watch(workflow, 60_000)
    hint = next(script.sha for script in packaged_scripts() if script.name == "progress_hint")
    assert await store.link.call("EVALSHA", hint, 1, store.keys.head(workflow)) == 1, "nobody was told of news"
    appended = await journal.append(workflow, 1, "task:classify", b"x")
    assert await store.queues.complete(
        OutgoingWake(OWNER, workflow, 1, appended.id, "task:classify", b"x"), inbox, sent
    )
    assert await store.groups.trim(inbox) == 0
    assert await store.groups.drop_consumer(inbox, FIRST)
    await journal.append(workflow, 1, "escalated:ask#1", b"?", owner=OWNER)
    assert (await journal.decide(workflow, 1, "ask", 1, b"yes", outcome=b"y", cancel=b"z")).status == "new"
    assert await journal.set_head(workflow, 1, OWNER, at="end", view=b"v") == "new"
    assert (await store.ownership.move(workflow, OTHER, OWNER)).status == "moved"
    assert (await journal.adopt(workflow, OWNER, OTHER)).status == "adopted"
    entries = await journal.read(workflow)
    assert len(entries) == 6
    await journal.restore(workflow, 1, OWNER, entries, None)
    renewed = await journal.begin_next(workflow, 1, OWNER, OWNER, b"again", "0-0", (), {"definition": "review"})
    assert renewed.status == "new"
    assert (await journal.close(workflow, 2, OWNER, b"end", State.SUCCEEDED, 60_000, hold_ms=60_000)).status == "new"
    head = await store.head(workflow)
    closed = ClosedWorkflow(workflow, OWNER, head.created_ms, head.closed_ms, 0, 2)
    await store.ownership.finish([closed], 60_000, 60_000)
    archive = ArchiveList(store.link, store.keys)
    batch = await archive.take("b-one", most=9, full=1, linger_ms=0, hold_ms=60_000)
    assert batch is not None
    assert (await archive.read(batch.runs[0])).status == "closed"
    assert await archive.seal(batch, batch.runs)
    assert await archive.mark(batch.runs) == 1
    await archive.done(batch)
    assert await archive.backlog() == (0, 0)
    assert not await store.ownership.running_remove(workflow, head.created_ms)
    scripts = {script.sha for script in packaged_scripts() if script.name not in NOT_IN_A_CLUSTER}
    assert called == scripts, "a script that this story forgot"


async def test_the_view_of_the_cluster_is_taken_again_after_whatever_went_wrong(
    clustered: DataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = clustered.link
    assert isinstance(link, ClusterLink)
    learn, taken = ClusterLink._learn, asyncio.Event()
    errors: list[Exception] = [ValueError("an answer that no version of ours gives")]

    async def fails(self: ClusterLink) -> None:
        if errors:
            raise errors.pop()
        await learn(self)
        taken.set()

    monkeypatch.setattr(ClusterLink, "_learn", fails)
    link.refresh()
    await asyncio.wait_for(taken.wait(), 10)
    assert not errors
