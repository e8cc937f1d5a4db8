# SPDX-License-Identifier: Apache-2.0
"""What a node keeps of its journals, and which part of it is sent to a Redis that lost something: decided without one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from nervenet.durable import PYTHON
from nervenet.node.recovery import remembered
from nervenet.node.recovery.remembered import (
    Remembered,
    RememberedWrites,
    chunks,
    head_of,
    lacking,
    last_entries,
    size_of,
)
from nervenet.node.workflows.start_plan import request_hash
from nervenet.node.workflows.unloaded import UnloadedWorkflow, UnloadedWorkflows, packed_entries
from nervenet.records import Close, Payload, Start, State
from nervenet.streams.answers import Look, RawEntry
from nervenet.timing import RECENT_WRITES_MS
from nervenet.wire import encode_entry

if TYPE_CHECKING:
    from nervenet.node.workflows.owned_journal import EntryLog

INPUT = Payload("json", b'{"b": 1, "a": 2}')
START = Start("review", 3, PYTHON, INPUT, bytes(16), labels={"team": "a"})


def journal(count: int, size: int = 10, first: int = 1) -> list[RawEntry]:
    return [RawEntry(b"%d-%d" % (n * 10, n), n, n * 10, f"task:s{n}", bytes(size)) for n in range(first, first + count)]


def ends_with(entry: RawEntry) -> Look:
    return Look(1, "n-a", entry.id, False, frozenset(), {})


def test_a_chain_is_a_journal_again() -> None:
    kept: EntryLog | None = None
    for entry in journal(4, first=3):
        kept = (kept, entry.ms, entry.name, entry.data)
    assert kept is not None
    assert Remembered("w", 1, b"", 6, kept).entries() == journal(4, first=3)


def test_a_closed_one_is_packed_however_long_it_is() -> None:
    kept: EntryLog | None = None
    for entry in journal(20_000):
        kept = (kept, entry.ms, entry.name, entry.data)
    assert kept is not None
    for closed in (State.FAILED, None):
        again = Remembered.unpacked(Remembered("w", 2, b"req", 20_000, kept, closed).packed())
        assert again.entries() == journal(20_000)
        assert (again.workflow_id, again.run, again.req, again.applied, again.closed) == (
            "w",
            2,
            b"req",
            20_000,
            closed,
        )


def test_a_journal_that_ends_earlier_gets_what_is_behind_its_end() -> None:
    mine = journal(5)
    assert lacking(mine, ends_with(mine[2])) == mine[2:], "its end is the common ground"
    assert lacking(mine, ends_with(mine[4])) == mine[4:]


def test_a_longer_one_is_asked_for_my_end_only() -> None:
    mine = journal(5)
    assert lacking(mine, ends_with(journal(7)[-1])) == mine[4:]


def test_another_history_or_one_that_ends_before_what_i_know_gets_all_of_it() -> None:
    mine = journal(5)
    assert lacking(mine, ends_with(RawEntry(b"99-3", 3, 99, "timer:1", b""))) == mine
    assert lacking(mine[3:], ends_with(mine[0])) == mine[3:]


def test_long_journals_go_in_parts_that_share_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "CHUNK_BYTES", 35)
    monkeypatch.setattr(remembered, "CHUNK_ENTRIES", 100)
    mine = journal(8)
    parts = list(chunks(mine))
    assert [[entry.n for entry in part] for part in parts] == [[1, 2, 3], [3, 4, 5], [5, 6, 7], [7, 8]]
    assert list(chunks(mine[:1])) == [mine[:1]]
    (huge,) = journal(1, size=1000)
    assert [len(part) for part in chunks([mine[0], huge, mine[2]])] == [2, 2], "progress, however large one is"


def test_a_head_is_made_from_the_first_entry_alone() -> None:
    first = RawEntry(b"5-1", 1, 5, "start", encode_entry(START, "n-a"))
    head = head_of(first, b"")
    assert head == {
        "definition": "review",
        "version": 3,
        "python": PYTHON,
        "created": 5,
        "req": request_hash("review", INPUT),
        "labels": '{"team":"a"}',
    }
    later_run = head_of(first, b"of the first run")
    assert later_run is not None
    assert later_run["req"] == b"of the first run"
    assert head_of(journal(1)[0], b"") is None


def test_of_an_old_journal_its_end_stays() -> None:
    kept: EntryLog | None = None
    for entry in journal(6):
        kept = (kept, entry.ms, entry.name, entry.data)
    left = last_entries(kept, since_ms=41)
    assert left is not None
    assert [entry.n for entry in Remembered("w", 1, b"", 6, left).entries()] == [4, 5, 6]


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def now_ms(self) -> int:
        return self.ms


class Hosted:
    """The journals that a node hosts, without their code."""

    def __init__(self) -> None:
        self.coordinators: dict[str, Any] = {}
        self.unloaded = UnloadedWorkflows()

    def host(self, workflow_id: str, entries: list[RawEntry]) -> Any:
        log: EntryLog | None = None
        for entry in entries:
            log = (log, entry.ms, entry.name, entry.data)
        workflow = SimpleNamespace(name="closing", retention_ms=None)
        journal = SimpleNamespace(
            workflow_id=workflow_id,
            run=1,
            req=b"",
            applied=entries[-1].n,
            entry_log=log,
            machine=SimpleNamespace(workflow=workflow),
        )
        self.coordinators[workflow_id] = journal
        return journal


def closing(now_ms: int) -> list[RawEntry]:
    return [
        RawEntry(b"%d-%d" % (now_ms, n), n, now_ms, name, b"12345")
        for n, name in enumerate(("start", "close"), start=1)
    ]


async def settled() -> bool:
    return True


async def test_what_closed_and_what_was_recorded_for_others_is_kept_for_some_seconds() -> None:
    clock, hosted = Clock(), Hosted()
    kept = RememberedWrites(clock, hosted)  # type: ignore[arg-type]
    journal = hosted.host("w", closing(clock.ms))
    kept.add_bytes(10)
    kept.remember_closed(journal, Close(State.SUCCEEDED, None, None))
    kept.remember(settled)
    assert journal.entry_log is None, "its coordinator no longer holds it"
    assert [(one.workflow_id, one.closed) for one in kept.closed_lately()] == [("w", State.SUCCEEDED)]
    assert kept.facts() == (settled,)
    clock.ms += RECENT_WRITES_MS + 2_000
    kept.forget_past(clock.ms)
    assert not list(kept.closed_lately())
    assert not kept.facts()


async def test_of_much_what_redis_has_on_its_disk_is_forgotten_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "DURABLE_BYTES", 100)
    monkeypatch.setattr(remembered, "DURABLE_FACTS", 2)
    clock, hosted = Clock(), Hosted()
    kept = RememberedWrites(clock, hosted)  # type: ignore[arg-type]

    def closes(first: int, count: int) -> None:
        for n in range(first, first + count):
            kept.add_bytes(10)
            kept.remember_closed(hosted.host(f"w{n}", closing(clock.ms)), Close(State.SUCCEEDED, None, None))
            kept.remember(settled)

    closes(0, 16)
    before = kept.mark()
    closes(16, 16)
    many = asyncio.create_task(kept.are_many())
    await asyncio.wait_for(many, 5)
    kept.hold()
    kept.is_durable(before)
    assert len(list(kept.closed_lately())) == 32, "Redis has just lost something"
    kept.release()
    kept.is_durable(before)
    assert [one.workflow_id for one in kept.closed_lately()] == [f"w{n}" for n in range(16, 32)]
    assert len(kept.facts()) == 16
    kept.is_durable(kept.mark())
    assert kept.size == 80, "pages of eight: what is left is below the limit"
    assert len(kept.facts()) == 2
    not_many = asyncio.create_task(kept.are_many())
    await asyncio.wait((not_many,), timeout=0)
    assert not not_many.done()
    not_many.cancel()


async def test_nothing_is_forgotten_while_it_is_written_back() -> None:
    clock, hosted = Clock(), Hosted()
    kept = RememberedWrites(clock, hosted)  # type: ignore[arg-type]
    kept.remember(settled)
    kept.hold()
    clock.ms += 10 * RECENT_WRITES_MS
    kept.remember(settled)
    assert kept.being_written_back
    assert kept.facts() == (settled, settled)
    kept.release()
    await kept.written_back()
    kept.forget_past(clock.ms)
    assert kept.facts() == (settled,)


async def test_above_its_limit_a_node_keeps_only_the_last_entries_of_the_journals_hosted_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembered, "MEMORY_BYTES", 1_000)
    clock, hosted = Clock(), Hosted()
    kept = RememberedWrites(clock, hosted)  # type: ignore[arg-type]
    old, new = hosted.host("old", journal(50)), hosted.host("new", journal(50))  # both long ago
    kept.add_bytes(1_000)
    assert size_of(old.entry_log) == 500, "at the limit nothing is forgotten"
    kept.add_bytes(1)
    assert size_of(old.entry_log) == 10, "the common entry stays"
    assert size_of(new.entry_log) == 500, "that was enough"


def unloaded(workflow_id: str, entries: list[RawEntry]) -> UnloadedWorkflow:
    """A workflow that left memory after these entries."""
    one, log = UnloadedWorkflow.__new__(UnloadedWorkflow), None
    for entry in entries:
        log = (log, entry.ms, entry.name, entry.data)
    one.workflow_id, one.run, one.req, one.applied = workflow_id, 1, b"req", entries[-1].n
    one.workflow = SimpleNamespace(name="waits", retention_ms=None)  # type: ignore[assignment]
    one.state, one.listed_questions, one.packed = State.RUNNING, (), packed_entries(log)
    return one


def test_one_that_left_memory_is_a_journal_again() -> None:
    one = unloaded("w", journal(4, size=200))
    assert len(one.packed) < 4 * 200, "it is compressed"
    again = Remembered.of_unloaded(one)
    assert again is not None
    assert again.entries() == journal(4, size=200)
    assert (again.workflow_id, again.run, again.req, again.closed) == ("w", 1, b"req", None)


async def test_above_its_limit_a_node_forgets_first_what_left_memory_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, hosted = Clock(), Hosted()
    kept = RememberedWrites(clock, hosted)  # type: ignore[arg-type]
    first, second = unloaded("first", journal(9)), unloaded("second", journal(9))
    size = len(first.packed)
    monkeypatch.setattr(remembered, "MEMORY_BYTES", 2 * size)
    kept = RememberedWrites(clock, hosted)  # type: ignore[arg-type]
    hosted.unloaded.put(first)
    hosted.unloaded.put(second)
    kept.add_bytes(0)
    assert kept.size == 2 * size, "at the limit nothing is forgotten"
    kept.add_bytes(1)
    assert (first.packed, len(second.packed)) == (b"", size)
    assert Remembered.of_unloaded(first) is None, "it cannot be written back any more"
    assert kept.size == size + 1
