# SPDX-License-Identifier: Apache-2.0
"""A trace of every attempt outside the mesh: when a handler really ran, in which process.

The mesh records an outcome once by its own law, so its journals cannot prove that nothing ran twice for nothing. This
file can: each handler writes a row when it begins and completes it when it ends; a row without end is an attempt whose
process died. SQLite in WAL mode, because agents and their pool processes all write to it at once. LICENCE_AUDIT_EFFECTS
names the file; without it nothing is written.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nervenet import Task

PATH = "LICENCE_AUDIT_EFFECTS"
AGENT = "LICENCE_AUDIT_AGENT"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (
    task_id TEXT NOT NULL, run INTEGER NOT NULL, attempt INTEGER NOT NULL, pid INTEGER NOT NULL,
    start REAL NOT NULL, "end" REAL, agent TEXT NOT NULL, outcome TEXT
)
"""


@contextmanager
def recorded(task: Task[Any]) -> Iterator[None]:
    """Wrap a handler's work: one row per attempt, in seconds since the epoch."""
    if not (place := os.environ.get(PATH)):
        yield
        return
    path = Path(place)
    row = _begin(path, task)
    outcome = "returned"
    try:
        yield
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        with closing(connect(path)) as db, db:
            db.execute('UPDATE effects SET "end" = ?, outcome = ? WHERE rowid = ?', (time.time(), outcome, row))


def _begin(path: Path, task: Task[Any]) -> int | None:
    run = re.search(r"~(\d+)/[^/]*$", task.id)
    row = task.id, int(run[1]) if run else 1, task.attempt, os.getpid(), time.time(), os.environ.get(AGENT, "")
    with closing(connect(path)) as db, db:
        return db.execute(
            "INSERT INTO effects (task_id, run, attempt, pid, start, agent) VALUES (?, ?, ?, ?, ?, ?)", row
        ).lastrowid


def connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=20)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")  # evidence about killed processes, not about power cuts
    db.execute(_SCHEMA)
    return db


class Load(NamedTuple):
    """What the file says at one moment."""

    started: int
    ended: int
    busy: dict[str, int]
    """Attempts under way, by agent."""
    done: dict[str, int]


def load(path: Path) -> Load:
    with closing(connect(path)) as db:
        rows = db.execute('SELECT agent, "end" IS NOT NULL, COUNT(*) FROM effects GROUP BY 1, 2').fetchall()
    busy, done = Counter[str](), Counter[str]()
    for agent, ended, count in rows:
        (done if ended else busy)[agent] += count
    return Load(busy.total() + done.total(), done.total(), dict(busy), dict(done))


def late_starts(path: Path, outcomes: Mapping[str, float]) -> list[str]:
    """Attempts that began after the outcome of their task was recorded: there must be none.

    Journals know whole milliseconds, so a start within the outcome's own millisecond is not after it.
    """
    with closing(connect(path)) as db:
        rows = db.execute("SELECT task_id, attempt, start FROM effects ORDER BY task_id, attempt").fetchall()
    return [f"{task}#{attempt}" for task, attempt, start in rows if start >= outcomes.get(task, start) + 0.001]
