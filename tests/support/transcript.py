# SPDX-License-Identifier: Apache-2.0
"""What a machine does with a journal, as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nervenet.definitions import Workflow
from nervenet.durable import Machine
from nervenet.records import Entry


def transcript(workflow: Workflow[Any, Any], workflow_id: str, entries: Iterable[Entry], run: int = 1) -> list[str]:
    """The commands of each entry, as text: equal in each process, or the code is not deterministic."""
    machine, journal = Machine(workflow, workflow_id, run), tuple(entries)
    machine.foresee(journal)
    lines = [f"{entry.n} {entry.name} → {command!r}" for entry in journal for command in machine.apply(entry)]
    return [*lines, f"{machine.state} {machine.blocked!r}"]
