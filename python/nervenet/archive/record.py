# SPDX-License-Identifier: Apache-2.0
"""One closed run as a line of JSON, and back.

The line has payloads that are JSON as they are, so that any tool can query them. It also has the journal, byte for byte: with it a node shows the run as if Redis still had it, and a replay is possible. docs/howto/archive.md lists the
fields; a field is only ever added, and `schema` rises when the meaning of one changes.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from nervenet.records import Body, Close, Failure, Outcome, Payload, Start, State
from nervenet.streams.answers import RawEntry
from nervenet.streams.heads import STATES, Head
from nervenet.wire import PlainOutcome, decode_entry, plain_input, plain_outcome, plain_output

__all__ = ["SCHEMA", "ArchivedRun", "line_of", "moment", "run_of", "summary_line", "summary_of"]

SCHEMA: Final = 1
NULL: Final = "null"
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: `json.dumps` with options makes one for each call, which takes longer than its work here."""
_QUOTED: Final = json.encoder.encode_basestring


class ArchivedRun(NamedTuple):
    """A run as Redis had it."""

    workflow_id: str
    head: Head
    entries: list[RawEntry]
    view: bytes | None


def line_of(namespace: str, run: ArchivedRun, summary: bytes = b"") -> bytes:
    """The line, with its newline. `summary`: its `summary_line`, where that is at hand.

    The messages' bytes become characters (Latin-1): the texts in them are those of the payloads beside them, and gzip sees that.
    """
    head, told = run.head, _told(run.entries)
    began = run.entries[0].ms if run.entries else head.created_ms
    journal = to_json([(raw.id.decode(), raw.name, raw.data.decode("latin-1")) for raw in run.entries])
    text = (
        f'{{"schema":{SCHEMA},"namespace":{_word(namespace)},'
        f"{(summary or summary_line(run.workflow_id, head))[1:-1].decode('utf-8', 'surrogatepass')},"
        f'"run_start_time":{_time(began)},"duration_ms":{head.closed_ms - began},'
        f'"input":{told.input},"output":{told.output},"failure":{told.failure},'
        f'"view":{NULL if run.view is None else _view(run.view)},'
        f'"tasks":[{",".join(told.tasks)}],"journal":'
    )
    return b"%b%b}\n" % (text.encode("utf-8", "surrogatepass"), journal)


class _Told(NamedTuple):
    """What a line takes out of the entries, as JSON."""

    input: str
    output: str
    failure: str
    tasks: list[str]


def _told(entries: Sequence[RawEntry]) -> _Told:
    """Most entries are plain: those are read straight from their message, others by way of records."""
    given, output, failure, tasks = NULL, NULL, NULL, list[str]()
    for raw in entries:
        name = raw.name
        if name.startswith("task:"):
            done = plain_outcome(raw.data)
            told = _plain_task(raw, done) if done is not None else _task(raw, _body(raw))
            tasks += [told] if told else []
        elif name == "start":
            given = _plain(plain_input(raw.data)) or _input(_body(raw), given)
        elif name == "close":
            plain = _plain(plain_output(raw.data))
            output, failure = (plain, NULL) if plain else _end(_body(raw), output, failure)
    return _Told(given, output, failure, tasks)


def _body(raw: RawEntry) -> Body:
    return decode_entry(raw.name, raw.data, raw.n, raw.ms).body


def _input(body: Body, otherwise: str) -> str:
    return _value(body.input) if isinstance(body, Start) else otherwise


def _end(body: Body, output: str, failure: str) -> tuple[str, str]:
    if not isinstance(body, Close):
        return output, failure
    return (
        NULL if body.output is None else _value(body.output),
        NULL if body.failure is None else _json(_failure(body.failure)),
    )


def summary_line(workflow_id: str, head: Head) -> bytes:
    """The summary as a line, without its newline."""
    told = summary_of(workflow_id, head)
    try:
        return to_json(told)
    except PydanticSerializationError:  # half a character, in a label
        return _json(told).encode("utf-8", "surrogatepass")


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
        return ArchivedRun(told["workflow_id"], head, entries, None if view is None else _json(view).encode())
    except (KeyError, TypeError) as error:
        raise ValueError(f"no line of an archive: {error!r}") from None


def _raw(at: str, name: str, data: str) -> RawEntry:
    ms, _, n = at.partition("-")
    return RawEntry(at.encode(), int(n), int(ms), name, data.encode("latin-1"))


def _task(raw: RawEntry, body: Body) -> str:
    """Empty: the entry has no outcome of a step that this release can read."""
    if not isinstance(body, Outcome):
        return ""
    state = "SUCCEEDED" if body.failure is None else "FAILED"
    return (
        f'{{"step":{_word(raw.name.partition(":")[2])},"capability":{_word(body.capability)},"state":"{state}",'
        f'"attempt":{body.attempt},"agent_id":{_word(body.agent_id)},"schedule_time":{_time(body.scheduled_ms)},'
        f'"start_time":{_time(body.started_ms)},"end_time":{_time(body.ended_ms or raw.ms)},'
        f'"failure":{NULL if body.failure is None else _json(_failure(body.failure))},'
        f'"output":{NULL if body.output is None else _value(body.output)}}}'
    )


def _plain_task(raw: RawEntry, done: PlainOutcome) -> str:
    """As `_task`, of an outcome that needs no records."""
    return (
        f'{{"step":{_word(raw.name.partition(":")[2])},"capability":{_word(done.capability)},"state":"SUCCEEDED",'
        f'"attempt":{done.attempt},"agent_id":{_word(done.agent_id)},"schedule_time":{_time(done.scheduled_ms)},'
        f'"start_time":{_time(done.started_ms)},"end_time":{_time(done.ended_ms or raw.ms)},'
        f'"failure":null,"output":{_plain(done.output)}}}'
    )


def _failure(failure: Failure) -> dict[str, Any]:
    return {"code": failure.code.value, "type": failure.type, "message": failure.message}


def _value(payload: Payload) -> str:
    """JSON as it is, in one line. Other payloads become an object that says what they are."""
    if payload.form == "json":
        return _plain(payload.data.decode("utf-8", "surrogatepass"))
    if payload.form == "none":
        return NULL
    if payload.form in ("text", "uri"):
        return _json({f"${payload.form}": payload.data.decode(errors="replace")})
    return f'{{"${payload.form}":"{base64.b64encode(payload.data).decode()}"}}'


def _view(stored: bytes) -> str:
    try:
        text = stored.decode()
        json.loads(text)
    except ValueError:
        return f'{{"$bytes":"{base64.b64encode(stored).decode()}"}}'
    return _plain(text)


def _plain(text: str) -> str:
    """In one line. In JSON a line break can only stand between tokens: inside a string it is written as \\n."""
    return text.replace("\n", " ").replace("\r", " ")


def _json(value: Any) -> str:
    return _ENCODE(value)


@functools.lru_cache(maxsize=4096)
def _word(text: str) -> str:
    """A name, of which there are few."""
    return _QUOTED(text)


def _time(ms: int) -> str:
    text = moment(ms)
    return NULL if text is None else f'"{text}"'


def _labels(stored: str) -> dict[str, str]:
    try:
        found = json.loads(stored) if stored else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def moment(ms: int) -> str | None:
    """A time as RFC 3339 has it, in UTC with milliseconds; None for no time, and for one that no calendar has."""
    second = _second(ms // 1000) if ms else None
    return None if second is None else f"{second}.{ms % 1000:03d}Z"


@functools.lru_cache(maxsize=4096)
def _second(seconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return None


def _ms(text: str | None) -> int:
    return 0 if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)
