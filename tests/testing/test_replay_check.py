# SPDX-License-Identifier: Apache-2.0
"""Code that looks at anything but its journal is found by the test of its workflow, and the line is named."""

from __future__ import annotations

import inspect
import itertools
import os
import random
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from nervenet import Context, Mesh
from nervenet.durable.changed_environment import changed_environment
from nervenet.testing import WorkflowTest

mesh = Mesh("unsteady")
FACES = {"Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia", "Alan", "Leslie", "Frances", "Tony"}
calls = itertools.count()


@mesh.agent
async def greet(name: str) -> str:
    return f"Hello, {name}"


@mesh.workflow
async def by_the_clock(ctx: Context) -> str:
    return await ctx.call(greet, f"{time.time() // 86_400:.0f}")


@mesh.workflow
async def by_the_date(ctx: Context) -> str:
    return await ctx.call(greet, str(datetime.now(UTC)))


@mesh.workflow
async def by_chance(ctx: Context) -> str:
    return await ctx.call(greet, str(random.random()))


@mesh.workflow
async def by_environment(ctx: Context) -> str:
    return await ctx.call(greet, os.environ["HOME"])


@mesh.workflow
async def by_a_variable_that_is_not_set(ctx: Context) -> str:
    return await ctx.call(greet, os.getenv("NN_NOBODY_SETS_THIS", "default"))


@mesh.workflow
async def by_whether_a_variable_is_set(ctx: Context) -> str:
    return await ctx.call(greet, "home" if "HOME" in os.environ else "nowhere")


@mesh.workflow
async def by_all_variables(ctx: Context) -> str:
    return await ctx.call(greet, os.environ.copy().get("HOME", "nowhere"))


@mesh.workflow
async def by_module_state(ctx: Context) -> str:
    return await ctx.call(greet, str(next(calls)))


@mesh.workflow
async def by_the_order_of_a_set(ctx: Context) -> str:
    return ", ".join([await ctx.call(greet, name) for name in FACES])


@mesh.workflow
async def by_the_order_of_a_list(ctx: Context) -> str:
    names = [await ctx.call(greet, name) for name in sorted(FACES)]
    ctx.log.info("in %s at %s", os.environ.get("HOME"), time.time())
    return ", ".join(names)


def line_of_the_call(workflow: Any) -> str:
    lines, first = inspect.getsourcelines(workflow.fn)
    return f"test_replay_check.py:{first + next(n for n, line in enumerate(lines) if 'ctx.call' in line)}"


def kit(**options: bool) -> WorkflowTest:
    t = WorkflowTest(**options)
    t.stub(greet, lambda name: f"Hello, {name}")
    return t


@pytest.mark.parametrize(
    "workflow",
    [
        by_the_clock,
        by_the_date,
        by_chance,
        by_environment,
        by_a_variable_that_is_not_set,
        by_whether_a_variable_is_set,
        by_all_variables,
        by_module_state,
    ],
    ids=lambda workflow: workflow.name,
)
def test_what_is_not_in_the_journal_is_found_and_its_line_named(workflow: Any) -> None:
    with pytest.raises(AssertionError) as found:
        kit().run(workflow)
    assert line_of_the_call(workflow) in str(found.value)
    assert "depends on what is not in its journal" in str(found.value)


def test_the_environment_is_still_another_one_after_a_thousand_checks() -> None:
    """Python 3.13 gives a class a thousand versions, so the check must not change a class each time."""
    for seed in range(1_200):
        with changed_environment(seed):
            seen = os.getenv("NN_NOBODY_SETS_THIS", "default")
        assert (seen, os.getenv("NN_NOBODY_SETS_THIS", "default")) == ("another environment", "default"), seed


def test_the_order_of_a_set_is_found_in_another_process() -> None:
    with pytest.raises(AssertionError, match="is BLOCKED: the code and the journal disagree") as found:
        kit(other_process=True).run(by_the_order_of_a_set)
    assert line_of_the_call(by_the_order_of_a_set) in str(found.value)
    assert "sorted(…)" in str(found.value)


def test_code_that_is_steady_passes_whatever_it_logs() -> None:
    assert kit(other_process=True).run(by_the_order_of_a_list).result.startswith("Hello, Ada, Hello, Alan")


def test_a_workflow_that_another_process_cannot_import_is_refused_in_words() -> None:
    local = Mesh("local")

    @local.workflow
    async def inside(ctx: Context) -> None:
        """Made where no other process finds it."""

    with pytest.raises(ValueError, match="it is made inside a function; put it at the top of its module"):
        WorkflowTest(other_process=True).run(inside)


def test_the_world_is_the_true_one_again_afterwards() -> None:
    variables: Any = os.environ
    before, clock, chance = variables._data, time.time, random.getstate()
    kit().run(by_the_order_of_a_list)
    assert variables._data is before
    assert (time.time, random.getstate()) == (clock, chance)
    assert abs(time.time() - datetime.now(UTC).timestamp()) < 3600
