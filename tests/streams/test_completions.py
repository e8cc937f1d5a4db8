# SPDX-License-Identifier: Apache-2.0
"""What an attempt ended with is recorded and told to the owner by one script, which records just as `journal_append` does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nervenet.clock import SYSTEM
from nervenet.dev.servers import valkey
from nervenet.records import State
from nervenet.redis_link.dial import ServerIdentity
from nervenet.redis_link.faults import ConnectionLost, RedisRefused
from nervenet.streams import data_plane
from nervenet.streams.answers import Appended
from nervenet.streams.queues import GROUP, WAKE_ENTRY_BYTES, Wake, parse_tasks, parse_wakes
from nervenet.streams.tasks import outcomes
from nervenet.streams.tasks.attempt import AttemptKey, OutcomeEntry, TaskAttempt
from nervenet.streams.tasks.deliveries import Deliveries
from nervenet.streams.tasks.outcomes import OutcomeRecorder
from tests.support.data_plane import FIRST, OTHER, OWNER, DataPlane

NAME = "task:classify"


class Attempt(TaskAttempt):
    """An attempt at the step `classify`, sent by the node OWNER."""

    is_claimed = True  # type: ignore[assignment]

    def __init__(self, workflow_id: str, stream: bytes = b"", entry_id: bytes = b"", number: int = 1) -> None:
        key = AttemptKey(workflow_id, 1, "classify", number)
        super().__init__(key, "classify", OWNER, SYSTEM.now_ms(), FIRST, stream, entry_id)


async def complete(
    store: DataPlane,
    workflow: str,
    entry: bytes = b"x",
    name: str = NAME,
    run: int = 1,
    reply_to: str = OWNER,
    delivery: tuple[bytes, bytes] | None = None,
) -> Appended:
    return Appended.parse(await store.journal.complete_nowait(workflow, run, name, entry, reply_to, delivery))


async def wakes(store: DataPlane, node: str = OWNER) -> list[Wake | bytes]:
    return parse_wakes(await store.link.call(*store.queues.read_wakes(node, "0", 10, 1)))


# ── the wake ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_owner_has_the_entry_before_the_agent_has_its_answer(store: DataPlane) -> None:
    workflow = await store.start()
    await store.queues.make_wake(OWNER)
    done = await complete(store, workflow, b"result")
    assert done == Appended("new", done.id, "", 0, State.RUNNING, woken=True)
    (wake,) = await wakes(store)
    assert isinstance(wake, Wake)
    assert wake[1:] == (workflow, 1, done.id, NAME, b"result")
    assert await store.names(workflow) == ["start", NAME]


async def test_a_workflow_that_was_handed_over_wakes_neither_its_new_owner_nor_its_old_one(store: DataPlane) -> None:
    """The new owner's wake is a key that the caller did not name: the caller wakes it."""
    workflow = await store.start()
    await store.queues.make_wake(OWNER)
    await store.queues.make_wake(OTHER)
    await store.journal.adopt(workflow, OTHER, OWNER)
    done = await complete(store, workflow)
    assert (done.status, done.owner, done.woken) == ("new", OTHER, False)
    assert await wakes(store, OWNER) == await wakes(store, OTHER) == []


async def test_a_wake_that_was_deleted_is_not_created_again(store: DataPlane) -> None:
    done = await complete(store, workflow := await store.start())
    assert (done.status, done.woken) == ("new", False)
    assert store.keys.wake(OWNER) not in await store.snapshot()
    assert await store.names(workflow) == ["start", NAME]


async def test_a_wake_that_cannot_be_written_undoes_no_record(store: DataPlane) -> None:
    """Somebody has put another type of value there."""
    workflow = await store.start()
    await store.link.call("SET", store.keys.wake(OWNER), b"no stream")
    done = await complete(store, workflow)
    assert (done.status, done.woken) == ("new", False)
    assert await store.names(workflow) == ["start", NAME]
    assert (await complete(store, workflow)).status == "exists"


