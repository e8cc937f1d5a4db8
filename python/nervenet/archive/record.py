# SPDX-License-Identifier: Apache-2.0
"""One closed run as a line of JSON, and back.

The line has payloads that are JSON as they are, so that any tool can query them. It also has the journal, byte for byte: with it a node shows the run as if Redis still had it, and a replay is possible. docs/howto/archive.md lists the
fields; a field is only ever added, and `schema` rises when the meaning of one changes.
"""

from __future__ import annotations

import base64
import functools
import json
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from nervenet.records import Close, Failure, Outcome, Payload, Start, State
from nervenet.streams.answers import RawEntry
from nervenet.streams.heads import STATES, Head
from nervenet.wire import decode_entry

__all__ = ["SCHEMA", "ArchivedRun", "line_of", "moment", "run_of", "summary_line", "summary_of"]

SCHEMA: Final = 1
NULL: Final = b"null"
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: `json.dumps` with options makes one for each call, which takes longer than its work here."""


class ArchivedRun(NamedTuple):
    """A run as Redis had it."""

    workflow_id: str
    head: Head
    entries: list[RawEntry]
    view: bytes | None


def line_of(namespace: str, run: ArchivedRun, summary: bytes = b"") -> bytes:
    """The line, with its newline. `summary`: its `summary_line`, where that is at hand."""
    summary = summary or summary_line(run.workflow_id, run.head)
    head, start, close, tasks = run.head, NULL, None, list[bytes]()
    for raw in run.entries:
        if raw.name != "start" and raw.name != "close" and not raw.name.startswith("task:"):
            continue
        body = decode_entry(raw.name, raw.data, raw.n, raw.ms).body
        if isinstance(body, Start):
            start = _value(body.input)
        elif isinstance(body, Close):
            close = body
        elif isinstance(body, Outcome):
            tasks.append(_task(raw, body))
    output = _value(close.output) if close is not None and close.output is not None else NULL
    failure = None if close is None or close.failure is None else _failure(close.failure)
    began = run.entries[0].ms if run.entries else head.created_ms
    parts = [
        b'"schema":%d,"namespace":%b' % (SCHEMA, _word(namespace)),
        summary[1:-1],
        b'"run_start_time":%b,"duration_ms":%d' % (_time(began), head.closed_ms - began),
        b'"input":' + start,
        b'"output":' + output,
        b'"failure":' + _json(failure),
        b'"view":' + (NULL if run.view is None else _view(run.view)),
        b'"tasks":[' + b",".join(tasks) + b"]",
        b'"journal":[' + b",".join(map(_entry, run.entries)) + b"]",
    ]
    return b"{" + b",".join(parts) + b"}\n"


def summary_line(workflow_id: str, head: Head) -> bytes:
    """The summary as a line, without its newline."""
    return _json(summary_of(workflow_id, head))


def summary_of(workflow_id: str, head: Head) -> dict[str, Any]:
    """What lists need: no payloads, no journal."""
    return {
        "workflow_id": workflow_id,
        "run": head.run,
        "definition": head.definition,
        "version": head.version,
        "runtime": head.runtime,
        "state": head.state.value,
        "labels": _labels(head.labels),
        "start_time": moment(head.created_ms),
        "close_time": moment(head.closed_ms),
        "node_id": head.owner,
        "trace": head.trace,
        "at": head.at,
        "note": head.note,
        "adoptions": head.adoptions,
        "suppressed_duplicates": head.suppressed,
        "journal_entries": int(head.last.partition(b"-")[2]),
    }


def head_of(told: dict[str, Any], last: bytes = b"") -> Head:
    """The head, from a summary or a line. Raises ValueError, KeyError or TypeError where a field is missing or wrong."""
    state = told["state"]
    return Head(
        run=int(told["run"]),
        state=STATES.get(state.encode(), State.UNRECOGNIZED),
        owner=told["node_id"],
        last=last or b"0-%d" % told["journal_entries"],
        created_ms=_ms(told["start_time"]),
        closed_ms=_ms(told["close_time"]),
        definition=told["definition"],
        version=int(told["version"]),
        runtime=told["runtime"],
        labels=json.dumps(told["labels"]) if told["labels"] else "",
        at=told["at"],
        note=told["note"],
        trace=told["trace"],
        suppressed=int(told["suppressed_duplicates"]),
        adoptions=int(told["adoptions"]),
    )


def run_of(line: bytes) -> ArchivedRun:
    """From a line back to the run. Raises ValueError: it is no line of an archive."""
    try:
        told = json.loads(line)
        entries = [_raw(*row) for row in told["journal"]]
        view = told["view"]
        head = head_of(told, entries[-1].id if entries else b"")
        return ArchivedRun(told["workflow_id"], head, entries, None if view is None else _json(view))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no line of an archive: {error!r}") from None


def _raw(at: str, name: str, data: str) -> RawEntry:
    ms, _, n = at.partition("-")
    return RawEntry(at.encode(), int(n), int(ms), name, data.encode("latin-1"))


def _entry(raw: RawEntry) -> bytes:
    """The message's bytes as characters (Latin-1): the texts in it are those of the payloads beside it, and gzip sees that."""
    return b'["%b",%b,%b]' % (raw.id, _word(raw.name), _json(raw.data.decode("latin-1")))


def _task(raw: RawEntry, body: Outcome) -> bytes:
    failed = body.failure is not None
    return (
        b'{"step":%b,"capability":%b,"state":%b,"attempt":%d,"agent_id":%b,"schedule_time":%b,"start_time":%b,"end_time":%b,'
        b'"failure":%b,"output":%b}'
    ) % (
        _word(raw.name.partition(":")[2]),
        _word(body.capability),
        b'"FAILED"' if failed else b'"SUCCEEDED"',
        body.attempt,
        _word(body.agent_id),
        _time(body.scheduled_ms),
        _time(body.started_ms),
        _time(body.ended_ms or raw.ms),
        NULL if body.failure is None else _json(_failure(body.failure)),
        NULL if body.output is None else _value(body.output),
    )


def _failure(failure: Failure) -> dict[str, Any]:
    return {"code": failure.code.value, "type": failure.type, "message": failure.message}


def _value(payload: Payload) -> bytes:
    """JSON as it is, in one line. Other payloads become an object that says what they are."""
    if payload.form == "json":
        return _one_line(payload.data)
    if payload.form == "none":
        return NULL
    if payload.form in ("text", "uri"):
        return _json({f"${payload.form}": payload.data.decode(errors="replace")})
    return b'{"$%b":"%b"}' % (payload.form.encode(), base64.b64encode(payload.data))


def _view(stored: bytes) -> bytes:
    try:
        json.loads(stored)
    except ValueError:
        return b'{"$bytes":"%b"}' % base64.b64encode(stored)
    return _one_line(stored)


def _one_line(text: bytes) -> bytes:
    """In JSON a line break can only stand between tokens: inside a string it is written as \\n."""
    return text.replace(b"\n", b" ").replace(b"\r", b" ")


def _json(value: Any) -> bytes:
    return _ENCODE(value).encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=4096)
def _word(text: str) -> bytes:
    """A name, of which there are few."""
    return _json(text)


def _time(ms: int) -> bytes:
    return b'"%b"' % str(moment(ms)).encode() if ms else NULL


def _labels(stored: str) -> dict[str, str]:
    try:
        found = json.loads(stored) if stored else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def moment(ms: int) -> str | None:
    """A time as RFC 3339 has it, in UTC with milliseconds; None for no time."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z" if ms else None


@functools.lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _ms(text: str | None) -> int:
    return 0 if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)
