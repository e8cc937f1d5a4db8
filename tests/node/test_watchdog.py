# SPDX-License-Identifier: Apache-2.0
"""Whose fault it is that the node stands still: the workflow's that runs, or nobody's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nervenet.node.guards.watchdog import Watchdog
from nervenet.timing import BLOCKED_LOOP_LIMIT, WATCHDOG_LOOK_EVERY
from tests.support.environment import clean_environment


class Hands:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


CODE: Any = object()
"""Stands for a machine: the watchdog only hands it back."""


def looks(watchdog: Watchdog, hands: Hands, count: int, every: float = WATCHDOG_LOOK_EVERY) -> list[Any]:
    found = []
    for _ in range(count):
        hands.now += every
        found.append(watchdog.look())
    return found


def test_code_that_runs_at_each_look_for_two_seconds_is_interrupted() -> None:
    hands: Any = Hands()
    watchdog = Watchdog(hands)
    watchdog.enter(CODE)
    enough = int(BLOCKED_LOOP_LIMIT / WATCHDOG_LOOK_EVERY) + 2
    found = looks(watchdog, hands, enough)
    assert found[:-1] == [None] * (enough - 1) and found[-1] is CODE


def test_many_short_runs_of_the_same_workflow_are_not_one_long_one() -> None:
    hands: Any = Hands()
    watchdog = Watchdog(hands)
    for _ in range(100):
        watchdog.enter(CODE)
        assert looks(watchdog, hands, 3) == [None] * 3
        watchdog.leave()


def test_a_process_that_was_stopped_for_a_minute_blames_nobody() -> None:
    hands: Any = Hands()
    watchdog = Watchdog(hands)
    watchdog.enter(CODE)
    assert looks(watchdog, hands, 2) == [None, None]
    assert looks(watchdog, hands, 1, every=60.0) == [None]
    assert looks(watchdog, hands, 2) == [None, None]


SLOW_IMPORT = """
import sys, time
from pydantic import BaseModel
from nervenet.clock import Clock
from nervenet.definitions import define_workflow
from nervenet.durable import PYTHON, Context, Machine
from nervenet.node.guards.watchdog import Watchdog
from nervenet.records import Entry, Payload, Start

class SlowDisk:
    def find_spec(self, name, *_):
        end = time.monotonic() + 3.5 if name in ("jsonschema", "colorsys") else 0
        while time.monotonic() < end:
            time.sleep(0.02)

class Verdict(BaseModel):
    fine: bool

async def asks_for_a_typed_answer(ctx: Context) -> None:
    await ctx.ask("Fine?", answer=Verdict)

async def imports_a_module_of_its_own(ctx: Context) -> None:
    import colorsys

sys.meta_path.insert(0, SlowDisk())
assert "jsonschema" not in sys.modules
workflow = define_workflow(globals()[sys.argv[1]])
machine = Machine(workflow, "wf-1")
with Watchdog(Clock()) as watchdog:
    watchdog.enter(machine)
    machine.apply(Entry("start", Start(workflow.name, workflow.version, PYTHON, Payload("none", b""), bytes(16)), 1, 1))
    watchdog.leave()
print(machine.state.name, machine.blocked.where if machine.blocked else "")
"""


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [("asks_for_a_typed_answer", "WAITING_FOR_HUMAN"), ("imports_a_module_of_its_own", "BLOCKED slow.py:")],
)
def test_a_slow_import_by_nervenet_is_not_the_workflows_fault_but_one_by_its_code_is(
    workflow: str, expected: str, tmp_path: Path
) -> None:
    program = tmp_path / "slow.py"
    program.write_text(SLOW_IMPORT)
    ran = subprocess.run(
        [sys.executable, program, workflow], capture_output=True, text=True, timeout=60, env=clean_environment()
    )
    assert ran.stdout.startswith(expected), ran.stderr
