# SPDX-License-Identifier: Apache-2.0
"""The demo as a whole on a few distributions: the same rows whatever dies, by the evidence outside of the mesh."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.environment import ROOT, clean_environment

ONLY = ("hiredis", "packaging", "pluggy", "prometheus_client", "pydantic", "pygments", "pytest", "redis")
"""All of them come with what the tests need; prometheus_client declares a licence whose text it does not ship: a human decides."""


class Run(NamedTuple):
    said: str
    folder: Path
    mark: str
    """In the environment of each process that the run started."""

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found

    @property
    def rows(self) -> str:
        return json.dumps(self.report["rows"], ensure_ascii=False)

    def attempts(self) -> list[tuple[str, int, int, float, float | None, str | None]]:
        with closing(sqlite3.connect(self.folder / "effects.sqlite")) as db:
            return db.execute('SELECT task_id, run, attempt, start, "end", outcome FROM effects').fetchall()


def audit(folder: Path, *flags: str, **settings: str) -> Run:
    mark = f"licence-demo-{uuid.uuid4().hex}"
    done = subprocess.run(
        [sys.executable, "-m", "examples.licence_audit", "--only", ",".join(ONLY), "--folder", str(folder), *flags],
        cwd=ROOT,
        env=clean_environment(KEEP="", KILL="", DEMO_MARK=mark) | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said, said
    assert not list(left_running(mark)), "what the demo started must end with it"
    return Run(said, folder, mark)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in which nobody dies."""
    return audit(tmp_path_factory.mktemp("quiet"))


def left_running(mark: str) -> Iterator[str]:
    """Processes with this mark, where the system shows their environment."""
    for process in Path("/proc").glob("*"):
        if process.name.isdigit():
            try:
                if mark.encode() in (process / "environ").read_bytes():
                    yield f"{process.name} {(process / 'cmdline').read_bytes().decode(errors='replace')}"
            except OSError:  # gone meanwhile, or not ours
                continue


def late(run: Run) -> list[str]:
    """Attempts that began after another one of their task had returned."""
    attempts = run.attempts()
    over: dict[tuple[str, int], float] = {}
    for task, number, _, _, end, outcome in attempts:
        if outcome == "returned" and end is not None:
            over[task, number] = min(end, over.get((task, number), end))
    return [f"{task}#{n}" for task, number, n, start, *_ in attempts if start > over.get((task, number), start)]


@pytest.mark.long
def test_every_workflow_ends_or_waits_for_a_named_human_and_the_numbers_add_up(quiet: Run) -> None:
    found = quiet.report
    assert [row["name"].lower() for row in found["rows"]] == list(ONLY)
    states = found["workflows"]
    assert sum(states.values()) == found["distributions"] == len(ONLY) and states["failed"] == 0
    for row in found["rows"]:
        assert (row["state"] == "WAITING_FOR_HUMAN") == (row["escalation"] is not None), row
    assert [row["name"] for row in found["rows"] if row["escalation"]] == ["prometheus_client"]
    attempts = quiet.attempts()
    assert found["tasks"]["attempts"] == len(attempts) >= found["tasks"]["completed"] >= 3 * len(ONLY)
    assert (quiet.folder / "report.html").stat().st_size > 1000
    assert not late(quiet)


@pytest.mark.long
@pytest.mark.parametrize("kill", ["agent", "node"])
def test_a_run_in_which_somebody_dies_gives_the_same_rows(quiet: Run, kill: str, tmp_path: Path) -> None:
    run = audit(tmp_path, KILL=kill)
    assert "SIGKILL to " in run.said, run.said
    assert run.rows == quiet.rows
    assert run.report["workflows"] == quiet.report["workflows"]
    assert not late(run)


@pytest.mark.long
def test_the_audit_as_data_gives_the_same_rows_and_outlives_a_node(quiet: Run, tmp_path: Path) -> None:
    """On nodes that have no code of it: what takes over reads the definition from Redis.

    It is also the short form of the run of the code in which a node dies: the same driver kills the same process.
    """
    run = audit(tmp_path, "--declared", KILL="node")
    assert "SIGKILL to " in run.said, run.said
    assert run.rows == quiet.rows
    assert run.report["workflows"] == quiet.report["workflows"]
    assert not late(run)
