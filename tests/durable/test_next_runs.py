# SPDX-License-Identifier: Apache-2.0
"""`ctx.continue_as_new` as the machine sees it: what ends, what goes along, what a replay wants."""

from __future__ import annotations

import asyncio

from nervenet.definitions import Workflow, define_workflow
from nervenet.durable import Context, ContinueRun
from nervenet.records import Payload, State
from tests.durable.flows import Feeder, approve, extract, flow, text


async def polls_code(ctx: Context, seen: str) -> str:
    try:
        said = await ctx.receive(approve)
        if said != "stop":
            ctx.continue_as_new(polls, said)
    except Exception:  # noqa: BLE001  # what a careless author writes
        return "swallowed"
    return seen


polls: Workflow[str, str] = define_workflow(polls_code, name="polls")


def test_the_run_ends_with_the_wish_for_the_next_one() -> None:
    feeder = Feeder(polls, text("first"))
    assert feeder.signal("again") == [ContinueRun("polls", 0, text("again"), "1000020-2", ())]
    assert feeder.machine.outstanding() == feeder.rebuilt().outstanding() == [feeder.machine.next]
    assert feeder.machine.state is State.RUNNING and feeder.machine.result is None


def test_what_nobody_read_is_named_and_what_comes_after_the_end_changes_nothing() -> None:
    async def sleeps(ctx: Context) -> None:
        await asyncio.sleep(1)
        ctx.continue_as_new(polls, "x")

    feeder = Feeder(flow(sleeps))
    feeder.signal("early")
    (wish,) = feeder.timer(1, 1_000_010 + 1_000)
    assert isinstance(wish, ContinueRun) and (wish.unread, wish.folded) == (("1000020-2",), "1001010-3")
    assert feeder.signal("late") == [] and feeder.cancel() == []
    assert feeder.machine.blocked is None and feeder.rebuilt().outstanding() == [wish]


def test_calls_under_way_are_given_up_with_the_run() -> None:
    async def hurries(ctx: Context) -> None:
        slow = asyncio.create_task(ctx.call(extract, "a"))
        await ctx.receive(approve)
        assert not slow.done()
        ctx.continue_as_new(polls, "x")

    feeder = Feeder(flow(hurries))
    assert feeder.signal("go")[-1] == ContinueRun("polls", 0, text("x"), "1000020-2", ())
    feeder.done("extract")
    assert feeder.machine.blocked is None


def test_an_input_that_is_too_large_fails_the_run_where_it_is() -> None:
    feeder = Feeder(polls, text("first"), payload_limit=100)
    feeder.signal("x" * 200)
    assert feeder.machine.result is not None and feeder.machine.result.output == Payload("json", b'"swallowed"')
