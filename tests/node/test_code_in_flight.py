# SPDX-License-Identifier: Apache-2.0
"""Code that changes while its runs are open, on a node: patches, versions beside each other, code that is blocked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nervenet.durable.context import Context
from nervenet.mesh import Mesh
from nervenet.records import Payload, Signaled, State
from tests.node.hand import World, end_of, journal, start, until

if TYPE_CHECKING:
    from tests.node.hand import Task

yesterday, today = Mesh("yesterday"), Mesh("today")


@yesterday.agent
async def greet(name: str) -> str:
    raise AssertionError("the tests answer by hand")


@yesterday.workflow(name="welcome")
async def welcome_yesterday(ctx: Context, name: str) -> str:
    first = await ctx.call(greet, name)
    return first + await ctx.call(greet, name + "!")


@today.workflow(name="welcome")
async def welcome_today(ctx: Context, name: str) -> str:
    first = await ctx.call(greet, name)
    if ctx.patched("title-first"):
        name = await ctx.call("title", name)
    return first + await ctx.call(greet, name + "!")


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


async def hello(task: Task) -> bytes:
    return b'"<' + task.envelope.input.data[1:-1] + b'>"'


async def test_a_new_run_takes_the_patched_way_and_its_journal_says_so_first(world: World) -> None:
    async with world.node(today) as node, world.agent("greet", "title") as hand:
        await until(lambda: node.host.table.agents)
        end = await start(node, "welcome", "w", b'"Ada"')
        for _ in range(3):
            task = await hand.read()
            if task.step == "title":
                assert "patch:title-first" in await journal(node, "w")
            await hand.claim(task)
            await hand.answer(task, await hello(task))
        assert (await end).output == Payload("json", b'"<Ada><<Ada>!>"')
        assert list(await journal(node, "w")) == [
            "start", "task:greet", "patch:title-first", "task:title", "task:greet.2", "close",
        ]  # fmt: skip


async def test_a_run_of_before_keeps_its_way_on_a_node_with_the_code_of_today(world: World) -> None:
    async with world.agent("greet", "title") as hand:
        async with world.node(yesterday) as node:
            await until(lambda: node.host.table.agents)
            (await start(node, "welcome", "w", b'"Ada"')).cancel()
            first = await hand.read()
            await hand.claim(first)
            await hand.answer(first, await hello(first))
            second = await hand.read()
            await hand.claim(second)
            await hand.answer(second, await hello(second), wake=False)
        async with world.node(today) as node:
            close = await end_of(node, "w")
            assert close.output == Payload("json", b'"<Ada><Ada!>"')
            assert "patch:title-first" not in await journal(node, "w")


async def test_entries_that_come_while_a_patch_is_written_wait_for_it(world: World) -> None:
    async with world.node(today) as node, world.agent("greet", "title") as hand:
        await until(lambda: node.host.table.agents)
        end = await start(node, "welcome", "w", b'"Ada"')
        first = await hand.read()
        await hand.claim(first)
        body = Signaled("hello", Payload("json", b"1"))
        signals = (node.host.record("w", 1, f"signal:{n}", body, "test") for n in range(20))
        _, *said = await asyncio.gather(hand.answer(first, await hello(first)), *signals)
        assert {answer.status for answer in said} == {"new"}
        for _ in range(2):
            task = await hand.read()
            await hand.claim(task)
            await hand.answer(task, await hello(task))
        assert (await end).state is State.SUCCEEDED
