# SPDX-License-Identifier: Apache-2.0
"""An entry whose code runs in parts comes to the same as one whose code runs at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nervenet.durable import Command, Context, Dispatch, Machine, Withdraw
from nervenet.records import Cancel, Entry
from tests.durable.flows import Feeder, extract, flow, greet, text


async def wide(ctx: Context) -> list[str]:
    """Many calls and timers at once; one of the calls ends them all."""

    async def slow(n: int) -> str:
        await asyncio.sleep(n + 1)
        return await ctx.call(greet, f"late {n}")

    first = asyncio.create_task(ctx.call(extract, "x"))
    others = [asyncio.create_task(slow(n)) for n in range(20)]
    calls = [asyncio.create_task(ctx.call(greet, f"{n}")) for n in range(40)]
    done = await first
    for each in (*others, *calls[20:]):
        each.cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    return [done, *(each for each in found if isinstance(each, str))]


async def all_at_once(ctx: Context) -> list[str]:
    return await asyncio.gather(*(ctx.call(greet, f"{n}") for n in range(60)))


async def forgets(ctx: Context) -> str:
    """Gives calls up in the entry in which it made them: nobody hears of them."""
    calls = [asyncio.create_task(ctx.call(greet, f"{n}")) for n in range(30)]
    await asyncio.sleep(0)
    for each in calls[::2]:
        each.cancel()
    return await calls[1]


def in_parts(machine: Machine, entry: Entry, most: int) -> tuple[list[Command], int]:
    """Its commands, and in how many parts the code ran."""
    commands, parts = machine.apply(entry, most=most), 1
    while machine.unfinished:
        assert not commands, "nothing is wanted before the whole entry is folded"
        commands, parts = machine.go_on(most), parts + 1
    return commands, parts


@pytest.mark.parametrize("most", [1, 7, 1_000])
@pytest.mark.parametrize("code", [wide, all_at_once, forgets])
def test_the_same_commands_come_in_the_same_order(code: Any, most: int) -> None:
    feeder = Feeder(flow(code))
    whole = [feeder.first, feeder.done("greet", "hi 1")]
    whole += [feeder.done(f"greet.{n}", f"hi {n}") for n in range(2, 15)]
    if code is wide:
        whole.append(feeder.done("extract", "over"))
        whole.append(feeder.done("greet.15", "hi 15"))
    whole.append(feeder.feed("cancel", Cancel("enough", "a test")))
    machine = Machine(feeder.workflow, "wf-1")
    for entry, commands in zip(feeder.entries, whole, strict=True):
        found, parts = in_parts(machine, entry, most)
        assert found == commands, entry
        if entry.name == "start":
            assert (parts > 1) == (most < 1_000)
    assert (machine.state, machine.result) == (feeder.machine.state, feeder.machine.result)


def test_steps_that_nobody_has_heard_of_are_given_up_in_silence() -> None:
    feeder = Feeder(flow(forgets))
    assert [c.input for c in feeder.first if isinstance(c, Dispatch)] == [text(f"{n}") for n in range(1, 30, 2)]
    assert not any(isinstance(c, Withdraw) for c in feeder.first)


async def endless(ctx: Context) -> None:
    while True:
        await asyncio.sleep(0)


def test_an_endless_loop_is_found_in_parts_too() -> None:
    workflow = flow(endless)
    machine = Machine(workflow, "wf-1")
    in_parts(machine, Feeder(workflow).entries[0], 500)
    assert machine.blocked is not None and "callbacks without waiting" in machine.blocked.found
