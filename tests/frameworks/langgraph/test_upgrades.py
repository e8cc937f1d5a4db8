# SPDX-License-Identifier: Apache-2.0
"""An upgrade in the middle of a run: new fields with defaults in messages, models and states must not make it BLOCKED."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nervenet.testing import Journal
from tests.frameworks.journals import PYTHONPATH, digests
from tests.frameworks.langgraph.cases import CASES
from tests.support.environment import ROOT
from tests.support.transcript import transcript

NAMES = ("react", "talking", "typed", "tree", "approved", "asking")


def upgraded(folder: Path) -> list[str]:
    """`digests` of the journals in the folder, by the code after the upgrade."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.frameworks.langgraph.newer", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.timeout(300)
def test_new_fields_with_defaults_change_no_command_of_a_recorded_run(tmp_path: Path) -> None:
    ended, running = tmp_path / "ended", tmp_path / "running"
    for name in NAMES:
        journal = CASES[name].run(crash_everywhere=False).journal
        Journal(journal.workflow_id, journal.run, journal.entries[:-1]).dump(running / f"{name}.json")
        journal.dump(ended / f"{name}.json")
    before, after = digests("tests.frameworks.langgraph.cases", ended), upgraded(ended)
    assert all(line.endswith("SUCCEEDED None") for line in (*before, *after)), "every entry agrees, and the result too"
    changed = [line.split()[0] for line, old in zip(after, before, strict=True) if line != old]
    assert set(changed) <= {"tree", "typed"}, "their views show a state in which the new field is"
    assert [line.split()[-1] for line in upgraded(running)] == ["None"] * len(NAMES), (
        "none of the running ones is BLOCKED"
    )


def test_a_changed_default_would_be_noticed() -> None:
    """The check above can fail: another value in a node's input is another digest."""
    journal = CASES["typed"].run(crash_everywhere=False).journal
    entries = list(journal.entries)
    other = CASES["tree"].run(crash_everywhere=False).journal
    wrong = Journal(journal.workflow_id, journal.run, [other.entries[0], *entries[1:]])
    assert "Mismatch" in transcript(CASES["typed"].workflow, wrong.workflow_id, wrong.entries, wrong.run)[-1]
