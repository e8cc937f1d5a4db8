# SPDX-License-Identifier: Apache-2.0
"""Law 2: every fact is written once, under its name; the first writer wins and everybody learns who did."""

from __future__ import annotations

import asyncio
import random

import pytest

from nervenet.records import State
from nervenet.redis_link.opening import open_link
from nervenet.streams.answers import Appended, NewWorkflow
from nervenet.streams.script import packaged_scripts
from tests.support.data_plane import OTHER, OWNER, REQ, DataPlane


async def test_a_second_start_gets_the_head_of_the_first(store: DataPlane) -> None:
    assert (await store.create("review-7")).status == "created"
    again = await store.create("review-7", owner=OTHER)
    assert again.status == "exists"
    assert again.head is not None
    assert (again.head.owner, again.head.request_hash, again.head.definition, again.head.version) == (
        OWNER,
        REQ,
        "review",
        1,
    )
    assert (again.head.runtime, again.head.labels, again.head.state) == ("3.11", '{"a":"b"}', State.RUNNING)
    assert (await store.journal.append("review-7", 1, "start", b"as after a restart", owner=OWNER)).status == "exists"
    assert await store.names("review-7") == ["start"]


async def test_a_starter_that_slept_past_half_the_grace_is_refused_and_writes_nothing(store: DataPlane) -> None:
    score = await store.ownership.running_add("review-7")
    await store.clock_moves()
    late = NewWorkflow("review-7", OWNER, "review", 1, "3.11", REQ, b"start", score, not_after_ms=score)
    assert (await store.journal.create(late)).status == "expired"
    assert await store.journal.head("review-7") is None
    assert (await store.create("review-7")).status == "created"


async def test_of_two_writers_of_one_name_one_wins_and_the_other_learns_it(store: DataPlane, redis_url: str) -> None:
    workflow = await store.start()
    link = await open_link(redis_url, scripts=packaged_scripts())
    rival = DataPlane(link, store.keys.namespace)
    first, second = await asyncio.gather(
        store.journal.append(workflow, 1, "task:classify", b"mine"),
        rival.journal.append(workflow, 1, "task:classify", b"his"),
    )
    assert sorted([first.status, second.status]) == ["exists", "new"]
    assert first.id == second.id != b""
    (_, entry) = await store.journal.read(workflow)
    assert entry.data == (b"mine" if first.status == "new" else b"his")
    assert (await store.head(workflow)).suppressed == 1
    await link.close()


async def test_the_answer_names_the_owner_to_wake_run_and_state(store: DataPlane) -> None:
    workflow = await store.start()
    appended = await store.journal.append(workflow, 1, "signal:s-1", b"hello")
    assert appended == Appended("new", appended.id, OWNER, 1, State.RUNNING)
    await store.journal.adopt(workflow, OTHER, OWNER)
    assert (await store.journal.append(workflow, 1, "signal:s-2", b"hello")).owner == OTHER


async def test_a_zombie_cannot_append_what_only_the_owner_decides(store: DataPlane) -> None:
    workflow = await store.start()
    await store.journal.adopt(workflow, OTHER, OWNER)
    before = await store.snapshot()
    for name in ("timer:1", "attempt:classify#1", "task:classify", "escalated:classify#1", "child:audit"):
        refused = await store.journal.append(workflow, 1, name, b"from the grave", owner=OWNER)
        assert (refused.status, refused.owner, refused.recorded) == ("not_owner", OTHER, False)
    assert (await store.journal.close(workflow, 1, OWNER, b"close", State.FAILED, 60_000)).status == "not_owner"
    assert await store.journal.set_head(workflow, 1, OWNER, at="nowhere", view=b"old") == "not_owner"
    assert await store.snapshot() == before
    assert (await store.journal.append(workflow, 1, "timer:1", b"due", owner=OTHER)).status == "new"


async def test_another_run_is_stale_for_everybody(store: DataPlane) -> None:
    workflow = await store.start()
    before = await store.snapshot()
    assert (await store.journal.append(workflow, 2, "task:classify", b"x")).status == "stale"
    assert (await store.journal.append(workflow, 2, "timer:1", b"x", owner=OWNER)).status == "stale"
    assert (await store.journal.claim(workflow, 2, "classify", 1, "a-1")).status == "stale"
    assert (await store.journal.decide(workflow, 2, "classify", 1, b"x")).status == "stale"
    assert (await store.journal.close(workflow, 2, OWNER, b"x", State.FAILED, 1_000)).status == "stale"
    assert await store.journal.set_head(workflow, 2, OWNER, at="x") == "stale"
    assert not await store.journal.renew(workflow, 2, "classify", 1, "a-1")
    assert await store.snapshot() == before


