# SPDX-License-Identifier: Apache-2.0
"""Every script touches one slot only: a server in cluster mode (alone, with all slots) would refuse it otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import Any, cast

import pytest
from redis.asyncio import Connection

from nervenet.dev.servers import ServerFailed, free_port, valkey
from nervenet.records import State
from nervenet.streams.link import Link
from nervenet.streams.ownership import Closed
from nervenet.streams.queues import News
from nervenet.streams.script import Script, packaged_scripts
from tests.streams.store import FIRST, OTHER, OWNER, Store


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


class PlainLink:
    """As much of a Link as the parts need, one command at a time: the real one does not talk to clusters yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self.called: set[str] = set()

    async def call(self, *words: bytes | str | float) -> Any:
        if words[0] == "EVALSHA":
            self.called.add(str(words[1]))
        async with self._turn:
            await self._connection.send_command(*words)
            return await self._connection.read_response()

    def send(self, *words: bytes | str | float) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self.call(*words))

    def script(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Any] = ()) -> Awaitable[Any]:
        return self.call("EVALSHA", script.sha, len(keys), *keys, *args)


@pytest.fixture
async def clustered(cluster_url: str, namespace: str) -> AsyncIterator[Store]:
    connection = Connection(host="127.0.0.1", port=int(cluster_url.rpartition(":")[2]))
    link = PlainLink(connection)
    if b"cluster_slots_assigned:0" in await link.call("CLUSTER", "INFO"):
        await link.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    async with asyncio.timeout(20):
        while b"cluster_state:ok" not in await link.call("CLUSTER", "INFO"):
            await asyncio.sleep(0.02)
    for script in packaged_scripts():
        await link.call("SCRIPT", "LOAD", script.source)
    yield Store(cast("Link", link), namespace)
    await connection.disconnect()


async def test_the_life_of_a_workflow_crosses_no_slot(clustered: Store) -> None:
    store, journal = clustered, clustered.journal
    workflow, inbox = await store.start("team/review:7"), store.keys.inbox(FIRST)
    await store.queues.make_inbox(FIRST)
    await store.queues.make_wake(OWNER)
    sent = await store.queues.send_inbox(FIRST, b"task")
    assert sent is not None
    assert (await store.groups.place(inbox, sent)).kind == "unread"
    assert (await journal.claim(workflow, 1, "classify", 1, FIRST)).status == "run"
    assert await journal.renew(workflow, 1, "classify", 1, FIRST, checkpoint=b"half")
    assert await journal.watch(workflow, 60_000)
    appended = await journal.append(workflow, 1, "task:classify", b"x")
    assert await store.queues.complete(News(OWNER, workflow, 1, appended.id, "task:classify", b"x"), inbox, sent)
    assert await store.groups.trim(inbox) == 0
    assert await store.groups.drop_consumer(inbox, FIRST)
    await journal.append(workflow, 1, "escalated:ask#1", b"?", owner=OWNER)
    assert (await journal.decide(workflow, 1, "ask", 1, b"yes", outcome=b"y", cancel=b"z")).status == "new"
    assert await journal.set_head(workflow, 1, OWNER, at="end", view=b"v") == "new"
    assert (await store.ownership.move(workflow, OTHER, OWNER)).status == "moved"
    assert (await journal.adopt(workflow, OWNER, OTHER)).status == "adopted"
    assert len(await journal.read(workflow)) == 6
    renewed = await journal.begin_next(workflow, 1, OWNER, OWNER, b"again", "0-0", (), {"definition": "review"})
    assert renewed.status == "new"
    assert (await journal.close(workflow, 2, OWNER, b"end", State.SUCCEEDED, 60_000)).status == "new"
    head = await store.head(workflow)
    await store.ownership.finish([Closed(workflow, OWNER, head.created_ms, head.closed_ms)], 60_000)
    assert not await store.ownership.running_remove(workflow, head.created_ms)
    called = cast("PlainLink", store.link).called
    assert called == {script.sha for script in packaged_scripts()}, "a script that this story forgot"