async def test_a_second_completion_is_told_what_is_there_and_wakes_nobody(store: DataPlane) -> None:
    workflow = await store.start()
    await store.queues.make_wake(OWNER)
    first = await complete(store, workflow, b"mine")
    again = await complete(store, workflow, b"again")
    assert again == Appended("exists", first.id, OWNER, 1, State.RUNNING, woken=False)
    assert len(await wakes(store)) == 1


async def test_a_large_entry_is_left_to_be_read_in_the_journal(store: DataPlane) -> None:
    await store.queues.make_wake(OWNER)
    for size in (WAKE_ENTRY_BYTES, WAKE_ENTRY_BYTES + 1):
        await complete(store, await store.start(), b"x" * size)
    small, large = await wakes(store)
    assert isinstance(small, Wake) and isinstance(large, Wake)
    assert (small.entry, large.entry) == (b"x" * WAKE_ENTRY_BYTES, None)


# ── the delivery ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def delivered(store: DataPlane) -> tuple[bytes, bytes]:
    """A task in the inbox of FIRST, which has read it."""
    await store.queues.make_inbox(FIRST)
    stream = store.keys.inbox(FIRST)
    await store.link.call("XADD", stream, "*", "e", b"envelope")
    (task,) = parse_tasks(await store.link.call(*store.queues.read_tasks(stream, FIRST, 1)))
    return stream, task.id


async def left(store: DataPlane, stream: bytes) -> tuple[int, int]:
    """Entries in the stream, and how many of them are pending."""
    return await store.link.call("XLEN", stream), (await store.link.call("XPENDING", stream, GROUP))[0]


async def test_a_delivery_is_gone_with_the_outcome_that_woke_the_owner(store: DataPlane) -> None:
    await store.queues.make_wake(OWNER)
    delivery = await delivered(store)
    done = await complete(store, await store.start(), delivery=delivery)
    assert (done.woken, done.dropped) == (True, True)
    assert await left(store, delivery[0]) == (0, 0)


@pytest.mark.parametrize("why", ["handed over", "no wake", "recorded before"])
async def test_a_delivery_stays_until_the_owner_is_woken(store: DataPlane, why: str) -> None:
    """An agent that dies before it wakes the owner leaves it for another one."""
    workflow = await store.start()
    if why != "no wake":
        await store.queues.make_wake(OWNER)
    if why == "handed over":
        await store.journal.adopt(workflow, OTHER, OWNER)
    if why == "recorded before":
        await complete(store, workflow)
    delivery = await delivered(store)
    done = await complete(store, workflow, delivery=delivery)
    assert (done.woken, done.dropped) == (False, False)
    assert await left(store, delivery[0]) == (1, 1)


async def test_a_delivery_that_cannot_be_dropped_undoes_neither_record_nor_wake(store: DataPlane) -> None:
    """Its stream is of another type by now."""
    workflow = await store.start()
    await store.queues.make_wake(OWNER)
    stream = store.keys.inbox(FIRST)
    await store.link.call("SET", stream, b"no stream")
    done = await complete(store, workflow, delivery=(stream, b"1-1"))
    assert (done.status, done.woken, done.dropped) == ("new", True, False)
    assert await store.names(workflow) == ["start", NAME]


# ── what is recorded ─────────────────────────────────────────────────────────────────────────────────────────────────


async def claimed(store: DataPlane, workflow: str) -> None:
    await store.journal.claim(workflow, 1, "classify", 1, FIRST)
    await store.journal.renew(workflow, 1, "classify", 1, FIRST, checkpoint=b"half")


async def recorded(store: DataPlane, workflow: str) -> None:
    await store.journal.append(workflow, 1, NAME, b"before")


async def failed(store: DataPlane, workflow: str) -> None:
    await store.journal.append(workflow, 1, "attempt:classify#1", b"before")


async def watched(store: DataPlane, workflow: str) -> None:
    await store.journal.watch(workflow, 60_000)


async def closed(store: DataPlane, workflow: str) -> None:
    await store.journal.close(workflow, 1, OWNER, b"end", State.SUCCEEDED, 60_000)