async def test_no_head_is_unknown_and_nothing_comes_into_being(store: DataPlane) -> None:
    journal = store.journal
    assert (await journal.append("nobody", 1, "task:x", b"x")).status == "unknown"
    assert (await journal.claim("nobody", 1, "x", 1, "a-1")).status == "unknown"
    assert (await journal.decide("nobody", 1, "x", 1, b"x")).status == "unknown"
    assert (await journal.close("nobody", 1, OWNER, b"x", State.FAILED, 1_000)).status == "unknown"
    assert (await journal.adopt("nobody", OTHER, OWNER)).status == "unknown"
    assert (await store.ownership.move("nobody", OTHER, OWNER)).status == "unknown"
    assert await journal.set_head("nobody", 1, OWNER, at="x", view=b"x") == "unknown"
    assert not await journal.renew("nobody", 1, "x", 1, "a-1", checkpoint=b"x")
    assert not await journal.watch("nobody", 1_000)
    assert await journal.look("nobody", ["x"]) is None
    assert await store.snapshot() == {}


async def test_an_attempt_of_a_step_that_is_over_answers_exists_with_the_outcome(store: DataPlane) -> None:
    workflow = await store.start()
    outcome = await store.journal.append(workflow, 1, "task:classify.2", b"late success of attempt 1")
    failed = await store.journal.append(workflow, 1, "attempt:classify.2#2", b"failure")
    assert (failed.status, failed.id) == ("exists", outcome.id)
    assert (await store.journal.append(workflow, 1, "attempt:classify#2", b"another step")).status == "new"
    assert (await store.head(workflow)).suppressed == 1


async def test_only_agents_duplicates_are_counted(store: DataPlane) -> None:
    workflow = await store.start()
    for _ in range(3):
        await store.journal.append(workflow, 1, "attempt:classify#1", b"x")
        await store.journal.append(workflow, 1, "signal:s-1", b"x")
        await store.journal.append(workflow, 1, "timer:1", b"x", owner=OWNER)
        await store.journal.append(workflow, 1, "task:ocr", b"x", owner=OWNER)
    assert (await store.head(workflow)).suppressed == 2


async def test_an_outcome_takes_claim_and_checkpoint_with_it_but_not_those_of_others(store: DataPlane) -> None:
    workflow, journal = await store.start(), store.journal
    for step in ("a", "b"):
        await journal.claim(workflow, 1, step, 1, "agent-1")
        await journal.renew(workflow, 1, step, 1, "agent-1", checkpoint=b"half")
    await journal.append(workflow, 1, "task:a", b"done")
    look = await journal.look(workflow, ["a", "b"])
    assert look is not None
    assert (look.done, list(look.claims)) == ({"a"}, ["b"])
    assert await store.link.call("HKEYS", store.keys.checkpoints(workflow)) == [b"b"]


async def test_a_look_at_many_steps_is_made_in_parts_and_says_the_same(
    store: DataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow, journal = await store.start(), store.journal
    steps = [f"step.{n}" for n in range(2, 42)]
    for step in steps[::7]:
        await journal.claim(workflow, 1, step, 1, "agent-1")
    for step in steps[::5]:
        await journal.append(workflow, 1, f"task:{step}", b"done")
    whole = await journal.look(workflow, steps)
    monkeypatch.setattr("nervenet.streams.journal.STEPS_OF_A_LOOK", 3)
    assert whole is not None and await journal.look(workflow, steps) == whole
    assert (whole.done, len(whole.claims)) == (set(steps[::5]), 4)
    assert await journal.look("nobody", steps) is None


async def test_ids_are_dense_and_never_go_back_even_when_the_clock_does(store: DataPlane) -> None:
    workflow = await store.start()
    ahead = await store.journal.now_ms() + 3_600_000  # as after a failover to a server whose clock is behind
    await store.link.call("HSET", store.keys.head(workflow), "last", f"{ahead}-41")
    appended = await store.journal.append(workflow, 1, "signal:s-1", b"x")
    assert appended.id == b"%d-42" % ahead
    assert (await store.head(workflow)).last == appended.id
    await store.journal.append(workflow, 1, "escalated:ask#1", b"?", owner=OWNER)
    decision = await store.journal.decide(workflow, 1, "ask", 1, b"yes", outcome=b"y")
    assert (decision.decided, decision.outcome) == (b"%d-44" % ahead, b"%d-45" % ahead)
    closed = await store.journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 60_000)
    assert closed.id == b"%d-46" % ahead


