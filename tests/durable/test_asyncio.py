# SPDX-License-Identifier: Apache-2.0
"""All of asyncio that workflows may use, on our loop: inside another loop's callback or task, and with none at all."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from nervenet.durable import Context, Machine, StartTimer
from nervenet.records import Close, Payload, State
from tests.durable.flows import Feeder, extract, flow, greet

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="untouched")


def ended(feeder: Feeder) -> Any:
    close = feeder.machine.result
    assert close is not None and close.state is State.SUCCEEDED, (close, feeder.machine.blocked)
    return close.output.data.decode() if close.output is not None else None


async def primitives(ctx: Context) -> list[str]:
    seen: list[str] = []
    queue: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
    lock, gate, room = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2)
    turn = asyncio.Condition()

    async def produce() -> None:
        for item in "ab":
            await queue.put(item)
        async with turn:
            turn.notify_all()
        gate.set()

    async def consume() -> None:
        async with lock, room:
            seen.append(await queue.get() + await queue.get())

    async def wait_turn() -> None:
        async with turn:
            await turn.wait()
        seen.append("turn")

    await asyncio.gather(wait_turn(), consume(), produce(), gate.wait())
    shielded = asyncio.shield(asyncio.ensure_future(ctx.call(greet, "x")))
    await asyncio.sleep(0)
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "soon")
    seen.append(await future)
    seen.append(await shielded)
    seen.append(str(asyncio.current_task().get_name()))  # type: ignore[union-attr]
    return seen


def test_queues_locks_events_conditions_semaphores_shields_and_callbacks() -> None:
    feeder = Feeder(flow(primitives))
    feeder.done("greet", "hi")
    assert ended(feeder) == '["ab","turn","soon","hi","primitives"]'


async def names(ctx: Context) -> list[str]:
    tasks = [asyncio.create_task(ctx.call(greet, str(n)), name=f"t{n}") for n in range(40)]
    futures = {asyncio.get_running_loop().create_future() for _ in range(20)}
    order = [f.number for f in futures]  # type: ignore[attr-defined]
    assert order == sorted(order)
    done, pending = await asyncio.wait(tasks, timeout=1)
    assert not done and [t.get_name() for t in pending] == [f"t{n}" for n in range(40)]
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    return [task.get_name() for task in pending if task.cancelled()]


def test_sets_of_tasks_and_futures_iterate_in_the_order_of_their_creation() -> None:
    feeder = Feeder(flow(names))
    start = next(c for c in feeder.first if isinstance(c, StartTimer))
    feeder.timer(start.number, start.due_ms)
    assert ended(feeder).count("t") == 40


def test_time_stands_still_and_due_times_that_are_not_ahead_run_at_once() -> None:
    async def timing(ctx: Context) -> list[Any]:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(0)
        ran: list[str] = []
        loop.call_at(before - 5, ran.append, "past")
        handle = loop.call_later(5, ran.append, "never")
        handle.cancel()
        await asyncio.sleep(0)
        return [loop.time() == before, ran, handle.cancelled()]

    feeder = Feeder(flow(timing))
    assert ended(feeder) == '[true,["past"],true]'
    assert [type(c).__name__ for c in feeder.first] == ["CloseRun"]


@pytest.mark.parametrize("seconds", [0.001, 0.25, 5, 39.999, 86_400, 31_536_000])
def test_delays_are_exact_to_the_millisecond(seconds: float) -> None:
    async def sleeping(ctx: Context) -> None:
        await asyncio.sleep(seconds)

    feeder = Feeder(flow(sleeping))
    assert feeder.first == [StartTimer(1, feeder.now_ms + round(seconds * 1000))]


async def outside() -> asyncio.Task[Any] | None:
    return asyncio.current_task()


async def test_it_works_inside_a_task_of_another_loop_and_leaves_it_as_it_was() -> None:
    mine, loop = asyncio.current_task(), asyncio.get_running_loop()
    feeder = Feeder(flow(primitives))
    feeder.done("greet", "hi")
    assert ended(feeder)
    assert asyncio.current_task() is mine and asyncio.get_running_loop() is loop
    assert await asyncio.wait_for(outside(), 5) is not None


async def test_it_works_inside_a_plain_callback_of_another_loop() -> None:
    loop = asyncio.get_running_loop()
    came: asyncio.Future[Feeder] = loop.create_future()

    def callback() -> None:
        feeder = Feeder(flow(primitives))
        feeder.done("greet", "hi")
        came.set_result(feeder)

    loop.call_soon(callback)
    assert ended(await asyncio.wait_for(came, 5))


def test_context_variables_of_the_caller_and_the_workflow_do_not_mix() -> None:
    async def setting(ctx: Context) -> str:
        before = VARIABLE.get()
        VARIABLE.set("inside")
        await ctx.call(greet, "x")
        return before + " " + VARIABLE.get()

    VARIABLE.set("outside")
    feeder = Feeder(flow(setting))
    feeder.done("greet")
    assert ended(feeder) == '"untouched inside"' and VARIABLE.get() == "outside"


def test_a_dropped_async_generator_awaits_its_finally_durably() -> None:
    async def numbers(ctx: Context) -> Any:
        try:
            yield 1
            yield 2
        finally:
            await ctx.call(extract, "cleanup")

    async def first_only(ctx: Context) -> str:
        async for _ in numbers(ctx):
            break
        return await ctx.call(greet, "after")

    feeder = Feeder(flow(first_only))
    assert sorted(c.step for c in feeder.first if hasattr(c, "step")) == ["extract", "greet"]


def test_an_error_in_a_callback_is_reported_once_and_the_workflow_goes_on() -> None:
    async def careless(ctx: Context) -> str:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        return await ctx.call(greet, "x")

    said: list[str] = []
    feeder = Feeder(flow(careless), log=lambda _, message: said.append(message))
    feeder.rebuilt()
    feeder.done("greet")
    assert ended(feeder) == '"ok"' and len(said) == 1 and "ZeroDivisionError" in said[0]


def test_background_tasks_end_with_the_workflow() -> None:
    async def leaving(ctx: Context) -> str:
        task = asyncio.create_task(ctx.call(extract, "background"))
        other = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        return str(task.done() or other.done())

    feeder = Feeder(flow(leaving))
    assert [type(c).__name__ for c in feeder.first] == ["CloseRun"]
    assert feeder.feed("close", Close(State.SUCCEEDED, Payload("json", b'"False"'))) == []
    assert feeder.machine.state is State.SUCCEEDED


def test_many_machines_share_one_thread_and_never_meet() -> None:
    machines: list[Machine] = []
    for _ in range(50):
        feeder = Feeder(flow(primitives))
        machines.append(feeder.machine)
        assert len(feeder.machine.pending) == 1
    assert {m.state for m in machines} == {State.RUNNING}
