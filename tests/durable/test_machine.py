# SPDX-License-Identifier: Apache-2.0
"""The machine as messages in and messages out; read it as its specification."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nervenet.durable import (
    CloseRun,
    Context,
    Dispatch,
    EscalateStep,
    Expire,
    FailStep,
    Publish,
    StartTimer,
    StopTimer,
    Withdraw,
)
from nervenet.durable.retry import LOST_MOST
from nervenet.errors import CallFailed, CallTimedOut
from nervenet.options import CallOptions, RetryPolicy, Timeouts
from nervenet.payloads import PayloadTooLarge
from nervenet.records import (
    Action,
    Attempt,
    Close,
    Decided,
    Escalated,
    Failure,
    FailureCode,
    Outcome,
    Payload,
    Question,
    State,
    Usage,
)
from tests.durable.flows import Feeder, approve, extract, flow, greet, text, validate


def steps(commands: list[Any]) -> list[str]:
    return [f"{c.step}#{c.attempt}" for c in commands if isinstance(c, Dispatch)]


async def two(ctx: Context) -> str:
    first = await ctx.call(extract, "a")
    return await ctx.call(extract, first)


def test_a_call_is_dispatched_once_and_its_outcome_goes_on() -> None:
    feeder = Feeder(flow(two))
    assert steps(feeder.first) == ["extract#1"]
    command = feeder.done("extract", "b")[0]
    assert isinstance(command, Dispatch)
    assert (command.step, command.input, command.capability) == ("extract.2", text("b"), "extract")
    assert feeder.done("extract.2", "c") == [CloseRun(Close(State.SUCCEEDED, text("c")))]
    assert feeder.machine.state is State.RUNNING and feeder.machine.result is not None
    assert feeder.feed("close", Close(State.SUCCEEDED, text("c"))) == []
    assert feeder.machine.state is State.SUCCEEDED and feeder.machine.outstanding() == []


def test_replaying_brings_no_commands_but_outstanding_has_what_is_still_wanted() -> None:
    feeder = Feeder(flow(two))
    feeder.done("extract", "b")
    again = feeder.rebuilt()
    assert again.outstanding() == feeder.machine.outstanding() and steps(again.outstanding()) == ["extract.2#1"]


def test_what_is_called_is_encoded_when_the_call_is_made() -> None:
    async def mutating(ctx: Context) -> None:
        value = ["early"]
        call = ctx.call("tool", value)
        value.append("late")
        await call

    command = Feeder(flow(mutating)).first[0]
    assert isinstance(command, Dispatch) and command.input == Payload("json", b'["early"]')


def test_a_failed_step_raises_call_failed_with_its_failure() -> None:
    seen: list[CallFailed] = []

    async def catching(ctx: Context) -> str:
        try:
            return await ctx.call(extract, "a")
        except CallTimedOut as error:
            seen.append(error)
            return "late"

    feeder = Feeder(flow(catching))
    feeder.failed("extract", FailureCode.TIMEOUT)
    assert feeder.machine.result == Close(State.SUCCEEDED, text("late"))
    assert seen[0].failure.message == "no" and seen[0].step == "extract" and isinstance(seen[0], TimeoutError)


def test_a_call_failed_that_leaves_the_function_carries_its_failure_through() -> None:
    feeder = Feeder(flow(two))
    feeder.failed("extract", type="RateLimited")
    close = feeder.machine.result
    assert close is not None and close.state is State.FAILED
    assert close.failure is not None and (close.failure.type, close.failure.message) == ("RateLimited", "no")


def test_an_exception_that_leaves_the_function_fails_the_run_with_user_frames_and_causes() -> None:
    async def broken(ctx: Context) -> None:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner

    close = Feeder(flow(broken)).machine.result
    assert close is not None and close.failure is not None and close.state is State.FAILED
    failure = close.failure
    assert (failure.type, failure.message) == ("ValueError", "outer")
    assert "test_machine.py" in failure.stack_trace and "asyncio" not in failure.stack_trace
    assert failure.cause is not None and failure.cause.type == "KeyError"


def test_an_exception_group_speaks_of_what_is_in_it() -> None:
    async def grouped(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.call(extract, "a"))
            group.create_task(ctx.call(validate, "b"))

    feeder = Feeder(flow(grouped))
    assert Withdraw("validate", 1) in feeder.failed("extract", type="Torn")
    close = feeder.machine.result
    assert close is not None and close.failure is not None and close.failure.cause is not None
    assert close.failure.type == "ExceptionGroup" and close.failure.cause.type == "Torn"


def test_system_exit_in_a_workflow_is_its_failure_and_stays_inside() -> None:
    async def leaving(ctx: Context) -> None:
        await asyncio.create_task(ctx.call(extract, "a"))
        sys.exit(3)

    feeder = Feeder(flow(leaving))
    feeder.done("extract")
    assert feeder.machine.result is not None and feeder.machine.result.state is State.FAILED


def test_a_result_of_the_wrong_type_fails_the_caller_not_the_machine() -> None:
    feeder = Feeder(flow(two))
    feeder.feed("task:extract", Outcome(Payload("json", b"17"), None))
    close = feeder.machine.result
    assert close is not None and close.failure is not None
    assert close.failure.code is FailureCode.INVALID_INPUT and "extract" in close.failure.message


def test_input_that_does_not_fit_fails_the_run() -> None:
    async def takes(ctx: Context, names: list[str]) -> None: ...

    feeder = Feeder(flow(takes), Payload("json", b'{"a": 1}'))
    close = feeder.machine.result
    assert close is not None and close.failure is not None and close.failure.code is FailureCode.INVALID_INPUT
    assert feeder.rebuilt().outstanding() == feeder.machine.outstanding() == feeder.first


def test_too_large_an_input_is_refused_with_its_size() -> None:
    async def large(ctx: Context) -> str:
        with pytest.raises(PayloadTooLarge, match=r"extract: input is .* limit 1 KiB"):
            await ctx.call(extract, "x" * 3000)
        return await ctx.call(extract, "y")

    assert steps(Feeder(flow(large), payload_limit=1024).first) == ["extract#1"]


def test_step_names_count_by_name_and_can_be_given() -> None:
    async def named(ctx: Context) -> None:
        await asyncio.gather(
            ctx.call(extract, "a"),
            ctx.call(extract, "b", options=CallOptions(step="page-7")),
            ctx.call("extract", "c"),
            ctx.call(extract, "d", options=CallOptions(step="page-7")),
        )

    assert steps(Feeder(flow(named)).first) == ["extract#1", "page-7#1", "extract.2#1", "page-7.2#1"]


def test_what_cannot_be_called_is_a_type_error_that_says_so() -> None:
    async def parent(ctx: Context) -> None:
        with pytest.raises(TypeError, match=r"ctx\.start takes a workflow, not <Agent"):
            await ctx.start(greet, "a")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"ctx\.signal takes a Signal"):
            await ctx.signal("other", greet, "a")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="not 7"):
            await ctx.call(7)  # type: ignore[call-overload]

    assert Feeder(flow(parent)).machine.result == Close(State.SUCCEEDED, Payload("none", b""))


# ── retry in the fold ────────────────────────────────────────────────────────────────────────────────────────────────


async def one(ctx: Context) -> str:
    return await ctx.call(extract, "a", options=ONE)


ONE = CallOptions(
    retry=RetryPolicy(max_attempts=2, jitter=0, avoid_failed_agents=True), timeouts=Timeouts(total=timedelta(minutes=1))
)


def test_a_failed_attempt_is_followed_by_the_next_after_the_backoff() -> None:
    feeder = Feeder(flow(one))
    again = feeder.attempt("extract", 1, agent_id="a-1")[0]
    assert isinstance(again, Dispatch)
    assert (again.attempt, again.at_ms, again.avoid) == (2, feeder.now_ms + 1_000, ("a-1",))
    assert feeder.rebuilt().outstanding() == [again]
    assert feeder.machine.pending["extract"].attempt == 2
    failed = feeder.attempt("extract", 2)[0]
    assert isinstance(failed, FailStep) and failed.outcome.failure is not None
    assert failed.outcome.failure.attempt == 2 and failed.step == "extract"
    assert feeder.rebuilt().outstanding() == [failed]


def test_a_late_success_wins_over_a_step_that_ran_out() -> None:
    feeder = Feeder(flow(one))
    feeder.attempt("extract", 1)
    feeder.attempt("extract", 2)
    feeder.done("extract", "late")
    assert feeder.machine.result == Close(State.SUCCEEDED, text("late"))


LOST = Failure(FailureCode.AGENT_LOST, "agent a-1 died")


def lose(feeder: Feeder, n: int, blame: int | None = None) -> Any:
    """What follows when an agent is lost with attempt n."""
    return feeder.feed(f"attempt:extract#{n}", Attempt(LOST, agent_id="a-1", blame_percent=blame))[0]


def test_lost_agents_do_not_use_up_attempts_but_after_three_a_human_is_asked() -> None:
    feeder = Feeder(flow(one))
    first, second = lose(feeder, 1), lose(feeder, 2)
    assert isinstance(first, Dispatch) and first.at_ms == 0
    assert isinstance(second, Dispatch) and second.at_ms > feeder.now_ms
    assert feeder.machine.pending["extract"].lost == 2
    asked = lose(feeder, 3)
    assert isinstance(asked, EscalateStep) and asked.question.source == "exhausted"
    assert asked.question.text.startswith(
        "extract may be what ends its agents. 3 agents in a row were lost with it: 00:16:40 UTC: agent a-1 died; "
    )
    assert asked.question.failure is not None and asked.question.failure.code is FailureCode.AGENT_LOST
    assert feeder.rebuilt().outstanding() == [asked]


def test_what_little_blame_is_recorded_for_goes_on_until_the_row_is_very_long() -> None:
    quick = CallOptions(retry=RetryPolicy(max_interval=timedelta(milliseconds=10)))

    async def insisting(ctx: Context) -> str:
        return await ctx.call(extract, "a", options=quick)

    feeder = Feeder(flow(insisting))
    for n in range(1, LOST_MOST):
        assert isinstance(lose(feeder, n, blame=5), Dispatch)
    assert isinstance(lose(feeder, LOST_MOST, blame=5), EscalateStep)


def test_agents_that_were_told_to_end_blame_nobody() -> None:
    feeder = Feeder(flow(one))
    for n in range(1, 2 * LOST_MOST):
        again = lose(feeder, n, blame=0)
        assert isinstance(again, Dispatch) and again.at_ms == 0


def test_a_suspected_step_fails_where_the_policy_says_so() -> None:
    strict = CallOptions(retry=RetryPolicy(on_agent_loss="fail"))

    async def failing(ctx: Context) -> str:
        return await ctx.call(extract, "a", options=strict)

    feeder = Feeder(flow(failing))
    lose(feeder, 1), lose(feeder, 2)
    failed = lose(feeder, 3)
    assert isinstance(failed, FailStep) and failed.outcome.failure is not None
    assert (
        failed.outcome.failure.code is FailureCode.AGENT_LOST and "3 agents in a row" in failed.outcome.failure.message
    )


@pytest.mark.parametrize("answered", [False, True])
def test_what_an_earlier_release_decided_about_lost_agents_stands(answered: bool) -> None:
    """It counted lost agents without weighing them, over failures in between, and asked in other words."""
    feeder = Feeder(flow(one))
    lose(feeder, 1), lose(feeder, 2)
    feeder.attempt("extract", 3, Failure(FailureCode.RATE_LIMITED, "429"))
    assert isinstance(lose(feeder, 4), Dispatch), "here it is one in a row"
    if not answered:
        feeder.feed("task:extract", Outcome(None, LOST))
        assert feeder.machine.result is not None and feeder.machine.result.state is State.FAILED
        return
    feeder.feed(
        "escalated:extract#1", Escalated(Question("extract failed: AgentLost: gone", "exhausted", failure=LOST))
    )
    assert feeder.machine.state is State.WAITING_FOR_HUMAN and feeder.rebuilt().state is State.WAITING_FOR_HUMAN
    again = feeder.feed("decided:extract#1", Decided(Action.RETRY, attempts=1))[0]
    assert isinstance(again, Dispatch) and again.attempt == 5


def test_out_of_attempts_a_human_decides_where_the_policy_says_so() -> None:
    careful = CallOptions(retry=RetryPolicy(max_attempts=1, on_exhausted="escalate"))

    async def escalating(ctx: Context) -> str:
        return await ctx.call(extract, "a", options=careful)

    feeder = Feeder(flow(escalating))
    asked = feeder.attempt("extract", 1, Failure(FailureCode.APPLICATION, "429", "RateLimited"))[0]
    assert isinstance(asked, EscalateStep) and asked.question_number == 1
    assert (asked.question.source, asked.question.text) == ("exhausted", "extract failed: RateLimited: 429")
    assert feeder.rebuilt().outstanding() == [asked]
    assert feeder.feed("escalated:extract#1", Escalated(asked.question)) == []
    assert feeder.machine.state is State.WAITING_FOR_HUMAN and feeder.rebuilt().state is State.WAITING_FOR_HUMAN
    again = feeder.feed("decided:extract#1", Decided(Action.RETRY, attempts=2, comment="try page 2"))[0]
    assert isinstance(again, Dispatch) and (again.attempt, again.at_ms, again.hint) == (2, 0, "try page 2")
    assert isinstance(feeder.attempt("extract", 2)[0], Dispatch)
    asked_again = feeder.attempt("extract", 3)[0]
    assert isinstance(asked_again, EscalateStep) and asked_again.question_number == 2
    feeder.feed("escalated:extract#2", Escalated(asked_again.question))
    assert feeder.feed("decided:extract#2", Decided(Action.COMPLETE, text("by hand"), resolver="ana")) == []
    feeder.done("extract", "by hand")
    assert feeder.machine.result == Close(State.SUCCEEDED, text("by hand"))


def test_an_agent_may_ask_a_human_instead_of_answering() -> None:
    feeder = Feeder(flow(two))
    question = Question(
        "BSD-3?", "agent", suggestion=text("BSD-3-Clause"), choices=("yes", "no"), deadline_ms=2_000_000
    )
    asked = feeder.asks("extract", 1, question)[0]
    assert isinstance(asked, EscalateStep) and asked.question.suggestion == text("BSD-3-Clause")
    expire = feeder.feed("escalated:extract#1", Escalated(asked.question))[0]
    assert isinstance(expire, Expire) and (expire.at_ms, expire.decided.action) == (2_000_000, Action.EXPIRED)
    assert expire.outcome.failure is not None and expire.outcome.failure.code is FailureCode.TIMEOUT
    assert feeder.rebuilt().outstanding() == [expire]


def test_a_cancel_instead_of_an_answer_ends_even_a_shielded_step() -> None:
    async def shielding(ctx: Context) -> str:
        inner = asyncio.ensure_future(ctx.call(extract, "a"))
        try:
            return await asyncio.shield(inner)
        except asyncio.CancelledError:
            return "canceled, and " + (
                "failed" if isinstance((await asyncio.wait([inner]))[0].pop().exception(), CallFailed) else "?"
            )

    feeder = Feeder(flow(shielding))
    asked = feeder.asks("extract", 1, Question("Well?", "agent"))[0]
    assert isinstance(asked, EscalateStep)
    feeder.feed("escalated:extract#1", Escalated(asked.question))
    failing = feeder.feed("decided:extract#1", Decided(Action.CANCEL_WORKFLOW))[0]
    assert isinstance(failing, FailStep)
    assert feeder.cancel() == []
    feeder.feed("task:extract", failing.outcome)
    assert feeder.machine.result == Close(State.SUCCEEDED, text("canceled, and failed"))


# ── asking, receiving, publishing, time ──────────────────────────────────────────────────────────────────────────────


def test_code_asks_a_human_and_reads_the_whole_answer() -> None:
    async def asking(ctx: Context) -> list[Any]:
        said = await ctx.ask(
            "Release?", choices=["yes", "no"], deadline=timedelta(days=1), default="no", context={"n": 1}
        )
        return [said.value, said.resolver, said.comment, said.expired]

    feeder = Feeder(flow(asking))
    asked = feeder.first[0]
    assert isinstance(asked, EscalateStep) and asked.step == "ask" and asked.question.choices == ("yes", "no")
    due = feeder.now_ms + 86_400_000
    expire = feeder.feed("escalated:ask#1", Escalated(asked.question))[0]
    assert isinstance(expire, Expire) and expire.at_ms == due and expire.outcome.output == text("no")
    feeder.feed("decided:ask#1", Decided(Action.COMPLETE, text("yes"), comment="fine", resolver="ana"))
    feeder.done("ask", "yes")
    assert feeder.machine.result == Close(State.SUCCEEDED, Payload("json", b'["yes","ana","fine",false]'))


def test_a_question_that_nobody_answers_gives_its_default_or_times_out() -> None:
    async def asking(ctx: Context) -> Any:
        first = await ctx.ask("One?", answer=bool, deadline=timedelta(hours=1), default=True)
        try:
            await ctx.ask("Two?", answer=int, deadline=datetime(2030, 1, 1, tzinfo=UTC))
        except CallTimedOut:
            return [first.value, first.resolver, first.expired]

    feeder = Feeder(flow(asking))
    for step in ("ask", "ask.2"):
        asked = feeder.machine.outstanding()[0]
        assert isinstance(asked, EscalateStep) and asked.step == step
        expire = feeder.feed(f"escalated:{step}#1", Escalated(asked.question))[0]
        assert isinstance(expire, Expire)
        feeder.feed(f"decided:{step}#1", expire.decided)
        feeder.feed(f"task:{step}", expire.outcome)
    assert feeder.machine.result == Close(State.SUCCEEDED, Payload("json", b'[true,"deadline",true]'))


async def receiving(ctx: Context) -> list[str]:
    first = await ctx.receive(approve)
    await ctx.call(greet, first)
    return [first, await ctx.receive(approve), await ctx.receive(approve)]


def test_signals_are_read_oldest_first_whether_they_come_early_or_late() -> None:
    feeder = Feeder(flow(receiving))
    feeder.signal("one")
    feeder.signal("two")
    feeder.signal("other", name="elsewhere")
    feeder.done("greet")
    feeder.signal("three")
    assert feeder.machine.result == Close(State.SUCCEEDED, Payload("json", b'["one","two","three"]'))


def test_a_receiver_that_gave_up_takes_no_message() -> None:
    async def impatient(ctx: Context) -> list[str]:
        loser = asyncio.ensure_future(ctx.receive(approve))
        await ctx.call(greet, "x")
        loser.cancel()
        await asyncio.wait([loser])
        return [await ctx.receive(approve), str(loser.cancelled())]

    feeder = Feeder(flow(impatient))
    feeder.done("greet")
    feeder.signal("later")
    assert feeder.machine.result == Close(State.SUCCEEDED, Payload("json", b'["later","True"]'))


def test_the_last_view_published_in_an_entry_counts_and_survives() -> None:
    async def showing(ctx: Context) -> None:
        ctx.publish({"read": 1})
        ctx.publish({"read": 2})
        await ctx.call(greet, "a")
        with pytest.raises(PayloadTooLarge, match="limit 64 KiB"):
            ctx.publish("x" * 70_000)

    feeder = Feeder(flow(showing))
    view = Publish(Payload("json", b'{"read":2}'))
    assert [c for c in feeder.first if isinstance(c, Publish)] == [view]
    assert view in feeder.rebuilt().outstanding()
    assert not [c for c in feeder.done("greet") if isinstance(c, Publish)]


def test_time_is_that_of_the_last_entry_and_sleep_is_a_timer() -> None:
    async def sleeping(ctx: Context) -> list[str]:
        before = ctx.now()
        await ctx.sleep_until(before + timedelta(days=365))
        await ctx.sleep_until(before)
        return [str(ctx.now() - before)]

    feeder = Feeder(flow(sleeping))
    due = feeder.now_ms + 365 * 86_400_000
    assert feeder.first == [StartTimer(1, due)] == feeder.rebuilt().outstanding()
    feeder.timer(1, due)
    assert feeder.machine.result == Close(State.SUCCEEDED, Payload("json", b'["365 days, 0:00:00"]'))


def test_a_timer_that_lost_its_race_is_stopped_and_ignored_when_it_fires_all_the_same() -> None:
    async def racing(ctx: Context) -> str:
        async with asyncio.timeout(60):
            await ctx.call(extract, "a")
        return await ctx.call(extract, "b")

    feeder = Feeder(flow(racing))
    start = feeder.first[0]
    assert isinstance(start, StartTimer)
    assert StopTimer(1) in feeder.done("extract")
    assert feeder.timer(1, start.due_ms) == [] and feeder.machine.blocked is None
    feeder.done("extract.2", "b")
    assert feeder.machine.result == Close(State.SUCCEEDED, text("b"))


def test_a_call_given_up_is_withdrawn_and_its_late_outcome_ignored() -> None:
    async def hasty(ctx: Context) -> str:
        try:
            await asyncio.wait_for(ctx.call(extract, "slow"), 5)
        except TimeoutError:
            return await ctx.call(greet, "late")
        return "?"

    feeder = Feeder(flow(hasty))
    start = next(c for c in feeder.first if isinstance(c, StartTimer))
    commands = feeder.timer(1, start.due_ms)
    assert Withdraw("extract", 1) in commands and steps(commands) == ["greet#1"]
    assert Withdraw("extract", 1) in feeder.rebuilt().outstanding()
    assert feeder.done("extract", "much later") == [] and feeder.machine.blocked is None
    assert Withdraw("extract", 1) not in feeder.machine.outstanding()


def test_a_call_given_up_before_anyone_heard_of_it_leaves_no_trace() -> None:
    async def fickle(ctx: Context) -> str:
        task = asyncio.create_task(ctx.call(extract, "a"))
        await asyncio.sleep(0)
        task.cancel()
        return await ctx.call(greet, "b")

    assert [type(c) for c in Feeder(flow(fickle)).first] == [Dispatch]


def test_usage_adds_up_over_steps_and_failed_attempts() -> None:
    async def spending(ctx: Context) -> list[int]:
        await ctx.call(extract, "a")
        return [ctx.usage.total, ctx.usage.by_model["small"].output_tokens]

    feeder = Feeder(flow(spending))
    feeder.attempt("extract", 1, usage=(Usage("small", 10, 1),))
    feeder.done("extract", usage=(Usage("small", 20, 2), Usage("large", 5, 5)))
    assert feeder.machine.result == Close(State.SUCCEEDED, Payload("json", b"[43,3]"))


def test_chance_and_ids_replay() -> None:
    async def drawing(ctx: Context) -> str:
        await ctx.call(greet, f"{ctx.uuid()} {ctx.uuid()} {ctx.random.randint(0, 10**9)}")
        return ctx.workflow_id

    feeder = Feeder(flow(drawing))
    assert feeder.rebuilt().outstanding() == feeder.first
    command = feeder.first[0]
    assert isinstance(command, Dispatch) and len(set(command.input.data.decode().strip('"').split())) == 3


def test_map_keeps_the_order_and_the_bound_and_its_first_failure_cancels_the_rest() -> None:
    async def mapping(ctx: Context) -> list[str]:
        return await ctx.map(greet, ["a", "b", "c", "d"], concurrency=2)

    feeder = Feeder(flow(mapping))
    assert steps(feeder.first) == ["greet#1", "greet.2#1"]
    assert steps(feeder.done("greet.2", "B")) == ["greet.3#1"]
    feeder.done("greet.3", "C")
    feeder.done("greet.4", "D")
    feeder.done("greet", "A")
    assert feeder.machine.result == Close(State.SUCCEEDED, Payload("json", b'["A","B","C","D"]'))

    feeder = Feeder(flow(mapping))
    commands = feeder.failed("greet", type="Torn")
    assert Withdraw("greet.2", 1) in commands
    assert feeder.machine.result is not None and feeder.machine.result.failure is not None
    assert feeder.machine.result.failure.type == "Torn"


def test_map_settled_and_as_completed_see_every_result() -> None:
    async def both(ctx: Context) -> list[Any]:
        settled = await ctx.map_settled(greet, ["a", "b"])
        seen = [type(item).__name__ for item in settled]
        return seen + [value async for value in ctx.as_completed([ctx.call(extract, "x"), ctx.call(extract, "y")])]

    feeder = Feeder(flow(both))
    feeder.failed("greet")
    feeder.done("greet.2")
    feeder.done("extract.2", "second")
    feeder.done("extract", "first")
    assert feeder.machine.result == Close(State.SUCCEEDED, Payload("json", b'["CallFailed","str","second","first"]'))


# ── silence ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_log_is_silent_in_replay() -> None:
    async def talking(ctx: Context) -> None:
        ctx.log.info("started with %d", 7)
        await ctx.call(greet, "a")
        ctx.log.warning("greeted")

    said: list[tuple[int, str]] = []
    feeder = Feeder(flow(talking), log=lambda level, message: said.append((level, message)))
    feeder.done("greet")
    feeder.rebuilt()
    assert said == [(logging.INFO, "started with 7"), (logging.WARNING, "greeted")]


def test_dropping_a_workflow_runs_its_finally_blocks_and_is_silent(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    trail: list[str] = []

    async def worker(ctx: Context) -> None:
        try:
            await ctx.call(extract, "w")
        finally:
            trail.append("worker")
            await ctx.call(greet, "undo")

    async def generate() -> Any:
        try:
            yield 1
            yield 2
        finally:
            trail.append("generator")

    async def busy(ctx: Context) -> None:
        numbers = generate()
        await anext(numbers)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            group.create_task(worker(ctx))
            group.create_task(asyncio.sleep(600))
            group.create_task(ctx.receive(approve))
            try:
                await ctx.call(extract, "m")
            finally:
                trail.append("main")
                ctx.publish("never seen")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        feeder = Feeder(flow(busy))
        before = feeder.machine.outstanding()
        feeder.machine.close()
        feeder.machine.close()
        assert feeder.machine.outstanding() != [] and len(before) == 4
        del feeder
        gc.collect()
    assert sorted(trail)[:3] == ["generator", "main", "worker"]
    out, err = capfd.readouterr()
    assert (out, err, caplog.records) == ("", "", [])


def test_machines_are_freed_without_the_garbage_collector() -> None:
    import weakref

    gc.disable()
    try:
        feeder = Feeder(flow(two))
        seen = weakref.ref(feeder.machine)
        loop = weakref.ref(feeder.machine._fold.loop)
        feeder.machine.close()
        del feeder
        assert seen() is None
        assert loop() is None, "nor is what it consists of"
    finally:
        gc.enable()
