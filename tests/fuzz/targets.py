# SPDX-License-Identifier: Apache-2.0
"""The decoders of everything that lies in Redis and etcd, as functions of bytes that anybody may have written there.

A target gets bytes and raises `Wrong` (or any error) if the decoder did what it must not: most may raise ValueError or
protobuf's DecodeError, which their callers take for "unreadable"; those of entries and of claims raise nothing. The target
`journal` goes further: it decodes a whole journal and replays it, and the worst that may come of it is a BLOCKED run with words.

    for target in TARGETS: target.run(data)
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from nervenet.definitions import Workflow
from nervenet.durable.machine import Machine
from nervenet.records import Entry
from nervenet.registry.codec import decode_agent, decode_load, decode_node
from nervenet.streams.answers import Appended, Claimed, Look, parse_entries
from nervenet.streams.heads import FIELDS, parse_claims, parse_head
from nervenet.testing import Journal
from nervenet.wire import decode_entry, decode_envelope, decode_payload, encode_entry
from nervenet.wire.declarations import decode_declaration
from tests.fuzz.values import Filler
from tests.testing.test_everything import everything
from tests.testing.test_families import families

UNREADABLE: Final = (ValueError, DecodeError)
GOLDEN: Final = Path(__file__).parents[1] / "replay"
NAMES: Final = (
    "start", "close", "cancel", "task:a", "task:call-1", "attempt:a#1", "attempt:a#x", "timer:1", "timer:", "signal:s", "sent:a",
    "child:a", "escalated:ask#1", "decided:ask#1", "decided:ask#", "patch:p", "", "x", "task", "start:1", "a" * 300,
)  # fmt: skip
_LENGTH: Final = struct.Struct(">BH")


class Wrong(AssertionError):
    """A decoder gave what it must not give."""


class Target(NamedTuple):
    """A decoder, and bytes that it can read, from which others are made."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[Filler], Iterator[bytes]]


# ── single records ───────────────────────────────────────────────────────────────────────────────────────────────────


def _entry(data: bytes) -> None:
    name = NAMES[data[0] % len(NAMES)] if data else ""
    if not isinstance(decode_entry(name, data[1:], 1, 1_700_000_000_000), Entry):
        raise Wrong("no Entry")


