# SPDX-License-Identifier: Apache-2.0
"""Reads what is left behind and says what is wrong with it.

It shares no code with the product: Redis, SQLite and the generated messages (`nervenet.v1`, which is the contract) are all
it knows.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import redis

from nervenet.v1 import workflow_pb2
from tests.chaos.shapes import Case

SUCCEEDED = workflow_pb2.WorkflowState.Value("WORKFLOW_STATE_SUCCEEDED")


class Entry(NamedTuple):
    """One entry as it stands in the stream."""

    ms: int
    n: int
    name: str
    body: workflow_pb2.JournalEntry


class Evidence(NamedTuple):
    """Heads and journals by workflow id; effects (key, workflow, value); executions (key, attempt, at_ms)."""

    heads: Mapping[str, Mapping[str, str]]
    journals: Mapping[str, list[Entry]]
    effects: list[tuple[str, str, int]]
    executions: list[tuple[str, int, int]]


Violation = tuple[str, str, str]
"""Law, workflow, words."""


def check(evidence: Evidence, accepted: Mapping[str, Case]) -> list[Violation]:
    """All that can be said of workflows and effects."""
    found: list[Violation] = []
    for one, case in accepted.items():
        found += _outcome(one, case, evidence)
    for one, journal in evidence.journals.items():
        found += _journal(one, evidence.heads[one], journal)
        if one not in accepted and "closed" not in evidence.heads[one]:
            found.append(("open", one, f"{evidence.heads[one]['state']}, and nobody waits for it"))
    return found + _effects(evidence)


def _outcome(id: str, case: Case, evidence: Evidence) -> list[Violation]:
    head, journal = evidence.heads.get(id), evidence.journals.get(id)
    if not head or not journal:
        return [("lost", id, "it was accepted, and is not there")]
    if case.parked:
        return _parked(id, head)
    if "closed" not in head:
        return [("open", id, f"{case.definition}: {head['state']}, owner {head['owner']}, last {journal[-1].name}")]
    close = journal[-1].body.close
    if close.state != SUCCEEDED or close.output.json != str(case.outcome):
        return [("outcome", id, f"{head['state']} {close.output.json}{close.failure.message}, expected {case.outcome}")]
    return []


def _parked(id: str, head: Mapping[str, str]) -> list[Violation]:
    """Waits for a human, under a name, and for nothing else."""
    asked = {name.removeprefix("e:escalated:") for name in head if name.startswith("e:escalated:")}
    asked -= {name.removeprefix("e:decided:") for name in head if name.startswith("e:decided:")}
    if "closed" in head or not asked:
        return [("outcome", id, f"it is {head['state']}, and should wait for a human")]
    return []


def _journal(id: str, head: Mapping[str, str], journal: list[Entry]) -> list[Violation]:
    names = Counter(entry.name for entry in journal)
    found = [("double", id, f"{name} is recorded {times} times") for name, times in names.items() if times > 1]
    if not journal:
        return found
    if journal[0].name != "start" or (head["run"] == "1" and journal[0].n != 1):
        found.append(("gap", id, f"run {head['run']} begins with {journal[0].name}, entry {journal[0].n}"))
    for before, after in pairwise(journal):
        if after.n != before.n + 1 or after.ms < before.ms:
            found.append(("gap", id, f"{before.ms}-{before.n} is followed by {after.ms}-{after.n}"))
    if head["last"] != f"{journal[-1].ms}-{journal[-1].n}":
        found.append(("gap", id, f"the head says {head['last']}, the journal ends with entry {journal[-1].n}"))
    if differ := {name[2:] for name in head if name.startswith("e:")} ^ set(names):
        found.append(("marks", id, f"head and journal differ in {sorted(differ)}"))
    return found


def _effects(evidence: Evidence) -> list[Violation]:
    found: list[Violation] = []
    values = {key: value for key, _, value in evidence.effects}
    for key, times in Counter(key for key, _, _ in evidence.effects).items():
        if times > 1:
            found.append(("twice", key, f"its effect was applied {times} times"))
    for workflow, journal in evidence.journals.items():
        run = evidence.heads[workflow]["run"]
        prefix = workflow if run == "1" else f"{workflow}~{run}"
        for entry in journal:
            task = entry.body.task
            key = f"{prefix}/{entry.name.removeprefix('task:')}"
            if task.capability == "work" and task.HasField("output") and str(values.get(key)) != task.output.json:
                found.append(
                    ("effect", workflow, f"{key} is recorded as {task.output.json}, its effect: {values.get(key)}")
                )
    return found


def gather(port: int, namespace: str, effects: Path) -> Evidence:
    """Everything that a run left behind."""
    prefix = f"nn:{namespace}:wf:{{"
    heads, journals = {}, {}
    with closing(redis.Redis(port=port, socket_timeout=30)) as connection:
        door: Any = connection
        keys = [key.decode() for key in door.scan_iter(f"{prefix}*", count=2000)]
        found = sorted(key for key in keys if key.endswith("}"))
        for start in range(0, len(found), 100):
            page = found[start : start + 100]
            pipe = door.pipeline(transaction=False)
            for key in page:
                pipe.hgetall(key)
                pipe.xrange(f"{key}:journal")
            answers = pipe.execute()
            for key, head, journal in zip(page, answers[::2], answers[1::2], strict=True):
                workflow = key[len(prefix) : -1]
                heads[workflow] = {name.decode(): value.decode(errors="replace") for name, value in head.items()}
                journals[workflow] = [_entry(*row) for row in journal]
    with closing(sqlite3.connect(effects, timeout=30)) as db:
        done = list(db.execute("SELECT key, workflow, value FROM effects"))
        tried = list(db.execute("SELECT key, attempt, at_ms FROM executions"))
    return Evidence(heads, journals, done, tried)


def _entry(id: bytes, fields: dict[bytes, bytes]) -> Entry:
    ms, n = id.decode().split("-")
    body = workflow_pb2.JournalEntry()
    body.ParseFromString(fields[b"e"])
    return Entry(int(ms), int(n), fields[b"n"].decode(), body)
