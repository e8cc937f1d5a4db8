# SPDX-License-Identifier: Apache-2.0
"""Claims: an agent asks before it works; who holds a step, for how long, and how it learns that it must stop."""

from __future__ import annotations

import asyncio

from nervenet.records import State
from nervenet.streams.answers import Appended, Claimed
from nervenet.streams.heads import Claim
from tests.support.data_plane import FIRST, OTHER, OWNER, SECOND, DataPlane


async def claim_of(store: DataPlane, workflow: str, step: str = "classify") -> Claim:
    look = await store.journal.look(workflow, [step])
    assert look is not None
    return look.claims[step]


async def test_the_first_agent_runs_and_a_second_one_is_busy(store: DataPlane) -> None:
    workflow = await store.start()
    assert await store.journal.claim(workflow, 1, "classify", 1, FIRST) == Claimed("run", OWNER, None)
    assert (await store.journal.claim(workflow, 1, "classify", 1, SECOND)).status == "busy"
    assert (await store.journal.claim(workflow, 1, "classify.2", 1, SECOND)).status == "run"


async def test_a_repeated_request_after_a_lost_reply_is_still_a_yes(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.claim(workflow, 1, "classify", 1, FIRST)
    since = (await claim_of(store, workflow)).since_ms
    await store.clock_moves()
    assert (await store.journal.claim(workflow, 1, "classify", 1, FIRST)).status == "run"
    assert (await claim_of(store, workflow)).since_ms == since, "the attempt began with the first request"


async def test_a_claim_that_ran_out_is_still_busy_because_the_owner_decides(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.claim(workflow, 1, "classify", 1, FIRST, ttl_ms=0)
    assert await store.clock_moves() > (await claim_of(store, workflow)).until_ms
    assert (await store.journal.claim(workflow, 1, "classify", 1, SECOND)).status == "busy"


async def test_a_higher_attempt_overrides_and_the_lower_one_is_stale(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.claim(workflow, 1, "classify", 1, FIRST)
    assert (await store.journal.claim(workflow, 1, "classify", 2, SECOND)).status == "run"
    assert (await claim_of(store, workflow)).agent_id == SECOND
    assert (await store.journal.claim(workflow, 1, "classify", 1, FIRST)).status == "stale"
    assert not await store.journal.renew(workflow, 1, "classify", 1, FIRST)
    assert (await store.journal.claim(workflow, 1, "classify", 10, FIRST)).status == "run", "10 is more than 2"


async def test_an_attempt_that_is_recorded_as_failed_is_stale_before_the_next_is_claimed(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.append(workflow, 1, "attempt:classify#1", b"AGENT_LOST", owner=OWNER)
    assert (await store.journal.claim(workflow, 1, "classify", 1, SECOND)).status == "stale"
    assert (await store.journal.claim(workflow, 1, "classify", 2, SECOND)).status == "run"


async def test_a_step_that_is_over_is_done_and_says_whom_to_wake(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.append(workflow, 1, "task:classify", b"x")
    await store.journal.adopt(workflow, OTHER, OWNER)
    assert await store.journal.claim(workflow, 1, "classify", 1, FIRST) == Claimed("done", OTHER, None)


async def test_a_closed_workflow_is_stale_and_a_cancelled_one_still_cleans_up(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.append(workflow, 1, "cancel", b"please")
    assert (await store.journal.claim(workflow, 1, "undo", 1, FIRST)).status == "run"
    await store.journal.close(workflow, 1, OWNER, b"end", State.CANCELED, 60_000)
    assert (await store.journal.claim(workflow, 1, "undo.2", 1, FIRST)).status == "stale"
    assert not await store.journal.renew(workflow, 1, "undo", 1, FIRST)


async def test_renewing_extends_and_tells_beat_and_fraction(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.claim(workflow, 1, "classify", 1, FIRST, ttl_ms=1_000)
    began = await claim_of(store, workflow)
    assert (began.beat_ms, began.fraction) == (began.since_ms, 0.0)
    await store.clock_moves()
    assert await store.journal.renew(workflow, 1, "classify", 1, FIRST, fraction=0.25)
    first = await claim_of(store, workflow)
    assert first.until_ms >= began.until_ms + 5_000
    assert first.beat_ms > began.beat_ms
    await store.clock_moves()
    assert await store.journal.renew(workflow, 1, "classify", 1, FIRST, beat=False)
    second = await claim_of(store, workflow)
    assert second.until_ms > first.until_ms
    assert (second.since_ms, second.beat_ms, second.fraction) == (began.since_ms, first.beat_ms, 0.25)


async def test_renewing_never_creates_a_claim(store: DataPlane) -> None:
    workflow = await store.start()
    assert not await store.journal.renew(workflow, 1, "classify", 1, FIRST, checkpoint=b"x")
    await store.journal.claim(workflow, 1, "classify", 1, FIRST)
    assert not await store.journal.renew(workflow, 1, "classify", 1, SECOND, checkpoint=b"x")
    assert await store.link.call("EXISTS", store.keys.checkpoints(workflow)) == 0


async def test_the_handler_learns_that_it_shall_stop_from_its_next_renewal(store: DataPlane) -> None:
    workflow, journal = await store.start(), store.journal
    for step in ("cancelled", "timed-out"):
        await journal.claim(workflow, 1, step, 1, FIRST)
        assert await journal.renew(workflow, 1, step, 1, FIRST)
    await journal.append(workflow, 1, "task:cancelled", b"CANCELED", owner=OWNER)
    await journal.append(workflow, 1, "attempt:timed-out#1", b"TIMEOUT", owner=OWNER)
    assert not await journal.renew(workflow, 1, "cancelled", 1, FIRST)
    assert not await journal.renew(workflow, 1, "timed-out", 1, FIRST)


async def test_the_next_attempt_gets_the_last_checkpoint(store: DataPlane) -> None:
    workflow, journal = await store.start(), store.journal
    await journal.claim(workflow, 1, "classify", 1, FIRST)
    for page in range(3):
        await journal.renew(workflow, 1, "classify", 1, FIRST, checkpoint=b"page %d\x00" % page)
    await journal.append(workflow, 1, "attempt:classify#1", b"AGENT_DRAINED")
    assert (await journal.claim(workflow, 1, "classify", 2, SECOND)).checkpoint == b"page 2\x00"
    assert (await journal.claim(workflow, 1, "classify", 2, SECOND)).checkpoint == b"page 2\x00", (
        "after a lost reply too"
    )


async def test_a_batch_of_claims_and_appends_is_one_write_each(store: DataPlane) -> None:
    workflow = await store.start()
    writes = store.link.counters.writes
    claims = [store.journal.claim_nowait(workflow, 1, f"s{i}", 1, FIRST) for i in range(50)]
    assert {Claimed.parse(await claim).status for claim in claims} == {"run"}
    appends = [store.journal.append_nowait(workflow, 1, f"task:s{i}", b"x") for i in range(50)]
    assert {Appended.parse(await append).status for append in appends} == {"new"}
    assert store.link.counters.writes == writes + 2


async def test_of_a_hundred_agents_one_runs(store: DataPlane) -> None:
    workflow = await store.start()
    asked = await asyncio.gather(*(store.journal.claim(workflow, 1, "s", 1, f"a-{i}") for i in range(100)))
    assert sorted(claim.status for claim in asked) == ["busy"] * 99 + ["run"]
