# SPDX-License-Identifier: Apache-2.0
"""Who owns a workflow, and how it ends: adopt, hand over, close, and what is left when the retention is over."""

from __future__ import annotations

import asyncio

from nervenet.records import State
from tests.support.data_plane import FIRST, OTHER, OWNER, DataPlane

THIRD = "n-cccccccc"


async def test_adopting_brings_head_claims_and_entries_in_one_answer(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.append(workflow, 1, "task:ocr", b"text")
    await store.journal.claim(workflow, 1, "classify", 1, FIRST)
    adopted = await store.journal.adopt(workflow, OTHER, OWNER)
    assert adopted.status == "adopted"
    assert adopted.head is not None
    assert (adopted.head.owner, adopted.head.definition, adopted.head.runtime) == (OTHER, "review", "3.11")
    assert {step: claim.agent_id for step, claim in adopted.claims.items()} == {"classify": FIRST}
    assert [(entry.n, entry.name, entry.data) for entry in adopted.entries] == [
        (1, "start", b"start"),
        (2, "task:ocr", b"text"),
    ]
    assert adopted.complete


async def test_of_two_adopters_one_wins_and_the_other_is_refused(store: DataPlane) -> None:
    workflow = await store.start()
    both = await asyncio.gather(*(store.journal.adopt(workflow, node, OWNER) for node in (OTHER, THIRD)))
    assert sorted(adopted.status for adopted in both) == ["adopted", "refused"]
    loser = next(adopted for adopted in both if adopted.status == "refused")
    assert loser.entries == []
    assert loser.head is not None
    assert loser.head.owner == (await store.head(workflow)).owner


async def test_finding_oneself_as_owner_is_success_because_the_reply_was_lost(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.adopt(workflow, OTHER, OWNER)
    again = await store.journal.adopt(workflow, OTHER, OWNER)
    assert (again.status, len(again.entries)) == ("mine", 1)
    assert (await store.ownership.move(workflow, OTHER, OWNER)).status == "mine"


async def test_long_journals_come_in_pages_none_missing(store: DataPlane) -> None:
    workflow = await store.start()
    await asyncio.gather(*(store.journal.append(workflow, 1, f"signal:s{i}", b"x") for i in range(250)))
    adopted = await store.journal.adopt(workflow, OTHER, OWNER)
    assert (len(adopted.entries), adopted.complete) == (100, False)
    rest = await store.journal.read(workflow, adopted.entries[-1].id)
    assert [entry.n for entry in adopted.entries + rest] == list(range(1, 252))


async def test_large_entries_make_short_pages_but_never_empty_ones(store: DataPlane) -> None:
    workflow = await store.start()
    for i in range(4):
        await store.journal.append(workflow, 1, f"signal:s{i}", b"x" * 200_000)
    adopted = await store.journal.adopt(workflow, OTHER, OWNER)
    assert [entry.n for entry in adopted.entries] == [1, 2]
    assert not adopted.complete


async def test_adoptions_that_no_entry_followed_are_counted(store: DataPlane) -> None:
    workflow, owner = await store.start(), OWNER
    counts = []
    for i in range(3):
        heir = f"n-heir{i}"
        adopted = await store.journal.adopt(workflow, heir, owner)
        assert adopted.head is not None
        counts.append(adopted.head.adoptions)
        owner = heir
    assert counts == [1, 2, 3]
    await store.journal.append(workflow, 1, "signal:s", b"it lives")
    adopted = await store.journal.adopt(workflow, OTHER, owner)
    assert adopted.head is not None
    assert adopted.head.adoptions == 1


async def test_a_node_that_takes_its_workflow_back_lives_and_counts_for_no_death(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.adopt(workflow, OTHER, OWNER)
    back = await store.journal.adopt(workflow, OWNER, OTHER)
    assert back.head is not None
    assert back.head.adoptions == 1
    after = await store.journal.adopt(workflow, THIRD, OWNER)
    assert after.head is not None
    assert after.head.adoptions == 2


async def test_a_hand_over_is_no_adoption_and_the_target_loads_it(store: DataPlane) -> None:
    workflow = await store.start()
    assert await store.ownership.move(workflow, OTHER, OWNER) == ("moved", OTHER)
    assert await store.ownership.move(workflow, THIRD, OWNER) == ("refused", OTHER)
    loaded = await store.journal.adopt(workflow, OTHER, OTHER)
    assert loaded.status == "mine"
    assert loaded.head is not None
    assert loaded.head.adoptions == 0


async def test_an_outcome_and_an_adoption_race_and_neither_order_loses_the_outcome(store: DataPlane) -> None:
    for _ in range(20):
        workflow = await store.start()
        appended, adopted = await asyncio.gather(
            store.journal.append(workflow, 1, "task:classify", b"x"), store.journal.adopt(workflow, OTHER, OWNER)
        )
        seen = any(entry.name == "task:classify" for entry in adopted.entries)
        assert seen or appended.owner == OTHER


async def test_a_close_writes_entry_state_and_retention_in_one(store: DataPlane) -> None:
    workflow, journal = await store.start(), store.journal
    await journal.claim(workflow, 1, "classify", 1, FIRST)
    await journal.renew(workflow, 1, "classify", 1, FIRST, checkpoint=b"x")
    await journal.set_head(workflow, 1, OWNER, view=b"x")
    closed = await journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 100_000)
    assert (closed.status, closed.owner, closed.state) == ("new", OWNER, State.SUCCEEDED)
    head = await store.head(workflow)
    assert (head.closed, head.state, head.last) == (True, State.SUCCEEDED, closed.id)
    last = (await journal.read(workflow))[-1]
    assert (last.id, last.name, last.data) == (closed.id, "close", b"end")
    assert head.size == len(b"start") + len(b"end")
    keys = store.keys
    left = [await store.link.call("PTTL", key(workflow)) for key in (keys.head, keys.journal, keys.view)]
    assert all(85_000 < ttl <= 110_000 for ttl in left)
    assert await store.link.call("EXISTS", keys.checkpoints(workflow)) == 0
    again = await journal.close(workflow, 1, OWNER, b"end", State.FAILED, 100_000)
    assert (again.status, again.id, again.state) == ("closed", closed.id, State.SUCCEEDED)


async def test_retention_is_spread_so_that_a_batch_does_not_expire_at_once(store: DataPlane) -> None:
    workflows = [await store.start() for _ in range(40)]
    for workflow in workflows:
        await store.journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 1_000_000)
    left = [await store.link.call("PTTL", store.keys.head(workflow)) for workflow in workflows]
    assert all(890_000 < ttl <= 1_100_000 for ttl in left)
    assert max(left) - min(left) > 20_000


async def test_everything_of_a_workflow_expires_in_the_same_moment(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 30)
    async with asyncio.timeout(5):
        while await store.journal.head(workflow) is not None:
            pass
    assert await store.journal.read(workflow) == []
    assert (await store.journal.append(workflow, 1, "task:classify", b"x")).status == "unknown"
    assert (await store.create(workflow)).status == "created", "the id may be used again"


async def test_after_the_close_everything_is_refused_and_says_closed(store: DataPlane) -> None:
    workflow, journal = await store.start(), store.journal
    before_close = await journal.append(workflow, 1, "signal:early", b"x")
    await journal.close(workflow, 1, OWNER, b"end", State.FAILED, 60_000)
    before = await store.snapshot()
    late = await journal.append(workflow, 1, "task:classify", b"late")
    assert (late.status, late.recorded, late.state) == ("closed", False, State.FAILED)
    assert (await journal.append(workflow, 1, "timer:1", b"x", owner=OWNER)).status == "closed"
    again = await journal.append(workflow, 1, "signal:early", b"x")
    assert (again.status, again.id) == ("closed", before_close.id), "it did get in: not lost, only late"
    assert await journal.set_head(workflow, 1, OWNER, at="x") == "closed"
    adopted = await journal.adopt(workflow, OTHER, OWNER)
    assert (adopted.status, adopted.entries) == ("closed", [])
    assert adopted.head is not None
    assert adopted.head.closed_ms > 0
    assert (await store.ownership.move(workflow, OTHER, OWNER)).status == "closed"
    assert not await journal.watch(workflow, 1_000)
    assert await store.snapshot() == before
