# SPDX-License-Identifier: Apache-2.0
"""The script that writes a journal back, on a Redis whose tail (or all of it) was taken away by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nervenet.records import State
from nervenet.redis_link.connection import Arg
from nervenet.redis_link.faults import RedisRefused
from nervenet.redis_link.opening import open_link
from nervenet.streams.answers import RawEntry, Restored
from nervenet.streams.script import packaged_scripts
from tests.support.data_plane import OTHER, OWNER, REQ, DataPlane

HEAD: dict[str, Arg] = {"definition": "review", "version": 1, "python": "3.11", "req": REQ, "created": 1}


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[DataPlane]:
    link = await open_link(redis_url, name=namespace, scripts=packaged_scripts())
    yield DataPlane(link, namespace)
    await link.close()


async def written(store: DataPlane, *names: str) -> tuple[str, list[RawEntry]]:
    """A workflow with these entries behind its start, and what its owner remembers of it."""
    workflow_id = await store.start()
    for name in names:
        assert (await store.journal.append(workflow_id, 1, name, name.encode())).status == "new"
    return workflow_id, await store.journal.read(workflow_id)


def restore(store: DataPlane, workflow_id: str, entries: list[RawEntry], **more: object) -> object:
    return store.journal.restore(workflow_id, 1, OWNER, entries, HEAD if entries[0].n == 1 else None, **more)  # type: ignore[arg-type]


async def restored(store: DataPlane, workflow_id: str, entries: list[RawEntry], **more: object) -> Restored:
    found = await restore(store, workflow_id, entries, **more)  # type: ignore[misc]
    assert isinstance(found, Restored)
    return found


async def test_a_whole_journal_is_left_as_it_is(store: DataPlane) -> None:
    workflow_id, remembered = await written(store, "task:a", "task:b")
    before = await store.snapshot()
    assert (await restored(store, workflow_id, remembered)).status == "whole"
    assert (await restored(store, workflow_id, remembered[:2])).status == "whole", "it may be longer than what I know"
    assert await store.snapshot() == before


@pytest.mark.parametrize("left", [1, 2, 3])
async def test_a_lost_tail_comes_back_under_its_own_ids(store: DataPlane, left: int) -> None:
    workflow_id, remembered = await written(store, "task:a", "signal:s", "task:b")
    size = (await store.head(workflow_id)).size
    await store.lose(workflow_id, left)
    found = await restored(store, workflow_id, remembered[left - 1 :] if left > 1 else remembered)
    assert (found.status, found.written, found.moved) == ("restored", 4 - left, 0)
    assert await store.journal.read(workflow_id) == remembered
    head = await store.head(workflow_id)
    assert (head.last, head.size, head.owner) == (remembered[-1].id, size, OWNER)
    assert (await store.journal.append(workflow_id, 1, "task:b", b"x")).status == "exists"
    assert (await restored(store, workflow_id, remembered)).status == "whole", "twice is a no-op"


async def test_what_others_appended_meanwhile_goes_behind_what_was_lost(store: DataPlane) -> None:
    workflow_id, remembered = await written(store, "task:a", "decided:ask#1", "task:b")
    await store.lose(workflow_id, 1)
    for name in ("task:c", "decided:ask#1", "attempt:b#1", "signal:s"):
        await store.journal.append(workflow_id, 1, name, b"later")
    found = await restored(store, workflow_id, remembered)
    assert (found.status, found.written, found.moved) == ("restored", 3, 2)
    assert (await store.journal.read(workflow_id))[:4] == remembered
    names = await store.names(workflow_id)
    assert names == ["start", "task:a", "decided:ask#1", "task:b", "task:c", "signal:s"], "the code's own order"
    head = await store.head(workflow_id)
    assert head.size == sum(len(entry.data) for entry in await store.journal.read(workflow_id))
    assert (await store.journal.append(workflow_id, 1, "attempt:b#1", b"x")).status == "exists", "its step is over"


async def test_a_lost_head_is_made_again_from_the_first_entry_only(store: DataPlane) -> None:
    workflow_id, remembered = await written(store, "task:a", "task:b")
    await store.lose(workflow_id, 0)
    assert (await restored(store, workflow_id, remembered[1:])).status == "unknown", "not enough is remembered"
    found = await restored(store, workflow_id, remembered)
    assert (found.status, found.written) == ("created", 3)
    assert await store.journal.read(workflow_id) == remembered
    head = await store.head(workflow_id)
    assert (head.run, head.state, head.owner, head.definition, head.request_hash) == (
        1,
        State.RUNNING,
        OWNER,
        "review",
        REQ,
    )
    assert (await store.create(workflow_id)).status == "exists"


async def test_a_gap_is_not_bridged(store: DataPlane) -> None:
    workflow_id, remembered = await written(store, "task:a", "task:b", "task:c")
    await store.lose(workflow_id, 1)
    assert (await restored(store, workflow_id, remembered[2:])).status == "gap"
    assert await store.names(workflow_id) == ["start"]


async def test_who_owns_it_no_more_adds_what_is_missing_and_changes_nothing_else(store: DataPlane) -> None:
    workflow_id, remembered = await written(store, "task:a", "task:b")
    await store.ownership.move(workflow_id, OTHER, OWNER)
    await store.lose(workflow_id, 2)
    found = await restored(store, workflow_id, remembered)
    assert (found.status, found.owner, found.written) == ("not_owner", OTHER, 1)
    assert await store.journal.read(workflow_id) == remembered

    await store.lose(workflow_id, 2)
    await store.journal.append(workflow_id, 1, "timer:1", b"", owner=OTHER)
    assert (await restored(store, workflow_id, remembered)).status == "not_owner"
    assert await store.names(workflow_id) == ["start", "task:a", "timer:1"], "the owner has gone on from there"
    found = await restored(store, workflow_id, remembered, taken_from=OTHER)
    assert (found.status, found.owner) == ("restored", OWNER), "unless it is dead and its adoption was lost"


async def test_a_lost_close_closes_it_again(store: DataPlane) -> None:
    workflow_id, _ = await written(store, "task:a")
    await store.journal.close(workflow_id, 1, OWNER, b"end", State.SUCCEEDED, 60_000)
    remembered = await store.journal.read(workflow_id)
    await store.lose(workflow_id, 1)
    found = await restored(store, workflow_id, remembered, closed=State.SUCCEEDED, retention_ms=60_000)
    assert (found.status, found.written) == ("restored", 2)
    head = await store.head(workflow_id)
    assert (head.state, head.closed_ms) == (State.SUCCEEDED, remembered[-1].ms)
    assert await store.link.call("PTTL", store.keys.head(workflow_id)) > 0
    assert (await restored(store, workflow_id, remembered)).status == "closed"


async def test_a_close_that_met_the_shortened_journal_stays_its_end(store: DataPlane) -> None:
    """An owner's retried close may come before anybody noticed that Redis has lost something."""
    workflow_id, remembered = await written(store, "task:a", "task:b")
    await store.lose(workflow_id, 2)
    await store.journal.append(workflow_id, 1, "signal:s", b"s")
    await store.journal.close(workflow_id, 1, OWNER, b"end", State.SUCCEEDED, 60_000)
    found = await restored(store, workflow_id, remembered)
    assert (found.status, found.written, found.moved) == ("closed", 1, 2)
    assert await store.names(workflow_id) == ["start", "task:a", "task:b", "signal:s", "close"]
    for key in store.keys.written(workflow_id)[:2]:
        assert await store.link.call("PTTL", key) > 0


