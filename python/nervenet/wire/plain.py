# SPDX-License-Identifier: Apache-2.0
"""The values of plain entries, straight from their messages: a start, an outcome and a close that have JSON and no failure.

Nearly all entries are plain. The archive reads every entry of every closed run, and records would take half of its time.
What is not plain, or cannot be read, is "" or None here, and `decode_entry` reads it.
"""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf.message import DecodeError

from nervenet.v1 import workflow_pb2 as workflow

__all__ = ["PlainOutcome", "plain_input", "plain_outcome", "plain_output"]

_READ = workflow.JournalEntry.FromString


class PlainOutcome(NamedTuple):
    """The outcome of a step that succeeded. Times are in ms, 0 where there is none; `output` is JSON."""

    output: str
    capability: str
    attempt: int
    agent_id: str
    scheduled_ms: int
    started_ms: int
    ended_ms: int


def plain_outcome(data: bytes) -> PlainOutcome | None:
    """From the bytes of an entry `task:…`."""
    try:
        entry = _READ(data)
    except DecodeError:
        return None
    if entry.WhichOneof("attributes") != "task":
        return None
    task = entry.task
    if task.WhichOneof("outcome") != "output":
        return None
    output = task.output
    if output.WhichOneof("body") != "json":
        return None
    scheduled, started, ended = task.schedule_time, task.start_time, task.end_time
    return PlainOutcome(
        output.json,
        task.capability,
        task.attempt,
        task.agent_id,
        scheduled.seconds * 1000 + scheduled.nanos // 1_000_000,
        started.seconds * 1000 + started.nanos // 1_000_000,
        ended.seconds * 1000 + ended.nanos // 1_000_000,
    )


def plain_input(data: bytes) -> str:
    """From the bytes of the entry `start`."""
    try:
        entry = _READ(data)
    except DecodeError:
        return ""
    return entry.start.input.json if entry.WhichOneof("attributes") == "start" else ""


def plain_output(data: bytes) -> str:
    """From the bytes of the entry `close`."""
    try:
        entry = _READ(data)
    except DecodeError:
        return ""
    if entry.WhichOneof("attributes") != "close" or entry.close.HasField("failure"):
        return ""
    return entry.close.output.json
