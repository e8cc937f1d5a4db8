# SPDX-License-Identifier: Apache-2.0
"""The index of open workflows: what a crash between two steps leaves behind, and the sweep can put right."""

from __future__ import annotations

import asyncio

import pytest

from nervenet.records import State
from nervenet.streams.answers import Created, NewWorkflow
from nervenet.streams.keys import escalation_id, parse_escalation_id
from nervenet.streams.listing import Listed
from nervenet.streams.ownership import ClosedWorkflow, day_of
from tests.support.data_plane import OTHER, OWNER, REQ, DataPlane


async def owned(store: DataPlane, node: str) -> set[str]:
    return {workflow async for page in store.ownership.owned(node) for workflow in page}


async def test_the_score_in_running_is_the_time_of_the_start(store: DataPlane) -> None:
    before = await store.journal.now_ms()
    score = await store.ownership.running_add("review-7")
    assert before <= score <= await store.journal.now_ms()
    assert await store.listing.running() == [Listed(score, "review-7")]


async def test_the_sweep_does_not_remove_an_id_that_somebody_begins_to_start_again(store: DataPlane) -> None:
    """P2 of the model: the removal wants the score that was read before the head was looked for."""
    old = await store.ownership.running_add("review-7")
    await store.clock_moves()
    new = await store.ownership.running_add("review-7")
    assert not await store.ownership.running_remove("review-7", old)
    assert await store.ownership.running_remove("review-7", new)
    assert not await store.ownership.running_remove("review-7", new)


async def test_a_second_start_gives_the_start_time_back(store: DataPlane) -> None:
    workflow = await store.start("review-7")
    created = (await store.head(workflow)).created_ms
    await store.clock_moves()
    assert (await store.create(workflow)).status == "exists"
    await store.ownership.running_keep(workflow, created)
    assert await store.listing.running() == [Listed(created, workflow)]
    await store.ownership.running_keep("never-started", created)
    assert len(await store.listing.running()) == 1


async def test_a_start_in_one_step_leaves_what_three_steps_leave(store: DataPlane) -> None:
    now = await store.journal.now_ms()
    new = NewWorkflow("review-7", OWNER, "review", 1, "3.11", REQ, b"start", now, now + 5_000, '{"a":"b"}')
    created = Created.parse(await store.journal.start_nowait(new))
    await store.start("review-8", entry=b"start")
    listed = {one.member: one.score for one in await store.listing.running()}
    assert (created.status, await owned(store, OWNER)) == ("created", {"review-7", "review-8"})
    assert listed["review-7"] == int(created.id.partition(b"-")[0])
    one, three = [await store.link.call("HKEYS", store.keys.head(workflow)) for workflow in ("review-7", "review-8")]
    assert one == three
    assert await store.names("review-7") == await store.names("review-8")


async def test_a_start_in_one_step_of_a_workflow_that_exists_changes_nothing(store: DataPlane) -> None:
    workflow = await store.start()
    before, now = await store.snapshot(), await store.journal.now_ms()
    new = NewWorkflow(workflow, OTHER, "review", 1, "3.11", REQ, b"another", now, now + 5_000)
    again = Created.parse(await store.journal.start_nowait(new))
    assert again.head is not None
    assert (again.status, again.head.owner, await store.snapshot()) == ("exists", OWNER, before)


async def test_a_start_in_one_step_that_comes_too_late_changes_nothing(store: DataPlane) -> None:
    before, now = await store.snapshot(), await store.journal.now_ms()
    new = NewWorkflow("review-7", OWNER, "review", 1, "3.11", REQ, b"start", now, now - 1)
    assert Created.parse(await store.journal.start_nowait(new)).status == "expired"
    assert await store.snapshot() == before


async def test_owned_sets_are_read_in_pages_and_asked_in_batches(store: DataPlane) -> None:
    ids = [f"review-{i}" for i in range(1_200)]
    await store.ownership.own(OWNER, *ids)
    assert await owned(store, OWNER) == set(ids)
    assert await store.ownership.owns(OWNER, ["review-3", "nobody", "review-1199"]) == [True, False, True]
    assert await store.ownership.owns(OWNER, []) == []
    await store.ownership.disown(OWNER, *ids[:1_100])
    assert await owned(store, OWNER) == set(ids[1_100:])
    assert await owned(store, "n-nobody") == set()


async def test_finishing_moves_a_closed_workflow_from_running_to_its_day(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 86_400_000)
    head = await store.head(workflow)
    for _ in range(2):  # the sweep of another node does the same again
        await store.ownership.finish(
            [ClosedWorkflow(workflow, head.owner, head.created_ms, head.closed_ms)], 86_400_000
        )
    assert await store.listing.running() == []
    assert await owned(store, OWNER) == set()
    day = day_of(head.closed_ms)
    assert await store.listing.closed(day) == [Listed(head.created_ms, workflow)]
    assert [store.keys.tag(key) async for page in store.link.scan(store.keys.every("closed")) for key in page] == [day]


