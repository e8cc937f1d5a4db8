# SPDX-License-Identifier: Apache-2.0
"""Where code and journal disagree the run is BLOCKED with a diff and the line: never failed, never repeated."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from nervenet.durable import Context, Machine
from nervenet.durable.check import blocked_text, replay_check
from nervenet.records import (
    Action,
    Attempt,
    Close,
    Decided,
    Entry,
    Escalated,
    Failure,
    FailureCode,
    Mismatch,
    Outcome,
    Patched,
    Payload,
    Question,
    Start,
    State,
    TimerFired,
)
from tests.durable.flows import Feeder, approve, extract, flow, greet, text


async def code(ctx: Context) -> str:
    await ctx.call(extract, "a")
    await asyncio.sleep(60)
    await ctx.ask("Sure?", choices=["yes", "no"])
    return await ctx.receive(approve)


def line(fn: Callable[..., Any], words: str) -> str:
    lines, first = inspect.getsourcelines(fn)
    return f"test_blocked.py:{first + next(i for i, text in enumerate(lines) if words in text)}"


CALL = line(code, "ctx.call")
NO = Failure(FailureCode.APPLICATION, "no")
OTHER = Payload("json", b'"b"')


@pytest.mark.parametrize(
    ("name", "body", "expected", "found"),
    [
        ("task:validate", Outcome(text("x"), None), "task:validate", "task:extract"),
        ("task:extract.2", Outcome(text("x"), None), "task:extract.2", "task:extract"),
        ("attempt:validate#1", Attempt(NO), "attempt:validate#1", "task:extract"),
        ("attempt:extract#2", Attempt(NO), "attempt:extract#2", "attempt:extract#1"),
        ("timer:1", TimerFired(5), "timer:1", "task:extract"),
        ("escalated:extract#1", Escalated(Question("?", "agent")), "escalated:extract#1", "task:extract"),
        ("decided:extract#1", Decided(Action.RETRY), "decided:extract#1", "task:extract"),
        ("task:extract", Outcome(text("x"), None, "translate"), "task:extract (translate )", None),
        ("task:extract", Outcome(text("x"), None, "extract", OTHER.digest()), "task:extract (extract ", None),
        ("attempt:extract#1", Attempt(NO, None, "translate"), "attempt:extract#1 (translate )", None),
        ("patch:new", Patched(True), "patch:new", "task:extract"),
        ("start", Start("code", 1, "3.11", Payload("none", b""), b""), "start", "task:extract"),
        ("close", Close(State.SUCCEEDED, text("x")), "close SUCCEEDED", "task:extract"),
    ],
)
def test_an_entry_that_this_code_cannot_have_caused_blocks_the_run(
    name: str, body: Any, expected: str, found: str | None
) -> None:
    feeder = Feeder(flow(code))
    assert feeder.feed(name, body) == []
    machine = feeder.machine
    assert machine.state is State.BLOCKED and machine.blocked is not None
    assert machine.blocked.expected.startswith(expected)
    assert found is None or machine.blocked.found == found
    assert (machine.blocked.where, machine.blocked.agreed) == (CALL, 1)
    assert machine.outstanding() == [] and feeder.done("extract") == []
    assert feeder.rebuilt().blocked == machine.blocked


def test_a_timer_with_another_due_time_blocks() -> None:
    feeder = Feeder(flow(code))
    feeder.done("extract")
    feeder.feed("timer:1", TimerFired(5))
    assert feeder.machine.blocked is not None and "timer:1 due 5" in feeder.machine.blocked.expected
    assert feeder.machine.blocked.where == line(code, "sleep(60)")


def test_a_question_in_other_words_blocks() -> None:
    feeder = Feeder(flow(code))
    feeder.done("extract")
    feeder.timer(1, feeder.now_ms + 60_000)
    feeder.feed("escalated:ask#1", Escalated(Question("Really?", "workflow", choices=("yes", "no"))))
    assert feeder.machine.blocked is not None and "'Really?'" in feeder.machine.blocked.expected
    assert feeder.machine.blocked.where == line(code, "ctx.ask")


@pytest.mark.parametrize(
    "start",
    [
        Start("code", 2, "3.11", Payload("none", b""), b""),
        Start("other", 1, "3.11", Payload("none", b""), b""),
        Start("code", 1, "2.7", Payload("none", b""), b""),
    ],
)
def test_another_definition_version_or_interpreter_blocks_at_once(start: Start) -> None:
    machine = Machine(flow(code), "wf-1")
    assert machine.apply(Entry("start", start, 1, 1)) == []
    assert machine.blocked is not None and machine.blocked.expected.startswith("start of ")


def test_a_journal_without_a_start_blocks() -> None:
    machine = Machine(flow(code), "wf-1")
    machine.apply(Entry("task:extract", Outcome(text("x"), None), 1, 1))
    assert machine.blocked == Mismatch("task:extract", "start", "", 0)


def test_entries_after_the_end_of_the_code_that_contradict_it_block() -> None:
    async def short(ctx: Context) -> str:
        return await ctx.call(extract, "a")

    feeder = Feeder(flow(short))
    feeder.done("extract", "x")
    feeder.signal("too late")
    assert feeder.machine.blocked is None
    feeder.done("validate")
    assert feeder.machine.blocked is not None and feeder.machine.blocked.found == "close SUCCEEDED"


@pytest.mark.parametrize(
    ("close", "fits"),
    [
        (Close(State.SUCCEEDED, text("x")), True),
        (Close(State.SUCCEEDED, Payload("json", b' "x" ')), True),
        (Close(State.SUCCEEDED, text("y")), False),
        (Close(State.FAILED, failure=NO), False),
        (Close(State.TIMED_OUT), True),
    ],
)
def test_the_journals_end_must_be_the_codes_end(close: Close, fits: bool) -> None:
    async def short(ctx: Context) -> str:
        return await ctx.call(extract, "a")

    feeder = Feeder(flow(short))
    feeder.done("extract", "x")
    feeder.feed("close", close)
    assert (feeder.machine.blocked is None) is fits


def test_the_two_columns() -> None:
    feeder = Feeder(flow(code))
    feeder.feed("task:validate", Outcome(text("x"), None))
    assert feeder.machine.blocked is not None
    assert blocked_text(feeder.machine, feeder.machine.blocked, feeder.entries[-1]).splitlines() == [
        f"wf-1 is BLOCKED: the code and the journal disagree since 00:16:40 (code v1, {CALL})",
        "   the journal has            this code asks for    (1 step before it agrees)",
        " 2 task:validate 00:16:40  ≠  task:extract",
        'Nothing is lost or retried. Deploy the code that ran before, or guard the change: if ctx.patched("extract-first"): …',
    ]


def test_an_endless_loop_is_stopped_with_its_line() -> None:
    async def spin(ctx: Context) -> None:
        await ctx.call(greet, "a")
        while True:
            await asyncio.sleep(0)

    feeder = Feeder(flow(spin))
    feeder.done("greet")
    blocked = feeder.machine.blocked
    assert blocked is not None and "100,000 callbacks" in blocked.found
    assert blocked.where == line(spin, "sleep(0)")


def test_code_that_does_not_yield_is_interrupted_from_another_thread_with_its_line() -> None:
    begun = threading.Event()

    async def burn(ctx: Context) -> None:
        begun.set()
        number = 0
        while True:
            number += 1

    feeder = Feeder(flow(code))
    machine = Machine(flow(burn), "wf-1")
    assert machine.interrupt() is False

    def watchdog() -> None:
        begun.wait(20)
        deadline = time.monotonic() + 20
        while not machine.interrupt() and time.monotonic() < deadline:
            time.sleep(0.001)

    thread = threading.Thread(target=watchdog)
    thread.start()
    start = feeder.entries[0].body
    assert isinstance(start, Start)
    machine.apply(Entry("start", Start("burn", 1, start.runtime, Payload("none", b""), b""), 1, 1))
    thread.join()
    assert machine.blocked is not None and "interrupted" in machine.blocked.found
    assert "await ctx.call" in machine.blocked.detail
    assert machine.blocked.where.startswith("test_blocked.py:")
    assert machine.interrupt() is False


def test_a_fault_of_the_machine_itself_never_leaves_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    feeder = Feeder(flow(code))
    monkeypatch.setattr("nervenet.durable.fold.Fold.take", lambda *_: 1 / 0)
    assert feeder.done("extract") == []
    assert feeder.machine.blocked is not None and "ZeroDivisionError" in feeder.machine.blocked.found


def test_the_replay_check_names_the_line_of_code_that_is_not_deterministic() -> None:
    import random

    async def drawing(ctx: Context) -> None:
        await ctx.call(greet, str(random.getrandbits(64)))

    feeder = Feeder(flow(drawing))
    _, difference = replay_check(feeder.machine, feeder.entries)
    assert difference is not None and difference.where == line(drawing, "ctx.call")
    assert difference.expected.startswith("task:greet #1 greet(")
