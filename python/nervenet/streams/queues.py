# SPDX-License-Identifier: Apache-2.0
"""The streams between processes: inboxes and queues with tasks, wakes with news. They only carry (law 3).

Hides the commands and the shape of their replies. Nothing here has to survive: a lost task is sent again by its owner, a
lost wake is found by the owner's watch, a second copy is turned away by the claim. So the methods are plain, and the
house rules that they do keep are the ones that lose *work* when broken:

- an inbox or a wake is never created by a sender (NOMKSTREAM; None = its process is buried: choose again);
- XDEL before XACK, and both only after the reply of what made the copy needless.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from typing import Any, Final, NamedTuple

from nervenet.redis_link.connection import Arg
from nervenet.redis_link.faults import RedisRefused
from nervenet.redis_link.link import Link
from nervenet.redis_link.replies import in_turn
from nervenet.streams.derived import Derived
from nervenet.streams.keys import Keys

__all__ = [
    "GROUP",
    "LOOK",
    "NOT_YOU",
    "Delivered",
    "OutgoingWake",
    "QueueRequirement",
    "Queues",
    "Wake",
    "parse_requirement",
    "parse_tasks",
    "parse_wakes",
]

GROUP: Final = "agents"
WAKE_ENTRY_BYTES: Final = 8 * 1024
LOOK: Final = "look"
"""The name of news that is no entry: look who holds the workflow's pending steps."""
NOT_YOU: Final = "not_you:"
"""Begins the name of news that is no entry: `not_you:<step>#<attempt>`."""


class Delivered(NamedTuple):
    """A task as a read brought it; `envelope` is None where the pending list names an entry that was deleted: ack it."""

    id: bytes
    envelope: bytes | None


class OutgoingWake(NamedTuple):
    """What an owner is told: the entry that was appended to a workflow of its own, and under which id."""

    owner: str
    workflow_id: str
    run: int
    journal_id: bytes
    name: str
    entry: bytes


class Wake(NamedTuple):
    """News as the owner reads it; `entry` is None where it was too large to travel: read the journal."""

    id: bytes
    workflow_id: str
    run: int
    journal_id: bytes
    name: str
    entry: bytes | None


