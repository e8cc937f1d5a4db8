# SPDX-License-Identifier: Apache-2.0
"""A workflow that is dropped (another node has it, or its node stops) ends in silence, whatever its clean-up does."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from nervenet.durable import Context
from tests.durable.flows import Feeder, flow, greet

done: list[str] = []


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What CPython said of code that it freed: nothing may be."""
    heard: list[str] = []
    done.clear()
    gc.collect()  # what earlier tests of this process left behind is not of these workflows
    monkeypatch.setattr(
        sys, "unraisablehook", lambda problem: heard.append(f"{problem.object!r} {problem.exc_value!r}")
    )
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield heard
        gc.collect()
    assert heard + [str(warning.message) for warning in warned] == []


async def awaits_when_anything_is_raised(ctx: Context) -> None:
    try:
        await ctx.call(greet, "Ada")
    except BaseException:
        await asyncio.sleep(1)
        raise
    finally:
        await asyncio.sleep(2)
        done.append("never")


async def shields_its_clean_up(ctx: Context) -> None:
    async def clean_up() -> None:
        await asyncio.sleep(1)

    try:
        await ctx.call(greet, "Ada")
    except BaseException:
        await asyncio.shield(asyncio.create_task(clean_up()))
        raise


async def calls_agents_in_its_clean_up(ctx: Context) -> None:
    try:
        await ctx.call(greet, "Ada")
    finally:
        await asyncio.gather(ctx.call(greet, "Grace"), ctx.call(greet, "Joan"))
        done.append("never")


async def iterates_a_generator(ctx: Context) -> None:
    async def names() -> AsyncIterator[str]:
        try:
            yield await ctx.call(greet, "Ada")
        finally:
            await asyncio.sleep(1)
            await asyncio.sleep(2)

    async for _ in names():
        pass


async def leaves_a_generator(ctx: Context) -> None:
    async def names() -> AsyncIterator[str]:
        try:
            yield "Ada"
        finally:
            try:
                await asyncio.sleep(1)
            finally:
                await asyncio.sleep(2)

    async for name in names():
        await ctx.call(greet, name)


async def has_a_group(ctx: Context) -> None:
    async def one(name: str) -> None:
        try:
            await ctx.call(greet, name)
        except BaseException:
            await asyncio.sleep(1)
            raise

    async with asyncio.TaskGroup() as group:
        for name in ("Ada", "Grace"):
            group.create_task(one(name))


async def tries_again_for_a_while(ctx: Context) -> None:
    for _ in range(50):
        try:
            await ctx.call(greet, "Ada")
        except BaseException:  # noqa: BLE001  # what the test is about
            await asyncio.sleep(1)
    done.append("came through")


@pytest.mark.parametrize(
    "code",
    [
        awaits_when_anything_is_raised,
        shields_its_clean_up,
        calls_agents_in_its_clean_up,
        iterates_a_generator,
        leaves_a_generator,
        has_a_group,
        tries_again_for_a_while,
    ],
    ids=lambda code: code.__name__,
)
def test_its_clean_up_may_wait_for_what_it_likes(code: Callable[[Context], Any]) -> None:
    feeder = Feeder(flow(code))
    assert feeder.machine.pending
    feeder.machine.close()
    assert "never" not in done


async def tries_again_for_ever(ctx: Context) -> None:
    while True:
        try:
            await ctx.call(greet, "Ada")
        except BaseException:  # noqa: BLE001  # what the test is about
            continue


def test_code_that_cannot_be_ended_does_not_hold_the_node(said: list[str]) -> None:
    feeder = Feeder(flow(tries_again_for_ever))
    feeder.machine.close()
    del feeder
    gc.collect()
    assert ["coroutine ignored GeneratorExit" in line for line in said] == [True], "CPython tells whose it was"
    said.clear()


async def sets_the_default_loop(ctx: Context) -> str:
    asyncio.set_event_loop(asyncio.get_running_loop())
    return await ctx.call(greet, "Ada")


@pytest.mark.parametrize("before", [None, asyncio.new_event_loop])
def test_the_thread_has_the_default_loop_that_it_had(before: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
    loop = before() if before is not None else None
    asyncio.set_event_loop(loop)
    try:
        Feeder(flow(sets_the_default_loop))
        if loop is not None:
            assert asyncio.get_event_loop() is loop
        else:
            with pytest.raises(RuntimeError, match="no current event loop"):
                asyncio.get_event_loop()
    finally:
        asyncio.set_event_loop(None)
        if loop is not None:
            loop.close()


if sys.version_info >= (3, 12):

    async def makes_eager_tasks(ctx: Context) -> str:
        loop = asyncio.get_running_loop()
        tasks = {asyncio.eager_task_factory(loop, asyncio.sleep(60), name=name) for name in "badcfehg"}
        return await ctx.call(greet, "".join(task.get_name() for task in tasks))

    def test_eager_tasks_are_tasks_of_the_loop() -> None:
        """A set of them has one order in every process, and none is left when the workflow is dropped."""
        orders = set()
        for _ in range(20):
            feeder = Feeder(flow(makes_eager_tasks))
            orders |= {call.input.data for call in feeder.machine.pending.values()}
            feeder.machine.close()
        assert len(orders) == 1

    async def test_other_loops_have_eager_tasks_as_before() -> None:
        async def at_once() -> str:
            return "done"

        assert asyncio.eager_task_factory(asyncio.get_running_loop(), at_once()).done()
