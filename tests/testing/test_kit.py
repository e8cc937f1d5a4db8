# SPDX-License-Identifier: Apache-2.0
"""The test kit as its users meet it: stubs, humans, signals, journals, and messages that say what to write."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import WithJsonSchema

from nervenet.definitions import Agent, Signal, define_workflow
from nervenet.durable import Context
from nervenet.errors import AgentError, CallFailed, CallTimedOut, Escalate, WorkflowCanceled, WorkflowFailed
from nervenet.options import CallOptions, RetryPolicy, Timeouts
from nervenet.testing import Journal, WorkflowTest, replay


@dataclass
class Doc:
    name: str
    text: str


extract = Agent.remote("extract", Doc, list[str])
validate = Agent.remote("validate", Doc, list[str])
summarize = Agent.remote("summarize", list[str], str)
approve = Signal("approve", str)
CAREFUL = CallOptions(retry=RetryPolicy(on_exhausted="escalate"), timeouts=Timeouts(attempt=timedelta(minutes=2)))
DOC = Doc("a", "…")


async def review_code(ctx: Context, doc: Doc) -> str:
    async with asyncio.TaskGroup() as group:
        facts = group.create_task(ctx.call(extract, doc, options=CAREFUL))
        problems = group.create_task(ctx.call(validate, doc))
    if found := problems.result():
        week = timedelta(days=7)
        say = await ctx.ask("Accept?", answer=bool, context=found, default=False, deadline=week)
        if not say.value:
            return f"rejected by {say.resolver}"
    ctx.publish({"holders": len(facts.result())})
    return await ctx.call(summarize, facts.result())


review = define_workflow(review_code, name="review")


def ready() -> WorkflowTest:
    t = WorkflowTest()
    t.stub(extract, lambda doc: [doc.name])
    t.stub(validate, lambda doc: ["odd"])
    t.stub(summarize, lambda facts: "+".join(facts))
    return t


def test_a_week_of_silence_rejects() -> None:
    t = WorkflowTest()
    t.stub(extract, [AgentError("busy"), ["Ada"]])
    t.stub(validate, lambda doc: ["no licence file"], takes=timedelta(seconds=40))
    run = t.run(review, DOC)
    assert run.result == "rejected by deadline" and run.elapsed >= timedelta(days=7)
    assert run.journal.names == [
        "start",
        "attempt:extract#1",
        "task:extract",
        "task:validate",
        "escalated:ask#1",
        "decided:ask#1",
        "task:ask",
        "close",
    ]
    assert run.calls(extract) == [DOC] and run.state == "SUCCEEDED"
    assert repr(run).startswith("<Run of review SUCCEEDED, 8 entries, 7 days")


def test_a_human_says_yes_after_three_hours() -> None:
    t = ready()
    t.answer("Accept?", True, after=timedelta(hours=3))
    run = t.run(review, DOC)
    assert run.result == "a" and run.view == {"holders": 1}
    assert timedelta(hours=3) <= run.elapsed < timedelta(hours=4)


def test_a_human_who_refuses_fails_the_step() -> None:
    t = ready()
    t.answer("Accept?", ValueError("not like this"))
    run = t.run(review, DOC)
    with pytest.raises(WorkflowFailed, match="not like this"):
        _ = run.result
    assert run.state == "FAILED"


def test_out_of_attempts_and_asked_by_the_agent_a_human_completes() -> None:
    t = ready()
    t.stub(extract, AgentError("broken"))
    t.stub(validate, Escalate("Is it odd?", suggestion=["maybe"]))
    t.answer("extract failed: AgentError: broken", ["by hand"])
    t.answer("Is it odd?", [])
    run = t.run(review, DOC)
    assert run.result == "by hand"
    assert [n for n in run.journal.names if n.startswith("attempt:extract")] == [
        f"attempt:extract#{n}" for n in range(1, 6)
    ]
    assert {"escalated:extract#1", "decided:validate#1"} <= set(run.journal.names)


def test_an_attempt_that_takes_too_long_times_out_and_is_tried_again() -> None:
    t = ready()
    t.stub(validate, lambda doc: [])
    t.stub(extract, lambda doc: ["late"], takes=timedelta(minutes=3))
    t.answer("extract failed: TimeoutError: attempt took longer than 120000 ms", ["in time"])
    run = t.run(review, DOC)
    assert run.result == "in time" and run.elapsed > timedelta(minutes=10)


def test_async_stubs_and_async_tests() -> None:
    async def slowly(facts: list[str]) -> str:
        await asyncio.sleep(0)
        return "async"

    t = ready()
    t.stub(validate, lambda doc: [])
    t.stub(summarize, slowly)
    assert t.run(review, DOC).result == "async"


async def test_inside_an_async_test_too() -> None:
    test_async_stubs_and_async_tests()


async def patient_code(ctx: Context) -> str:
    try:
        async with asyncio.timeout(3600):
            return await ctx.receive(approve)
    except TimeoutError:
        return "nobody"


patient = define_workflow(patient_code, name="patient")


def test_the_script_signals_and_cancels() -> None:
    t = WorkflowTest()
    t.after(timedelta(minutes=59)).signal(approve, "ana")
    assert t.run(patient).result == "ana"
    t = WorkflowTest()
    t.after(timedelta(minutes=61)).signal(approve, "too late")
    assert t.run(patient).result == "nobody"
    t = WorkflowTest()
    t.after(timedelta(minutes=5)).cancel()
    run = t.run(patient)
    assert run.state == "CANCELED"
    with pytest.raises(WorkflowCanceled, match="canceled by the test"):
        _ = run.result


def test_a_call_without_a_stub_names_the_line() -> None:
    t = WorkflowTest()
    t.stub(extract, lambda doc: [])
    with pytest.raises(AssertionError, match=r"no stub for agent 'validate', called at test_kit.py:\d+: t.stub\(val"):
        t.run(review, DOC)


def test_a_stub_that_runs_out_of_answers_and_a_world_that_stops_say_so() -> None:
    t = ready()
    t.stub(extract, [AgentError("once")])
    with pytest.raises(AssertionError, match="the stub of 'extract' has 1 answers, and was asked once more"):
        t.run(review, DOC)

    async def forever(ctx: Context) -> str:
        return await ctx.receive(approve)

    with pytest.raises(
        AssertionError, match=r"forever waits for signal approve \(test_kit.py:\d+\), and this test scripts nothing"
    ):
        WorkflowTest().run(define_workflow(forever))


def test_a_plain_value_as_a_stub_is_refused_with_what_to_write() -> None:
    sentence = r"^t.stub\(summarize, …\) takes a function .*; the same answer each time: t.stub\(summarize, lambda given: 'x'\)$"
    with pytest.raises(TypeError, match=sentence):
        WorkflowTest().stub(summarize, "x")


def test_an_assertion_in_a_stub_is_the_tests_own() -> None:
    def strict(doc: Doc) -> list[str]:
        assert doc.name == "b", "wrong document"
        return []

    t = ready()
    t.stub(extract, strict)
    with pytest.raises(AssertionError, match="wrong document"):
        t.run(review, DOC)


def test_code_that_is_not_deterministic_fails_with_its_line() -> None:
    async def drawing(ctx: Context) -> list[str]:
        return await ctx.call(extract, Doc(str(random.getrandbits(64)), ""))

    t = ready()
    with pytest.raises(AssertionError, match=r"is BLOCKED(.|\n)*test_kit.py:\d+(.|\n)*not in its journal"):
        t.run(define_workflow(drawing))


def test_a_journal_goes_to_a_file_and_back_and_replays(tmp_path: Path) -> None:
    run = ready().run(review, DOC)
    run.journal.dump(tmp_path / "deep" / "silence.json")
    again = Journal.load(tmp_path / "deep" / "silence.json")
    assert again.entries == run.journal.entries and again.names == run.journal.names
    replay(review, again)


def test_replay_prints_the_two_columns_where_code_and_journal_part() -> None:
    async def changed(ctx: Context, doc: Doc) -> str:
        return "+".join(await ctx.call(validate, doc))

    journal = ready().run(review, DOC).journal
    with pytest.raises(AssertionError, match=r"task:extract 00:00:00  ≠  task:validate") as caught:
        replay(define_workflow(changed, name="review"), journal)
    assert "(review v1, test_kit.py:" in str(caught.value)


def test_five_hundred_pages_one_torn() -> None:
    pages = Agent.remote("ocr", int, str)

    async def digitise(ctx: Context, numbers: list[int]) -> int:
        results = await ctx.map_settled(pages, numbers, concurrency=40)
        return sum(isinstance(result, CallFailed) for result in results)

    t = WorkflowTest()
    t.stub(pages, [AgentError("torn", retryable=False), *(str(n) for n in range(499))])
    assert t.run(define_workflow(digitise), list(range(500))).result == 1


def test_the_seed_decides_chance() -> None:
    async def drawing(ctx: Context) -> str:
        return str(ctx.uuid())

    flow = define_workflow(drawing)
    first, second, other = (WorkflowTest(seed=seed).run(flow).result for seed in (1, 1, 2))
    assert first == second != other


def test_a_patch_stands_in_the_journal_before_what_follows_from_it() -> None:
    async def changed(ctx: Context) -> str:
        if ctx.patched("summarize-first"):
            await ctx.call(summarize, ["new"])
        return str(ctx.patched("summarize-first"))

    t = WorkflowTest()
    t.stub(summarize, lambda facts: "+".join(facts))
    run = t.run(define_workflow(changed))
    assert run.result == "True"
    assert run.journal.names == ["start", "patch:summarize-first", "task:summarize", "close"]


def test_children_are_stubbed_as_agents_are() -> None:
    async def parent(ctx: Context) -> list[str]:
        child = await ctx.start(review, DOC, id="aside")
        await child.signal(approve, "go")
        said = [await child.result()]
        try:
            await ctx.call(review, DOC)
        except CallFailed as failed:
            said.append(failed.failure.message)
        other = await ctx.start(review, DOC)
        await other.cancel()
        try:
            await other.result()
        except CallFailed as failed:
            said.append(failed.failure.code)
        return said

    t = WorkflowTest()
    t.stub(review, ["ok", AgentError("no licence"), "never"], takes=timedelta(hours=1))
    run = t.run(define_workflow(parent))
    assert run.result == ["ok", "no licence", "CANCELED"] and run.elapsed == timedelta(hours=2)
    assert run.calls(review) == [DOC, DOC, DOC]
    assert run.journal.names[:4] == ["start", "child:review", "sent:approve", "task:review"]
    with pytest.raises(AssertionError, match=r"no stub for workflow 'review', called at test_kit.py:\d+"):
        WorkflowTest().run(define_workflow(parent))


def test_code_that_does_not_stop_ends_its_test_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async def spins(ctx: Context) -> None:
        n = 0
        while True:
            n += 1

    monkeypatch.setattr("nervenet.node.guards.watchdog.BLOCKED_LOOP_LIMIT", 0.2)
    with pytest.raises(AssertionError, match=r"BLOCKED.*test_kit\.py:\d+(?s:.)*did not stop(?s:.)*await ctx\.call"):
        WorkflowTest().run(define_workflow(spins))


def test_a_question_without_default_that_nobody_answers_is_a_timeout_by_both_its_names() -> None:
    async def asks(ctx: Context) -> str:
        try:
            return str((await ctx.ask("Well?", choices=["yes"], deadline=timedelta(hours=1))).value)
        except CallTimedOut as error:
            named = [error.is_a(name) for name in (CallTimedOut, TimeoutError, "CallTimedOut", ValueError)]
            return f"{isinstance(error, TimeoutError)} {named} {error}"

    said = WorkflowTest().run(define_workflow(asks)).result
    assert said == "True [True, True, True, False] ask failed: TimeoutError: nobody answered in time: Well?"


async def collects(ctx: Context, heard: list[str]) -> list[str]:
    heard = [*heard, await ctx.receive(approve)]
    if len(heard) < 3:
        ctx.continue_as_new(collecting, heard)
    await ctx.call(summarize, heard)
    return heard


collecting = define_workflow(collects, name="collects")


def test_a_fresh_journal_takes_unread_signals_along() -> None:
    t = WorkflowTest()
    t.stub(summarize, lambda facts: "+".join(facts))
    for value, day in (("a", 1), ("b", 1), ("c", 3)):
        t.after(timedelta(days=day)).signal(approve, value)
    run = t.run(collecting, [])
    assert run.result == ["a", "b", "c"] and run.elapsed == timedelta(days=3)
    assert run.journal.run == 3 and run.journal.names == ["start", "signal:test-3", "task:summarize", "close"]


def test_a_question_whose_schema_is_none_is_refused_where_it_is_asked() -> None:
    async def asks(ctx: Context) -> None:
        await ctx.ask("How many?", answer=Annotated[int, WithJsonSchema({"type": "whole"})])

    with pytest.raises(TypeError, match="the answer's JSON Schema is invalid: type: 'whole' is not valid under"):
        _ = WorkflowTest().run(define_workflow(asks, name="asks", local=locals())).result
