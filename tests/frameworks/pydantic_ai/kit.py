# SPDX-License-Identifier: Apache-2.0
"""Runs durable agents in the test kit with their own handlers as stubs, and the commands of journals in other processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from nervenet.integrations.pydantic_ai import DurableAgent
from nervenet.testing import Journal, WorkflowTest, run_agent
from tests.support.transcript import transcript

ROOT = Path(__file__).resolve().parents[3]


def handled(*agents: DurableAgent[Any, Any], seen: list[Any] | None = None, **options: Any) -> WorkflowTest:
    """A test in which the capabilities are run by their handlers. `seen` gets every request."""
    test = WorkflowTest(**options)
    for agent in agents:
        for place, one in enumerate(agent.agents.values()):

            async def handle(request: Any, one: Any = one) -> Any:
                if seen is not None:
                    seen.append(request)
                return await run_agent(one, request)

            test.stub(one, handle, takes=timedelta(milliseconds=place * 37 % 50))
    return test


def digests(folder: Path) -> list[str]:
    """One line for each journal in the folder: its name, and a hash of the commands that its entries bring."""
    from tests.frameworks.pydantic_ai import agents

    lines = []
    for path in sorted(folder.glob("*.json")):
        journal = Journal.load(path)
        workflow = agents.mesh.workflows[(path.stem, 1)]
        commands = transcript(workflow, journal.workflow_id, journal.entries, journal.run)
        lines.append(f"{path.stem} {hashlib.sha256(repr(commands).encode()).hexdigest()} {commands[-1]}")
    return lines


def in_other_processes(folder: Path, seeds: Sequence[int], together: int = 2) -> dict[int, list[str]]:
    """`digests` in a process of its own for each hash seed."""
    code = (
        f"from tests.frameworks.pydantic_ai.kit import digests, Path; print(*digests(Path({str(folder)!r})), sep='\\n')"
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
            found[seed] = process.communicate(timeout=300)[0].splitlines()
            assert process.returncode == 0
    return found
