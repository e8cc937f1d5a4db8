# SPDX-License-Identifier: Apache-2.0
"""Who owns which workflow, and which are open: the index that adoption and sweep walk.

The owner stands in the head; everything here is derived from it and lies in other slots, so the protocols are ordered so
that a crash between two steps leaves a harmless extra, never a workflow that nobody finds. `owned:<node>` is the fast
index, `running` the truth.

**Start**: `running_add` → `own` → `Journal.create`, each after the reply of the one before it. What a crash leaves:

- behind `running_add`: an id without a head; the sweep removes it once it is older than the grace;
- behind `own`: the same, and an id in an owned set that its node drops when it finds no head;
- behind `create`: all is there; the owner finds it in its set even if no wake came.

`not_after_ms` of the create is the score + half the grace, so that a starter that slept cannot create what the sweep has
removed. Any Redis time that the caller saw *earlier* is a safe stand-in for the score. With it, and where Redis is no
cluster, all three may be sent in one tick on one connection (they arrive in order, and a broken connection cuts off the
end, not the middle), but only with `Link.send`, which does not retry: retried commands overtake each other. The caller then
checks all three replies before it tells anybody of the start: when `create` went through and one of the others did not (a
Redis that was full for a moment), it repeats them at once; `expired` means to begin again.

**Start of what is there** (`exists`): the `running_add` before it moved the start time; `running_keep` puts it back for an
open workflow, `finish` clears up behind a closed one. A closed one that begins again: `restart_mark` → `Journal.begin_next` →
`reopen` → `own` → `restart_unmark`; the mark is why a sweep finds the next run of whoever died between (decision 0017).

**Close**: `Journal.close` → `finish`, which may come late, and from several: a score above those it knows of belongs to the
next run, and stays. (It was once taken out of `running` by the books of the run before, and nobody found it again.) **Hand-over**: `own` for the target → `move` → its wake → `own` again → `disown` for oneself.
**Adopt**: `own` → `Journal.adopt` → `disown` for the dead. Removals wait for the reply of what makes them needless.
**Removal of what a head says is another's** (the target's sweep, beside a hand-over): `disown` → the head again → `own` if it is his by now.
With the giver's second `own`, one of the two comes last. Who loads his own lists it before he hosts it.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from nervenet.redis_link.connection import Arg
from nervenet.redis_link.link import Link
from nervenet.streams.derived import Derived
from nervenet.streams.keys import Keys
from nervenet.streams.script import packaged_scripts

__all__ = ["ClosedWorkflow", "Moved", "Ownership", "day_of"]

MoveStatus: TypeAlias = Literal["moved", "mine", "refused", "closed", "unknown"]

_PAGE: Final = 500
_BUCKET_MARGIN_MS: Final = 3_600_000


class Moved(NamedTuple):
    """`mine` = the target owned it already (a lost reply); `owner` as of now."""

    status: MoveStatus
    owner: str


class ClosedWorkflow(NamedTuple):
    """A closed workflow whose books are to be done. `score`: what was read in `running` before it was found closed."""

    workflow_id: str
    owner: str
    created_ms: int
    closed_ms: int
    score: int = 0


class Ownership:
    """The owned sets, `running` and the closed buckets of one namespace."""

    __slots__ = ("_keys", "_link", "_scripts")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._scripts = {script.name: script for script in packaged_scripts()}

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def running_add(self, workflow_id: str) -> int:
        """First step of a start. The score: Redis' time in ms, which becomes the workflow's `created_ms`."""
        return int(await self._on_set(self._keys.running, "running_add", (workflow_id,)))

    def running_add_nowait(self, workflow_id: str) -> asyncio.Future[Any]:
        """`running_add`, one try; `int` reads the future's result."""
        return self._link.send("EVALSHA", self._scripts["running_add"].sha, 1, self._keys.running, workflow_id)

    async def running_keep(self, workflow_id: str, created_ms: int) -> None:
        """Give an open workflow of one run its start time back, which a second start had moved."""
        await self._derived("ZADD", self._keys.running, "XX", created_ms, workflow_id)

    async def relist(self, node_id: str, created: Mapping[str, int]) -> None:
        """Put open workflows (id → start time) where they belong when Redis has lost its lists; in the order of a start."""
        rows = [word for workflow_id, ms in created.items() for word in (ms, workflow_id)]
        await self._derived("ZADD", self._keys.running, "NX", *rows)
        await self.own(node_id, *created)

    async def reopen(self, workflow_id: str, closed_ms: int) -> None:
        """A closed workflow has begun again: among the running whatever the books of its end did, off the day's list."""
        await asyncio.gather(
            self._on_set(self._keys.running, "running_add", (workflow_id, closed_ms)),
            self._derived("ZREM", self._keys.closed(day_of(closed_ms)), workflow_id),
        )

    async def restart_mark(self, workflow_id: str) -> int:
        """First step of beginning a closed workflow again. The mark: Redis' time in ms, `begin_next` is refused past it + half
        the grace."""
        return int(await self._on_set(self._keys.restarting, "running_add", (workflow_id,)))

    async def restart_unmark(self, workflow_id: str, mark: int) -> None:
        """Behind `reopen` and `own`, or where there is nothing to list; another's mark stays."""
        await self._on_set(self._keys.restarting, "running_remove", (workflow_id, mark))

    async def running_remove(self, workflow_id: str, score: int) -> bool:
        """The sweep's: take an id without a head out, unless its score is another by now (somebody starts it again)."""
        return bool(await self._on_set(self._keys.running, "running_remove", (workflow_id, score)))

    # ── owned sets ───────────────────────────────────────────────────────────────────────────────────────────────────

    def own(self, node_id: str, *workflow_ids: str) -> Awaitable[int]:
        """Put ids into a node's set; what it does not own in truth it drops again."""
        return self._derived("SADD", self._keys.owned(node_id), *workflow_ids)

    def own_nowait(self, node_id: str, workflow_id: str) -> asyncio.Future[Any]:
        return self._link.send("SADD", self._keys.owned(node_id), workflow_id)

    def disown(self, node_id: str, *workflow_ids: str) -> Awaitable[int]:
        """Take ids out of a node's set. Only after the reply of what made them needless there."""
        return self._derived("SREM", self._keys.owned(node_id), *workflow_ids)

    def owned_count_nowait(self, node_id: str) -> asyncio.Future[Any]:
        """How many it owns, one try."""
        return self._link.send("SCARD", self._keys.owned(node_id))

    async def owned(self, node_id: str, count: int = _PAGE) -> AsyncIterator[list[str]]:
        """The node's set, page by page; an id may come twice, and one that came or went meanwhile may be missing."""
        cursor, key = b"0", self._keys.owned(node_id)
        while True:
            cursor, members = await self._derived("SSCAN", key, cursor, "COUNT", count)
            page = [self._link.skips.text(member, f"a member of {key.decode()}") for member in members]
            if page := [workflow_id for workflow_id in page if workflow_id is not None]:
                yield page
            if cursor == b"0":
                return

    async def owns(self, node_id: str, workflow_ids: Sequence[str]) -> list[bool]:
        """Which of these are in the node's set: does the owner know of them?"""
        if not workflow_ids:
            return []
        return [bool(hit) for hit in await self._derived("SMISMEMBER", self._keys.owned(node_id), *workflow_ids)]

    # ── moving and ending ────────────────────────────────────────────────────────────────────────────────────────────

    async def move(self, workflow_id: str, new_owner: str, expected_owner: str) -> Moved:
        """Compare-and-set of the owner for a hand-over; the target loads it by `Journal.adopt`."""
        keys, args = (self._keys.head(workflow_id),), (new_owner, expected_owner)
        status, owner = await self._link.script(self._scripts["owner_move"], keys, args)
        return Moved(cast("MoveStatus", status.decode()), owner.decode(errors="replace"))

    async def finish(self, closed: Sequence[ClosedWorkflow], retention_ms: int) -> None:
        """The book-keeping behind closes, by the owner or any sweep; one command of a kind for a batch of them.

        `running` goes last: until then it is repeated.
        """
        for i in range(0, len(closed), _PAGE):
            await self._finish(closed[i : i + _PAGE], retention_ms)

    async def _finish(self, closed: Sequence[ClosedWorkflow], retention_ms: int) -> None:
        keep = retention_ms + retention_ms // 10 + _BUCKET_MARGIN_MS
        days: dict[str, list[Arg]] = {}
        owned: dict[str, list[str]] = {}
        for one in closed:
            days.setdefault(day_of(one.closed_ms), []).extend((one.created_ms, one.workflow_id))
            owned.setdefault(one.owner, []).append(one.workflow_id)
        calls: list[Awaitable[Any]] = [
            self._on_set(self._keys.closed(day), "closed_add", (keep, *rows)) for day, rows in days.items()
        ]
        calls += [self.disown(owner, *ids) for owner, ids in owned.items()]
        await asyncio.gather(*calls)
        rows = [word for one in closed for word in (one.workflow_id, max(one.closed_ms, one.score))]
        await self._on_set(self._keys.running, "running_done", rows)

    # ── keys that are made again when they hold something else ───────────────────────────────────────────────────────

    def _derived(self, command: str, key: bytes, *args: Arg) -> Derived:
        return Derived(self._link, key, (command, key, *args))

    def _on_set(self, key: bytes, script: str, args: Sequence[Arg]) -> Derived:
        """The same by a script of one key."""
        found = self._scripts[script]
        reply = self._link.script(found, (key,), args)
        return Derived(self._link, key, ("EVALSHA", found.sha, 1, key, *args), reply)


@functools.lru_cache(maxsize=16)
def _day(number: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=number)).isoformat()


def day_of(ms: int) -> str:
    """The name of a closed bucket: the day in UTC, `2026-11-24`."""
    return _day(ms // 86_400_000)
