# SPDX-License-Identifier: Apache-2.0
"""What is put into the keys: for each key of the layout, by its type, everything that another program could leave there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor

from nervenet.v1 import workflow_pb2 as workflow
from tests.damage.layout import Key, keys
from tests.damage.trial import Target

GARBAGE = (b"\xff\xfe\x00\x01", b"", b"no such thing", b"9" * 40)
JSON_GARBAGE = (
    b"\xff\xfe", b"", b"null", b"[]", b"7", b'"text"', b"{", b'{"state": 99}', b'{"state": "AGENT_STATE_OF_TOMORROW"}',
    b'{"slots": "many"}', b'{"slots": -1}', b'{"labels": {"a": 1}}', b'{"labels": []}', b'{"capabilities": [{}]}',
    b'{"capabilities": {"a": 1}}', b'{"capabilities": [{"name": 7}]}', b'{"definitions": [{"name": [], "version": {}}]}',
    b'{"errorRate": NaN}', b'{"active": Infinity}', b'{"sampleTime": "yesterday"}', b'{"averageTaskTime": "1e400s"}',
    b'{"activeByCapability": {"note": "x"}}', b'{"address": 5}', b'{"inbox": ["x"]}', b"[" * 20_000,
)  # fmt: skip

Put = Callable[["Target"], Awaitable[None]]


class Damage(NamedTuple):
    """One case. `victim_only`: it is about the victim's own keys, so the victim may be hurt; else nobody may."""

    name: str
    put: Put
    victim_only: bool


def every() -> list[Damage]:
    """All cases, in the order of the layout."""
    return [damage for key in keys() for damage in _of(key)]


def _of(key: Key) -> Iterator[Damage]:
    own = "<workflow_id>" in key.pattern
    if key.kind == "etcd":
        yield from _of_etcd(key)
        return
    if key.kind == "channel":
        for value in GARBAGE:
            yield Damage(f"{key.pattern} hears {value[:12]!r}", partial(_published, key, value), own)
        return
    yield Damage(f"{key.pattern} is of another type", partial(_another_type, key), own)
    if key.kind == "hash":
        for value in GARBAGE:
            yield Damage(f"a new field of {key.pattern} is {value[:12]!r}", partial(_field, key, value, b"7"), own)
            yield Damage(f"every field of {key.pattern} is {value[:12]!r}", partial(_fields, key, value), own)
        if key.pattern == "nn:<ns>:wf:{<workflow_id>}":
            for name, value in itertools.product(HEAD, GARBAGE):
                put = partial(_field, key, name.encode(), value)
                yield Damage(f"field {name} of {key.pattern} is {value[:12]!r}", put, own)
    elif key.kind == "stream":
        for what, fields in _entries(key):
            yield Damage(f"{key.pattern} has {what}", partial(_added, key, fields), own)
    elif key.kind in ("set", "sorted set"):
        for member in (*GARBAGE, b" ", b"x" * 300, b"a/b#c", b"a/b#7", b"../../x"):
            yield Damage(f"{member[:12]!r} is in {key.pattern}", partial(_member, key, member), own)
    else:
        for value in GARBAGE:
            yield Damage(f"{key.pattern} is {value[:12]!r}", partial(_string, key, value), own)


HEAD = (
    "run", "state", "owner", "last", "bytes", "created", "closed", "definition", "version", "python", "req", "labels", "at",
    "note", "trace", "suppressed", "adoptions", "adopted_at", "watch_until", "blocked", "e:task:note", "c:note.2",
)  # fmt: skip


ENTRIES = (b"task:note.2", b"signal:s", b"no such kind", b"", b"\xff", b"attempt:note.2#x", b"close", b"start")

# ── entries of streams ───────────────────────────────────────────────────────────────────────────────────────────────


def _entries(key: Key) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    for value in GARBAGE:
        yield f"an entry of other fields ({value[:12]!r})", {b"\xff": value}
        if "wake" in key.pattern:
            yield from _wakes(value)
        elif "journal" in key.pattern:
            for name in ENTRIES:
                yield f"entry {name!r} that is {value[:12]!r}", {b"n": name, b"e": value}
        else:
            yield f"an envelope that is {value[:12]!r}", {b"e": value}
            yield f"progress that is {value[:12]!r}", {b"p": value}
    if "journal" in key.pattern:
        for what, name, message in _newer():
            yield f"entry {name} with {what}", {b"n": name.encode(), b"e": message.SerializeToString()}


