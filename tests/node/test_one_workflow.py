# SPDX-License-Identifier: Apache-2.0
"""One workflow on one node, with an agent by hand: from start to close, and each way it can go in between."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from nervenet.definitions import Signal
from nervenet.durable.context import Context
from nervenet.errors import AlreadyExists, NotFound
from nervenet.mesh import Mesh
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.options import CallOptions, RetryPolicy
from nervenet.records import (
    Action,
    Attempt,
    Cancel,
    Decided,
    Failure,
    FailureCode,
    Outcome,
    Payload,
    Question,
    Signaled,
    State,
)
from tests.node.hand import World, journal, start, until_entry
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.node.hand import Task

mesh = Mesh("one")
FAST = RetryPolicy(initial_interval=timedelta(milliseconds=10), jitter=0.0)
approve = Signal("approve", str)


@mesh.agent
async def greet(name: str) -> str:
    raise AssertionError("the tests answer by hand")


@mesh.workflow
async def anything(ctx: Context, value: Any) -> None:
    await ctx.receive(approve)


@mesh.workflow
async def one_call(ctx: Context, name: str) -> str:
    return await ctx.call(greet, name, options=CallOptions(retry=FAST))


@mesh.workflow
async def two_at_once(ctx: Context, name: str) -> list[str]:
    return await asyncio.gather(ctx.call(greet, name), ctx.call(greet, name + "!"))


@mesh.workflow
async def asleep(ctx: Context) -> str:
    await asyncio.sleep(0.2)
    return "awake"


@mesh.workflow
async def approved(ctx: Context) -> str:
    try:
        async with asyncio.timeout(0.3):
            return "approved by " + await ctx.receive(approve)
    except TimeoutError:
        return "nobody came"


@mesh.workflow
async def careful(ctx: Context, name: str) -> str:
    retry = RetryPolicy(max_attempts=1, on_exhausted="escalate")
    return await ctx.call(greet, name, options=CallOptions(retry=retry))


@mesh.workflow
async def impatient(ctx: Context, name: str) -> str:
    try:
        async with asyncio.timeout(0.2):
            return await ctx.call(greet, name)
    except TimeoutError:
        return "gave up"


@mesh.workflow
async def cleans_up(ctx: Context, name: str) -> str:
    try:
        await asyncio.sleep(86_400)
    finally:
        await ctx.call(greet, name)
    return "never"


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


async def hello(task: Task) -> bytes:
    return b'"Hello, ' + task.envelope.input.data[1:]


async def test_a_call_becomes_a_task_and_its_answer_the_result(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "one_call", "w", b'"Ada"')
        task = await hand.read()
        assert (task.envelope.task_id, task.envelope.attempt, task.envelope.reply_to) == ("w/greet", 1, node.node_id)
        assert (await hand.claim(task)).status == "run"
        assert (await hand.answer(task, b'"Hello, Ada"')).status == "new"
        close = await end
        assert (close.state, close.output) == (State.SUCCEEDED, Payload("json", b'"Hello, Ada"'))
        assert list(await journal(node, "w")) == ["start", "task:greet", "close"]
        await until(lambda: not node.hosted.coordinators)


async def test_steps_in_parallel_get_names_of_their_own(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "two_at_once", "w", b'"Ada"')
        serving = asyncio.ensure_future(hand.serve(hello))
        assert (await end).output == Payload("json", b'["Hello, Ada","Hello, Ada!"]')
        assert {"task:greet", "task:greet.2"} <= set(await journal(node, "w"))
        serving.cancel()


async def test_a_failed_attempt_is_followed_by_another_after_its_pause(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "one_call", "w", b'"Ada"')
        first = await hand.read()
        await hand.claim(first)
        await hand.fail(first, Failure(FailureCode.APPLICATION, "busy", "Busy"))
        second = await hand.read()
        assert (second.envelope.attempt, second.step) == (2, "greet")
        await hand.claim(second)
        await hand.answer(second, b'"at last"')
        assert (await end).state is State.SUCCEEDED
        assert list(await journal(node, "w")) == ["start", "attempt:greet#1", "task:greet", "close"]


async def test_what_must_not_be_retried_fails_the_workflow_with_the_agents_words(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "one_call", "w", b'"Ada"')
        task = await hand.read()
        await hand.claim(task)
        await hand.fail(task, Failure(FailureCode.APPLICATION, "no such card", "CardDeclined", retryable=False))
        close = await end
        assert close.state is State.FAILED
        assert close.failure is not None and (close.failure.type, close.failure.message) == (
            "CardDeclined",
            "no such card",
        )


async def test_a_lost_wake_is_found_by_the_watch(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "one_call", "w", b'"Ada"')
        task = await hand.read()
        await hand.claim(task)
        await hand.answer(task, b'"Hello"', wake=False)
        assert (await end).state is State.SUCCEEDED


async def test_an_agent_that_takes_a_task_and_never_claims_it_loses_it(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet", slots=1) as stuck:
        await until(lambda: node.context.table.agents)
        options_free = await start(node, "one_call", "w", b'"Ada"')
        await stuck.read()
        async with world.agent("greet") as other:
            task = await other.read()
            assert (task.step, task.envelope.attempt) == ("greet", 1)
            await other.claim(task)
            await other.answer(task, b'"from the other"')
            assert (await options_free).output == Payload("json", b'"from the other"')


async def test_nothing_is_sent_while_its_journal_is_compared_with_a_redis_that_came_back(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "one_call", "w", b'"Ada"')
        first = await hand.read()
        await hand.queues.drop(first.stream, first.entry_id)
        coordinator = node.hosted.coordinators["w"]
        coordinator.suspend()
        node.dispatcher.send(coordinator, coordinator.sent["greet"])
        assert not coordinator.sent["greet"].stream
        coordinator.resume()
        again = await hand.read()
        assert (again.envelope.attempt, again.envelope.claim_later) == (1, False)
        await hand.claim(again)
        await hand.answer(again, b'"Hello"')
        assert (await end).state is State.SUCCEEDED


async def test_a_silent_claim_is_lost_and_the_next_attempt_goes_elsewhere(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as dying:
        await until(lambda: node.context.table.agents)
        end = await start(node, "one_call", "w", b'"Ada"')
        task = await dying.read()
        await dying.claim(task, ttl_ms=100)
        again = await dying.read()
        assert again.envelope.attempt == 2
        await dying.claim(again)
        late = await dying.answer(task, b'"late, but first"')
        assert late.status == "new"
        assert (await end).output == Payload("json", b'"late, but first"')
        lost = (await journal(node, "w"))["attempt:greet#1"].body
        assert isinstance(lost, Attempt) and lost.failure is not None and lost.failure.code is FailureCode.AGENT_LOST


async def test_without_an_agent_the_task_waits_in_the_queue(world: World) -> None:
    async with world.node(mesh) as node:
        end = await start(node, "one_call", "w", b'"Ada"')
        async with world.agent("greet") as hand:
            task = await hand.read(node.context.keys.queue("greet"))
            await hand.claim(task)
            await hand.answer(task, b'"Hello"')
            assert (await end).state is State.SUCCEEDED


async def test_a_timer_fires_and_a_signal_beats_it(world: World) -> None:
    async with world.node(mesh) as node:
        sleeping = await start(node, "asleep", "s")
        silent = await start(node, "approved", "silent")
        spoken = await start(node, "approved", "spoken")
        await node.facts.record("spoken", 1, "signal:1", Signaled("approve", Payload("json", b'"Eve"')), "eve")
        assert (await sleeping).output == Payload("json", b'"awake"')
        assert (await spoken).output == Payload("json", b'"approved by Eve"')
        assert (await silent).output == Payload("json", b'"nobody came"')


async def test_out_of_attempts_a_human_decides(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "careful", "w", b'"Ada"')
        task = await hand.read()
        await hand.claim(task)
        await hand.fail(task, Failure(FailureCode.APPLICATION, "busy", "Busy"))
        await until_entry(node, "w", "escalated:greet#1")
        assert (await node.context.link.call("ZRANGE", node.context.keys.escalations, 0, -1)) == [b"w/greet#1"]
        retry = Decided(Action.RETRY, attempts=1, comment="try in English", resolver="ana")
        assert (await node.escalations.decide("w", 1, "greet", 1, retry, None, None, "ana")).status == "new"
        again = await hand.read()
        assert (again.envelope.attempt, again.envelope.hint) == (2, "try in English")
        await hand.claim(again)
        await hand.answer(again, b'"Hello"')
        assert (await end).state is State.SUCCEEDED


async def test_an_agent_can_ask_instead_of_answering(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "one_call", "w", b'"Ada"')
        task = await hand.read()
        await hand.claim(task)
        asks = Question("Is this Ada?", "agent", suggestion=Payload("json", b'"Ada L."'))
        await hand.attempt(task, Attempt(None, asks, "greet", task.envelope.digest, hand.id))
        await until_entry(node, "w", "escalated:greet#1")
        value = Payload("json", b'"Ada L."')
        complete = Decided(Action.COMPLETE, value, resolver="ana")
        first = await node.escalations.decide("w", 1, "greet", 1, complete, Outcome(value, None), None, "ana")
        second = await node.escalations.decide("w", 1, "greet", 1, complete, Outcome(value, None), None, "bob")
        assert (first.status, second.status in ("exists", "over", "closed")) == ("new", True)
        assert (await end).output == value
        await until(lambda: not node.hosted.coordinators)
        assert await node.context.link.call("ZCARD", node.context.keys.escalations) == 0


async def test_workflow_code_asks_and_the_deadline_answers(world: World) -> None:
    quick = Mesh("quick")

    @quick.workflow
    async def ask_briefly(ctx: Context) -> str:
        answer = await ctx.ask("Release?", choices=["yes", "no"], default="no", deadline=timedelta(milliseconds=200))
        return f"{answer.value} by {answer.resolver}"

    async with world.node(quick) as node:
        end = await start(node, "ask_briefly", "w")
        assert (await end).output == Payload("json", b'"no by deadline"')


async def test_cancel_runs_the_clean_up_and_then_closes(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "cleans_up", "w", b'"Ada"')
        await node.facts.record("w", 1, "cancel", Cancel("not needed", "ana"), "ana")
        task = await hand.read()
        await hand.claim(task)
        await hand.answer(task, b'"cleaned"')
        close = await end
        assert close.state is State.CANCELED and close.failure is not None and close.failure.message == "not needed"


async def test_a_workflow_out_of_time_is_cancelled_and_says_so(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "cleans_up", "w", b'"Ada"', timeout_ms=100)
        task = await hand.read()
        await hand.claim(task)
        await hand.answer(task, b'"cleaned"')
        assert (await end).state is State.TIMED_OUT


async def test_a_call_that_the_code_gave_up_is_recorded_as_canceled(world: World) -> None:
    async with world.node(mesh) as node, world.agent("greet") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "impatient", "w", b'"Ada"')
        task = await hand.read()
        await hand.claim(task)
        assert (await end).output == Payload("json", b'"gave up"')
        assert not await hand.journal.renew("w", 1, "greet", 1, hand.id)


async def test_the_same_start_twice_is_one_workflow_and_another_input_is_refused(world: World) -> None:
    async with world.node(mesh) as node:
        request = StartRequest("w", "anything", Payload("json", b'{"a": 1, "b": 2}'))
        same = StartRequest("w", "anything", Payload("json", b'{"b":2,"a":1}'))
        other = StartRequest("w", "anything", Payload("json", b'"Eve"'))
        first, second = await node.starter.start_many([request, same])
        assert (first, second) == (("w", True, node.node_id), ("w", False, node.node_id))
        with pytest.raises(AlreadyExists, match="with another input"):
            await node.starter.start(other)
        assert len(await journal(node, "w")) <= 2


async def test_a_definition_that_nobody_has_is_refused_with_the_list_of_those_there_are(world: World) -> None:
    async with world.node(mesh) as node:
        with pytest.raises(NotFound, match=r"no live node has workflow 'unheard' .*approved"):
            await node.starter.start(StartRequest("w", "unheard", Payload("json", b"1")))
        assert await node.context.link.call("ZCARD", node.context.keys.running) == 0


async def test_code_that_never_waits_is_blocked_and_takes_nobody_with_it(world: World) -> None:
    bad = Mesh("bad")

    @bad.workflow
    async def spins(ctx: Context) -> None:
        while True:
            pass

    @bad.workflow
    async def fine(ctx: Context) -> str:
        return "fine"

    async with world.node(bad) as node:
        await node.starter.start(StartRequest("spinning", "spins", Payload("json", b"null")))
        assert (await (await start(node, "fine", "fine"))).state is State.SUCCEEDED
        coordinator = node.hosted.get("spinning")
        assert coordinator is not None and coordinator.machine.state is State.BLOCKED
        assert coordinator.machine.blocked is not None and "test_one_workflow.py" in coordinator.machine.blocked.where
