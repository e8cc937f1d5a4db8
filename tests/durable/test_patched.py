# SPDX-License-Identifier: Apache-2.0
"""`ctx.patched`: runs that had not passed the point take the new way, older ones the old one, each for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nervenet.definitions import define_workflow
from nervenet.durable import CloseRun, Command, Context, Dispatch, RecordPatch
from nervenet.durable.check import rebuild
from nervenet.records import Attempt, Entry, Failure, FailureCode, Outcome, Patched, State
from tests.durable.flows import Feeder, extract, flow, greet, text, validate


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


# ── what the code of before had sent, and nobody had answered, when the change came ──────────────────────────────────


async def at_once(ctx: Context) -> str:
    return await ctx.call(validate, "a")


async def greeted_first(ctx: Context) -> str:
    if ctx.patched("greet-first"):
        await ctx.call(greet, "a")
    return await ctx.call(validate, "a")


async def translated_first(ctx: Context) -> str:
    given = "a"
    if ctx.patched("greet-first"):
        given = await ctx.call(greet, given)
    return await ctx.call(validate, given)


async def validated_twice(ctx: Context) -> str:
    if ctx.patched("greet-first"):
        await ctx.call(validate, "first")
    return await ctx.call(validate, "a")


async def another_way(ctx: Context) -> str:
    return await ctx.call(greet, "a") if ctx.patched("greet-first") else await ctx.call(validate, "a")


GIVEN = text("a").digest()


class Deployed(Feeder):
    """A run of before, whose one step is in flight when a node with the code of today takes it over."""

    def __init__(self, code: Any) -> None:
        old = Feeder(define_workflow(at_once, name="in-flight"))
        self.workflow, self.entries, self.now_ms = define_workflow(code, name="in-flight"), old.entries, old.now_ms
        self.sent_ms = self.now_ms
        self.machine = self.rebuilt()

    def feed(self, name: str, body: Any, *, after_ms: int = 10) -> list[Command]:
        commands = super().feed(name, body, after_ms=after_ms)
        again = self.rebuilt()
        assert (again.outstanding(), again.state) == (self.machine.outstanding(), self.machine.state), name
        return commands

    def deployed(self) -> None:
        assert names(self.machine.outstanding()) == ["RecordPatch", *names(self.machine.outstanding())[1:]]
        self.feed("patch:greet-first", Patched(True))

    def of_before(self, value: str = "ok", step: str = "validate") -> list[Command]:
        """The agent that the code of before has sent its step to answers."""
        return self.done(step, value, capability="validate", digest=GIVEN, scheduled_ms=self.sent_ms)

    def attempt_of_before(self) -> list[Command]:
        return self.feed(
            "attempt:validate#1",
            Attempt(Failure(FailureCode.APPLICATION, "no"), None, "validate", GIVEN, scheduled_ms=self.sent_ms),
        )

    def result(self) -> str:
        assert self.machine.blocked is None and self.machine.result is not None, self.machine.blocked
        assert self.machine.result.output is not None
        return self.machine.result.output.data.decode()


def test_a_step_of_before_that_is_answered_early_is_there_when_the_changed_way_asks_for_it() -> None:
    run = Deployed(greeted_first)
    run.deployed()
    assert run.of_before("validated") == []
    assert names(run.done("greet")) == ["CloseRun"], "it is not sent again"
    assert run.result() == '"validated"'


def test_a_step_of_before_that_is_answered_late_is_the_answer_too() -> None:
    run = Deployed(greeted_first)
    run.deployed()
    assert names(run.done("greet")) == ["validate"]
    assert names(run.of_before("validated")) == ["CloseRun"]


def test_it_may_be_answered_before_the_patch_is_in_the_journal() -> None:
    run = Deployed(greeted_first)
    super(Deployed, run).feed("task:validate", Outcome(text("v"), None, "validate", GIVEN, scheduled_ms=run.sent_ms))
    run.feed("patch:greet-first", Patched(True))
    assert names(run.done("greet")) == ["CloseRun"]


def test_a_failed_attempt_of_before_counts_when_the_step_is_asked_for() -> None:
    run = Deployed(greeted_first)
    run.deployed()
    assert run.attempt_of_before() == []
    (command,) = run.done("greet")
    assert isinstance(command, Dispatch) and (command.step, command.attempt) == ("validate", 2)


def test_where_the_changed_way_asks_with_another_input_it_asks_under_another_name() -> None:
    early = Deployed(translated_first)
    early.deployed()
    early.of_before("validated")
    assert names(early.done("greet", "b")) == ["validate.2"]
    early.done("validate.2", "b is fine", digest=text("b").digest())
    assert early.result() == '"b is fine"'

    late = Deployed(translated_first)
    late.deployed()
    assert names(late.done("greet", "b")) == ["validate"]
    assert names(late.of_before("validated")) == ["validate.2"]
    late.done("validate.2", "b is fine", digest=text("b").digest())
    assert late.result() == '"b is fine"'


def test_where_the_changed_way_asks_the_same_agent_first_each_gets_its_own_answer() -> None:
    run = Deployed(validated_twice)
    run.deployed()
    assert names(run.of_before("validated")) == ["validate.2"]
    assert names(run.done("validate.2", digest=text("first").digest())) == ["CloseRun"]
    assert run.result() == '"validated"'


def test_where_the_changed_way_never_asks_for_it_nobody_waits_for_it() -> None:
    run = Deployed(another_way)
    run.deployed()
    assert run.of_before() == []
    run.done("greet", "greeted")
    assert run.result() == '"greeted"'


@pytest.mark.parametrize("told", [{}, {"scheduled_ms": 1 << 60}, {"started_ms": 1 << 60}])
def test_a_step_that_was_sent_after_the_change_still_contradicts_code_that_does_not_ask_for_it(
    told: dict[str, int],
) -> None:
    run = Deployed(greeted_first)
    run.deployed()
    run.machine.apply(Entry("task:extract", Outcome(text("x"), None, "extract", **told), 3, run.now_ms + 1))
    assert run.machine.blocked is not None and run.machine.blocked.expected == "task:extract"


def test_an_input_that_was_changed_after_the_patch_still_contradicts() -> None:
    run = Deployed(greeted_first)
    run.deployed()
    run.done("greet")
    run.done("validate", "x", capability="validate", digest=text("other").digest(), scheduled_ms=run.now_ms)
    assert run.machine.blocked is not None and run.machine.blocked.expected.startswith("task:validate (validate ")
