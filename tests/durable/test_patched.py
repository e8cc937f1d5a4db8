# SPDX-License-Identifier: Apache-2.0
"""`ctx.patched`: runs that had not passed the point take the new way, older ones the old one, each for ever."""

from __future__ import annotations

import asyncio

from nervenet.definitions import define_workflow
from nervenet.durable import CloseRun, Context, Dispatch, RecordPatch
from nervenet.durable.check import rebuild
from nervenet.records import Patched, State
from tests.durable.flows import Feeder, extract, flow, greet, validate


async def before(ctx: Context) -> str:
    await ctx.call(extract, "a")
    return await ctx.call(validate, "a")


async def after(ctx: Context) -> str:
    await ctx.call(extract, "a")
    if ctx.patched("greet-first"):
        await ctx.call(greet, "a")
    return await ctx.call(validate, "a")


async def loops(ctx: Context) -> str:
    told = []
    for _ in range(2):
        await ctx.call(extract, "a")
        told.append(ctx.patched("in-a-loop"))
    return str(told)


OLD, NEW = define_workflow(before, name="versions"), define_workflow(after, name="versions")


def names(commands: object) -> list[str]:
    assert isinstance(commands, list)
    return [c.step if isinstance(c, Dispatch) else type(c).__name__ for c in commands]


def test_a_run_that_comes_to_the_point_takes_the_new_way_and_records_it_before_anything_else() -> None:
    feeder = Feeder(NEW)
    assert names(feeder.done("extract")) == ["RecordPatch", "greet"]
    assert feeder.rebuilt().outstanding() == feeder.machine.outstanding()
    assert feeder.feed("patch:greet-first", Patched(True)) == []
    assert names(feeder.rebuilt().outstanding()) == ["greet"]
    feeder.done("greet")
    feeder.done("validate")
    assert feeder.rebuilt().state is State.RUNNING and names(feeder.rebuilt().outstanding()) == ["CloseRun"]


def test_a_run_that_has_passed_the_point_stays_on_the_old_way() -> None:
    feeder = Feeder(OLD)
    feeder.done("extract")
    feeder.done("validate", "fine")
    again = rebuild(NEW, "wf-1", 1, feeder.entries)
    assert again.blocked is None and names(again.outstanding()) == ["CloseRun"]


def test_a_run_that_waits_right_at_the_point_takes_the_new_way() -> None:
    feeder = Feeder(OLD)
    feeder.done("extract")
    again = rebuild(NEW, "wf-1", 1, feeder.entries)
    assert again.outstanding()[0] == RecordPatch("greet-first")


def test_one_answer_per_run_in_loops_too() -> None:
    fresh = Feeder(flow(loops))
    fresh.done("extract")
    fresh.feed("patch:in-a-loop", Patched(True))
    (close,) = fresh.done("extract.2")
    assert isinstance(close, CloseRun) and close.close.output is not None
    assert close.close.output.data == b'"[True, True]"'

    async def unpatched(ctx: Context) -> None:
        for _ in range(2):
            await ctx.call(extract, "a")
        await asyncio.sleep(1)

    older = Feeder(flow(unpatched))
    older.done("extract")
    older.signal("x")
    again = rebuild(define_workflow(loops, name="unpatched"), "wf-1", 1, older.entries)
    assert names(again.outstanding()) == ["extract.2"]
    older.done("extract.2")
    (close,) = again.apply(older.entries[-1])
    assert isinstance(close, CloseRun) and close.close.output is not None
    assert close.close.output.data == b'"[False, False]"'


def test_two_patches_at_one_point_stand_together_though_a_crash_came_between_their_entries() -> None:
    async def both(ctx: Context) -> None:
        if ctx.patched("one") and ctx.patched("two"):
            await ctx.call(greet, "new")
        await ctx.call(extract, "a")

    feeder = Feeder(flow(both))
    assert names(feeder.machine.outstanding()) == ["RecordPatch", "RecordPatch", "greet"]
    feeder.feed("patch:one", Patched(True))
    assert feeder.rebuilt().outstanding()[0] == RecordPatch("two")
    assert names(feeder.rebuilt().outstanding()) == ["RecordPatch", "greet"]


def test_code_that_no_longer_asks_for_a_recorded_patch_is_blocked() -> None:
    feeder = Feeder(NEW)
    feeder.done("extract")
    feeder.feed("patch:greet-first", Patched(True))
    again = rebuild(OLD, "wf-1", 1, feeder.entries)
    assert again.blocked is not None and again.blocked.expected == "patch:greet-first"


def test_a_recorded_patch_is_answered_ahead_of_its_entry() -> None:
    feeder = Feeder(NEW)
    feeder.done("extract")
    feeder.signal("came in between")
    feeder.feed("patch:greet-first", Patched(True))
    assert feeder.rebuilt().blocked is None
    assert names(feeder.rebuilt().outstanding()) == ["greet"]


def test_a_change_has_a_name() -> None:
    async def nameless(ctx: Context) -> None:
        ctx.patched("no spaces")

    (close,) = Feeder(flow(nameless)).machine.outstanding()
    assert isinstance(close, CloseRun) and close.close.failure is not None
    assert "change 'no spaces' is not a name" in close.close.failure.message
