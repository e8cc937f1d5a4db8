# SPDX-License-Identifier: Apache-2.0
"""The must-show: one workflow that uses all of asyncio, a day's sleep, a signal and a retry, in milliseconds, and the
same commands from its journal in any process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from nervenet.errors import AgentError
from nervenet.testing import Journal, WorkflowTest, replay
from tests.durable.flows import approve, everything, extract, greet, validate
from tests.support.transcript import transcript

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "replay"
AT_ONCE = 4


def scripted(*, signalled: bool = True) -> WorkflowTest:
    test = WorkflowTest(seed=3)
    test.stub(greet, lambda name: f"hello {name}", takes=timedelta(milliseconds=300))
    slow = [AgentError("busy"), AgentError("busy still"), "facts", *["late"] * 3]
    test.stub(extract, slow, takes=timedelta(seconds=6))
    test.stub(validate, check, takes=timedelta(seconds=1))
    if signalled:
        test.after(timedelta(days=1, minutes=30)).signal(approve, "yes")
    return test


def check(name: str) -> str:
    if name == "bad":
        raise AgentError("really bad", retryable=False)
    return f"{name} is fine"


def test_a_day_of_everything_runs_in_milliseconds_and_survives_a_crash_after_every_entry() -> None:
    begin = time.perf_counter()
    run = scripted().run(everything, "Ada")
    seconds = time.perf_counter() - begin
    assert run.result[:5] == ["hello Ada-0", "hello Ada-1", "hello Ada-2", "facts", "too slow"]
    assert "yes" in run.result and run.result[-4] == "really bad"
    assert run.elapsed > timedelta(days=1)
    assert [name for name in run.journal.names if name.startswith("attempt:")] == [
        "attempt:extract#1",
        "attempt:extract#2",
        "attempt:validate.8#1",
    ]
    assert seconds < 2, f"{seconds:.3f} s"  # about 0.03 s on an idle machine


def test_without_the_signal_the_timeout_speaks() -> None:
    run = scripted(signalled=False).run(everything, "Ada")
    assert "nobody" in run.result


@pytest.mark.parametrize("processes", [AT_ONCE, pytest.param(20, marks=pytest.mark.long)])
def test_the_journal_brings_the_same_commands_in_fresh_processes_with_other_hash_seeds(
    processes: int, tmp_path: Path
) -> None:
    scripted().run(everything, "Ada").journal.dump(tmp_path / "j.json")
    expected = digest(tmp_path / "j.json")
    code = f"from tests.testing.test_everything import digest; print(digest({str(tmp_path / 'j.json')!r}))"
    path = os.pathsep.join([str(ROOT), str(ROOT / "python")])
    for first in range(0, processes, AT_ONCE):
        seeds = [str(1 + 977 * seed) for seed in range(first, min(first + AT_ONCE, processes))]
        running = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in seeds
        ]
        for seed, process in zip(seeds, running, strict=True):
            out, _ = process.communicate(timeout=60)
            assert out.strip() == expected, f"PYTHONHASHSEED={seed}"


def digest(path: Path | str) -> str:
    journal = Journal.load(path)
    lines = transcript(everything, journal.workflow_id, journal.entries, journal.run)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_golden_journals_of_every_day_still_replay() -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = sorted(GOLDEN.glob(f"everything-*-py{python}.json"))
    for path in found:
        replay(everything, Journal.load(path))
    assert found or python != "3.11"
