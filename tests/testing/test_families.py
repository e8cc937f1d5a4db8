# SPDX-License-Identifier: Apache-2.0
"""A journal with patches, children and signals that went out, kept for ever: today's code still replays it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from nervenet.definitions import Agent, Signal, Workflow, define_workflow
from nervenet.durable import PYTHON, Context
from nervenet.errors import CallFailed
from nervenet.testing import Journal, WorkflowTest, replay

GOLDEN = Path(__file__).parents[1] / "replay"
greet = Agent.remote("greet", str, str)
go = Signal("go", str)


async def audit_code(ctx: Context, name: str) -> str:
    return name


audit: Workflow[str, str] = define_workflow(audit_code, name="audit")


async def families_code(ctx: Context, name: str) -> list[str]:
    said = []
    if ctx.patched("greet-first"):
        said.append(await ctx.call(greet, name))
    child = await ctx.start(audit, name)
    await child.signal(go, "now")
    said.append(await child.result())
    try:
        await ctx.call(audit, "bad")
    except CallFailed as failed:
        said.append(failed.failure.message)
    await ctx.signal("another", go, "done")
    return said


families = define_workflow(families_code, name="families")


def recorded() -> Journal:
    t = WorkflowTest(seed=4)
    t.stub(greet, lambda name: f"Hello, {name}")
    t.stub(audit, ["fine", ValueError("not fine")], takes=timedelta(seconds=1))
    run = t.run(families, "Ada")
    assert run.result == ["Hello, Ada", "fine", "not fine"]
    return run.journal


def test_patches_children_and_signals_are_in_the_journal() -> None:
    assert recorded().names == [
        "start", "patch:greet-first", "task:greet", "child:audit", "sent:go", "task:audit", "child:audit.2",
        "task:audit.2", "sent:go.2", "close",
    ]  # fmt: skip


def test_the_golden_journals_of_families_still_replay() -> None:
    paths = sorted(GOLDEN.glob(f"families-*-py{PYTHON}.json"))
    if not paths:
        pytest.skip(f"no journal was recorded on Python {PYTHON}")
    for path in paths:
        replay(families, Journal.load(path))
