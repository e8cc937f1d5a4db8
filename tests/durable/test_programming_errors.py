# SPDX-License-Identifier: Apache-2.0
"""A programming error blocks the run at its line; what code raises on purpose fails it (decision 0035)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import pytest

from nervenet.definitions import Workflow, define_workflow
from nervenet.durable import Context, Machine, failure_of
from nervenet.durable.check import blocked_text
from nervenet.durable.programming_errors import PROGRAMMING_ERRORS
from nervenet.errors import CallFailed, NotDurable
from nervenet.mesh import Mesh
from nervenet.records import Cancel, Close, Entry, Failure, FailureCode, Outcome, State
from nervenet.testing import Journal, WorkflowTest, replay
from tests.durable.flows import Feeder, greet, text
from tests.durable.test_blocked import line as line_in_test_blocked

Code = Callable[[Context], Coroutine[Any, Any, Any]]


def line(fn: Code, words: str) -> str:
    return line_in_test_blocked(fn, words).replace("test_blocked.py", "test_programming_errors.py")


def flow(fn: Code, on_error: Literal["block", "fail"] = "block", name: str = "order") -> Workflow[Any, Any]:
    return define_workflow(fn, name=name, on_error=on_error, local=globals())


def raises(error: BaseException) -> Code:
    async def code(ctx: Context) -> None:
        await ctx.call(greet, "a")
        raise error

    return code


def after_the_greeting(fn: Code, on_error: Literal["block", "fail"] = "block") -> Feeder:
    feeder = Feeder(flow(fn, on_error))
    feeder.done("greet")
    return feeder


# ── which errors ─────────────────────────────────────────────────────────────────────────────────────────────────────


class OutOfStock(KeyError):
    """A class of the user's own: raised on purpose, whatever its base is."""


