# SPDX-License-Identifier: Apache-2.0
"""The lines of the archive say what the documented fields promise, for any journal that Redis may have.

`record.py` reads plain entries straight from their bytes. Here the same line is made the slow way, by records and one `json.dumps`,
and both are compared for random journals.
"""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

from nervenet.archive.record import ArchivedRun, line_of, moment, run_of, summary_of
from nervenet.records import Close, Failure, FailureCode, Outcome, Payload, Start, State
from nervenet.streams.answers import RawEntry
from nervenet.streams.heads import Head
from nervenet.v1 import workflow_pb2
from nervenet.wire import decode_entry, encode_entry
from tests.fuzz.values import Filler

NOON = 1_795_867_200_000
TEXTS = ("plain", 'quoted "word" and \\', "Zoë, 漢字, 🦊", "line\nbreak\r\n\ttab", "\x7f\x00\x1f", "")
NAMES = (
    "start",
    "close",
    "task:read#1",
    "task:read",
    "task:Zoë#2",
    "attempt:read#1",
    "timer:one",
    "signal:go#1",
    "nobody",
    "",
)


def slow_line(namespace: str, run: ArchivedRun) -> dict[str, Any]:
    """The fields of docs/howto/archive.md, one by one."""
    bodies = [(raw, decode_entry(raw.name, raw.data, raw.n, raw.ms).body) for raw in run.entries]
    start = next((body for raw, body in reversed(bodies) if raw.name == "start" and isinstance(body, Start)), None)
    close = next((body for raw, body in reversed(bodies) if raw.name == "close" and isinstance(body, Close)), None)
    began = run.entries[0].ms if run.entries else run.head.created_ms
    return {
        "schema": 1,
        "namespace": namespace,
        **summary_of(run.workflow_id, run.head),
        "run_start_time": moment(began),
        "duration_ms": run.head.closed_ms - began,
        "input": None if start is None else shown(start.input),
        "output": None if close is None else shown(close.output),
        "failure": None if close is None else told(close.failure),
        "view": None if run.view is None else viewed(run.view),
        "tasks": [
            {
                "step": raw.name.partition(":")[2],
                "capability": body.capability,
                "state": "SUCCEEDED" if body.failure is None else "FAILED",
                "attempt": body.attempt,
                "agent_id": body.agent_id,
                "schedule_time": moment(body.scheduled_ms),
                "start_time": moment(body.started_ms),
                "end_time": moment(body.ended_ms or raw.ms),
                "failure": told(body.failure),
                "output": shown(body.output),
            }
            for raw, body in bodies
            if raw.name.startswith("task:") and isinstance(body, Outcome)
        ],
        "journal": [[raw.id.decode(), raw.name, raw.data.decode("latin-1")] for raw in run.entries],
    }


def shown(payload: Payload | None) -> Any:
    if payload is None or payload.form == "none":
        return None
    if payload.form == "json":
        return json.loads(payload.data)
    if payload.form == "bytes":
        return {"$bytes": base64.b64encode(payload.data).decode()}
    return {f"${payload.form}": payload.data.decode()}


def told(failure: Failure | None) -> Any:
    return None if failure is None else {"code": failure.code.value, "type": failure.type, "message": failure.message}


def viewed(view: bytes) -> Any:
    try:
        return json.loads(view.decode())
    except ValueError:
        return {"$bytes": base64.b64encode(view).decode()}


