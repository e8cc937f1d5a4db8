# SPDX-License-Identifier: Apache-2.0
"""Escalations are decided once, together with what follows: nobody is told yes for nothing (P4 of the model)."""

from __future__ import annotations

import asyncio

from nervenet.records import State
from tests.support.data_plane import FIRST, OTHER, OWNER, DataPlane


async def asked(store: DataPlane, step: str = "classify", k: int = 1) -> str:
    workflow = await store.start()
    await store.journal.claim(workflow, 1, step, 1, FIRST)
    await store.journal.renew(workflow, 1, step, 1, FIRST, checkpoint=b"half")
    await store.journal.append(workflow, 1, f"attempt:{step}#1", b"failed")
    await store.journal.append(workflow, 1, f"escalated:{step}#{k}", b"what now?", owner=OWNER)
    return workflow


async def test_two_humans_cannot_both_be_told_yes(store: DataPlane) -> None:
    workflow = await asked(store)
    both = await asyncio.gather(
        store.journal.decide(workflow, 1, "classify", 1, b"Ann: complete", outcome=b"result"),
        store.journal.decide(workflow, 1, "classify", 1, b"Bob: fail", outcome=b"failure"),
    )
    assert sorted(decision.status for decision in both) == ["exists", "new"]
    assert both[0].decided == both[1].decided
    assert (await store.names(workflow))[3:] == ["decided:classify#1", "task:classify"]


async def test_a_decision_with_an_outcome_ends_the_step_in_the_same_step(store: DataPlane) -> None:
    workflow = await asked(store)
    decision = await store.journal.decide(workflow, 1, "classify", 1, b"complete", outcome=b"result")
    assert (decision.status, decision.owner, decision.run, decision.state) == ("new", OWNER, 1, State.RUNNING)
    entries = await store.journal.read(workflow)
    assert [entry.id for entry in entries[3:]] == [decision.decided, decision.outcome]
    head = await store.head(workflow)
    assert (head.last, head.size) == (decision.outcome, sum(len(entry.data) for entry in entries))
    assert (await store.journal.append(workflow, 1, "task:classify", b"late")).id == decision.outcome
    look = await store.journal.look(workflow, ["classify"])
    assert look is not None
    assert (look.done, look.claims) == ({"classify"}, {})
    assert await store.link.call("EXISTS", store.keys.checkpoints(workflow)) == 0


async def test_only_a_granted_retry_leaves_the_step_open(store: DataPlane) -> None:
    workflow = await asked(store)
    decision = await store.journal.decide(workflow, 1, "classify", 1, b"retry, 2 more")
    assert (decision.status, decision.outcome, decision.cancel) == ("new", b"", b"")
    claimed = await store.journal.claim(workflow, 1, "classify", 2, FIRST)
    assert (claimed.status, claimed.checkpoint) == ("run", b"half")
    assert (await store.journal.decide(workflow, 1, "classify", 2, b"x")).status == "not_asked"


async def test_a_late_success_beats_the_human_who_is_told_so(store: DataPlane) -> None:
    workflow = await asked(store)
    outcome = await store.journal.append(workflow, 1, "task:classify", b"the zombie's success")
    for entry in (b"", b"failure"):
        decision = await store.journal.decide(workflow, 1, "classify", 1, b"too late", outcome=entry)
        assert (decision.status, decision.decided, decision.outcome) == ("over", b"", outcome.id)
    assert "decided:classify#1" not in await store.names(workflow)


async def test_nobody_decides_what_nobody_asked(store: DataPlane) -> None:
    workflow = await store.start()
    assert (await store.journal.decide(workflow, 1, "classify", 1, b"yes", outcome=b"x")).status == "not_asked"
    assert await store.names(workflow) == ["start"]


async def test_cancelling_the_workflow_is_part_of_the_decision_and_written_once(store: DataPlane) -> None:
    workflow = await asked(store)
    decision = await store.journal.decide(workflow, 1, "classify", 1, b"cancel", outcome=b"canceled", cancel=b"stop")
    assert (await store.names(workflow))[3:] == ["decided:classify#1", "cancel", "task:classify"]
    assert (await store.head(workflow)).last == decision.outcome

    workflow = await asked(store)
    earlier = await store.journal.append(workflow, 1, "cancel", b"somebody else")
    decision = await store.journal.decide(workflow, 1, "classify", 1, b"cancel", outcome=b"canceled", cancel=b"stop")
    assert (decision.status, decision.cancel) == ("new", earlier.id)
    assert (await store.names(workflow))[3:] == ["cancel", "decided:classify#1", "task:classify"]


async def test_only_the_owner_lets_a_deadline_decide(store: DataPlane) -> None:
    workflow = await asked(store)
    late = await store.journal.decide(workflow, 1, "classify", 1, b"expired", outcome=b"TIMEOUT", owner=OTHER)
    assert (late.status, late.owner) == ("not_owner", OWNER)
    expired = await store.journal.decide(workflow, 1, "classify", 1, b"expired", outcome=b"TIMEOUT", owner=OWNER)
    assert expired.status == "new"


async def test_after_the_close_a_decision_is_refused_but_a_repeated_one_still_reads_as_taken(store: DataPlane) -> None:
    workflow = await asked(store)
    await store.journal.append(workflow, 1, "escalated:ocr#1", b"?", owner=OWNER)
    taken = await store.journal.decide(workflow, 1, "classify", 1, b"complete", outcome=b"x")
    await store.journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 60_000)
    assert (await store.journal.decide(workflow, 1, "ocr", 1, b"complete", outcome=b"x")).status == "closed"
    again = await store.journal.decide(workflow, 1, "classify", 1, b"complete", outcome=b"x")
    assert (again.status, again.decided) == ("exists", taken.decided)
