# SPDX-License-Identifier: Apache-2.0
"""Code that changes while its runs are open, on a node: patches, versions beside each other, code that is blocked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from nervenet.durable.context import Context
from nervenet.errors import CallFailed
from nervenet.mesh import Mesh
from nervenet.options import CallOptions, RetryPolicy
from nervenet.records import Failure, FailureCode, Payload, Signaled, State
from tests.node.hand import World, end_of, journal, start, until_entry
from tests.support.waiting import until

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
        await until(lambda: node.context.table.agents)
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
            await until(lambda: node.context.table.agents)
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


@pytest.mark.parametrize("when", ["before the new step", "after it"])
async def test_a_step_in_flight_at_the_deploy_is_not_sent_again_nor_its_answer_lost(world: World, when: str) -> None:
    async with world.agent("greet", "title") as hand:
        async with world.node(yesterday) as node:
            await until(lambda: node.context.table.agents)
            (await start(node, "welcome", "w", b'"Ada"')).cancel()
            first = await hand.read()
            await hand.claim(first)
            await hand.answer(first, await hello(first))
            second = await hand.read()
            await hand.claim(second)
        async with world.node(today) as node:
            title = await hand.read()
            assert title.step == "title"
            await hand.claim(title)
            if when == "before the new step":
                await hand.answer(second, b'"in flight"')
                await hand.answer(title, b'"Ada"')
            else:
                await hand.answer(title, b'"Ada"')
                await hand.answer(second, b'"in flight"')
            assert (await end_of(node, "w")).output == Payload("json", b'"<Ada>in flight"')
            written = (
                ["task:greet.2", "task:title"] if when == "before the new step" else ["task:title", "task:greet.2"]
            )
            assert list(await journal(node, "w"))[2:] == ["patch:title-first", *written, "close"]


async def test_entries_that_come_while_a_patch_is_written_wait_for_it(world: World) -> None:
    async with world.node(today) as node, world.agent("greet", "title") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "welcome", "w", b'"Ada"')
        first = await hand.read()
        await hand.claim(first)
        body = Signaled("hello", Payload("json", b"1"))
        signals = (node.facts.record("w", 1, f"signal:{n}", body, "test") for n in range(20))
        _, *said = await asyncio.gather(hand.answer(first, await hello(first)), *signals)
        assert {answer.status for answer in said} == {"new"}
        for _ in range(2):
            task = await hand.read()
            await hand.claim(task)
            await hand.answer(task, await hello(task))
        assert (await end).state is State.SUCCEEDED


# ── versions beside each other, code that is blocked, options, waiting for a cancelled call ──────────────────────────

QUICK = RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=10), jitter=0.0)
both = Mesh("both", defaults=CallOptions(retry=QUICK))
mended = Mesh("mended")


@both.agent(name="asked", options=CallOptions(retry=RetryPolicy(max_attempts=3)))
async def asked(name: str) -> str:
    raise AssertionError("the tests answer by hand")


@both.workflow(name="versions")
async def first_version(ctx: Context) -> str:
    return "one"


@both.workflow(name="versions", version=2)
async def second_version(ctx: Context) -> str:
    return "two"


@both.workflow(name="fragile", on_error="block")
async def fragile(ctx: Context) -> str:
    raise KeyError("a bug")


@mended.workflow(name="fragile", on_error="block")
async def not_fragile(ctx: Context) -> str:
    return "mended"


@both.workflow
async def tries(ctx: Context, how: str) -> str:
    once_more = CallOptions(retry=RetryPolicy(max_attempts=4)) if how == "call" else None
    try:
        return await ctx.call(asked if how != "mesh" else "asked", how, options=once_more)
    except CallFailed as failed:
        return str(failed.failure.attempt)


@both.workflow
async def waits_for_it(ctx: Context) -> str:
    try:
        async with asyncio.timeout(0.1):
            return await ctx.call(asked, "x", options=CallOptions(on_cancel="wait"))
    except TimeoutError:
        return "stopped"


async def test_starts_take_the_highest_version_unless_told_and_runs_stay_on_theirs(world: World) -> None:
    async with world.node(both) as node:
        assert (await (await start(node, "versions", "new", b"null"))).output == Payload("json", b'"two"')
        assert (await (await start(node, "versions", "old", b"null", version=1))).output == Payload("json", b'"one"')
        head = await node.context.journal.head("old")
        assert head is not None and head.version == 1


async def test_code_that_blocks_at_an_error_goes_on_when_it_is_mended(world: World) -> None:
    async with world.node(both) as node:
        (await start(node, "fragile", "w", b"null")).cancel()
        await until(lambda: (c := node.hosted.get("w")) and c.mirrored[0] is State.BLOCKED)
        blocked = node.hosted.coordinators["w"].machine.blocked
        assert (
            blocked is not None and "KeyError: 'a bug'" in blocked.error and "test_code_in_flight.py" in blocked.where
        )
        assert list(await journal(node, "w")) == ["start"]
    async with world.node(mended) as node:
        assert (await end_of(node, "w")).output == Payload("json", b'"mended"')


@pytest.mark.parametrize(("how", "attempts"), [("mesh", 2), ("agent", 3), ("call", 4)])
async def test_options_merge_from_the_mesh_over_the_agent_to_the_call(world: World, how: str, attempts: int) -> None:
    async with world.node(both) as node, world.agent("asked") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "tries", "w", f'"{how}"'.encode())
        for _ in range(attempts):
            task = await hand.read()
            await hand.claim(task)
            await hand.fail(task, Failure(FailureCode.APPLICATION, "no"))
        assert (await end).output == Payload("json", b'"%d"' % attempts)


async def test_with_wait_the_code_goes_on_when_the_agent_has_really_stopped(world: World) -> None:
    async with world.node(both) as node, world.agent("asked") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "waits_for_it", "w", b"null")
        task = await hand.read()
        await hand.claim(task)
        await until_entry(node, "w", "attempt:asked#1")  # an agent that can't be told learns it from its claim
        assert not await hand.journal.renew("w", 1, "asked", 1, hand.id)
        assert "task:asked" not in await journal(node, "w")
        await hand.answer(task, b'"too late"')
        assert (await end).output == Payload("json", b'"stopped"')


async def test_with_wait_an_agent_that_answers_is_asked_until_it_has_stopped(world: World) -> None:
    asked_so_far: list[object] = []

    class Slow:
        async def cancel_task(self, *told: object) -> bool:
            asked_so_far.append(told)
            return len(asked_so_far) < 3

    async with world.node(both) as node, world.agent("asked") as hand:
        await until(lambda: node.context.table.agents)
        agent = node.context.table.agents[hand.id]
        node.context.table.agents[hand.id] = replace(agent, control_endpoint="127.0.0.1:1")
        assert node.status.served is not None
        node.status.served = node.status.served._replace(control=Slow())
        end = await start(node, "waits_for_it", "w", b"null")
        task = await hand.read()
        await hand.claim(task)
        assert (await end).output == Payload("json", b'"stopped"')
        assert len(asked_so_far) == 3
        assert list(await journal(node, "w")) == ["start", "timer:1", "task:asked", "close"]
