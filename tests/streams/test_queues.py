# SPDX-License-Identifier: Apache-2.0
"""Tasks and wakes on their way: nothing is sent to the dead, and nothing is left behind that nobody would ever read."""

from __future__ import annotations

import pytest

from nervenet.redis_link.faults import RedisRefused
from nervenet.streams.groups import EntryPlace
from nervenet.streams.queues import GROUP, Delivered, OutgoingWake, parse_tasks, parse_wakes
from tests.support.data_plane import FIRST, OWNER, SECOND, DataPlane


async def read(store: DataPlane, stream: bytes, consumer: str, count: int = 10) -> list[Delivered]:
    return parse_tasks(await store.link.call(*store.queues.read_tasks(stream, consumer, count)))


async def test_nothing_is_sent_to_a_buried_inbox_or_wake(store: DataPlane) -> None:
    news = OutgoingWake(OWNER, "review-7", 1, b"5-2", "task:ocr", b"x")
    assert await store.queues.send_inbox(FIRST, b"task") is None
    assert await store.queues.wake(news) is None
    assert await store.snapshot() == {}
    await store.queues.make_inbox(FIRST)
    await store.queues.make_wake(OWNER)
    assert await store.queues.send_inbox(FIRST, b"task")
    assert await store.queues.wake(news)
    await store.groups.delete_streams(FIRST)
    await store.groups.delete_streams(OWNER)
    assert await store.queues.send_inbox(FIRST, b"task") is None
    assert await store.snapshot() == {}


async def test_making_twice_is_harmless(store: DataPlane) -> None:
    for _ in range(2):
        await store.queues.make_inbox(FIRST)
        await store.queues.make_wake(OWNER)
        await store.queues.make_queue("ocr", "9f2c", b'{"model": "large"}')
    assert await store.link.call("XINFO", "GROUPS", store.keys.wake(OWNER)) == []
    assert await store.queues.queues("ocr") == {"9f2c": b'{"model": "large"}'}


async def test_who_reads_the_names_of_damaged_queues_finds_none_and_who_makes_one_repairs_them(
    store: DataPlane,
) -> None:
    """Agents may read them and no more."""
    key = store.keys.queues("ocr")
    await store.link.call("SET", key, "another type of value")
    assert await store.queues.queues("ocr") == {}
    assert await store.link.call("TYPE", key) == b"string"
    await store.queues.make_queue("ocr", "9f2c", b"{}")
    assert await store.queues.queues("ocr") == {"9f2c": b"{}"}


async def test_a_task_goes_from_the_inbox_through_the_pending_list_to_nothing(store: DataPlane) -> None:
    inbox = store.keys.inbox(FIRST)
    await store.queues.make_inbox(FIRST)
    sent = await store.queues.send_inbox(FIRST, b"\x00task")
    assert sent is not None
    assert await store.groups.place(inbox, sent) == EntryPlace("unread")
    assert await read(store, inbox, FIRST) == [Delivered(sent, b"\x00task")]
    assert await read(store, inbox, FIRST) == []
    assert await store.groups.place(inbox, sent) == EntryPlace("pending", FIRST)
    own = parse_tasks(await store.link.call(*store.queues.read_own(inbox, FIRST, 10)))
    assert own == [Delivered(sent, b"\x00task")], "after a reconnect the pending list has it"
    await store.queues.drop(inbox, sent)
    assert await store.groups.place(inbox, sent) == EntryPlace("gone")
    assert (await store.groups.pending(inbox), await store.groups.depth(inbox)) == ([], 0)


async def test_an_entry_that_was_deleted_under_its_reader_reads_as_nothing_to_do(store: DataPlane) -> None:
    inbox = store.keys.inbox(FIRST)
    await store.queues.make_inbox(FIRST)
    sent = await store.queues.send_inbox(FIRST, b"task")
    assert sent is not None
    await read(store, inbox, FIRST)
    await store.link.call("XDEL", inbox, sent)
    assert parse_tasks(await store.link.call(*store.queues.read_own(inbox, FIRST, 10))) == [Delivered(sent, None)]
    assert await store.groups.place(inbox, sent) == EntryPlace("gone")


async def test_a_completed_task_wakes_the_owner_and_leaves_in_one_write(store: DataPlane) -> None:
    inbox = store.keys.inbox(FIRST)
    await store.queues.make_inbox(FIRST)
    await store.queues.make_wake(OWNER)
    await store.queues.send_inbox(FIRST, b"task")
    (task,) = await read(store, inbox, FIRST)
    writes = store.link.counters.writes
    news = OutgoingWake(OWNER, "review-7", 1, b"1795483897226-2", "task:ocr", b"result")
    woken = await store.queues.complete(news, inbox, task.id)
    assert store.link.counters.writes == writes + 1
    assert (await store.groups.depth(inbox), await store.groups.pending(inbox)) == (0, [])
    (wake,) = parse_wakes(await store.link.call(*store.queues.read_wakes(OWNER, "0", 10, 1)))
    assert wake == (woken, "review-7", 1, b"1795483897226-2", "task:ocr", b"result")


async def test_when_the_owner_is_buried_the_completion_says_so_and_the_task_leaves_all_the_same(
    store: DataPlane,
) -> None:
    inbox = store.keys.inbox(FIRST)
    await store.queues.make_inbox(FIRST)
    await store.queues.send_inbox(FIRST, b"task")
    (task,) = await read(store, inbox, FIRST)
    news = OutgoingWake(OWNER, "review-7", 1, b"5-2", "task:ocr", b"result")
    assert await store.queues.complete(news, inbox, task.id) is None
    assert await store.groups.depth(inbox) == 0


