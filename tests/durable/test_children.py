# SPDX-License-Identifier: Apache-2.0
"""Children and signals as the machine sees them: what it wants, what it takes back, and what a replay wants again."""

from __future__ import annotations

import asyncio
from typing import Any

from nervenet.definitions import Workflow, define_workflow
from nervenet.durable import CancelChild, CloseRun, Context, SendSignal, StartChild
from nervenet.errors import CallFailed
from nervenet.options import CallOptions
from nervenet.records import ChildStarted, Failure, FailureCode, Outcome, SignalSent, State
from tests.durable.flows import Feeder, approve, flow, greet, text


async def audit_code(ctx: Context, name: str) -> str:
    return name


audit: Workflow[str, str] = define_workflow(audit_code, name="audit")
NO = Failure(FailureCode.DEPENDENCY, "taken", "AlreadyExists")


def started(feeder: Feeder, step: str = "audit", **more: Any) -> list[Any]:
    return feeder.feed(f"child:{step}", ChildStarted(f"wf-1/{step}", "audit", **more))


def ended(feeder: Feeder, step: str = "audit", value: str = "fine") -> list[Any]:
    return feeder.feed(f"task:{step}", Outcome(text(value), None, "audit"))


def value(commands: list[Any]) -> str:
    (close,) = (c for c in commands if isinstance(c, CloseRun))
    assert close.close.output is not None
    return close.close.output.data.decode()


async def talks(ctx: Context) -> str:
    child = await ctx.start(audit, "httpx")
    await child.signal(approve, "go")
    return await child.result()


def test_a_child_is_wanted_until_it_is_started_and_its_outcome_is_the_steps() -> None:
    feeder = Feeder(flow(talks))
    (wish,) = feeder.rebuilt().outstanding()
    assert isinstance(wish, StartChild)
    assert (wish.step, wish.workflow_id, wish.definition, wish.input) == ("audit", "wf-1/audit", "audit", text("httpx"))
    (send,) = started(feeder)
    assert isinstance(send, SendSignal) and feeder.rebuilt().outstanding() == [send]
    assert feeder.feed("sent:approve", SignalSent("wf-1/audit", "approve")) == []
    assert feeder.rebuilt().outstanding() == [] and "task:audit" in feeder.machine.waits()
    assert value(ended(feeder)) == '"fine"'


def test_a_signals_id_derives_from_its_run_and_step_alone() -> None:
    async def twice(ctx: Context) -> None:
        await asyncio.gather(ctx.signal("other", approve, "a"), ctx.signal("other", approve, "b"))

    feeder = Feeder(flow(twice))
    first, second = feeder.machine.outstanding()
    assert isinstance(first, SendSignal) and isinstance(second, SendSignal)
    assert (first.step, second.step) == ("approve", "approve.2") and first.signal_id != second.signal_id
    assert feeder.rebuilt().outstanding() == [first, second]


def test_a_signal_that_nobody_takes_fails_where_it_was_sent() -> None:
    async def tries(ctx: Context) -> str:
        try:
            await ctx.signal("other", approve, "a")
        except CallFailed as failed:
            return failed.failure.type
        return "sent"

    feeder = Feeder(flow(tries))
    gone = Failure(FailureCode.DEPENDENCY, "no", "NotFound")
    assert value(feeder.feed("sent:approve", SignalSent("other", "approve", gone))) == '"NotFound"'


def test_a_child_that_cannot_be_started_fails_the_call_and_the_start() -> None:
    async def both(ctx: Context) -> str:
        said = []
        for attempt in (ctx.call(audit, "a"), ctx.start(audit, "b")):
            try:
                await attempt
            except CallFailed as failed:
                said.append(failed.failure.type)
        return "+".join(said)

    feeder = Feeder(flow(both))
    started(feeder, failure=NO)
    assert value(started(feeder, "audit.2", failure=NO)) == '"AlreadyExists+AlreadyExists"'


def test_a_call_given_up_cancels_its_child_whenever_that_runs() -> None:
    async def impatient(ctx: Context) -> str:
        try:
            async with asyncio.timeout(5):
                await ctx.call(audit, "a")
        except TimeoutError:
            await ctx.call(greet, "late")
        return "late"

    early = Feeder(flow(impatient))
    started(early)
    commands = early.timer(1, 1_000_010 + 5_000)
    assert CancelChild("audit", "wf-1/audit") in commands
    assert CancelChild("audit", "wf-1/audit") in early.rebuilt().outstanding()
    ended(early)
    assert not any(isinstance(c, CancelChild) for c in early.rebuilt().outstanding())

    late = Feeder(flow(impatient))
    late.timer(1, 1_000_010 + 5_000)
    assert started(late) == [CancelChild("audit", "wf-1/audit")]


def test_with_wait_the_cancelled_call_goes_on_when_the_child_has_ended() -> None:
    async def patient(ctx: Context) -> str:
        return await ctx.call(audit, "a", options=CallOptions(on_cancel="wait"))

    feeder = Feeder(flow(patient))
    started(feeder)
    assert feeder.cancel() == [CancelChild("audit", "wf-1/audit")]
    assert feeder.machine.result is None
    (close,) = ended(feeder)
    assert isinstance(close, CloseRun) and close.close.state is State.CANCELED


def test_giving_up_the_wait_for_a_handle_leaves_the_child_running() -> None:
    async def waits(ctx: Context) -> str:
        child = await ctx.start(audit, "a")
        try:
            async with asyncio.timeout(5):
                return await child.result()
        except TimeoutError:
            return await child.result()

    feeder = Feeder(flow(waits))
    started(feeder)
    assert not any(isinstance(c, CancelChild) for c in feeder.timer(1, feeder.now_ms + 5_000))
    assert value(ended(feeder)) == '"fine"'


def test_an_outcome_may_stand_before_the_entry_of_its_start() -> None:
    feeder = Feeder(flow(talks))
    (send,) = ended(feeder)
    assert isinstance(send, SendSignal)
    assert started(feeder) == [] and feeder.machine.blocked is None
    assert value(feeder.feed("sent:approve", SignalSent("wf-1/audit", "approve"))) == '"fine"'


def test_another_child_or_addressee_than_the_journals_blocks() -> None:
    feeder = Feeder(flow(talks))
    feeder.feed("child:audit", ChildStarted("wf-1/audit", "inspect"))
    assert feeder.machine.blocked is not None and "inspect wf-1/audit" in feeder.machine.blocked.expected
    other = Feeder(flow(talks))
    started(other)
    other.feed("sent:approve", SignalSent("somebody", "approve"))
    assert other.machine.blocked is not None and other.machine.blocked.where.startswith("test_children.py:")
    never = Feeder(flow(talks))
    never.feed("sent:other", SignalSent("wf-1/audit", "other"))
    assert never.machine.blocked is not None and never.machine.blocked.found == "child:audit"


def test_children_can_be_mapped() -> None:
    async def many(ctx: Context) -> list[str]:
        return await ctx.map(audit, ["a", "b"])

    feeder = Feeder(flow(many))
    assert [c.step for c in feeder.machine.outstanding() if isinstance(c, StartChild)] == ["audit", "audit.2"]
    ended(feeder, "audit.2", "b")
    assert value(ended(feeder, "audit", "a")) == '["a","b"]'


def test_a_dropped_machine_with_children_is_silent() -> None:
    feeder = Feeder(flow(talks))
    started(feeder)
    feeder.machine.close()
