# SPDX-License-Identifier: Apache-2.0
"""The streams between processes: inboxes and queues carry tasks to agents, wakes carry entries to the owners of
workflows.

It hides the commands and the form of their replies. Nothing in these streams has to survive (law 3): the owner sends a
lost task again, it finds a lost wake when it checks its pending steps, and the claim refuses a second copy of a task.
Two rules do matter, because breaking them loses work:

- a sender never creates an inbox or a wake (NOMKSTREAM). The reply None means that its process is gone: choose another;
- XDEL comes before XACK, and both only after the reply that made the copy unnecessary.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from nervenet.redis_link.connection import Arg
from nervenet.redis_link.faults import RedisRefused
from nervenet.redis_link.link import Link
from nervenet.redis_link.replies import in_turn
from nervenet.streams.derived import DerivedKeyCall
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
"""The name of a wake without an entry: the owner should check who holds the workflow's pending steps."""
NOT_YOU: Final = "not_you:"
"""The first part of the name of a wake without an entry: `not_you:<step>#<attempt>` (see `refuse_nowait`)."""


class Delivered(NamedTuple):
    """A task as it was read. `envelope` is None if the pending list names an entry that was deleted: acknowledge it."""

    id: bytes
    envelope: bytes | None


class OutgoingWake(NamedTuple):
    """A message to the owner of a workflow: the entry that was appended, and its journal id."""

    owner: str
    workflow_id: str
    run: int
    journal_id: bytes
    name: str
    entry: bytes