def _wakes(value: bytes) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    whole = {b"w": b"victim", b"r": b"1", b"i": b"5-2", b"n": b"task:note", b"e": b""}
    for field in whole:
        yield f"{field.decode()} = {value[:12]!r}", whole | {field: value}


NAMES = {
    "start": "start", "task": "attempt:note.2#1", "timer": "timer:1", "signal": "signal:s", "sent": "sent:go", "child": "child:x",
    "escalated": "escalated:note.2#1", "decided": "decided:note.2#1", "patch": "patch:x", "cancel": "cancel", "close": "close",
}  # fmt: skip


def _newer() -> Iterator[tuple[str, str, Any]]:
    """Each enum field that an entry can have, at a value that no release has yet."""
    for kind, name in NAMES.items():
        empty = workflow.JournalEntry()
        getattr(empty, kind).SetInParent()
        yield "nothing in it", name, empty
        for path in _enums(empty.DESCRIPTOR.fields_by_name[kind].message_type, 3):
            message = workflow.JournalEntry()
            at: Any = getattr(message, kind)
            at.SetInParent()
            for field in path[:-1]:
                at = getattr(at, field.name)
                at.SetInParent()
            setattr(at, path[-1].name, max(value.number for value in path[-1].enum_type.values) + 1)
            yield ".".join(field.name for field in path) + " of tomorrow", name, message


def _enums(kind: Any, depth: int) -> Iterator[list[FieldDescriptor]]:
    for field in kind.fields:
        if field.is_repeated:
            continue
        if field.enum_type is not None and field.enum_type.full_name.startswith("nervenet."):
            yield [field]
        elif field.message_type is not None and field.message_type.full_name.startswith("nervenet.") and depth:
            yield from ([field, *rest] for rest in _enums(field.message_type, depth - 1))


# ── putting it there ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _another_type(key: Key, target: Target) -> None:
    name = target.key(key)
    await target.redis.delete(name)
    if key.kind == "string":
        await target.redis.rpush(name, b"garbage")
    else:
        await target.redis.set(name, b"garbage")


async def _field(key: Key, field: bytes, value: bytes, target: Target) -> None:
    await target.redis.hset(target.key(key), field, value)


async def _fields(key: Key, value: bytes, target: Target) -> None:
    name = target.key(key)
    for field in await target.redis.hkeys(name):
        await target.redis.hset(name, field, value)


async def _added(key: Key, fields: dict[bytes, bytes], target: Target) -> None:
    await target.add(target.key(key), fields)


async def _member(key: Key, member: bytes, target: Target) -> None:
    name = target.key(key)
    await (target.redis.sadd(name, member) if key.kind == "set" else target.redis.zadd(name, {member: "inf"}))


async def _string(key: Key, value: bytes, target: Target) -> None:
    await target.redis.set(target.key(key), value)


async def _published(key: Key, value: bytes, target: Target) -> None:
    await target.redis.publish(target.key(key), value)


def _of_etcd(key: Key) -> Iterator[Damage]:
    for value in JSON_GARBAGE:
        for whose in ("a stranger's", "a living one's"):
            yield Damage(f"{whose} {key.pattern} is {value[:24]!r}", partial(_record, key, value, whose), False)
    for name in (b"\xff", b"", b"a/b", b"x" * 300):
        yield Damage(f"{key.pattern} of the id {name[:12]!r}", partial(_named, key, name), False)


async def _record(key: Key, value: bytes, whose: str, target: Target) -> None:
    process = "stranger" if whose == "a stranger's" else target.process(key)
    await target.put_in_etcd(key.pattern.partition("<")[0].encode() + process.encode(), value)


async def _named(key: Key, name: bytes, target: Target) -> None:
    await target.put_in_etcd(key.pattern.partition("<")[0].encode() + name, json.dumps({}).encode())