class Queues:
    """The streams of one namespace."""

    __slots__ = ("_keys", "_link")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def send_inbox(self, process_id: str, envelope: bytes) -> Awaitable[bytes | None]:
        """The entry's id; None = that inbox is buried."""
        return self._link.call("XADD", self._keys.inbox(process_id), "NOMKSTREAM", "*", "e", envelope)

    def send_inbox_nowait(self, process_id: str, envelope: bytes) -> asyncio.Future[Any]:
        """`send_inbox`, one try, as the raw future."""
        return self._link.send("XADD", self._keys.inbox(process_id), "NOMKSTREAM", "*", "e", envelope)

    def send_queue(self, capability: str, envelope: bytes, requirement: str = "") -> Awaitable[bytes]:
        """To whoever is free first. A requirement's queue is named by `make_queue` before its first task."""
        return self._link.call("XADD", self._keys.queue(capability, requirement), "*", "e", envelope)

    def send_queue_nowait(self, capability: str, envelope: bytes, requirement: str = "") -> asyncio.Future[Any]:
        """`send_queue`, one try, as the raw future."""
        return self._link.send("XADD", self._keys.queue(capability, requirement), "*", "e", envelope)

    def wake(self, news: OutgoingWake) -> Awaitable[bytes | None]:
        """Tell an owner of an entry; None = that node is buried: read the owner again, or leave it to the adopter."""
        return self._link.call(*self._waking(news))

    def wake_nowait(self, news: OutgoingWake) -> asyncio.Future[Any]:
        """`wake`, one try, as the raw future."""
        return self._link.send(*self._waking(news))

    def refuse_nowait(self, owner: str, workflow_id: str, run: int, step: str, attempt: int) -> asyncio.Future[Any]:
        """Tell an owner that an agent which its envelope avoids has read this attempt and leaves it to others. A hint."""
        return self.wake_nowait(OutgoingWake(owner, workflow_id, run, b"0-0", f"{NOT_YOU}{step}#{attempt}", b""))

    def _waking(self, news: OutgoingWake) -> tuple[Arg, ...]:
        owner, workflow_id, run, journal_id, name, entry = news
        key = self._keys.wake(owner)
        words: tuple[Arg, ...] = ("XADD", key, "NOMKSTREAM", "*", "w", workflow_id, "r", run, "i", journal_id)
        return (*words, "n", name, "e", entry) if len(entry) <= WAKE_ENTRY_BYTES else (*words, "n", name)

    # ── reading; the words are for a Reader, which blocks on a connection of its own ─────────────────────────────────

    def read_tasks(self, stream: bytes, consumer: str, count: int, block_ms: int | None = None) -> tuple[Arg, ...]:
        """The words of a read of new tasks; `parse_tasks` takes the reply. Never ask for more than there are slots."""
        block: tuple[Arg, ...] = () if block_ms is None else ("BLOCK", block_ms)
        return ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, *block, "STREAMS", stream, ">")

    def read_own(self, stream: bytes, consumer: str, count: int, after: bytes | str = "0") -> tuple[Arg, ...]:
        """The words of a read of what is pending under this name: after every connect, and a BLOCK later again."""
        return ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "STREAMS", stream, after)

    def read_wakes(self, node_id: str, after: bytes | str, count: int, block_ms: int) -> tuple[Arg, ...]:
        """The words of a read of news; `parse_wakes` takes the reply. From 0 at first and after a reconnect."""
        return ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", self._keys.wake(node_id), after)

    # ── done with ────────────────────────────────────────────────────────────────────────────────────────────────────

    def drop(self, stream: bytes, *ids: bytes) -> Awaitable[None]:
        """Delete and acknowledge entries, in one write. Only after the reply of what made them needless."""
        return _first((self._link.send("XDEL", stream, *ids), self._link.send("XACK", stream, GROUP, *ids)))

    def complete(self, news: OutgoingWake, stream: bytes, id: bytes) -> Awaitable[bytes | None]:
        """Wake the owner, delete and acknowledge the task, in one write; answers as `wake` does.

        Called after the reply of the append, which made the task's copy needless. One try: when the connection breaks
        here, the entry is still pending under the agent's name, and its next claim answers `done`.
        """
        woken = self._link.send(*self._waking(news))
        return _first((woken, self._link.send("XDEL", stream, id), self._link.send("XACK", stream, GROUP, id)))

    def trim_wakes(self, node_id: str, upto: bytes) -> Awaitable[int]:
        """Forget the news up to and including this id; the node's own business."""
        return self._link.call(*self._trimming(node_id, upto))

    def trim_wakes_nowait(self, node_id: str, upto: bytes) -> asyncio.Future[Any]:
        """`trim_wakes`, one try, as the raw future."""
        return self._link.send(*self._trimming(node_id, upto))

    def _trimming(self, node_id: str, upto: bytes) -> tuple[Arg, ...]:
        ms, _, n = upto.partition(b"-")
        return ("XTRIM", self._keys.wake(node_id), "MINID", b"%s-%d" % (ms, int(n) + 1))

    # ── making ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def make_inbox(self, process_id: str) -> None:
        """By its owner while its session lives: at start, and wherever it is found missing."""
        await self._make_group(self._keys.inbox(process_id))

    async def make_queue(self, capability: str, requirement: str = "", says: bytes = b"") -> None:
        """Name a queue and make its group. `says` is what the requirement asks for: agents read those that they meet."""
        key = self._keys.queues(capability)
        await Derived(self._link, key, ("HSET", key, requirement, says))
        await self._make_group(self._keys.queue(capability, requirement))

    async def queues(self, capability: str) -> dict[str, bytes]:
        """The capability's queues: requirement → what it asks for."""
        key = self._keys.queues(capability)
        pairs = await Derived(self._link, key, ("HGETALL", key))
        names = (self._link.skips.text(raw, f"a field of {key.decode()}") for raw in pairs[::2])
        return {name: says for name, says in zip(names, pairs[1::2], strict=True) if name is not None}

    async def make_wake(self, node_id: str) -> None:
        """An empty stream without a group, which only XGROUP can make without an entry."""
        key = self._keys.wake(node_id)
        await self._make_group(key)
        await self._link.call("XGROUP", "DESTROY", key, GROUP)

    def has_wake(self, node_id: str) -> Awaitable[int]:
        """Whether it is there; only its node makes it."""
        return self._link.call("EXISTS", self._keys.wake(node_id))

    async def _make_group(self, stream: bytes) -> None:
        try:
            await Derived(self._link, stream, ("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM"))
        except RedisRefused as error:
            if error.code != "BUSYGROUP":
                raise


class QueueRequirement(NamedTuple):
    """What a queue's tasks ask of an agent: all these labels, and this version of the capability ("" = any)."""

    match: dict[str, str]
    version: str


def parse_requirement(says: bytes) -> QueueRequirement | None:
    """From what stands beside a queue's name, JSON like `{"match": {…}, "version": "2"}` or nothing. None = unreadable."""
    if not says:
        return QueueRequirement({}, "")
    try:
        raw = json.loads(says)
        match, version = raw.get("match") or {}, raw.get("version") or ""
        if isinstance(version, str) and all(isinstance(value, str) for value in match.values()):
            return QueueRequirement(dict(match), version)
    except (ValueError, AttributeError, RecursionError):
        pass
    return None


def parse_tasks(reply: Any) -> list[Delivered]:
    """From XREADGROUP of one stream (None when its BLOCK ran out)."""
    if not reply:
        return []
    return [Delivered(at, fields[1] if fields else None) for at, fields in reply[0][1]]


def parse_wakes(reply: Any) -> list[Wake | bytes]:
    """From XREAD of one wake (None when its BLOCK ran out). Of one that cannot be read only its id is left."""
    if not reply:
        return []
    found: list[Wake | bytes] = []
    for at, f in reply[0][1]:
        try:
            found.append(Wake(at, f[1].decode(), int(f[3]), f[5], f[7].decode(), f[9] if len(f) > 9 else None))
        except (IndexError, ValueError):
            found.append(at)
    return found


async def _first(replies: Sequence[asyncio.Future[Any]]) -> Any:
    return (await in_turn(replies))[0]