class Wake(NamedTuple):
    """The same message as the owner reads it. `entry` is None if it was too large to be sent: read the journal."""

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
        """Send a task to one agent. Returns the entry's id; None: the inbox was deleted, its agent is gone."""
        return self._link.call("XADD", self._keys.inbox(process_id), "NOMKSTREAM", "*", "e", envelope)

    def send_inbox_nowait(self, process_id: str, envelope: bytes) -> asyncio.Future[Any]:
        """`send_inbox`, one try; the future of the raw reply."""
        return self._link.send("XADD", self._keys.inbox(process_id), "NOMKSTREAM", "*", "e", envelope)

    def send_queue(self, capability: str, envelope: bytes, requirement: str = "") -> Awaitable[bytes]:
        """Send a task to the first agent that has room. Call `make_queue` before the first task of a requirement."""
        return self._link.call("XADD", self._keys.queue(capability, requirement), "*", "e", envelope)

    def send_queue_nowait(self, capability: str, envelope: bytes, requirement: str = "") -> asyncio.Future[Any]:
        """`send_queue`, one try; the future of the raw reply."""
        return self._link.send("XADD", self._keys.queue(capability, requirement), "*", "e", envelope)

    def announce(self, capability: str) -> Awaitable[int]:
        """Tell who follows the capability's queues that a task has been sent there. It may get lost."""
        return self._link.call("PUBLISH", self._keys.queued(capability), b"")

    def wake(self, wake: OutgoingWake) -> Awaitable[bytes | None]:
        """Send an entry to the owner of its workflow. None: that node is gone. Read the owner again, or leave it to the
        node that adopts the workflow."""
        return self._link.call(*self._waking(wake))

    def wake_nowait(self, wake: OutgoingWake) -> asyncio.Future[Any]:
        """`wake`, one try; the future of the raw reply."""
        return self._link.send(*self._waking(wake))

    def refuse_nowait(self, owner: str, workflow_id: str, run: int, step: str, attempt: int) -> asyncio.Future[Any]:
        """Tell an owner that this agent has read an attempt whose envelope excludes the agent. It may get lost."""
        return self.wake_nowait(OutgoingWake(owner, workflow_id, run, b"0-0", f"{NOT_YOU}{step}#{attempt}", b""))

    def _waking(self, wake: OutgoingWake) -> tuple[Arg, ...]:
        owner, workflow_id, run, journal_id, name, entry = wake
        key = self._keys.wake(owner)
        words: tuple[Arg, ...] = ("XADD", key, "NOMKSTREAM", "*", "w", workflow_id, "r", run, "i", journal_id)
        return (*words, "n", name, "e", entry) if len(entry) <= WAKE_ENTRY_BYTES else (*words, "n", name)

    # ── reading: commands for a Reader, which blocks on its own connection ───────────────────────────────────────────

    def read_tasks(self, stream: bytes, consumer: str, count: int, block_ms: int | None = None) -> tuple[Arg, ...]:
        """The command that reads new tasks; `parse_tasks` takes its reply. Never read more than there are free
        slots."""
        block: tuple[Arg, ...] = () if block_ms is None else ("BLOCK", block_ms)
        return ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, *block, "STREAMS", stream, ">")

    def read_own(self, stream: bytes, consumer: str, count: int, after: bytes | str = "0") -> tuple[Arg, ...]:
        """The command that reads what is pending under this name. Use it after each connect, and once more a BLOCK
        later."""
        return ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "STREAMS", stream, after)

    def read_wakes(self, node_id: str, after: bytes | str, count: int, block_ms: int) -> tuple[Arg, ...]:
        """The command that reads wakes; `parse_wakes` takes its reply. `after` is 0 at first and after a reconnect."""
        return ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", self._keys.wake(node_id), after)

    # ── deleting ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def drop(self, stream: bytes, *ids: bytes) -> Awaitable[None]:
        """Delete and acknowledge entries, in one write. Only after the reply that made them unnecessary."""
        return _first((self._link.send("XDEL", stream, *ids), self._link.send("XACK", stream, GROUP, *ids)))

    def complete(self, wake: OutgoingWake, stream: bytes, id: bytes) -> Awaitable[bytes | None]:
        """Wake the owner, delete and acknowledge the task, in one write. Returns what `wake` returns.

        Call it after the reply of the append, which made this copy of the task unnecessary. One try: if the connection
        breaks here, the entry is still pending under the agent's name, and the answer to its next claim is `done`.
        """
        woken = self._link.send(*self._waking(wake))
        return _first((woken, self._link.send("XDEL", stream, id), self._link.send("XACK", stream, GROUP, id)))

    def trim_wakes(self, node_id: str, upto: bytes) -> Awaitable[int]:
        """Delete the wakes up to and including this id. Only the node that reads them does this."""
        return self._link.call(*self._trimming(node_id, upto))

    def trim_wakes_nowait(self, node_id: str, upto: bytes) -> asyncio.Future[Any]:
        """`trim_wakes`, one try; the future of the raw reply."""
        return self._link.send(*self._trimming(node_id, upto))

    def _trimming(self, node_id: str, upto: bytes) -> tuple[Arg, ...]:
        ms, _, n = upto.partition(b"-")
        return ("XTRIM", self._keys.wake(node_id), "MINID", b"%s-%d" % (ms, int(n) + 1))

    # ── creating ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def make_inbox(self, process_id: str) -> None:
        """Create an inbox. Only its own process does this, while its session lives: at the start, and when it is
        missing."""
        await self._make_group(self._keys.inbox(process_id))

    async def make_queue(self, capability: str, requirement: str = "", requirement_json: bytes = b"") -> None:
        """Create a queue and its group, and list it. `requirement_json` has the labels and version that `requirement`
        is the hash of: agents read the queues whose requirement they meet."""
        key = self._keys.queues(capability)
        await DerivedKeyCall(self._link, key, ("HSET", key, requirement, requirement_json))
        await self.make_queue_stream(capability, requirement)

    async def make_queue_stream(self, capability: str, requirement: str = "") -> None:
        """Create a queue that is listed. Agents may do this: who looks between the two steps of `make_queue` finds no stream."""
        await self._make_group(self._keys.queue(capability, requirement))

    async def queues(self, capability: str) -> dict[str, bytes]:
        """The capability's queues: requirement (a hash) → the JSON of what it requires. Where the key holds another type of value there are
        none: an agent may not delete it, a node does in `make_queue`."""
        key = self._keys.queues(capability)
        try:
            pairs = await self._link.call("HGETALL", key)
        except RedisRefused as refused:
            if not refused.wrong_type:
                raise
            self._link.skips.skip(key.decode(), "another type of value")
            return {}
        names = (self._link.skips.text(raw, f"a field of {key.decode()}") for raw in pairs[::2])
        return {name: text for name, text in zip(names, pairs[1::2], strict=True) if name is not None}

    async def make_wake(self, node_id: str) -> None:
        """Create the wake: an empty stream without a group. Only XGROUP creates a stream without an entry."""
        key = self._keys.wake(node_id)
        await self._make_group(key)
        await self._link.call("XGROUP", "DESTROY", key, GROUP)

    def has_wake(self, node_id: str) -> Awaitable[int]:
        """Whether the wake exists; only its node creates it."""
        return self._link.call("EXISTS", self._keys.wake(node_id))

    async def _make_group(self, stream: bytes) -> None:
        try:
            await DerivedKeyCall(self._link, stream, ("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM"))
        except RedisRefused as error:
            if error.code != "BUSYGROUP":
                raise


class QueueRequirement(NamedTuple):
    """What a queue's tasks require of an agent: all these labels, and this version of the capability ("": any
    version)."""

    match: dict[str, str]
    version: str

    def is_met_by(self, version: str, labels: Mapping[str, str]) -> bool:
        """Whether a capability of this version and labels may have its tasks."""
        return self.version in ("", version) and self.match.items() <= labels.items()


def parse_requirement(requirement_json: bytes) -> QueueRequirement | None:
    """From the text that is stored with a queue's name: JSON like `{"match": {…}, "version": "2"}`, or empty.

    None: it is unreadable.
    """
    if not requirement_json:
        return QueueRequirement({}, "")
    try:
        raw = json.loads(requirement_json)
        match, version = raw.get("match") or {}, raw.get("version") or ""
        if isinstance(version, str) and all(isinstance(value, str) for value in match.values()):
            return QueueRequirement(dict(match), version)
    except (ValueError, AttributeError, RecursionError):
        pass
    return None


def parse_tasks(reply: Any) -> list[Delivered]:
    """From the reply of XREADGROUP for one stream (None: nothing came within its BLOCK)."""
    if not reply:
        return []
    return [Delivered(at, fields[1] if fields else None) for at, fields in reply[0][1]]


def parse_wakes(reply: Any) -> list[Wake | bytes]:
    """From the reply of XREAD for one wake (None: nothing came within its BLOCK). An unreadable wake becomes its id
    only."""
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
