# SPDX-License-Identifier: Apache-2.0
"""One cancel, delivered once, at a wait; what the code makes of it decides how the run ends."""

from __future__ import annotations

import asyncio

import pytest

from nervenet.durable import Context, Dispatch, Withdraw
from nervenet.options import CallOptions
from nervenet.records import Close, FailureCode, State
from tests.durable.flows import Feeder, approve, extract, flow, greet, text


async def plain(ctx: Context) -> str:
    return await ctx.call(extract, "a")


async def cleaning(ctx: Context) -> str:
    try:
        return await ctx.call(extract, "a")
    finally:
        await ctx.call(greet, "undo")
        await asyncio.sleep(5)


async def swallowing(ctx: Context) -> str:
    try:
        return await ctx.call(extract, "a")
    except asyncio.CancelledError:
        return "kept"


def test_a_cancel_that_escapes_ends_canceled_and_withdraws_the_call() -> None:
    feeder = Feeder(flow(plain))
    assert Withdraw("extract", 1) in feeder.cancel()
    close = feeder.machine.result
    assert close is not None and close.state is State.CANCELED
    assert close.failure is not None and (close.failure.code, close.failure.message) == (FailureCode.CANCELED, "enough")


def test_a_cancel_because_time_ran_out_ends_timed_out() -> None:
    feeder = Feeder(flow(plain))
    feeder.cancel(timeout=True)
    assert feeder.machine.result is not None and feeder.machine.result.state is State.TIMED_OUT


def test_caught_and_returned_is_success() -> None:
    feeder = Feeder(flow(swallowing))
    feeder.cancel()
    assert feeder.machine.result == Close(State.SUCCEEDED, text("kept"))


def test_clean_up_may_call_and_sleep_and_is_canceling_meanwhile() -> None:
    feeder = Feeder(flow(cleaning))
    commands = feeder.cancel()
    assert [c.step for c in commands if isinstance(c, Dispatch)] == ["greet"]
    assert feeder.machine.state is State.CANCELING and feeder.machine.cancel is not None
    assert feeder.rebuilt().outstanding() == feeder.machine.outstanding()
    feeder.done("greet")
    feeder.timer(1, feeder.now_ms + 5_000)
    assert feeder.machine.result is not None and feeder.machine.result.state is State.CANCELED


def test_an_error_in_the_clean_up_is_a_failure() -> None:
    feeder = Feeder(flow(cleaning))
    feeder.cancel()
    feeder.failed("greet")
    assert feeder.machine.result is not None and feeder.machine.result.state is State.FAILED


def test_the_node_may_end_a_clean_up_that_takes_too_long() -> None:
    feeder = Feeder(flow(cleaning))
    feeder.cancel(timeout=True)
    feeder.feed("close", Close(State.TIMED_OUT))
    assert feeder.machine.state is State.TIMED_OUT and feeder.machine.outstanding() == []


@pytest.mark.parametrize("shape", ["gather", "group", "wait_for", "receive", "sleep", "map", "ask"])
def test_the_cancel_arrives_once_and_unwrapped_wherever_the_workflow_waits(shape: str) -> None:
    seen: list[str] = []

    async def waiting(ctx: Context) -> None:
        try:
            match shape:
                case "gather":
                    await asyncio.gather(ctx.call(extract, "a"), ctx.call(extract, "b"))
                case "group":
                    async with asyncio.TaskGroup() as group:
                        group.create_task(ctx.call(extract, "a"))
                case "wait_for":
                    await asyncio.wait_for(ctx.call(extract, "a"), 60)
                case "receive":
                    await ctx.receive(approve)
                case "sleep":
                    await asyncio.sleep(60)
                case "map":
                    await ctx.map(extract, ["a", "b"])
                case "ask":
                    await ctx.ask("?", choices=["yes"])
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    feeder = Feeder(flow(waiting))
    feeder.cancel()
    assert seen == ["CancelledError"]
    assert feeder.machine.result is not None and feeder.machine.result.state is State.CANCELED
    if shape == "receive":
        assert feeder.signal("late") == [] and feeder.machine.blocked is None


def test_an_outcome_and_a_cancel_each_have_their_own_entry_so_neither_hides_the_other() -> None:
    async def two(ctx: Context) -> str:
        first = await ctx.call(extract, "a")
        try:
            await ctx.call(extract, "b")
        except asyncio.CancelledError:
            return first
        return "?"

    feeder = Feeder(flow(two))
    feeder.done("extract", "kept")
    feeder.cancel()
    assert feeder.machine.result == Close(State.SUCCEEDED, text("kept"))


def test_on_cancel_wait_goes_on_when_the_agent_has_stopped_and_leave_tells_nobody() -> None:
    async def choosing(ctx: Context, how: str) -> str:
        options = CallOptions(on_cancel=how)  # type: ignore[arg-type]
        try:
            await asyncio.wait_for(ctx.call(extract, "a", options=options), 5)
        except TimeoutError:
            return "gone"
        return "?"

    feeder = Feeder(flow(choosing), text("wait"))
    due = feeder.now_ms + 5_000
    assert Withdraw("extract", 1, wait=True) in feeder.timer(1, due)
    assert feeder.machine.result is None and feeder.rebuilt().outstanding() == feeder.machine.outstanding()
    feeder.failed("extract", FailureCode.CANCELED)
    assert feeder.machine.result == Close(State.SUCCEEDED, text("gone"))

    feeder = Feeder(flow(choosing), text("leave"))
    commands = feeder.timer(1, feeder.now_ms + 5_000)
    assert not [c for c in commands if isinstance(c, Withdraw)]
    assert feeder.machine.result == Close(State.SUCCEEDED, text("gone"))


def test_code_that_cancels_itself_without_being_asked_has_failed() -> None:
    async def odd(ctx: Context) -> None:
        raise asyncio.CancelledError

    feeder = Feeder(flow(odd))
    close = feeder.machine.result
    assert close is not None and close.state is State.FAILED
    assert close.failure is not None and close.failure.type == "CancelledError"


def test_a_cancel_after_the_end_changes_nothing() -> None:
    feeder = Feeder(flow(plain))
    feeder.done("extract", "x")
    assert feeder.cancel() == []
    assert feeder.machine.result == Close(State.SUCCEEDED, text("x"))
    feeder.feed("close", Close(State.SUCCEEDED, text("x")))
    assert feeder.machine.state is State.SUCCEEDED
