# SPDX-License-Identifier: Apache-2.0
"""The index of workflows: which node owns which, and which are open. Adoption and sweep read it.

The owner is a field of the head. The index is derived from the heads and is in other slots, so it cannot change in one
step with them. Each protocol is ordered so that a crash between two steps leaves an extra row, never a workflow that no
node finds. `owned:<node>` is the fast index; `running` is complete.

**Start**: `running_add` → `own` → `JournalStore.create`, each after the reply of the step before. A crash leaves:

- after `running_add`: an id without a head. The sweep removes it when it is older than the grace;
- after `own`: also an id in an owned set. Its node drops it when it finds no head;
- after `create`: the complete workflow. The owner finds it in its set, even without a wake.

`not_after_ms` of the create is the score plus half the grace, so that a node that was suspended cannot create a
workflow that the sweep has removed; after `expired` the caller begins again. An *earlier* time of Redis is a safe replacement for the
score. Where one server has all keys, `JournalStore.start_nowait` is all three steps in one script.

**Start of an existing workflow** (`exists`): `running_add` has changed the start time. For an open workflow
`running_keep` restores it; for a closed one `finish` removes the row. In one script the row is left alone. To start a closed workflow again: `list_for_archive` (with an archive) → `restart_mark`
→ `JournalStore.begin_next` → `reopen` → `own` → `restart_unmark`. If the node dies in between, the sweep finds the next
run by the mark (decision 0017).

**Close**: `JournalStore.close` → `finish`. With an archive, `finish` lists the run there before it leaves `running`. `finish` may run late, and on several nodes: a score above those that it
knows belongs to the next run and stays. (Without this rule the late `finish` of one run took the next run out of
`running`, and no node found it.)

**Hand-over**: `own` for the target → `move` → a wake for the target → `own` again → `disown` for the giver.

**Adoption**: `own` → `JournalStore.adopt` → `disown` for the dead node. A removal waits for the reply that makes it
correct.

**Removal of a workflow that another node owns** (in the target's sweep, at the time of a hand-over): `disown` → read
the head again → `own` if the node owns it by now. The giver's second `own` and this one cannot both come before the
`disown`. A node that loads its own workflow lists it before it hosts it.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from nervenet.redis_link.connection import Arg
from nervenet.redis_link.link import Link
from nervenet.redis_link.replies import in_turn
from nervenet.streams.archive import ArchiveList, WaitingRun
from nervenet.streams.derived import DerivedKeyCall
from nervenet.streams.keys import Keys
from nervenet.streams.script import packaged_scripts

__all__ = ["ClosedWorkflow", "Moved", "Ownership", "day_of"]

MoveStatus: TypeAlias = Literal["moved", "mine", "refused", "closed", "unknown"]

_PAGE: Final = 500
_BUCKET_MARGIN_MS: Final = 3_600_000


class Moved(NamedTuple):
    """`mine`: the target already owned it (an earlier reply was lost). `owner` is the owner now."""

    status: MoveStatus
    owner: str


class ClosedWorkflow(NamedTuple):
    """A closed workflow whose index must be updated. `score` is the one that was read in `running` before it was found
    closed. `retention_ms` is that of its definition, 0 where it has the mesh's."""

    workflow_id: str
    owner: str
    created_ms: int
    closed_ms: int
    score: int = 0
    run: int = 1
    retention_ms: int = 0
    definition: str = ""