async def adopted(store: DataPlane, workflow: str) -> None:
    await store.journal.adopt(workflow, OTHER, OWNER)


async def forgotten(store: DataPlane, workflow: str) -> None:
    await store.link.call("DEL", store.keys.head(workflow))


BEFORE: tuple[Callable[[DataPlane, str], Awaitable[None]], ...] = (
    claimed, recorded, failed, watched, closed, adopted, forgotten,
)  # fmt: skip


@pytest.mark.parametrize("run", [1, 2])
@pytest.mark.parametrize("name", [NAME, "attempt:classify#1", "attempt:classify#2"])
@pytest.mark.parametrize("before", BEFORE)
async def test_both_scripts_give_the_same_answer_and_leave_the_same_behind(
    store: DataPlane, before: Callable[[DataPlane, str], Awaitable[None]], name: str, run: int
) -> None:
    kept: list[Any] = []
    for script in ("journal_append", "task_complete"):
        workflow = await store.start(entry=b"start")
        await before(store, workflow)
        if script == "journal_append":
            answer = await store.journal.append(workflow, run, name, b"entry")
        else:
            answer = await complete(store, workflow, b"entry", name, run)
        head = await store.link.call("HGETALL", store.keys.head(workflow))
        fields = dict(zip(head[::2], head[1::2], strict=True))
        numbers = {field: value.partition(b"-")[2] for field, value in fields.items() if field[:2] == b"e:"}
        rest = [fields.get(field) for field in (b"bytes", b"suppressed", b"owner", b"run", b"closed")]
        claim = (b"c:classify" in fields, await store.link.call("HGETALL", store.keys.checkpoints(workflow)))
        entries = [(entry.n, entry.name, entry.data) for entry in await store.journal.read(workflow)]
        kept.append((answer._replace(id=answer.id.partition(b"-")[2]), numbers, rest[:4], claim, entries))
    assert kept[0] == kept[1]


# ── who records ──────────────────────────────────────────────────────────────────────────────────────────────────────


def recorder(store: DataPlane, deliveries: Deliveries | None = None) -> OutcomeRecorder:
    plane = data_plane.DataPlane(store.link, store.keys, store.journal, store.queues)
    return OutcomeRecorder(plane, deliveries or Deliveries(store.link), SYSTEM, SYSTEM.now_ms, 60_000)


@pytest.mark.parametrize("others", [0, 1])
async def test_the_delivery_goes_with_the_outcome_if_nothing_else_is_in_hand(store: DataPlane, others: int) -> None:
    """Otherwise the deletions of all that end together are one command, which costs Redis less."""
    await store.queues.make_wake(OWNER)
    stream, entry_id = await delivered(store)
    deliveries = Deliveries(store.link)
    deliveries.in_hand |= {(stream, entry_id), *((stream, b"9-%d" % i) for i in range(others))}
    attempt = Attempt(await store.start(), stream, entry_id)
    await recorder(store, deliveries).record(attempt, OutcomeEntry(NAME, b"done", failed=False))
    assert await left(store, stream) == ((0, 0) if others == 0 else (1, 1))
    deliveries.drop(attempt.stream, attempt.entry_id)  # as its agent does, in either case
    await asyncio.sleep(0)
    await store.link.call("PING")
    assert await left(store, stream) == (0, 0)
    assert len(deliveries.in_hand) == others


@pytest.mark.parametrize(
    ("number", "saved"), [(2, None), (1, b"half of it")], ids=["the second attempt", "one that saved"]
)
async def test_a_checkpoint_goes_with_the_outcome_of_its_step(
    store: DataPlane, number: int, saved: bytes | None
) -> None:
    """An attempt that can have none does not look for one, which would cost Redis a tenth of the script."""
    await store.queues.make_wake(OWNER)
    attempt = Attempt(await store.start(), number=number)
    attempt.latest_checkpoint = saved
    checkpoints = store.keys.head(attempt.key.workflow_id) + b":ckpt"
    await store.link.call("HSET", checkpoints, "classify", b"half of it", "another step", b"most of it")
    await recorder(store).record(attempt, OutcomeEntry(NAME, b"done", failed=False))
    assert await store.link.call("HKEYS", checkpoints) == [b"another step"]