async def test_the_next_run_takes_the_place_of_the_one_that_redis_still_has(store: DataPlane) -> None:
    workflow_id, _ = await written(store, "task:a")
    first = await store.journal.read(workflow_id)
    await store.journal.begin_next(workflow_id, 1, OWNER, OWNER, b"again", first[-1].id.decode(), (), {"version": 1})
    second = await store.journal.read(workflow_id)
    await store.lose(workflow_id, 0)
    await restored(store, workflow_id, first)
    await store.journal.append(workflow_id, 1, "signal:late", b"s")
    found = await store.journal.restore(workflow_id, 2, OWNER, second, HEAD)
    assert (found.status, found.written, found.moved) == ("created", 1, 1)
    assert [entry.name for entry in await store.journal.read(workflow_id)] == ["start", "signal:late"]
    assert (await store.head(workflow_id)).run == 2
    assert (await restored(store, workflow_id, first)).status == "stale"


async def test_the_next_run_counts_whoever_had_the_one_before(store: DataPlane) -> None:
    """A closed workflow was begun again at another node, and Redis has lost that."""
    workflow_id = await store.start(owner=OTHER)
    await store.journal.close(workflow_id, 1, OTHER, b"end", State.SUCCEEDED, 60_000)
    first = await store.journal.read(workflow_id)
    await store.journal.begin_next(workflow_id, 1, "", OWNER, b"again", first[-1].id.decode(), (), {"version": 1})
    second = await store.journal.read(workflow_id)
    await store.lose(workflow_id, 0)
    await store.journal.restore(workflow_id, 1, OTHER, first, HEAD, closed=State.SUCCEEDED, retention_ms=60_000)
    found = await store.journal.restore(workflow_id, 2, OWNER, second, HEAD)
    assert (found.status, found.owner) == ("created", OWNER)
    head = await store.head(workflow_id)
    assert (head.run, head.owner, head.closed) == (2, OWNER, False)


async def test_an_id_that_was_started_again_since_is_left_alone_by_an_end(store: DataPlane) -> None:
    """Redis has lost a closed workflow, and its id was given to another one before that could be written back."""
    workflow_id = await store.start(entry=b"the first life")
    await store.journal.close(workflow_id, 1, OWNER, b"end", State.SUCCEEDED, 60_000)
    remembered = await store.journal.read(workflow_id)
    await store.lose(workflow_id, 0)
    await store.start(workflow_id, entry=b"the second life")
    found = await restored(store, workflow_id, remembered, closed=State.SUCCEEDED, retention_ms=60_000)
    assert found.status == "gap"
    assert [entry.data for entry in await store.journal.read(workflow_id)] == [b"the second life"]

    await store.lose(workflow_id, 0)
    await store.start(workflow_id, entry=b"the first life")  # the same start, whose answer was lost
    found = await restored(store, workflow_id, remembered, closed=State.SUCCEEDED, retention_ms=60_000)
    assert found.status == "restored"
    assert await store.journal.read(workflow_id) == remembered


async def test_a_full_redis_refuses_all_of_it(store: DataPlane) -> None:
    workflow_id, remembered = await written(store, "task:a", "task:b")
    await store.lose(workflow_id, 1)
    before = await store.snapshot()
    await store.link.call("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(RedisRefused, match="OOM"):
            await restored(store, workflow_id, remembered)
    finally:
        await store.link.call("CONFIG", "SET", "maxmemory", "0")
    assert await store.snapshot() == before
    assert (await restored(store, workflow_id, remembered)).status == "restored"
