# SPDX-License-Identifier: Apache-2.0
"""A full Redis refuses whole scripts: what was refused left no trace, and works once there is room again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nervenet.dev.servers import valkey
from nervenet.records import State
from nervenet.redis_link.faults import RedisRefused
from nervenet.redis_link.opening import open_link
from nervenet.streams.answers import NewWorkflow
from nervenet.streams.ownership import ClosedWorkflow
from nervenet.streams.script import packaged_scripts
from tests.support.data_plane import FIRST, OTHER, OWNER, REQ, SECOND, DataPlane


@pytest.fixture(scope="module")
def small_redis() -> AsyncIterator[str]:  # type: ignore[misc]
    with valkey() as server:
        yield server.url


@pytest.fixture
async def small(small_redis: str, namespace: str) -> AsyncIterator[DataPlane]:
    link = await open_link(small_redis, scripts=packaged_scripts())
    yield DataPlane(link, namespace)
    await link.call("CONFIG", "SET", "maxmemory", 0)
    await link.close()


WRITES: dict[str, Callable[[DataPlane, str], Awaitable[object]]] = {
    "running_add": lambda s, w: s.ownership.running_add("another"),
    "workflow_create": lambda s, w: s.create("another"),
    "start in one step": lambda s, w: s.journal.start_nowait(
        NewWorkflow("another", OWNER, "review", 1, "3.11", REQ, b"x", 1, 1 << 50)
    ),
    "journal_append": lambda s, w: s.journal.append(w, 1, "task:classify", b"x"),
    "task_complete": lambda s, w: s.journal.complete_nowait(w, 1, "task:classify", b"x", OWNER),
    "owner's entry": lambda s, w: s.journal.append(w, 1, "timer:1", b"x", owner=OWNER),
    "decision_append": lambda s, w: s.journal.decide(w, 1, "ask", 1, b"x", outcome=b"y", cancel=b"z"),
    "task_claim": lambda s, w: s.journal.claim(w, 1, "classify", 2, SECOND),
    "claims_renew": lambda s, w: s.journal.renew(w, 1, "classify", 1, FIRST, checkpoint=b"more"),
    "workflow_adopt": lambda s, w: s.journal.adopt(w, OTHER, OWNER),
    "owner_move": lambda s, w: s.ownership.move(w, OTHER, OWNER),
    "workflow_close": lambda s, w: s.journal.close(w, 1, OWNER, b"x", State.FAILED, 60_000),
    "workflow_renew": lambda s, w: s.journal.begin_next(w, 1, OWNER, OWNER, b"x", "0-0", (), {"version": 2}),
    "head_set": lambda s, w: s.journal.set_head(w, 1, OWNER, at="x", view=b"y"),
    "head_watch": lambda s, w: s.journal.watch(w, 60_000),
    "closed_add": lambda s, w: s.ownership.finish([ClosedWorkflow(w, OWNER, 1, 2)], 60_000),
}


@pytest.mark.parametrize("write", WRITES)
async def test_a_refused_script_wrote_nothing_at_all(small: DataPlane, write: str) -> None:
    workflow = await small.start()
    await small.journal.claim(workflow, 1, "classify", 1, FIRST)
    await small.journal.renew(workflow, 1, "classify", 1, FIRST, checkpoint=b"half")
    await small.journal.append(workflow, 1, "escalated:ask#1", b"?", owner=OWNER)
    before = await small.snapshot()
    await small.link.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(RedisRefused, match="maxmemory"):
        await WRITES[write](small, workflow)
    after = await small.snapshot()
    if (
        write == "closed_add"
    ):  # a removal stood beside it, of an index that the sweep rebuilds; `running` still has the id
        for snapshot in (before, after):
            snapshot.pop(small.keys.owned(OWNER), None)
    assert after == before
    await small.link.call("CONFIG", "SET", "maxmemory", 0)
    await WRITES[write](small, workflow)


async def test_a_duplicate_is_still_told_so_by_a_full_redis(small: DataPlane) -> None:
    workflow = await small.start()
    await small.journal.append(workflow, 1, "task:classify", b"x")
    await small.link.call("CONFIG", "SET", "maxmemory", 1)
    assert (await small.journal.append(workflow, 1, "task:classify", b"x")).status == "exists"
    assert (await small.journal.claim(workflow, 1, "classify", 1, FIRST)).status == "done"
    assert len(await small.journal.read(workflow)) == 2
