# SPDX-License-Identifier: Apache-2.0
"""Runs a durable graph in the test kit with its own nodes as stubs, and the commands of its journals in other processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from nervenet.integrations.langgraph import DurableGraph
from nervenet.testing import Journal, Run, WorkflowTest, run_agent
from tests.support.transcript import transcript

ROOT = Path(__file__).resolve().parents[3]
Answers = Mapping[str, Sequence[tuple[Any, float]]]
"""Question → answers, each with the seconds after which it comes."""


def scripted(graph: DurableGraph, answers: Answers | None = None, **options: Any) -> WorkflowTest:
    """A test in which the graph's nodes are run by their handlers, and in which people answer."""
    test = WorkflowTest(**options)
    for place, agent in enumerate(graph.agents.values()):

        async def handle(request: Any, agent: Any = agent) -> Any:
            return await run_agent(agent, request)

        test.stub(agent, handle, takes=timedelta(milliseconds=place * 37 % 50))
    for question, said in (answers or {}).items():
        for value, seconds in said:
            test.answer(question, value, after=timedelta(seconds=seconds))
    return test


def result_of(graph: DurableGraph, run: Run[Any]) -> Any:
    """The output as Python objects."""
    return graph.decode(run.result)


def digests(folder: Path) -> list[str]:
    """One line for each journal in the folder: its name, and a hash of the commands that each of its entries brings."""
    from tests.frameworks.langgraph import cases

    lines = []
    for path in sorted(folder.glob("*.json")):
        journal = Journal.load(path)
        commands = transcript(cases.workflow(path.stem), journal.workflow_id, journal.entries, journal.run)
        lines.append(f"{path.stem} {hashlib.sha256(repr(commands).encode()).hexdigest()} {commands[-1]}")
    return lines


def in_other_processes(folder: Path, seeds: Sequence[int], together: int = 2) -> dict[int, list[str]]:
    """`digests` in a process of its own for each hash seed."""
    code = (
        f"from tests.frameworks.langgraph.kit import digests, Path; print(*digests(Path({str(folder)!r})), sep='\\n')"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "python")])
    found = {}
    for first in range(0, len(seeds), together):
        running = {
            seed: subprocess.Popen(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in seeds[first : first + together]
        }
        for seed, process in running.items():
            found[seed] = process.communicate(timeout=100)[0].splitlines()
            assert process.returncode == 0
    return found
