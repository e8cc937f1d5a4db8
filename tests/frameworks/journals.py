# SPDX-License-Identifier: Apache-2.0
"""The commands of recorded journals, in this process and in others with other hash seeds.

    python -m tests.frameworks.journals tests.frameworks.pydantic_ai.agents FOLDER

A module of workflows has a function `workflow(name)`; a journal has the name of its workflow.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from nervenet.testing import Journal
from tests.support.environment import ROOT
from tests.support.transcript import transcript

PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "python")])


def digests(module: str, folder: Path) -> list[str]:
    """One line for each journal in the folder: its name, and a hash of the commands that each of its entries brings."""
    workflow, lines = import_module(module).workflow, []
    for path in sorted(folder.glob("*.json")):
        journal = Journal.load(path)
        commands = transcript(workflow(path.stem), journal.workflow_id, journal.entries, journal.run)
        lines.append(f"{path.stem} {hashlib.sha256(repr(commands).encode()).hexdigest()} {commands[-1]}")
    return lines


def same_with_every_seed(module: str, folder: Path, seeds: Sequence[int], together: int = 2) -> int:
    """Assert that each of these hash seeds, in a process of its own, brings the commands of this process; how many
    journals there were."""
    expected = digests(module, folder)
    assert not any("Mismatch" in line for line in expected)
    for first in range(0, len(seeds), together):
        running = {
            seed: subprocess.Popen(
                [sys.executable, "-m", __name__, module, str(folder)],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": PYTHONPATH},
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in seeds[first : first + together]
        }
        for seed, process in running.items():
            found = process.communicate(timeout=300)[0].splitlines()
            assert (process.returncode, found) == (0, expected), f"PYTHONHASHSEED={seed}"
    return len(expected)


if __name__ == "__main__":
    print(*digests(sys.argv[1], Path(sys.argv[2])), sep="\n")
