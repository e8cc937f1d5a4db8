# SPDX-License-Identifier: Apache-2.0
"""Records that nobody should have written, for the decoders: the short form, and what earlier runs found. The long form is `make fuzz`."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from nervenet.records import Outcome, UnreadableEntry, Usage
from nervenet.registry.codec import decode_agent
from nervenet.v1 import task_pb2, workflow_pb2
from nervenet.wire import decode_entry
from nervenet.wire.entries import MOST_TOKENS
from tests.fuzz.records import Records
from tests.support.environment import ROOT


@pytest.mark.long
def test_no_record_hurts_a_decoder(tmp_path: Path) -> None:
    seed = secrets.randbelow(1 << 31)
    print(f"seed {seed}: make fuzz CALLS=0 RECORDS=20000 SEED={seed}")
    out = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.fuzz.records", "--records", "20000", "--seed", str(seed), "--out", str(out)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.exists(), ended.stderr[-2000:]
    report = json.loads(out.read_text())
    assert report["failures"] == {}
    assert report["records"] == 20_000


def test_every_target_reads_what_it_begins_with() -> None:
    records = Records(0)
    for data in records.seeds(7):
        records.one(data)
    assert records.failures == {}
    assert records.count > 100


def test_a_failure_is_kept_once_with_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(0)
    first = records._targets[0]
    monkeypatch.setattr(records, "_targets", [first._replace(run=lambda data: [][len(data)])])
    records.one(b"\0ab")
    records.one(b"\0cd")
    ((kind, what),) = records.failures.items()
    assert kind.startswith("entry: IndexError at test_records.py")
    assert what.endswith("6162")


def test_progress_in_a_journal_is_an_unreadable_entry() -> None:
    """Found by the fuzzer: JournalEntry has attributes for watchers, which a journal never holds. It was a KeyError."""
    entry = workflow_pb2.JournalEntry(progress=task_pb2.TaskProgress(step="a"))
    found = decode_entry("task:a", entry.SerializeToString(), 1, 0)
    assert found.body == UnreadableEntry("progress attributes, which no journal has")


@pytest.mark.parametrize("slots", ['{"x": "y"}', "[]", "true", '"NaN"'])
def test_an_agent_whose_slots_are_no_number_is_no_agent(slots: str) -> None:
    record = b'{"name": "a", "capabilities": [{"name": "read", "slots": %s}], "slots": 2}' % slots.encode()
    with pytest.raises(ValueError, match="slots is"):
        decode_agent("a", record)


@pytest.mark.parametrize(("written", "read"), [(-(1 << 63), 0), (1 << 62, MOST_TOKENS), (7, 7)])
def test_tokens_of_any_number_can_be_added_up(written: int, read: int) -> None:
    """Found by the fuzzer: a summary of several steps added up numbers that a handler made up. It was a ValueError."""
    entry = workflow_pb2.JournalEntry()
    entry.task.output.json = "1"
    entry.task.usage.add(model="m", input_tokens=written)
    found = decode_entry("task:a", entry.SerializeToString(), 1, 0).body
    assert isinstance(found, Outcome)
    assert found.usage == (Usage("m", read, 0),)