def _raises_only(decode: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """A target for a decoder that may refuse."""

    def run(data: bytes) -> None:
        try:
            decode(data)
        except UNREADABLE:
            pass

    return run


def _head(data: bytes) -> object:
    return parse_head(dict(zip(FIELDS.values(), (part or None for part in data.split(b"\0")), strict=False)))


def _claims(data: bytes) -> None:
    parts = data.split(b"\0")
    parse_claims(zip(parts[::2], parts[1::2], strict=False))


def _answer(data: bytes) -> None:
    """Replies of scripts, of which the parts that come from a key may be anything. The ids of a stream are Redis' own."""
    parts = (data.split(b"\0") + [b""] * 8)[:8]
    Appended.parse([b"new", b"1-1", *parts[:3]])
    Claimed.parse([b"run", parts[0], parts[1]])
    parse_entries([[b"1-1", [b"n", parts[3], b"e", parts[4]]], [b"1-2", parts[5:]]])


def _look(data: bytes) -> object:
    parts = (data.split(b"\0") + [b""] * 6)[:6]
    return Look.parse(["a"], [part or None for part in parts])


# ── whole journals ───────────────────────────────────────────────────────────────────────────────────────────────────


def _recorded() -> Iterator[tuple[int, Journal]]:
    """The number of the workflow below, and a journal of it."""
    for path in sorted(GOLDEN.glob("*.json")):
        for number, workflow in enumerate(WORKFLOWS):
            if path.name.startswith(workflow.name):
                yield number, Journal.load(path)


WORKFLOWS: Final[tuple[Workflow[Any, Any], ...]] = (everything, families)


def _packed(number: int, journal: Journal) -> bytes:
    """A journal as bytes: which workflow, then for each entry the lengths of name and body, and both."""
    packed = [bytes([number])]
    for entry in journal.entries:
        name, body = entry.name.encode(), encode_entry(entry.body, entry.actor)
        packed += [_LENGTH.pack(len(name), len(body)), name, body]
    return b"".join(packed)


def _unpacked(data: bytes) -> Iterator[Entry]:
    at, n = 1, 0
    while at + _LENGTH.size <= len(data):
        name, body = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        text = data[at : at + name].decode("utf-8", "replace")
        n += 1
        yield decode_entry(text, data[at + name : at + name + body], n, 1_700_000_000_000 + 1000 * n)
        at += name + body


def _journal(data: bytes) -> None:
    if not data:
        return
    machine = Machine(WORKFLOWS[data[0] % len(WORKFLOWS)], "w")
    entries = list(_unpacked(data))
    machine.foresee(entries)
    for entry in entries:
        machine.apply(entry, replaying=True)
        if machine.blocked is not None or machine.result is not None:
            break
    machine.outstanding()
    if machine.blocked is not None and not (machine.blocked.detail or machine.blocked.found):
        raise Wrong("BLOCKED without a word")


# ── what they begin with ─────────────────────────────────────────────────────────────────────────────────────────────


def _messages(name: str) -> Callable[[Filler], Iterator[bytes]]:
    def seeds(filler: Filler) -> Iterator[bytes]:
        from nervenet.v1 import common_pb2, task_pb2, workflow_pb2

        kinds = {
            "TaskEnvelope": task_pb2,
            "Payload": common_pb2,
            "Definition": workflow_pb2,
            "JournalEntry": workflow_pb2,
        }
        prefix = b"\x03" if name == "JournalEntry" else b""
        for _ in range(30):
            yield prefix + filler.encoded(getattr(kinds[name], name)())

    return seeds


def _records(*texts: object) -> Callable[[Filler], Iterator[bytes]]:
    return lambda filler: (json.dumps(text).encode() for text in texts)


_AGENT: Final = {
    "name": "a", "capabilities": [{"name": "read", "version": 1, "slots": 2, "labels": {"x": "y"}}], "state": "AGENT_STATE_ACTIVE",
    "transport": "TRANSPORT_REDIS", "controlEndpoint": "h:1", "inbox": "i", "labels": {"a": "b"}, "slots": 3,
}  # fmt: skip
_LOAD: Final = {
    "active": 1, "queued": 2, "slots": 3, "sampleTime": "2026-01-01T00:00:00Z", "activeByCapability": {"a": 1}, "errorRate": 0.5,
    "averageTaskTime": "1.5s",
}  # fmt: skip
_NODE: Final = {
    "address": "h:1", "definitions": [{"name": "w", "version": 1}], "state": "NODE_STATE_ACTIVE", "ownedWorkflows": "7",
    "maxWorkflows": 10, "full": True, "runtime": "python 3.11, nervenet 0.1.0",
}  # fmt: skip
_HEAD: Final = b"\0".join(b"1 RUNNING n-1 1-1 10 5 0 w 1 3.11 h {} - - - 0 0 - 0".split())

TARGETS: Final = (
    Target("entry", _entry, _messages("JournalEntry")),
    Target("envelope", _raises_only(decode_envelope), _messages("TaskEnvelope")),
    Target("payload", _raises_only(decode_payload), _messages("Payload")),
    Target("definition", _raises_only(decode_declaration), _messages("Definition")),
    Target("head", _raises_only(_head), lambda filler: iter([_HEAD])),
    Target("claims", _claims, lambda filler: iter([b"a\x001 agent 1700000000000 10000 2000 0.5\0b\x002 x 1 2 3 nan"])),
    Target("answer", _answer, lambda filler: iter([b"n-1\x001\0RUNNING\x001-2\0task:a"])),
    Target("look", _raises_only(_look), lambda filler: iter([b"1\0\0n-1\x001-2\x001-2\x001 a 1 2 3 0.5"])),
    Target("agent", _raises_only(lambda data: decode_agent("a", data)), _records(_AGENT)),
    Target("load", _raises_only(lambda data: decode_load("a", data)), _records(_LOAD)),
    Target("node", _raises_only(lambda data: decode_node("n", data)), _records(_NODE)),
    Target("journal", _journal, lambda filler: (_packed(number, journal) for number, journal in _recorded())),
)
