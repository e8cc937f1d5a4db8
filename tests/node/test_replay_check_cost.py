# SPDX-License-Identifier: Apache-2.0
"""The replay check of a long journal: folded three times in all, a little at a time, and never behind the end of the run."""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from nervenet.clock import SYSTEM
from nervenet.durable.check import NODE_CHECKS_EACH_UNTIL, is_due, refold
from nervenet.durable.context import Context
from nervenet.mesh import Mesh
from nervenet.node.guards.replay_check import SLICE, difference
from nervenet.node.guards.replay_process import ReplayProcess
from nervenet.node.guards.watchdog import Watchdog
from nervenet.records import State
from nervenet.timing import BLOCKED_LOOP_LIMIT
from tests.durable.flows import Feeder
from tests.node.hand import World, journal, start
from tests.support.waiting import until

if TYPE_CHECKING:
    from nervenet.node.node import Node

mesh = Mesh("cost")
LATE = NODE_CHECKS_EACH_UNTIL + 4


@mesh.agent
async def work(n: float) -> float:
    raise AssertionError("the tests answer by hand")


@mesh.workflow
async def draws_late(ctx: Context) -> float:
    """Its journal is `start`, steps, `close`; chance comes in behind the entries after each of which it is checked."""
    for _ in range(LATE):
        await ctx.call(work, 0.0)
    return await ctx.call(work, random.random())


@mesh.workflow
async def is_slow(ctx: Context) -> None:
    while True:
        time.sleep(0.002)
        await ctx.call(work, 0.0)


@mesh.workflow
async def loops_when_it_is_replayed(ctx: Context) -> None:
    await ctx.call(work, 0.0)
    while os.getenv("NN_NOBODY_SETS_THIS"):  # the changed environment has every variable
        pass


@pytest.mark.parametrize("entries", [1, 16, 17, 100, 1_000, 50_000])
def test_all_checks_of_a_run_fold_three_times_its_journal(entries: int) -> None:
    folded = sum(n for n in range(1, entries + 1) if is_due(n, ends=n == entries))
    assert folded <= 3 * entries + NODE_CHECKS_EACH_UNTIL * (NODE_CHECKS_EACH_UNTIL + 1) // 2


def test_the_journal_is_folded_a_few_entries_at_a_time() -> None:
    feeder = Feeder(mesh.workflows["is_slow", 1])
    for n in range(100):
        feeder.done("work" if n == 0 else f"work.{n + 1}", "0")
    machine = feeder.machine
    seen = [again.entries for again in refold(machine.workflow, "wf-1", 1, machine.payload_limit, feeder.entries)]
    assert seen == [*range(0, 101, 10), 101]
    machine.close()


async def test_the_loop_goes_on_while_a_journal_is_folded_again() -> None:
    feeder = Feeder(mesh.workflows["is_slow", 1])
    for n in range(100):
        feeder.done("work" if n == 0 else f"work.{n + 1}", "0")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with Watchdog(SYSTEM) as watchdog:
        beside = asyncio.create_task(others())
        assert await difference(feeder.machine, feeder.entries, ReplayProcess([]), watchdog) is None
        beside.cancel()
    assert turns >= 0.2 / (SLICE + 10 * 0.002) - 1, "its code takes 0.2 s at least, which is so many slices"
    feeder.machine.close()


async def test_code_that_does_not_come_back_is_interrupted_in_its_replay_too() -> None:
    feeder = Feeder(mesh.workflows["loops_when_it_is_replayed", 1])
    feeder.done("work", "0")
    began = SYSTEM.monotonic()
    with Watchdog(SYSTEM) as watchdog:
        found = await difference(feeder.machine, feeder.entries, ReplayProcess([]), watchdog)
    assert found is not None and "test_replay_check_cost.py" in found.where
    assert SYSTEM.monotonic() - began < BLOCKED_LOOP_LIMIT + 10


async def test_chance_that_comes_late_is_found_before_the_run_is_closed(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    world = World(redis_url, etcd_url, namespace)
    async with world.node(mesh, replay_check="on") as node, world.agent("work") as hand:
        await until(lambda: node.context.table.agents)
        end = await start(node, "draws_late", "w")
        for _ in range(LATE + 1):
            task = await hand.read()
            await hand.claim(task)
            await hand.answer(task, b"0.0")
        await until(lambda: blocked(node))
        coordinator = node.hosted.get("w")
        assert coordinator is not None and coordinator.machine.blocked is not None
        assert "test_replay_check_cost.py" in coordinator.machine.blocked.where
        assert "close" not in await journal(node, "w")
        end.cancel()


def blocked(node: Node) -> bool:
    coordinator = node.hosted.get("w")
    return coordinator is not None and coordinator.machine.state is State.BLOCKED
