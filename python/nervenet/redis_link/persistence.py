# SPDX-License-Identifier: Apache-2.0
"""What a crash of Redis can no longer take back: learned by looking at its servers, without a write and without a wait.

    durable = DurableMarks[int]()
    mark = written                      # how much was acknowledged when the look is sent
    states = await look(link)
    safe = durable.look(mark, monotonic(), states)      # an earlier mark, or None

With `appendfsync always` all that was acknowledged is on the disk. With `everysec` a server that has written more than its
last sync covers begins another one a second after that, unless one is under way. So if it was seen without a sync under way,
all that was acknowledged `SYNC_BEGINS_WITHIN` seconds before belongs to a sync that has begun by then; and if it is seen
so once more, that sync has ended. With replicas a failover loses what these have not received: every replica must have
confirmed the offset that the master had at that mark.

WAITAOF would say it too, but not on all servers: on several releases of Redis, and on Valkey 9.1, it replies before the sync with
`everysec` (redis/redis#13793), and Redis 6.2 and 7.0 do not have it. It also needs a connection of its own.
`python -m tests.recovery.syncs` holds both against the system calls of a server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from nervenet.redis_link.dial import info_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nervenet.redis_link.link import Link

__all__ = ["DurableMarks", "ServerState", "look"]

SYNC_BEGINS_WITHIN: Final = 1.2
"""Seconds after which what a server has written belongs to a sync that has begun: one, and a tick of its clock."""
LOOKS_SECONDS: Final = 15.0
"""For which a look is remembered while a disk or a replica is behind."""
LONGEST_GAP: Final = 5.0
"""Seconds between two looks after which the earlier ones no longer count: the settings may have changed back and forth."""

Policy: TypeAlias = Literal["always", "everysec", ""]
"""When what is acknowledged comes to the disk. Empty: nothing can be said about that."""
Mark = TypeVar("Mark")


class ServerState(NamedTuple):
    """One master at one moment.

    Attributes:
        replid: The identity of its data.
        policy: When it syncs; empty if it keeps no append-only file, cannot write it, or does not sync while it rewrites it.
        syncing: A sync is under way.
        rewriting: The file is being rewritten. If it was never seen otherwise, the first file may not be complete yet.
        offset: How much it has written to its replicas.
        replicas: How much of that each replica has confirmed.
    """

    replid: str
    policy: Policy
    syncing: bool = False
    rewriting: bool = False
    offset: int = 0
    replicas: tuple[int, ...] = ()

    @classmethod
    def read(cls, persistence: bytes, replication: bytes, settings: Sequence[bytes]) -> ServerState:
        """From INFO persistence, INFO replication and CONFIG GET *append*."""
        disk, facts = info_fields(persistence), info_fields(replication)
        names = [name.decode() for name in settings]
        rewriting = any(disk.get(f"aof_rewrite_{how}", "1") != "0" for how in ("in_progress", "scheduled"))
        return cls(
            facts.get("master_replid", ""),
            _policy(disk, dict(zip(names[::2], names[1::2], strict=False))),
            disk.get("aof_pending_bio_fsync") != "0",
            rewriting,
            int(facts.get("master_repl_offset", "0")),
            tuple(_confirmed(facts[f"slave{i}"]) for i in range(int(facts.get("connected_slaves", "0")))),
        )


def _policy(disk: dict[str, str], settings: dict[str, str]) -> Policy:
    works = disk.get("aof_enabled") == "1" and disk.get("aof_last_write_status") == "ok"
    found = settings.get("appendfsync", "")
    if not works or settings.get("no-appendfsync-on-rewrite") != "no":
        return ""
    return "always" if found == "always" else "everysec" if found == "everysec" else ""


def _confirmed(replica: str) -> int:
    fields = dict(part.partition("=")[::2] for part in replica.split(","))
    return int(fields.get("offset", "0")) if fields.get("state") == "online" else 0


async def look(link: Link) -> list[ServerState]:
    """The state of each master that serves keys. Raises `LinkError`, and `RedisRefused` if CONFIG GET is not allowed."""
    words = (("CONFIG", "GET", "*append*"), ("INFO", "replication"), ("INFO", "persistence"))
    answers = await asyncio.gather(*(link.everywhere(*each) for each in words))
    return [ServerState.read(disk, facts, settings) for settings, facts, disk in zip(*answers, strict=True)]


class _Server:
    """What was seen of one server in a row of looks."""

    def __init__(self) -> None:
        self.on_disk_until = float("-inf")
        self.complete = False
        self.most_replicas = 0
        self._without_sync: float | None = None

    def seen(self, at: float, state: ServerState) -> None:
        self.complete = self.complete or not state.rewriting
        self.most_replicas = max(self.most_replicas, len(state.replicas))
        if state.policy == "always":
            self.on_disk_until = at
        elif not state.syncing:
            if self._without_sync is not None:
                self.on_disk_until = self._without_sync - SYNC_BEGINS_WITHIN
            self._without_sync = at


class _Look(NamedTuple, Generic[Mark]):
    mark: Mark
    at: float
    offsets: tuple[int, ...]


class DurableMarks(Generic[Mark]):
    """See the module. A mark stands for all that was acknowledged before its look was sent.

    Args:
        fails_over: A replica may take the place of a server, so a server without one has lost it.
    """

    def __init__(self, *, fails_over: bool = False) -> None:
        self._fails_over = fails_over
        self._servers: dict[str, _Server] = {}
        self._looks: deque[_Look[Mark]] = deque()

    def forget(self) -> None:
        """Another server may answer, or one that has lost something: what was seen until now says nothing about it."""
        self._servers.clear()
        self._looks.clear()

    def look(self, mark: Mark, at: float, states: Sequence[ServerState]) -> Mark | None:
        """Note a look that was sent at `at` (monotonic seconds). Returns the last mark that nothing can be lost of, None if
        there is none."""
        if not states or not all(state.policy and state.replid for state in states):
            self.forget()
            return None
        late = bool(self._looks) and at - self._looks[-1].at > LONGEST_GAP
        if late or self._servers.keys() != {state.replid for state in states}:
            self.forget()
            self._servers = {state.replid: _Server() for state in states}
        for state in states:
            self._servers[state.replid].seen(at, state)
        self._looks.append(_Look(mark, at, tuple(state.offset for state in states)))
        while self._looks[0].at < at - LOOKS_SECONDS:
            self._looks.popleft()
        return next(self._safe(states), None)

    def _safe(self, states: Sequence[ServerState]) -> Iterator[Mark]:
        servers = [self._servers[state.replid] for state in states]
        if not all(server.complete for server in servers):
            return
        until = min(server.on_disk_until for server in servers)
        received = [self._received(server, state) for server, state in zip(servers, states, strict=True)]
        for one in reversed(self._looks):
            if one.at <= until and all(offset <= has for offset, has in zip(one.offsets, received, strict=True)):
                yield one.mark

    def _received(self, server: _Server, state: ServerState) -> float:
        """The offset that every replica has confirmed."""
        expected = max(server.most_replicas, int(self._fails_over))
        if len(state.replicas) < expected:
            return float("-inf")
        return min(state.replicas, default=float("inf"))