async def test_the_head_counts_bytes_and_knows_the_last_entry(store: DataPlane) -> None:
    workflow = await store.start()
    appended = await store.journal.append(workflow, 1, "signal:s-1", b"x" * 1_000)
    head = await store.head(workflow)
    assert (head.size, head.last) == (len(b"start") + 1_000, appended.id)


async def test_a_hundred_random_writers_leave_each_name_once(store: DataPlane, redis_url: str) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    workflow = await store.start()
    link = await open_link(redis_url, scripts=packaged_scripts())
    rival = DataPlane(link, store.keys.namespace)
    names = [f"task:s{i}" for i in range(20)] + [f"signal:s{i}" for i in range(20)]
    picks = [(chance.choice([store, rival]), chance.choice(names), b"%d" % i) for i in range(400)]
    answers = await asyncio.gather(*(who.journal.append(workflow, 1, name, data) for who, name, data in picks))
    written = await store.journal.read(workflow)
    winners = {name: data for (_, name, data), answer in zip(picks, answers, strict=True) if answer.status == "new"}
    assert {entry.name: entry.data for entry in written[1:]} == winners, f"seed {seed}"
    where = {entry.name: entry.id for entry in written}
    assert all(a.id == where[name] for (_, name, _), a in zip(picks, answers, strict=True)), f"seed {seed}"
    assert len(await store.names(workflow)) == len({name for _, name, _ in picks}) + 1, f"seed {seed}"
    await link.close()


async def test_a_journal_is_read_in_pages_of_entries_or_bytes_whichever_ends_first(store: DataPlane) -> None:
    workflow = await store.start()
    appends = [store.journal.append(workflow, 1, f"signal:s{i}", b"x" * 100) for i in range(54)]
    await asyncio.gather(*appends)
    page = await store.journal.read(workflow, count=25)
    assert [entry.n for entry in page] == list(range(1, 26))
    page = await store.journal.read(workflow, page[-1].id, count=25, room=1_000)
    assert [entry.n for entry in page] == list(range(26, 36))
    page = await store.journal.read(workflow, page[-1].id, room=10)
    assert [entry.n for entry in page] == [36], "a page is never empty while there is more"
    assert len(await store.journal.read(workflow, page[-1].id.decode())) == 19
    assert await store.journal.read(workflow, (await store.head(workflow)).last) == []


async def test_heads_come_in_one_write_with_only_the_fields_asked_for(store: DataPlane) -> None:
    first, second = await store.start(), await store.start()
    writes = store.link.counters.writes
    heads = await store.journal.heads([first, "nobody", second], ["state", "owner"])
    assert store.link.counters.writes == writes + 1
    assert [head and (head.owner, head.definition) for _, head in heads] == [(OWNER, ""), None, (OWNER, "")]


async def test_what_the_owner_shows_is_in_the_head_and_stays_short(store: DataPlane) -> None:
    workflow = await store.start()
    status = await store.journal.set_head(
        workflow, 1, OWNER, state=State.WAITING_FOR_HUMAN, at="classify", note="ü" * 60, view=b'{"pages": 3}'
    )
    assert status == "new"
    head = await store.head(workflow)
    assert (head.state, head.at, head.note) == (State.WAITING_FOR_HUMAN, "classify", "ü" * 28 + "…")
    assert await store.journal.view(workflow) == b'{"pages": 3}'
    await store.journal.set_head(workflow, 1, OWNER, note="")
    head = await store.head(workflow)
    assert (head.at, head.note) == ("classify", "")


async def test_the_head_of_a_workflow_of_80_steps_is_still_a_listpack(store: DataPlane) -> None:
    workflow = await store.start()
    for i in range(80):
        step = f"classify.{i}"
        await store.journal.claim(workflow, 1, step, 1, "classify-abcdefgh")
        await store.journal.renew(workflow, 1, step, 1, "classify-abcdefgh", fraction=0.123456)
        await store.journal.append(workflow, 1, f"task:{step}", b"x")
    encoding = await store.link.call("OBJECT", "ENCODING", store.keys.head(workflow))
    assert encoding in (b"listpack", b"ziplist")
