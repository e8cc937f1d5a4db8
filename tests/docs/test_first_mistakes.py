# SPDX-License-Identifier: Apache-2.0
"""Mistakes that somebody made who wrote programs from the pages alone: each is answered by what to do."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest

from nervenet import Context, Mesh, Signal, WorkflowFailed
from nervenet.testing import WorkflowTest

mesh = Mesh("first")


@mesh.agent
async def greet(name: str) -> str:
    return f"Hello, {name}"


async def no_await(ctx: Context) -> str:
    return cast(str, ctx.call(greet, "Ada"))


async def a_name_for_a_signal(ctx: Context) -> str:
    return cast(str, await ctx.receive(cast("Signal[str]", "approve")))


async def days_as_a_number(ctx: Context) -> str:
    return (await ctx.ask("Send it?", choices=["yes"], default="yes", deadline=cast(timedelta, 7))).value


@pytest.fixture
def collected() -> Iterator[None]:
    """A coroutine that nobody awaited says so when it is collected: here, and not in the middle of another test."""
    yield
    gc.collect()


@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (no_await, "got a coroutine of Context._outcome: an await is missing"),
        (a_name_for_a_signal, "ctx.receive takes a Signal, not 'approve': approve = Signal(\"approve\", Approval)"),
        (days_as_a_number, "deadline: 7 is not a time: give an aware datetime (a deadline may be a timedelta)"),
    ],
)
def test_a_workflow_that_is_wrong_says_how_it_would_be_right(code: Callable[..., Any], said: str) -> None:
    with pytest.raises((WorkflowFailed, TypeError)) as failed:
        _ = WorkflowTest().run(Mesh("wrong").workflow(code)).result
    assert said in str(failed.value)


def test_an_agent_with_a_context_is_told_what_it_may_begin_with() -> None:
    async def work(ctx: Context, name: str) -> str:
        return name

    with pytest.raises(
        TypeError,
        match="agent 'work': only workflows have a Context; the first parameter of an agent may be task: Task",
    ):
        cast(Any, mesh.agent)(work)