@pytest.mark.parametrize("kind", sorted(PROGRAMMING_ERRORS, key=lambda kind: kind.__name__))
def test_a_programming_error_blocks_the_run_and_writes_nothing(kind: type[BaseException]) -> None:
    feeder = after_the_greeting(code := raises(kind("price")))
    machine, blocked = feeder.machine, feeder.machine.blocked
    assert machine.state is State.BLOCKED and machine.result is None and machine.outstanding() == []
    assert blocked is not None and blocked.where == line(code, "raise error")
    assert blocked.error.startswith(kind.__name__) and "raise error" in blocked.detail
    assert [entry.name for entry in feeder.entries] == ["start", "task:greet"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such amount"),
        RuntimeError("the shop is closed"),
        OSError("disk"),
        OutOfStock("tea"),
        type("Rejected", (Exception,), {})("no"),
        type("Late", (AssertionError,), {})("too late"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_code_raises_on_purpose_fails_the_run(error: BaseException) -> None:
    result = after_the_greeting(raises(error)).machine.result
    assert result is not None and result.state is State.FAILED
    assert result.failure is not None and result.failure.type == type(error).__name__


def test_an_error_that_is_raised_from_a_programming_error_is_on_purpose() -> None:
    async def code(ctx: Context) -> None:
        await ctx.call(greet, "a")
        try:
            _ = {}["tea"]
        except KeyError as missing:
            raise OutOfStock("tea") from missing

    result = after_the_greeting(code).machine.result
    assert result is not None and result.state is State.FAILED


def test_the_failure_of_a_handler_passes_through_and_fails_the_run() -> None:
    async def code(ctx: Context) -> None:
        await ctx.call(greet, "a")

    feeder = Feeder(flow(code))
    feeder.feed("task:greet", Outcome(None, Failure(FailureCode.APPLICATION, "'price'", "KeyError")))
    result = feeder.machine.result
    assert result is not None and result.state is State.FAILED and feeder.machine.failed_at == "greet"


def test_a_mistake_while_a_failure_is_handled_blocks_at_the_mistake() -> None:
    async def code(ctx: Context) -> None:
        try:
            await ctx.call(greet, "a")
        except CallFailed as error:
            _ = error.reason  # type: ignore[attr-defined]  # the mistake

    feeder = Feeder(flow(code))
    feeder.feed("task:greet", Outcome(None, Failure(FailureCode.APPLICATION, "no")))
    blocked = feeder.machine.blocked
    assert blocked is not None and blocked.error.startswith("AttributeError") and blocked.where == line(code, "reason")


def test_one_programming_error_in_a_group_blocks() -> None:
    async def wrong(ctx: Context) -> None:
        await ctx.call(greet, "a")
        _ = [][0]

    async def code(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wrong(ctx))
            group.create_task(asyncio.sleep(60))

    blocked = after_the_greeting(code).machine.blocked
    assert blocked is not None and blocked.error == "IndexError: list index out of range"
    assert blocked.where == line(wrong, "[][0]")


def test_next_without_a_next_one_is_a_programming_error_although_python_calls_it_a_runtime_error() -> None:
    async def code(ctx: Context) -> None:
        await ctx.call(greet, "a")
        next(iter(()))

    blocked = after_the_greeting(code).machine.blocked
    assert blocked is not None and blocked.where == line(code, "next(")


# ── where it happens ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_at_the_first_step_only_the_start_is_in_the_journal() -> None:
    async def code(ctx: Context) -> None:
        _ = {}["price"]
        await ctx.call(greet, "a")

    feeder = Feeder(flow(code))
    assert feeder.machine.state is State.BLOCKED
    assert [entry.name for entry in feeder.entries] == ["start"]


def test_after_a_cancel_it_fails_the_run_because_somebody_waits_for_its_end() -> None:
    async def code(ctx: Context) -> None:
        try:
            await ctx.call(greet, "a")
        finally:
            _ = {}["undo"]

    feeder = Feeder(flow(code))
    feeder.feed("cancel", Cancel("enough", "ana"))
    result = feeder.machine.result
    assert result is not None and result.state is State.FAILED
    assert result.failure is not None and result.failure.type == "KeyError"
    assert "undo" in result.failure.stack_trace


# ── the switch ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_on_error_fail_fails_the_run() -> None:
    result = after_the_greeting(raises(KeyError("price")), "fail").machine.result
    assert result is not None and result.state is State.FAILED


def test_a_workflow_has_its_meshs_switch_unless_it_has_its_own() -> None:
    mesh = Mesh("shop", on_error="fail")

    @mesh.workflow
    async def one(ctx: Context) -> None: ...

    @mesh.workflow(on_error="block")
    async def two(ctx: Context) -> None: ...

    assert (one.on_error, two.on_error, Mesh("other").on_error) == ("fail", "block", "block")
    with pytest.raises(ValueError, match="mesh 'shop': on_error is 'park': 'block' or 'fail'"):
        Mesh("shop", on_error="park")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ValueError, match="workflow 'one': on_error is 'park'"):
        Mesh("shop").workflow(on_error="park")(one.fn)  # type: ignore[call-overload]  # the mistake


# ── corrected ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_corrected_code_continues_from_the_journal_and_asks_for_nothing_twice() -> None:
    feeder = after_the_greeting(raises(KeyError("price")))

    async def corrected(ctx: Context) -> str:
        return await ctx.call(greet, "a")

    machine = Machine(flow(corrected), feeder.machine.workflow_id)
    machine.foresee(feeder.entries)
    for entry in feeder.entries:
        machine.apply(entry, replaying=True)
    (close,) = machine.outstanding()
    assert getattr(close, "close", None) == Close(State.SUCCEEDED, text("ok"))


def test_a_journal_that_says_that_the_error_failed_the_run_still_replays() -> None:
    """It was written under `on_error="fail"`, or by a release without it."""
    feeder = after_the_greeting(raises(KeyError("price")), "fail")
    result = feeder.machine.result
    assert result is not None
    feeder.feed("close", result)
    replay(flow(raises(KeyError("price"))), Journal("order-1", 1, feeder.entries))
    other = Close(State.FAILED, failure=failure_of(IndexError("another")))
    journal = [*feeder.entries[:-1], Entry("close", other, len(feeder.entries), feeder.entries[-1].time_ms)]
    with pytest.raises(KeyError, match="price"):
        replay(flow(raises(KeyError("price"))), Journal("order-1", 1, journal))


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_words_name_the_error_the_line_and_the_cure() -> None:
    feeder = after_the_greeting(code := raises(KeyError("price")))
    assert feeder.machine.blocked is not None
    words = blocked_text(feeder.machine, feeder.machine.blocked)
    assert "is BLOCKED by an error in its code" in words
    assert f"{line(code, 'raise error')}: KeyError: 'price'" in words
    assert "no step runs twice" in words and f"nervenet retry {feeder.machine.workflow_id}" in words
    assert feeder.machine.blocked.note == f"{line(code, 'raise error')}: KeyError: 'price'"


def test_a_unit_test_gets_the_error_itself_with_the_same_words() -> None:
    async def code(ctx: Context) -> None:
        await ctx.call(greet, "a")
        _ = {}["price"]

    t = WorkflowTest()
    t.stub(greet, lambda name: "done")
    with pytest.raises(KeyError, match="price") as raised:
        t.run(flow(code))
    assert any("is BLOCKED by an error in its code" in note for note in raised.value.__notes__)
    assert raised.traceback[-1].frame.code.name == "code"


def test_a_unit_test_of_code_that_is_not_durable_gets_that_error() -> None:
    async def code(ctx: Context) -> None:
        await asyncio.to_thread(len, "a")

    with pytest.raises(NotDurable, match="cannot be replayed"):
        WorkflowTest().run(flow(code))