async def test_the_books_of_an_end_leave_the_next_run_among_the_running(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 86_400_000)
    head = await store.head(workflow)
    (listed,) = await store.listing.running()
    ended = ClosedWorkflow(workflow, head.owner, head.created_ms, head.closed_ms, int(listed.score))
    await store.journal.begin_next(workflow, 1, "", OWNER, b"again", head.last.decode(), (), {"version": 1})
    await store.ownership.reopen(workflow, head.closed_ms)
    await store.ownership.finish([ended], 86_400_000)
    assert [row.member for row in await store.listing.running()] == [workflow]


async def test_what_a_second_start_moved_to_a_later_time_is_found_closed_by_its_score(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 86_400_000)
    head = await store.head(workflow)
    await store.link.call("ZADD", store.keys.running, head.closed_ms + 7, workflow)
    closed = ClosedWorkflow(workflow, head.owner, head.created_ms, head.closed_ms)
    await store.ownership.finish([closed], 86_400_000)
    assert [row.member for row in await store.listing.running()] == [workflow]
    await store.ownership.finish([closed._replace(score=head.closed_ms + 7)], 86_400_000)
    assert await store.listing.running() == []


async def test_a_day_lives_as_long_as_the_longest_retention_in_it(store: DataPlane) -> None:
    day = store.keys.closed("2026-11-24")
    noon = 1_795_521_600_000
    await store.ownership.finish([ClosedWorkflow("long", OWNER, noon, noon)], 86_400_000)
    long = await store.link.call("PTTL", day)
    await store.ownership.finish([ClosedWorkflow("short", OWNER, noon, noon)], 1_000)
    assert long >= await store.link.call("PTTL", day) > long - 5_000
    await store.ownership.finish([ClosedWorkflow("longer", OWNER, noon, noon)], 2 * 86_400_000)
    assert await store.link.call("PTTL", day) > long


@pytest.mark.parametrize("newest", [False, True])
async def test_pages_lose_and_repeat_none_even_where_many_began_in_one_millisecond(
    store: DataPlane, newest: bool
) -> None:
    rows = [(1_000 + i // 40, f"review-{i:03}") for i in range(130)]
    await asyncio.gather(*(store.link.call("ZADD", store.keys.running, score, name) for score, name in rows))
    seen: list[Listed] = []
    while page := await store.listing.running(seen[-1] if seen else None, 17, newest=newest):
        assert len(page) <= 17
        seen += page
    assert seen == sorted((Listed(*row) for row in rows), reverse=newest)


async def test_a_page_goes_on_where_it_was_when_rows_come_and_go(store: DataPlane) -> None:
    for i in range(10):
        await store.link.call("ZADD", store.keys.running, i, f"w{i}")
    page = await store.listing.running(count=5)
    await store.link.call("ZREM", store.keys.running, "w0", "w4", "w5")
    assert [row.member for row in await store.listing.running(page[-1], 2)] == ["w6", "w7"]


async def test_escalations_stand_by_deadline_and_those_without_one_come_last(store: DataPlane) -> None:
    listing = store.listing
    await listing.escalation_set("task/9f", "ask", 1, None)
    await listing.escalation_set("review-7", "ask.2", 1, 2_000)
    await listing.escalation_set("review-8", "classify", 3, 1_000)
    rows = await listing.escalations()
    assert [parse_escalation_id(row.member).workflow_id for row in rows] == ["review-8", "review-7", "task/9f"]
    assert [row.member for row in await listing.escalations(rows[1])] == [escalation_id("task/9f", "ask", 1)]
    assert await listing.escalations(rows[2]) == []
    await listing.escalation_clear("review-8", "classify", 3)
    assert len(await listing.escalations()) == 2


async def test_an_owner_that_does_not_know_of_its_workflow_is_visible(store: DataPlane) -> None:
    """P1 of the model: owner alive, id not in its set. One question per owner and page shows it."""
    workflow = await store.start()
    await store.ownership.disown(OWNER, workflow)  # as its own sweep does between SADD and create
    (row,) = await store.listing.running()
    head = await store.journal.head(row.member, ["owner"])
    assert head is not None
    assert await store.ownership.owns(head.owner, [row.member]) == [False]
    await store.ownership.own(head.owner, row.member)
    assert (await store.journal.adopt(workflow, OWNER, OWNER)).status == "mine"
    assert await owned(store, OTHER) == set()