class Journals:
    """Random runs: ordinary ones, and ones with anything under any name."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.filler = Filler(str(seed))

    def run(self) -> ArchivedRun:
        size = self.chance.choice((0, 1, 3, 6, 40))
        make = self.chance.choice((self.ordinary, self.anything))
        entries = [RawEntry(b"%d-%d" % (NOON + n, n), n, NOON + n, *make(n, size)) for n in range(1, size + 1)]
        head = Head(
            state=self.chance.choice((State.SUCCEEDED, State.FAILED)), owner="n-a", closed_ms=NOON + 99, created_ms=NOON - 1,
            last=entries[-1].id if entries else b"0-0", definition="echo", version=3, runtime="3.11", note=self.text(),
            labels=self.chance.choice(("", '{"team": "Zoë"}', '{"half": "\\ud83e"}', "no JSON")), run=2,
        )  # fmt: skip
        view = self.chance.choice((None, b'{"done":\n1}', b"\xff\xfe", "é".encode("utf-16"), b'"x"'))
        return ArchivedRun(self.text() or "w", head, entries, view)

    def ordinary(self, n: int, size: int) -> tuple[str, bytes]:
        if n == 1:
            return "start", encode_entry(Start("echo", 3, "3.11", self.payload(), b"\xfeseed"), "n-a")
        failure = self.chance.choice((None, None, Failure(FailureCode.APPLICATION, self.text(), "ValueError")))
        output = self.payload() if failure is None else None
        if n == size:
            return "close", encode_entry(Close(State.SUCCEEDED, output, failure), "n-a")
        digest = self.chance.randbytes(16)
        done = Outcome(output, failure, "read", digest, n, "a-1", NOON, self.chance.choice((0, NOON + n)), (), NOON - 5)
        return f"task:read#{n}", encode_entry(done, "n-a")

    def anything(self, n: int, size: int) -> tuple[str, bytes]:
        entry = workflow_pb2.JournalEntry()
        make = self.chance.choice(
            (self.filler.encoded, self.filler.encoded, self.filler.cut, lambda _: self.filler.noise())
        )
        return self.chance.choice(NAMES), make(entry)

    def payload(self) -> Payload:
        value = json.dumps(
            {"text": self.text(), "n": [1, 2**60]}, ensure_ascii=False, indent=self.chance.choice((None, 1))
        )
        return self.chance.choice(
            (
                *[Payload("json", value.encode())] * 5,
                Payload("text", self.text().encode()),
                Payload("bytes", self.chance.randbytes(5)),
                Payload("uri", b"s3://bucket/key"),
                Payload("none", b""),
            )
        )

    def text(self) -> str:
        return self.chance.choice(TEXTS) * self.chance.choice((1, 1, 30))


def has_json(run: ArchivedRun) -> bool:
    """Whether what stands as JSON in its entries is JSON: nodes do not look into it, and a line has it as it is."""
    try:
        slow_line("ns", run)
    except (ValueError, RecursionError):
        return False
    return True


def same(one: Any, other: Any) -> bool:
    """As texts: a payload may have NaN, which equals nothing."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_the_fast_line_has_the_fields_of_the_slow_one_for_any_journal() -> None:
    seed = random.randrange(1 << 32)
    journals, compared, tasks = Journals(seed), 0, 0
    for number in range(600):
        run = journals.run()
        if not has_json(run):
            continue
        line = line_of("ns", run)
        assert line.count(b"\n") == 1, f"seed {seed}, run {number}"
        assert same(json.loads(line.decode("utf-8", "surrogatepass")), slow_line("ns", run)), (
            f"seed {seed}, run {number}"
        )
        compared += 1
        tasks += len(slow_line("ns", run)["tasks"])
    assert compared > 300
    assert tasks > 500, f"{tasks} tasks: the journals are too poor (seed {seed})"


def test_a_journal_comes_back_byte_for_byte() -> None:
    seed = random.randrange(1 << 32)
    journals = Journals(seed)
    for number in range(300):
        run = journals.run()
        if has_json(run):
            assert run_of(line_of("ns", run)).entries == run.entries, f"seed {seed}, run {number}"


@pytest.mark.parametrize("ms", [1 << 61, -(1 << 61), 253_402_300_800_000])
def test_a_time_that_no_calendar_has_is_null(ms: int) -> None:
    done = Outcome(Payload("json", b"1"), None, started_ms=ms)
    run = ArchivedRun("w", Head(closed_ms=NOON), [RawEntry(b"1-1", 1, 1, "task:a#1", encode_entry(done))], None)
    assert json.loads(line_of("ns", run))["tasks"][0]["start_time"] is None
