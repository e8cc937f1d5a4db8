# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in Redis: from a request to one script, and from its answer to values.

It hides the keys, the scripts, and where a value is stored. It knows threads, checkpoints, values and writes as bytes;
LangGraph's objects and its serializer are known only to `NervenetSaver`. It belongs to one event loop.

    nn:<namespace>:checkpoints:{<thread>}        sorted set: everything of a thread (`records`)
    nn:<namespace>:checkpoint-runs:{<run>}       set: the threads in which a run has checkpoints

One key for a thread makes each change of it one script, also in a Redis Cluster, and lets it expire as a whole. The
index of runs is written before the checkpoint and corrected after a deletion: a crash in between leaves an entry that
points to nothing, never a checkpoint without an entry.

Every script can run twice with the same result, because the link sends a command again when its answer is lost.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.integrations.langgraph.saver.records import (
    CHAIN_LENGTH,
    Checkpoint,
    Typed,
    Version,
    Write,
    chain_of,
    check_part,
    content_of_checkpoint,
    content_of_difference,
    content_of_value,
    difference,
    inline,
    parse_checkpoint,
    parse_inline,
    parse_value,
    parse_write,
    split_member,
    version_text,
    with_other_bases,
    write_member,
)
from nervenet.integrations.langgraph.saver.script import script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from nervenet.redis_link.link import Link

__all__ = ["CheckpointStore", "History", "Loaded", "NewCheckpoint", "StoreOptions"]

