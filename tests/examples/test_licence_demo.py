# SPDX-License-Identifier: Apache-2.0
"""What the demo's driver stands on: the evidence file and the lines it prints where there is no terminal."""

from __future__ import annotations

import io
import multiprocessing
import os
import time
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from examples.licence_audit import effects
from examples.licence_audit.effects import Load
from examples.licence_audit.live import Moment, Screen, print_rows
from examples.licence_audit.report import Report, Row, Tasks, Workflows
from nervenet import Task


class Attempt:
    """As much of a Task as the evidence reads."""

    def __init__(self, task_id: str, attempt: int = 1) -> None:
        self.id, self.attempt = task_id, attempt


def attempt(task_id: str, number: int = 1) -> Task:
    return cast(Task, Attempt(task_id, number))


@pytest.fixture
def evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "new" / "effects.sqlite"
    monkeypatch.setenv(effects.PATH, str(path))
    monkeypatch.setenv(effects.AGENT, "extract")
    return path


def rows(path: Path) -> list[tuple[object, ...]]:
    db = effects.connect(path)
    try:
        return db.execute('SELECT task_id, run, attempt, pid, start, "end", outcome FROM effects').fetchall()
    finally:
        db.close()


def test_an_attempt_leaves_a_row_from_its_beginning_to_its_end(evidence: Path) -> None:
    before = time.time()
    with effects.recorded(attempt("audit-x~2/classify", 3)):
        assert effects.load(evidence) == Load(1, 0, {"extract": 1}, {})
    with pytest.raises(ValueError, match="no"), effects.recorded(attempt("audit-x/extract")):
        raise ValueError("no")
    first, second = rows(evidence)
    assert first[:4] == ("audit-x~2/classify", 2, 3, os.getpid()) and first[6] == "returned"
    assert before <= cast(float, first[4]) <= cast(float, first[5]) <= time.time()
    assert second[1:3] == (1, 1) and second[6] == "ValueError"
    assert effects.load(evidence) == Load(2, 2, {}, {"extract": 2})


def _work(number: int) -> None:
    for step in range(10):
        with effects.recorded(attempt(f"audit-{number}/step.{step}")):
            pass


def test_many_processes_write_at_once(evidence: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert effects.load(evidence).ended == 30


def test_a_start_after_the_recorded_outcome_is_found(evidence: Path) -> None:
    with effects.recorded(attempt("audit-a/extract")):
        pass
    with effects.recorded(attempt("audit-b/extract", 2)):
        pass
    now = time.time()
    assert effects.late_starts(evidence, {"audit-a/extract": now, "audit-b/extract": now}) == []
    assert effects.late_starts(evidence, {"audit-a/extract": now, "audit-b/extract": now - 60}) == ["audit-b/extract#2"]


def test_without_a_place_to_write_the_agents_do_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(effects.PATH, raising=False)
    monkeypatch.chdir(tmp_path)
    with effects.recorded(attempt("audit-a/extract")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_gets_plain_lines_that_lose_nothing() -> None:
    out = io.StringIO()
    console = Console(file=out, width=40)
    screen = Screen(console)
    moment = Moment(total=9, done=4, waiting=1, failed=0, load=Load(0, 0, {}, {}), seconds=2.5, per_second=3.2)
    with screen.open():
        screen.show(moment)
        screen.show(moment._replace(seconds=3.0))
        screen.show(moment._replace(seconds=9.0, done=8))
    long_name = "a-distribution-with-a-name-longer-than-any-terminal"
    row = Row(
        name=long_name,
        version="1.0",
        workflow_id=f"audit-{long_name}",
        state="WAITING_FOR_HUMAN",
        declared="MIT",
        found="[bold]MIT AND Apache-2.0",
        confidence=0.5,
        verdict="unknown",
        escalation=f"audit-{long_name}/ask",
    )
    report = Report(
        distributions=1,
        workflows=Workflows(succeeded=0, waiting=1, failed=0),
        tasks=Tasks(completed=3, attempts=3, duplicates_suppressed=0),
        rows=[row],
        nodes=2,
        agents=5,
        seconds=9.0,
    )
    print_rows(console, report)
    assert out.getvalue().splitlines() == [
        "  2.5 s  4 done, 4 running, 1 waiting, 3 tasks/s",
        "  9.0 s  8 done, 0 running, 1 waiting, 3 tasks/s",
        f"{long_name}\t1.0\tMIT\t[bold]MIT AND Apache-2.0\t0.500\tunknown\tWAITING_FOR_HUMAN\taudit-{long_name}/ask",
    ]
