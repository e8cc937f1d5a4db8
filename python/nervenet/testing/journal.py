# SPDX-License-Identifier: Apache-2.0
"""A journal as a value: looked at by tests, kept in files, replayed against the code of every later day.

The file is JSON and its entries are the contract's `JournalEntry` messages in proto JSON, the same that
`nervenet show --journal --json` prints, so a journal that went wrong in production is a test case as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nervenet import wire
from nervenet.codecs import PLAIN, Codecs, open_codecs
from nervenet.config import Config
from nervenet.definitions import Workflow
from nervenet.durable.check import blocking_error
from nervenet.durable.machine import Machine
from nervenet.records import Entry


class Journal:
    """The entries of one run, in order.

    Attributes:
        workflow_id: The workflow.
        run: Which run of it.
        entries: The entries.
    """

    def __init__(self, workflow_id: str, run: int, entries: Iterable[Entry]) -> None:
        self.workflow_id = workflow_id
        self.run = run
        self.entries: Sequence[Entry] = tuple(entries)

    def __repr__(self) -> str:
        return f"<Journal of {self.workflow_id}: {', '.join(self.names)}>"

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def names(self) -> Sequence[str]:
        """The names of the entries: what happened, in order."""
        return [entry.name for entry in self.entries]

    def dump(self, path: Path | str) -> None:
        """Write it to a file, and make the folders above it.

        Args:
            path: The file.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "workflowId": self.workflow_id,
            "run": self.run,
            "entries": [wire.entry_to_json(entry) for entry in self.entries],
        }
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path | str) -> Journal:
        """Read what `dump` or `nervenet journal export` wrote.

        Args:
            path: The file.
        """
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        entries = [wire.entry_from_json(item) for item in content["entries"]]
        return Journal(content.get("workflowId", ""), content.get("run", 1), entries)


def replay(workflow: Workflow[Any, Any], journal: Journal, /, *, codec: str | None = None) -> None:
    """Replay a recorded journal with today's code.

        def test_old_runs_still_replay() -> None:
            replay(review, Journal.load("tests/journals/review.json"))

    Args:
        workflow: The workflow, with its code at hand.
        journal: The journal.
        codec: What its values are encoded with, as the setting `codec` has it. None: that of this process (`NERVENET_CODEC`).

    Raises:
        AssertionError: Code and journal disagree. The message shows both in two columns. Or a value cannot be decoded; the
            message has the key id.
        ConfigError: The codec cannot be used.
        Exception: The code raises a programming error where the journal continues: that error.
    """
    __tracebackhide__ = True
    machine, at = replayed(workflow, journal, open_codecs(codec or Config.load().codec))
    if at is not None:
        raise blocking_error(machine, at)
    machine.close()


def replayed(workflow: Workflow[Any, Any], journal: Journal, codecs: Codecs = PLAIN) -> tuple[Machine, Entry | None]:
    """The machine after this journal, and the entry at which it is blocked (None: it is not)."""
    machine = Machine(workflow, journal.workflow_id, journal.run, codecs=codecs)
    machine.foresee(journal.entries)
    for entry in journal.entries:
        machine.apply(entry, replaying=True)
        if machine.blocked is not None:
            return machine, entry
    return machine, None
