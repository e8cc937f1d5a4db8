# SPDX-License-Identifier: Apache-2.0
"""In development every step is also replayed: code that could not go on after a crash is found before one comes."""

from __future__ import annotations

import itertools
import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from nervenet.durable.context import Context
from nervenet.mesh import Mesh
from nervenet.records import Payload, State
from tests.node.hand import World, start
from tests.support.waiting import until

if TYPE_CHECKING:
    from nervenet.definitions import Workflow

mesh = Mesh("check")
calls = itertools.count()


@mesh.agent
async def work(n: float) -> float:
    raise AssertionError("the tests answer by hand")


@mesh.workflow
async def draws(ctx: Context) -> float:
    return await ctx.call(work, random.random())


@mesh.workflow
async def looks_at_the_clock(ctx: Context) -> float:
    return await ctx.call(work, time.time_ns())


@mesh.workflow
async def knows_the_day(ctx: Context) -> float:
    return await ctx.call(work, time.time() // 86_400)


@mesh.workflow
async def reads_its_environment(ctx: Context) -> float:
    return await ctx.call(work, float(len(os.environ.get("PATH", ""))))


@mesh.workflow
async def orders_a_set(ctx: Context) -> float:
    return await ctx.call(work, float("".join(str(ord(letter) % 10) for letter in {"a", "b", "c", "d", "e", "f", "g"})))


@mesh.workflow
async def counts_in_its_module(ctx: Context) -> float:
    return await ctx.call(work, next(calls))


@mesh.workflow
async def asks_the_context(ctx: Context) -> float:
    return await ctx.call(work, ctx.random.random() + ctx.now().timestamp())


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


@pytest.mark.parametrize(
    "flow", [draws, looks_at_the_clock, knows_the_day, reads_its_environment, counts_in_its_module, orders_a_set]
)
async def test_code_that_is_not_deterministic_is_blocked_with_its_line(
    world: World, flow: Workflow[None, float]
) -> None:
    async with world.node(mesh, replay_check="on") as node:
        assert node.context.replay_process is not None
        await node.context.replay_process.ready()
        end = await start(node, flow.name, "w")
        await until(lambda: (c := node.hosted.get("w")) is not None and c.machine.state is State.BLOCKED)
        coordinator = node.hosted.get("w")
        assert coordinator is not None and coordinator.machine.blocked is not None
        assert "test_replay_check.py" in coordinator.machine.blocked.where
        assert not coordinator.sent, "nothing goes out that a replay would not ask for again"
        end.cancel()


async def test_code_that_asks_the_context_goes_on(world: World) -> None:
    async with world.node(mesh, replay_check="on") as node, world.agent("work") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "asks_the_context", "w")
        task = await hand.read()
        await hand.claim(task)
        await hand.answer(task, b"1.0")
        assert (await end).output == Payload("json", b"1.0")


async def test_without_its_other_process_the_check_goes_on(world: World) -> None:
    async with world.node(mesh, replay_check="on") as node, world.agent("work") as hand:
        replay_process = node.context.replay_process
        assert replay_process is not None and replay_process._child is not None
        await replay_process.ready()
        replay_process._child.kill()
        replay_process._child.wait()
        await until(lambda: node.context.table.agents)
        end = await start(node, "asks_the_context", "w")
        task = await hand.read()
        await hand.claim(task)
        await hand.answer(task, b"1.0")
        assert (await end).state is State.SUCCEEDED and "no child" in repr(replay_process)


async def test_in_production_nobody_pays_for_the_check(world: World) -> None:
    async with world.node(mesh) as node, world.agent("work") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "draws", "w")
        task = await hand.read()
        await hand.claim(task)
        await hand.answer(task, b"1.0")
        assert (await end).state is State.SUCCEEDED