class Ownership:
    """The owned sets, `running` and the closed buckets of one namespace."""

    __slots__ = ("_archive", "_keys", "_link", "_scripts")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._archive = ArchiveList(link, keys)
        self._link = link
        self._keys = keys
        self._scripts = {script.name: script for script in packaged_scripts()}

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def running_add(self, workflow_id: str) -> int:
        """First step of a start. Returns the score: Redis' time in ms, which becomes the workflow's `created_ms`."""
        return int(await self._on_set(self._keys.running, "running_add", (workflow_id,)))

    async def running_keep(self, workflow_id: str, created_ms: int) -> None:
        """Restore the start time of an open workflow in its first run, after a second start has changed it."""
        await self._derived("ZADD", self._keys.running, "XX", created_ms, workflow_id)

    async def relist(self, node_id: str, created: Mapping[str, int]) -> None:
        """List open workflows (id → start time) again after Redis has lost its lists, in the order of a start."""
        rows = [word for workflow_id, ms in created.items() for word in (ms, workflow_id)]
        await self._derived("ZADD", self._keys.running, "NX", *rows)
        await self.own(node_id, *created)

    async def reopen(self, workflow_id: str, closed_ms: int) -> None:
        """List a closed workflow that has started again: into `running`, whatever `finish` of its last run did, and out
        of the bucket of its day."""
        await asyncio.gather(
            self._on_set(self._keys.running, "running_add", (workflow_id, closed_ms)),
            self._derived("ZREM", self._keys.closed(day_of(closed_ms)), workflow_id),
        )

    async def restart_mark(self, workflow_id: str) -> int:
        """First step of starting a closed workflow again. Returns the mark, Redis' time in ms: `begin_next` is refused
        later than the mark plus half the grace."""
        return int(await self._on_set(self._keys.restarting, "running_add", (workflow_id,)))

    async def restart_unmark(self, workflow_id: str, mark: int) -> None:
        """Remove the mark, after `reopen` and `own`, or if there is nothing to list. The mark of another node stays."""
        await self._on_set(self._keys.restarting, "running_remove", (workflow_id, mark))

    async def running_remove(self, workflow_id: str, score: int) -> bool:
        """Remove an id without a head, for the sweep. It stays if its score has changed: a node starts it again."""
        return bool(await self._on_set(self._keys.running, "running_remove", (workflow_id, score)))

    # ── owned sets ───────────────────────────────────────────────────────────────────────────────────────────────────

    def own(self, node_id: str, *workflow_ids: str) -> Awaitable[int]:
        """Add ids to a node's set. The node drops those that it does not own."""
        return self._derived("SADD", self._keys.owned(node_id), *workflow_ids)

    def disown(self, node_id: str, *workflow_ids: str) -> Awaitable[int]:
        """Remove ids from a node's set. Only after the reply that made them unnecessary there."""
        return self._derived("SREM", self._keys.owned(node_id), *workflow_ids)

    def owned_count_nowait(self, node_id: str) -> asyncio.Future[Any]:
        """The size of a node's set, one try."""
        return self._link.send("SCARD", self._keys.owned(node_id))

    async def owned(self, node_id: str, count: int = _PAGE) -> AsyncIterator[list[str]]:
        """The node's set, page by page. An id may appear twice, and one that was added or removed meanwhile may be
        missing."""
        cursor, key = b"0", self._keys.owned(node_id)
        while True:
            cursor, members = await self._derived("SSCAN", key, cursor, "COUNT", count)
            page = [self._link.skips.text(member, f"a member of {key.decode()}") for member in members]
            if page := [workflow_id for workflow_id in page if workflow_id is not None]:
                yield page
            if cursor == b"0":
                return

    async def owns(self, node_id: str, workflow_ids: Sequence[str]) -> list[bool]:
        """For each id, whether it is in the node's set."""
        if not workflow_ids:
            return []
        return [bool(hit) for hit in await self._derived("SMISMEMBER", self._keys.owned(node_id), *workflow_ids)]

    # ── moving and ending ────────────────────────────────────────────────────────────────────────────────────────────

    async def move(self, workflow_id: str, new_owner: str, expected_owner: str) -> Moved:
        """Replace the owner if it is `expected_owner`, for a hand-over. The target loads the workflow with
        `JournalStore.adopt`."""
        keys, args = (self._keys.head(workflow_id),), (new_owner, expected_owner)
        status, owner = await self._link.script(self._scripts["owner_move"], keys, args)
        return Moved(cast("MoveStatus", status.decode()), owner.decode(errors="replace"))

    async def finish(self, closed: Sequence[ClosedWorkflow], retention_ms: int, hold_ms: int = 0) -> None:
        """Update the index after closes: the owner does it, or a sweep. One command of each kind for many workflows.

        The row in `running` is removed last: until then the sweep repeats the rest. `hold_ms`: for how much longer than
        its retention a run waits for the archive; 0: there is none.
        """
        for i in range(0, len(closed), _PAGE):
            await self._finish(closed[i : i + _PAGE], retention_ms, hold_ms)

    async def _finish(self, closed: Sequence[ClosedWorkflow], retention_ms: int, hold_ms: int) -> None:
        longest = max(retention_ms, *(one.retention_ms for one in closed))
        keep = longest + longest // 10 + _BUCKET_MARGIN_MS + hold_ms
        days: dict[str, list[Arg]] = {}
        owned: dict[str, list[str]] = {}
        for one in closed:
            days.setdefault(day_of(one.closed_ms), []).extend((one.created_ms, one.workflow_id))
            owned.setdefault(one.owner, []).append(one.workflow_id)
        calls: list[Awaitable[Any]] = [
            self._on_set(self._keys.closed(day), "closed_add", (keep, *rows)) for day, rows in days.items()
        ]
        calls += [self.disown(owner, *ids) for owner, ids in owned.items()]
        own = {one.definition: one.retention_ms for one in closed if one.retention_ms > retention_ms}
        if own:
            calls.append(
                self._derived("ZADD", self._keys.retentions, *(w for name, ms in own.items() for w in (ms, name)))
            )
        if hold_ms:
            calls.append(self._archive.add([WaitingRun(one.closed_ms, one.run, one.workflow_id) for one in closed]))
        await in_turn(calls)
        rows = [word for one in closed for word in (one.workflow_id, max(one.closed_ms, one.score))]
        await self._on_set(self._keys.running, "running_done", rows)

    async def list_for_archive(self, workflow_id: str, run: int, closed_ms: int) -> None:
        """List one closed run for the archive, before the workflow begins again."""
        await self._archive.add([WaitingRun(closed_ms, run, workflow_id)])

    # ── keys that are repaired when they hold another type ───────────────────────────────────────────────────────────

    def _derived(self, command: str, key: bytes, *args: Arg) -> DerivedKeyCall:
        return DerivedKeyCall(self._link, key, (command, key, *args))

    def _on_set(self, key: bytes, script: str, args: Sequence[Arg]) -> DerivedKeyCall:
        """The same with a script for one key."""
        found = self._scripts[script]
        reply = self._link.script(found, (key,), args)
        return DerivedKeyCall(self._link, key, ("EVALSHA", found.sha, 1, key, *args), reply)


@functools.lru_cache(maxsize=16)
def _day(number: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=number)).isoformat()


def day_of(ms: int) -> str:
    """The name of the bucket of closed workflows: the day in UTC, such as `2026-11-24`."""
    return _day(ms // 86_400_000)
