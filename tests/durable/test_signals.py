# SPDX-License-Identifier: Apache-2.0
"""Which signals a workflow receives is found in its code, wherever in its reach they stand."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from nervenet import Agent, Context, Mesh, Signal, Workflow
from nervenet.durable.signals import signals_of
from tests.durable import signals_elsewhere

mesh = Mesh("signals")
approve = Signal("approve", str)
reject = Signal("reject", int)
never = Signal("never", str)
BY_TEAM = {"legal": Signal("legal", str), "sales": [Signal("sales", bool)]}
NAMES = SimpleNamespace(first=Signal("first", str))
QUEUE = collections.deque([Signal("queued", str)])


class Plan(BaseModel):
    size: int

    async def carry_out(self, ctx: Context) -> int:
        return await ctx.receive(reject)


find = Agent.remote("find", str, Plan)


async def either(ctx: Context, signal: Signal[str]) -> str:
    return await ctx.receive(signal)


async def helped(ctx: Context) -> str:
    return await either(ctx, approve)


class Steps:
    def __init__(self) -> None:
        self.signal = approve

    async def run(self, ctx: Context) -> str:
        return await ctx.receive(self.signal)


@dataclass
class Desk:
    ctx: Context

    async def hears(self) -> str:
        return await self.ctx.receive(approve)


@mesh.workflow
async def none_at_all(ctx: Context, plan: dict[str, int]) -> int:
    return len(plan)


@mesh.workflow
async def directly(ctx: Context) -> str:
    return await ctx.receive(approve)


@mesh.workflow
async def in_a_helper(ctx: Context) -> str:
    return await helped(ctx)


@mesh.workflow
async def in_a_nested_function(ctx: Context) -> Any:
    async def wait() -> str:
        return await ctx.receive(approve)

    return [await each() for each in (wait, lambda: ctx.receive(reject))]


@mesh.workflow
async def in_a_class(ctx: Context) -> str:
    return await Desk(ctx).hears()


@mesh.workflow
async def in_what_it_is_given(ctx: Context, plan: Plan) -> int:
    return await plan.carry_out(ctx)


@mesh.workflow
async def in_what_an_agent_answers(ctx: Context) -> int:
    return await (await ctx.call(find, "x")).carry_out(ctx)


@mesh.workflow
async def in_containers(ctx: Context) -> list[Any]:
    return [await ctx.receive(NAMES.first), await ctx.receive(QUEUE[0]), BY_TEAM]


@mesh.workflow
async def in_another_module(ctx: Context) -> str:
    return await signals_elsewhere.wait(ctx) + await ctx.receive(signals_elsewhere.urgent)


@mesh.workflow
async def imported_in_the_function(ctx: Context) -> str:
    from tests.durable.signals_elsewhere import urgent as soon

    return await ctx.receive(soon)


@mesh.workflow
async def goes_on(ctx: Context) -> None:
    if await ctx.receive(reject):
        ctx.continue_as_new(directly)


mesh.workflow(name="of_an_object")(Steps().run)

made_here = Signal("local", float)


def _made(signal: Signal[Any], name: str) -> None:
    @mesh.workflow(name=name)
    async def closure(ctx: Context) -> Any:
        return await ctx.receive(signal)


_made(made_here, "in_a_closure")

FOUND = {
    "none_at_all": [],
    "directly": ["approve"],
    "in_a_helper": ["approve"],
    "in_a_nested_function": ["approve", "reject"],
    "in_a_class": ["approve"],
    "in_what_it_is_given": ["reject"],
    "in_what_an_agent_answers": ["reject"],
    "in_containers": ["first", "legal", "queued", "sales"],
    "in_another_module": ["elsewhere", "urgent"],
    "imported_in_the_function": ["urgent"],
    "goes_on": ["approve", "reject"],
    "of_an_object": ["approve"],
    "in_a_closure": ["local"],
}


@pytest.mark.parametrize("name", FOUND)
def test_every_signal_in_reach_is_found_and_no_other(name: str) -> None:
    found = signals_of(mesh.workflows[name, 1])
    assert list(found.names) == FOUND[name]
    assert found.complete


dynamic = Mesh("dynamic")
away = Workflow.remote("away", None, None)


@dynamic.workflow
async def made_as_it_runs(ctx: Context, team: str) -> str:
    return await ctx.receive(Signal(f"approve-{team}", str))


@dynamic.workflow
async def looked_up_by_name(ctx: Context, name: str) -> str:
    found: str = await ctx.receive(getattr(signals_elsewhere, name))
    return found


@dynamic.workflow
async def goes_on_elsewhere(ctx: Context) -> None:
    await ctx.receive(approve)
    ctx.continue_as_new(away)


@dynamic.workflow
async def not_yet_imported(ctx: Context) -> str:
    from tests.durable.never_imported import later  # type: ignore[import-not-found]

    found: str = await ctx.receive(later)
    return found


@dynamic.workflow
async def not_yet_there(ctx: Context) -> str:
    return await ctx.receive(set_later)  # noqa: F821  # that is the case


set_later: Signal[str]


@pytest.mark.parametrize("name", [name for name, _ in dynamic.workflows])
def test_where_a_signal_may_come_from_elsewhere_the_set_is_not_complete(name: str) -> None:
    assert not signals_of(dynamic.workflows[name, 1]).complete


def test_what_the_author_says_is_complete() -> None:
    here = Mesh("said")

    @here.workflow(signals=[never])
    async def says(ctx: Context, team: str) -> str:
        await ctx.receive(approve)
        return await ctx.receive(Signal(team, str))

    found = signals_of(says)
    assert list(found.names) == ["approve", "never"] and found.complete
    with pytest.raises(TypeError, match="signals= takes Signals, not 'approve'"):
        here.workflow(signals=["approve"])(says.fn)  # type: ignore[list-item, arg-type]


def test_one_name_with_two_types_has_both() -> None:
    other = Signal("approve", int)
    here = Mesh("two")

    @here.workflow
    async def both(ctx: Context) -> Any:
        return await ctx.receive(approve), await ctx.receive(other)

    assert [codec.type for codec in signals_of(both).names["approve"]] == [str, int]