async def test_an_agent_sends_one_command_and_wakes_a_new_owner_itself(store: DataPlane) -> None:
    outcome = OutcomeEntry(NAME, b"done", failed=False)
    for node in (OWNER, OTHER):
        await store.queues.make_wake(node)
    for owner in (OWNER, OTHER):
        workflow = await store.start(owner=owner)
        before = store.link.counters.commands
        assert await recorder(store).record(Attempt(workflow), outcome) is outcome.entry
        await store.link.call("PING")
        assert store.link.counters.commands == before + (2 if owner == OWNER else 3), "the outcome, a wake, PING"
        (wake,) = await wakes(store, owner)
        assert isinstance(wake, Wake) and (wake.workflow_id, wake.entry) == (workflow, outcome.entry)


async def test_an_agent_that_may_not_read_wakes_records_in_two_steps() -> None:
    """Redis refuses a script to a user who may not read and write all of its keys: then the outcome goes the other way."""
    rules = ("~nn:team-a:wf:{*", "%W~nn:team-a:wake:{*", "&*", "+@all")
    with valkey() as server:
        async with DataPlane.open(server.url, "team-a") as store:
            await store.link.call("ACL", "SETUSER", "agent", "reset", "on", ">secret", *rules)
            await store.queues.make_wake(OWNER)
            workflow, outcome = await store.start(), OutcomeEntry(NAME, b"done", failed=False)
            async with DataPlane.open(server.url.replace("://", "://agent:secret@"), "team-a") as agent:
                assert await recorder(agent).record(Attempt(workflow), outcome) is outcome.entry
            (wake,) = await wakes(store)
            assert isinstance(wake, Wake) and wake.entry == b"done"
            assert await store.names(workflow) == ["start", NAME]


async def test_an_outcome_is_not_for_the_next_life_of_its_id(store: DataPlane) -> None:
    """Redis had lost the workflow, and somebody has started its id again while the handler ran."""
    attempt = Attempt(await store.start())
    began, _, _ = (await store.head(attempt.key.workflow_id)).start_id.partition(b"-")
    attempt.after_entry_id, attempt.outlived_loss = f"{int(began) - 1}-1", True
    assert await recorder(store).record(attempt, OutcomeEntry(NAME, b"of the life before", failed=False)) is None
    assert await store.names(attempt.key.workflow_id) == ["start"]


async def test_an_outcome_is_dropped_if_nobody_writes_back_what_came_before_it(
    store: DataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its agent gets its slot back, and the step runs again."""
    monkeypatch.setattr(outcomes, "DATA_PLANE_RETRY", 0.01)
    attempt = Attempt(await store.start())
    attempt.after_entry_id, attempt.outlived_loss = "9999999999999-2", True
    assert await recorder(store).record(attempt, OutcomeEntry(NAME, b"too early", failed=False)) is None
    assert await store.names(attempt.key.workflow_id) == ["start"]


async def test_an_append_is_for_the_server_whose_head_was_read(store: DataPlane) -> None:
    """At the next one, the id may have another life."""
    workflow = await store.start()
    assert await store.journal.head(workflow, ("run",)) is not None
    store.link.check_server(ServerIdentity("another run", "another server"))
    with pytest.raises(ConnectionLost):
        await store.journal.append_here(workflow, 1, NAME, b"done")
    assert await store.names(workflow) == ["start"]


async def test_an_append_to_a_server_without_the_script_can_be_repeated() -> None:
    with valkey() as server:
        async with DataPlane.open(server.url, "team-a") as store:
            workflow = await store.start()
            await store.link.call("SCRIPT", "FLUSH")
            with pytest.raises(RedisRefused, match="NOSCRIPT"):
                await store.journal.append_here(workflow, 1, NAME, b"done")
            assert (await store.journal.append_here(workflow, 1, NAME, b"done")).status == "new"