async def test_large_news_travels_without_its_entry(store: DataPlane) -> None:
    await store.queues.make_wake(OWNER)
    for size in (8 * 1024, 8 * 1024 + 1):
        await store.queues.wake(OutgoingWake(OWNER, "review-7", 1, b"5-2", "task:ocr", b"x" * size))
    small, large = parse_wakes(await store.link.call(*store.queues.read_wakes(OWNER, "0", 10, 1)))
    assert (small.entry, large.entry) == (b"x" * 8 * 1024, None)
    await store.queues.trim_wakes(OWNER, small.id)
    assert parse_wakes(await store.link.call(*store.queues.read_wakes(OWNER, "0", 10, 1))) == [large]
    await store.queues.trim_wakes(OWNER, large.id)
    assert parse_wakes(await store.link.call(*store.queues.read_wakes(OWNER, "0", 10, 1))) == []
    assert await store.queues.wake(OutgoingWake(OWNER, "review-7", 1, b"5-2", "x", b"")), (
        "an empty wake is not a buried one"
    )


async def test_a_task_sent_before_anybody_read_the_queue_is_not_lost(store: DataPlane) -> None:
    queue = store.keys.queue("ocr")
    sent = await store.queues.send_queue("ocr", b"early")
    assert await store.groups.place(queue, sent) == EntryPlace("unread")
    assert (await store.groups.pending(queue), await store.groups.consumers(queue)) == ([], None)
    await store.queues.make_queue("ocr")
    assert await read(store, queue, FIRST) == [Delivered(sent, b"early")]


async def test_a_consumer_goes_only_when_nothing_is_pending_under_it(store: DataPlane) -> None:
    queue = store.keys.queue("ocr")
    await store.queues.make_queue("ocr")
    sent = await store.queues.send_queue("ocr", b"task")
    await read(store, queue, FIRST)
    assert not await store.groups.drop_consumer(queue, FIRST)
    assert [pending.id for pending in await store.groups.pending(queue, FIRST)] == [sent]
    await store.queues.drop(queue, sent)
    assert await store.groups.consumers(queue) == [FIRST]
    assert await store.groups.drop_consumer(queue, FIRST)
    assert await store.groups.consumers(queue) == []


async def test_what_is_delivered_and_pending_nowhere_is_seen_and_trimmed(store: DataPlane) -> None:
    """P3 of the model: such an entry would neither be read again nor leave."""
    queue = store.keys.queue("ocr")
    await store.queues.make_queue("ocr")
    ids = [await store.queues.send_queue("ocr", b"task %d" % i) for i in range(30)]
    for _ in range(20):
        await read(store, queue, FIRST, 1)
    held = {ids[3], ids[7], ids[15]}
    await store.link.call("XACK", queue, GROUP, *(set(ids[:20]) - held))
    assert await store.groups.place(queue, ids[5]) == EntryPlace("lost")
    assert await store.groups.trim(queue) == 17
    left = [row[0] for row in await store.link.call("XRANGE", queue, "-", "+")]
    assert left == [ids[3], ids[7], ids[15], *ids[20:]]
    assert await store.groups.trim(queue) == 0
    await store.link.call("XACK", queue, GROUP, *held)
    assert await store.groups.trim(queue) == 3
    assert [row.id for row in await read(store, queue, SECOND, 100)] == ids[20:]


async def test_trimming_a_long_pending_list_goes_page_by_page_and_misses_none(store: DataPlane) -> None:
    queue = store.keys.queue("ocr")
    await store.queues.make_queue("ocr")
    ids = [await store.queues.send_queue("ocr", b"x") for _ in range(1_600)]
    await read(store, queue, FIRST, 1_500)
    await store.link.call("XACK", queue, GROUP, *ids[1:1_500:3])
    assert await store.groups.trim(queue) == 500
    assert await store.groups.depth(queue) == 1_100
    assert len(await store.groups.pending(queue, count=10_000)) == 1_000


async def test_trimming_leaves_alone_what_nobody_has_read_and_what_is_not_there(store: DataPlane) -> None:
    queue = store.keys.queue("ocr")
    assert await store.groups.trim(queue) == 0
    await store.queues.send_queue("ocr", b"x")
    assert await store.groups.trim(queue) == 0
    await store.queues.make_queue("ocr")
    assert await store.groups.trim(queue) == 0
    assert await store.groups.depth(queue) == 1


async def test_the_pending_list_goes_on_behind_an_id_and_other_errors_are_not_swallowed(store: DataPlane) -> None:
    queue = store.keys.queue("ocr")
    await store.queues.make_queue("ocr")
    ids = [await store.queues.send_queue("ocr", b"x") for _ in range(5)]
    await read(store, queue, FIRST, 5)
    assert [row.id for row in await store.groups.pending(queue, after=ids[1], count=2)] == ids[2:4]
    await store.link.call("SET", store.keys.view("w"), "no stream")
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        await store.groups.pending(store.keys.view("w"))


async def test_one_walk_finds_all_processes_and_queues_and_sees_no_key_of_a_workflow(store: DataPlane) -> None:
    for process in (FIRST, SECOND):
        await store.queues.make_inbox(process)
    await store.queues.make_wake(FIRST)
    await store.queues.make_queue("ocr")
    await store.queues.make_queue("ocr", "a1b2", b"{}")
    await store.ownership.own(SECOND, await store.start())
    await store.link.call("SET", store.keys.every("inbox").partition("{")[0] + "no-braces", "of another program")
    assert {each async for each in store.groups.all_names()} == {
        ("inbox", FIRST), ("inbox", SECOND), ("wake", FIRST), ("owned", SECOND),
        ("owned", OWNER), ("queue", "ocr"), ("queue", "ocr/a1b2")
    }  # fmt: skip
    seen = [key async for page in store.link.scan(store.keys.processes_and_queues) for key in page]
    assert not [key for key in seen if b":wf:" in key]