_REPLY_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one answer after which no other checkpoint is read."""
_ANCESTORS: Final = 256
"""Checkpoints that one script walks through: it holds up Redis for a few milliseconds."""
_CACHE_BYTES: Final = 16 * 1024 * 1024
_THREADS_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """`ttl_ms` and `keep`: 0 means no limit."""

    namespace: str
    ttl_ms: int = 0
    keep: int = 0

    @property
    def slack(self) -> int:
        """Checkpoints above `keep` at which they are removed: a sweep for each one would read all of them each time."""
        return self.keep // 8


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """A checkpoint to store. `channels` are (flag and name, version); `values` has the values that are new with it."""

    thread: str
    ns: str
    id: str
    parent: str
    root: str
    run: str
    content: Typed
    metadata: Typed
    channels: Sequence[tuple[str, Version]]
    values: dict[str, Typed] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    """Channels with a new version. One of them that is not in `values` has no value."""


class Loaded(NamedTuple):
    """A checkpoint with its values and writes, still serialized."""

    checkpoint: Checkpoint
    values: dict[str, Typed]
    writes: list[Write]


class History(NamedTuple):
    """The writes of ancestors, the oldest first, and the values from which they go on."""

    writes: list[Write]
    values: dict[str, Typed]


class _End(NamedTuple):
    """The last value of a chain, which the next one may be a difference to."""

    base: str
    position: int
    value: Typed
    added: int
    """Bytes of all differences of the chain."""


class _Ends:
    """The last value of each channel that this process has read or written, up to a number of bytes."""

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[str, str, str], _End] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, str, str]) -> _End | None:
        return self._ends.get(key)

    def put(self, key: tuple[str, str, str], end: _End) -> None:
        self.drop(key)
        self._ends[key] = end
        self._bytes += len(end.value[1])
        while self._bytes > _CACHE_BYTES:
            self.drop(next(iter(self._ends)))

    def drop(self, key: tuple[str, str, str]) -> None:
        gone = self._ends.pop(key, None)
        if gone is not None:
            self._bytes -= len(gone.value[1])


class _Placed(NamedTuple):
    """Where a new value goes: its place, and the member to store (base, position, content) unless it is in the place."""

    place: str
    member: tuple[str, str, bytes] | None = None
    end: _End | None = None


class CheckpointStore:
    """The checkpoints of one namespace."""

    def __init__(self, link: Link, options: StoreOptions) -> None:
        self._link = link
        self._options = options
        self._prefix = f"nn:{options.namespace}:checkpoints:"
        self._runs = f"nn:{options.namespace}:checkpoint-runs:"
        self._ends = _Ends()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def put(self, new: NewCheckpoint) -> set[str]:
        """Store a checkpoint.

        Returns:
            Channels that have not changed, and whose value is no longer stored: their thread was deleted, or has
            expired. Then nothing was stored; the caller puts the checkpoint again, with these values.
        """
        await self._index(new.run, new.thread)
        full: set[str] = set()
        while True:
            placed = {name: self._place(new, name, value, name in full) for name, value in new.values.items()}
            lacking, runs = await self._call("put", new.thread, self._put_arguments(new, placed))
            names = {name.decode() for name in lacking}
            if not names:
                break
            if unknown := names - new.values.keys():
                return unknown
            full |= names
        for name, where in placed.items():
            key = (new.thread, new.ns, name)
            if where.end is None:
                self._ends.drop(key)
            else:
                self._ends.put(key, where.end)
        await self._forget(runs, new.thread)
        return set()

    def _place(self, new: NewCheckpoint, name: str, value: Typed, full: bool) -> _Placed:
        if (place := inline(value)) is not None:
            return _Placed(place)
        end = None if full else self._ends.get((new.thread, new.ns, name))
        if end is not None and end.value[0] == value[0] and end.position + 1 < CHAIN_LENGTH:
            change = difference(end.value[1], value[1])
            if change is not None and end.added + len(change.tail) <= len(value[1]):
                position, added = end.position + 1, end.added + len(change.tail)
                content = content_of_difference(value[0], change)
                return self._placed(end.base, position, content, _End(end.base, position, value, added))
        base = _new_base()
        return self._placed(base, 0, content_of_value(value), _End(base, 0, value, 0))

    @staticmethod
    def _placed(base: str, position: int, content: bytes, end: _End) -> _Placed:
        return _Placed(f"{base}/{position:02d}", (base, f"{position:02d}", content), end)

    def _put_arguments(self, new: NewCheckpoint, placed: dict[str, _Placed]) -> list[str | bytes | int]:
        options = self._options
        arguments: list[str | bytes | int] = [options.ttl_ms, options.keep, options.slack]
        names = (new.ns, new.id, new.parent, new.root, new.run)
        arguments += [check_part(name, "the name") for name in names]
        arguments += [content_of_checkpoint(new.content, new.metadata), len(new.channels)]
        for name, version in new.channels:
            where = placed.get(name[1:])
            place = where.place if where is not None else "" if name[1:] in new.changed else "?"
            arguments += [check_part(name, "channel"), version_text(version), place]
        for name, where in placed.items():
            if where.member is not None:
                arguments += [name, *where.member]
        return arguments

    async def put_writes(self, thread: str, ns: str, checkpoint_id: str, writes: Iterable[Write]) -> None:
        """Store writes of one task. Of two regular writes at one position the first counts, of two special ones
        the last."""
        arguments: list[str | bytes | int] = [self._options.ttl_ms]
        for write in writes:
            arguments += ["first" if write.position >= 0 else "last", *write_member(ns, checkpoint_id, write)]
        await self._call("put_writes", thread, arguments)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def load(self, thread: str, wanted: Sequence[tuple[str, str]]) -> list[Loaded | None]:
        """Checkpoints by namespace and id; the id '' means the newest one.

        Returns:
            As many as fit into one answer, at least one, in the order of `wanted`. None: it is not there.
        """
        arguments: list[str | bytes | int] = [self._options.ttl_ms, _REPLY_BYTES]
        for ns, checkpoint_id in wanted:
            arguments += [check_part(ns, "checkpoint_ns"), check_part(checkpoint_id, "checkpoint_id")]
        found, chains = await self._call("load", thread, arguments)
        values = _Values(chains)
        loaded = [self._loaded(values, *each) if each[0] else None for each in found]
        if len(wanted) == 1 and loaded[0] is not None:  # the state that the next put of this process follows
            for name, end in values.ends.items():
                self._ends.put((thread, loaded[0].checkpoint.ns, name), end)
        return loaded

    @staticmethod
    def _loaded(values: _Values, member: bytes, writes: list[bytes]) -> Loaded:
        checkpoint = parse_checkpoint(member)
        found = {}
        for channel in checkpoint.channels:
            value = parse_inline(channel.place) or values.find(checkpoint.ns, channel.name, channel.place)
            if value is not None:
                found[channel.name] = value
        return Loaded(checkpoint, found, sorted(map(parse_write, writes)))

    async def history(self, thread: str, ns: str, checkpoint_id: str, channels: Sequence[str]) -> History:
        """What the ancestors of a checkpoint have of these channels, each back to the nearest one with a value."""
        writes: list[list[Write]] = []
        values: dict[str, Typed] = {}
        cursor = check_part(checkpoint_id, "checkpoint_id")
        while True:
            open_channels = [check_part(name, "channel") for name in channels if name not in values]
            arguments: list[str | bytes | int] = [self._options.ttl_ms, check_part(ns, "checkpoint_ns"), cursor]
            arguments += [_ANCESTORS, *open_channels]
            last, found, ended = await self._call("history", thread, arguments)
            writes += [sorted(map(parse_write, ancestor)) for ancestor in found]
            for name, place, members in ended:
                values[name.decode()] = _value_at(place.decode(), members)
            if not last:
                return History([write for ancestor in reversed(writes) for write in ancestor], values)
            cursor = last.decode()

    async def heads(self, thread: str, ns: str | None, before: str | None, limit: int) -> list[Checkpoint]:
        """Checkpoints without their values and writes, the newest first.

        Args:
            thread: Its id.
            ns: Namespace. None: all, and `limit` is ignored.
            before: Only older ones than this.
            limit: How many at most.
        """
        key = self._key(thread)
        if ns is None:
            members = await self._link.call("ZRANGEBYLEX", key, b"[c\0", b"(c\1")
            found = sorted(map(parse_checkpoint, members), key=lambda one: (one.id, one.ns), reverse=True)
            return [one for one in found if before is None or one.id < before]
        low = f"c\0{check_part(ns, 'checkpoint_ns')}\0"
        high = f"({low[:-1]}\1" if before is None else f"({low}{check_part(before, 'checkpoint_id')}"
        members = await self._link.call("ZREVRANGEBYLEX", key, high, f"[{low}", "LIMIT", 0, limit)
        return list(map(parse_checkpoint, members))

    async def threads(self) -> AsyncIterator[str]:
        """The id of each thread, in no order."""
        seen: set[bytes] = set()
        async for keys in self._link.scan(f"{self._prefix}{{*}}"):
            for key in keys:
                if key not in seen:
                    seen.add(key)
                    yield key[len(self._prefix) + 1 : -1].decode()

    # ── removing and copying ─────────────────────────────────────────────────────────────────────────────────────────

    async def delete(self, thread: str) -> None:
        """Remove everything of a thread."""
        await self._forget(await self._call("delete", thread), thread)

    async def prune(self, thread: str, keep: int) -> None:
        """Keep the newest checkpoints of each namespace of a thread."""
        await self._forget(await self._call("prune", thread, [keep]), thread)

    async def delete_runs(self, runs: Sequence[str]) -> None:
        """Remove all checkpoints of these runs, in all threads."""
        threads: set[str] = set()
        for run in runs:
            members = await self._link.call("SMEMBERS", f"{self._runs}{{{run}}}")
            threads.update(member.decode() for member in members)
            if (
                not members or self._options.ttl_ms
            ):  # with a ttl the index can expire before a thread that is read again and again
                threads.update([thread async for thread in self.threads()])
        names = sorted(threads)
        for start in range(0, len(names), _THREADS_AT_ONCE):
            some = names[start : start + _THREADS_AT_ONCE]
            answers = await asyncio.gather(*(self._call("delete_runs", thread, runs) for thread in some))
            for thread, gone in zip(some, answers, strict=True):
                await self._forget(gone, thread)

    async def copy(self, source: str, target: str) -> None:
        """Copy everything of a thread into another one. Reading is one command and writing is one script."""
        members = await self._link.call("ZRANGE", self._key(source), 0, -1)
        if source == target or not members:
            return
        for run in {parse_checkpoint(member).run for member in members if member.startswith(b"c\0")}:
            await self._index(run, source, target)
        parts = [part for member in with_other_bases(members, _new_base) for part in split_member(member)]
        await self._call("copy", target, [self._options.ttl_ms, *parts])

    # ── below ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _key(self, thread: str) -> str:
        return f"{self._prefix}{{{thread}}}"

    async def _call(self, name: str, thread: str, arguments: Sequence[str | bytes | int] = ()) -> Any:
        return await self._link.script(script(name), [self._key(thread)], arguments)

    async def _index(self, run: str, *threads: str) -> None:
        """Note that this run has checkpoints in these threads. It is done before they are stored."""
        if run:
            key = f"{self._runs}{{{check_part(run, 'run_id')}}}"
            await self._link.call("SADD", key, *threads)
            if self._options.ttl_ms:
                await self._link.call("PEXPIRE", key, self._options.ttl_ms)
            else:
                await self._link.call("PERSIST", key)

    async def _forget(self, runs: Iterable[bytes], thread: str) -> None:
        """The thread has no checkpoint of these runs left."""
        for run in runs:
            await self._link.call("SREM", f"{self._runs}{{{run.decode()}}}", thread)


def _new_base() -> str:
    return base64.b32encode(os.urandom(5)).decode().lower()


class _Values:
    """The values of an answer of `load`, taken from their chains when they are asked for."""

    def __init__(self, chains: list[tuple[bytes, list[bytes]]]) -> None:
        self._chains: dict[tuple[str, str, str], list[bytes]] = {}
        self._done: dict[tuple[str, str, str], list[Typed]] = {}
        self.ends: dict[str, _End] = {}
        for prefix, members in chains:
            _, ns, channel, base, _ = prefix.decode().split("\0")
            self._chains[ns, channel, base] = [split_member(member)[1] for member in members]

    def find(self, ns: str, channel: str, place: str) -> Typed | None:
        """The value at this place. None: there is none."""
        where = chain_of(place)
        if where is None:
            return None
        base, position = where
        contents = self._chains.get((ns, channel, base), [])
        values = self._done.setdefault((ns, channel, base), [])
        while len(values) <= position and len(values) < len(contents):
            values.append(parse_value(contents[len(values)], len(values), values[-1] if values else None))
        if len(values) <= position:
            return None
        added = sum(map(len, contents[1 : position + 1]))
        self.ends[channel] = _End(base, position, values[position], added)
        return values[position]


def _value_at(place: str, members: list[bytes]) -> Typed:
    """The value at a place, of which all members of the chain are given."""
    value = parse_inline(place)
    for position, member in enumerate(members):
        value = parse_value(split_member(member)[1], position, value)
    assert value is not None
    return value
