# SPDX-License-Identifier: Apache-2.0
"""Keeps the promise that no accepted workflow is without an owner that knows of it.

Three walks, each decided from what Redis and the registry say at that moment, all of them repeatable by any node at any
time without harm:

- *own set*, once a lease: what is in it and not hosted is loaded, what turns out to be another's is dropped;
- *the dead*: the owned sets of nodes that are gone are split by rendezvous among those who have the code. A set is looked at
  for a while after the death, also when it is empty: who has not heard of the death yet may still start workflows there;
- *running*, once a minute and at start: the truth behind the sets. Owner gone: adopt; owner alive but the id not in its
  set: put it there; closed: finish the books; old and without a head: take it out. With it, and with each death, the
  closed ones that somebody was *beginning again*: he may have died before the next run was listed anywhere.

An id without a head may be a start that is under way (the set comes first, then the head), so it keeps its place until
the grace of a start is over.

Nobody adopts while his own session is not alive: with etcd out of reach the table is the past.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from nervenet.node.starting import GRACE_MS
from nervenet.redis_link.faults import LinkError
from nervenet.registry.rendezvous import rendezvous
from nervenet.streams.listing import Listed, Listing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nervenet.node.bookkeeping import CloseBookkeeping
    from nervenet.node.context import NodeContext
    from nervenet.node.coordinator import Coordinator
    from nervenet.node.escalations import Escalations
    from nervenet.node.handover import Handover
    from nervenet.node.hosted import HostedWorkflows
    from nervenet.node.loading import Loader
    from nervenet.node.placement import Placement
    from nervenet.streams.heads import Head

_log = logging.getLogger(__name__)

OWN_EVERY = 5.0
RUNNING_EVERY = 60.0
PATIENCE = 10.0
"""What its heir has not taken by then, anybody takes: he may never have heard of the dead, or be half dead himself."""
REMEMBERED = 90.0
"""So long the set of a dead node is looked at: until the walk over `running` has surely come by."""
PAGE = 500
AT_ONCE = 64
"""So many are adopted at a time: some 30 ms of the event loop, so that a storm starves neither the living nor the lease."""
FIELDS = (
    "owner", "state", "definition", "version", "runtime", "created_ms", "closed_ms", "last", "adoptions", "adopted_at",
)  # fmt: skip


class Sweep:
    """The walks of one node."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        placement: Placement,
        loader: Loader,
        handover: Handover,
        books: CloseBookkeeping,
        escalations: Escalations,
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._placement = placement
        self._loader = loader
        self._handover = handover
        self._books = books
        self._escalations = escalations
        self._listing = Listing(context.link, context.keys)
        self._dead: dict[str, float] = {}
        self._headless: dict[str, float] = {}
        self._news = asyncio.Event()

    def node_gone(self, node_id: str) -> None:
        """A hint: look at its set now."""
        self._dead[node_id] = _now()
        self._news.set()

    async def run(self) -> None:
        """For as long as the node lives."""
        loop = asyncio.get_running_loop()
        next_own = next_running = loop.time()
        while True:
            self._news.clear()
            await self._walk(self.dead_sets)
            if loop.time() >= next_own:
                next_own = loop.time() + OWN_EVERY
                await self._walk(self.own_set)
                await self._walk(self.hand_on_unreadable)
            if loop.time() >= next_running and self._may() and not self._news.is_set():
                next_running = loop.time() + RUNNING_EVERY
                await self._walk(self.running)
                await self._walk(self.escalations)
            try:
                async with asyncio.timeout(max(0.05, min(next_own, next_running) - loop.time())):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _walk(self, walk: Callable[[], Awaitable[None]]) -> None:
        """One walk, each on its own: what breaks one of them does not keep the others from their work."""
        try:
            await walk()
        except LinkError as error:
            _log.warning("%s: %s was cut short: %s", self._context.status.node_id, walk.__name__, error)

    def _may(self) -> bool:
        return self._context.status.alive and not self._context.status.draining

    # ── the own set ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def own_set(self) -> None:
        context = self._context
        listed: set[str] = set()
        node_id = context.status.node_id
        async for page in context.ownership.owned(node_id):
            if context.status.node_id != node_id:  # it came back under a new id: the old one's set is a dead node's
                return
            listed.update(page)
            missing = [w for w in page if not self._hosted.here(w)]
            if missing and not context.status.draining:
                await self._load_mine(missing)
        unlisted = [w for w, c in tuple(self._hosted.coordinators.items()) if w not in listed and not c.dropped]
        if unlisted and context.status.node_id == node_id:
            await context.ownership.own(node_id, *unlisted)

    async def _load_mine(self, workflow_ids: list[str]) -> None:
        """Those whose head names me; an id that is another's, or nobody's and past its grace, does not belong here."""
        context = self._context
        heads = await context.journal.heads(workflow_ids, ("owner", "state"))
        mine = [w for w, head in heads if head is not None and head.owner == context.status.node_id]
        needless = [
            w
            for w, head in heads
            if head is not None and head.owner != context.status.node_id and not self._hosted.here(w)
        ]
        headless = [w for w, head in heads if head is None and not self._hosted.here(w)]
        needless += self._never_started(headless)
        if needless:  # sent in the same turn in which nothing of it was here: a load that begins now lists it behind us
            await self._handover.disown(context.status.node_id, *needless)
        await asyncio.gather(*(self._load(w) for w in mine))

    async def _load(self, workflow_id: str, dead: str | None = None) -> bool:
        """`Loader.load`, whose failure costs this one workflow: it is tried again by a later walk."""
        try:
            return await self._loader.load(workflow_id, dead)
        except LinkError as error:
            if not error.is_of_one_key:  # Redis is away, or full: for all of them
                raise
            self._context.link.skips.skip(f"workflow {workflow_id}", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._context.link.skips.skip(f"workflow {workflow_id}", f"{error!r}")
        return False

    def _never_started(self, headless: list[str]) -> list[str]:
        """Those that had no head a grace ago either."""
        now = _now()
        self._headless = {w: at for w, at in self._headless.items() if now - at < 2 * GRACE_MS / 1000}
        return [w for w in headless if now - self._headless.setdefault(w, now) > GRACE_MS / 1000]

    async def hand_on_unreadable(self) -> None:
        """What is blocked here because a newer release wrote to its journal goes to a node of a newer release."""
        context = self._context
        stuck = [
            c
            for c in self._hosted.coordinators.values()
            if c.machine.blocked is not None and c.machine.blocked.unreadable
        ]
        for coordinator in stuck if self._may() else ():
            workflow = coordinator.machine.workflow
            able = self._placement.able(workflow.name, workflow.version, workflow.runtime)
            target = rendezvous(coordinator.workflow_id, context.table.newer(able, context.release))
            if target is not None:
                _log.info("%s cannot be read here and goes to %s, which is newer", coordinator.workflow_id, target)
                await self._handover.hand_over(coordinator, target)

    # ── the dead ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def dead_sets(self) -> None:
        """Level-triggered: a dead node stays on the list until its set is empty, and for a while after its death.

        What the dead owned is taken over together, whoever of them had it, and a death in the middle of that is looked at
        at once: what its node was busy with does not wait for the rest of another's ten thousand.
        """
        again = True
        while again and self._may():
            self._news.clear()
            orphans: list[tuple[str, Head]] = []
            for node_id, since in tuple(self._dead.items()):
                age = _now() - since
                if self._context.table.lives(node_id) or (
                    await self._look(node_id, orphans, anybody=age > PATIENCE) and age > REMEMBERED
                ):
                    self._dead.pop(node_id, None)
            for part in in_turn(orphans):
                if not self._news.is_set():
                    await self._adopt(part)
            again = self._news.is_set()
        if self._may():
            await self.restarts()

    async def _look(self, dead: str, orphans: list[tuple[str, Head]], *, anybody: bool) -> bool:
        """Clear a dead node's set of what does not belong there, and find my part, or all that I have code for; True when
        it is empty now."""
        context = self._context
        left = False
        async for page in context.ownership.owned(dead):
            heads = await context.journal.heads(page, FIELDS)
            done: list[str] = []
            for workflow_id, head in heads:
                if head is None:
                    continue
                if head.owner != dead:
                    done.append(workflow_id)
                elif head.closed:
                    self._books.finish(workflow_id, dead, head.created_ms, head.closed_ms)
                elif self._is_mine(workflow_id, head) or (anybody and self._has_code(head)):
                    orphans.append((workflow_id, head))
            if done:
                await self._handover.disown(dead, *done)
            left = left or len(done) < len(page)
        return not left

    def _is_mine(self, workflow_id: str, head: Head) -> bool:
        return self._placement.belongs_to(workflow_id, head) == self._context.status.node_id

    def _has_code(self, head: Head) -> bool:
        return self._context.status.node_id in self._placement.able(head.definition, head.version, head.runtime)

    async def _adopt(self, orphans: list[tuple[str, Head]]) -> int:
        """Take these over at once; how many are hosted now."""
        if not self._may():
            return 0
        taken = await asyncio.gather(*(self._load(w, head.owner) for w, head in orphans))
        by_owner: dict[str, list[str]] = {}
        for (workflow_id, head), hosted in zip(orphans, taken, strict=True):
            if hosted:
                by_owner.setdefault(head.owner, []).append(workflow_id)
        for owner, ids in by_owner.items():
            await self._handover.disown(owner, *ids)
        return taken.count(True)

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def running(self) -> None:
        """Every id in `running`, page by page: what has nobody who cares gets somebody."""
        context = self._context
        await self._relist()
        await self.restarts()
        adopted = 0
        after: Listed | None = None
        while page := await self._listing.running(after, PAGE):
            after = page[-1]
            if self._news.is_set():  # a death does not wait for the end of a long walk
                await self.dead_sets()
            scores = {
                row.member: int(row.score)
                for row in page
                if row.member not in self._hosted.coordinators and math.isfinite(row.score)
            }
            ids = list(scores)
            heads = await context.journal.heads(ids, FIELDS)
            now = context.clock.now_ms()
            known: dict[str, list[str]] = {}
            mine: list[tuple[str, Head]] = []
            for workflow_id, head in heads:
                if head is None:
                    if scores[workflow_id] + GRACE_MS < now:
                        await context.ownership.running_remove(workflow_id, scores[workflow_id])
                elif head.closed:
                    self._books.finish(workflow_id, head.owner, head.created_ms, head.closed_ms, scores[workflow_id])
                elif head.owner == context.status.node_id or context.table.lives(head.owner):
                    known.setdefault(head.owner, []).append(workflow_id)
                else:  # it may have been dead before I came: look again, sooner than in a minute
                    self._dead.setdefault(head.owner, _now())
                    if self._is_mine(workflow_id, head):
                        mine.append((workflow_id, head))
            for part in in_turn(mine):
                adopted += await self._adopt(part)
            for owner, owned in known.items():
                await self._remind(owner, owned)
        if adopted:
            _log.info("%s: the sweep adopted %d workflows", context.status.node_id, adopted)

    async def _relist(self) -> None:
        """What is hosted here stands in `running`, also after that list was lost."""
        hosted = [(w, c.created_ms) for w, c in self._hosted.coordinators.items() if c.created_ms and not c.dropped]
        for start in range(0, len(hosted), PAGE):
            await self._context.ownership.relist(self._context.status.node_id, dict(hosted[start : start + PAGE]))

    async def restarts(self) -> None:
        """What has begun again is listed, by whomever; what has not within the grace never will."""
        context = self._context
        after: Listed | None = None
        while page := await self._listing.restarting(after, PAGE):
            after = page[-1]
            marks = {row.member: int(row.score) for row in page if math.isfinite(row.score)}
            heads = await context.journal.heads(marks, ("owner", "closed_ms"))
            now = context.clock.now_ms()
            for workflow_id, head in heads:
                mark = marks[workflow_id]
                if head is not None and not head.closed:
                    await context.ownership.reopen(workflow_id, mark)
                    await context.ownership.own(head.owner, workflow_id)
                elif mark + GRACE_MS > now:
                    continue
                await context.ownership.restart_unmark(workflow_id, mark)

    async def _remind(self, owner: str, workflow_ids: list[str]) -> None:
        """A living owner that does not know of a workflow finds it in its own set."""
        knows = await self._context.ownership.owns(owner, workflow_ids)
        unknown = [w for w, known in zip(workflow_ids, knows, strict=True) if not known]
        if unknown:
            await self._context.ownership.own(owner, *unknown)

    async def escalations(self) -> None:
        """Every question on the list that is open no more: its owner died before it cleared it. And ours are on it."""
        for coordinator in [c for c in self._hosted.coordinators.values() if c.asked]:
            self._escalations.list_again(coordinator)
        after: Listed | None = None
        while page := await self._listing.escalations(after, PAGE):
            after = page[-1]
            over = await self._listing.escalations_over(page)
            for row in (row for row, gone in zip(page, over, strict=True) if gone):
                await self._listing.escalation_forget(row)

    # ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def hand_over_all(self) -> int:
        """Give every workflow to another node that has its code; how many had to stay for a later node's sweep."""
        coordinators = list(self._hosted.coordinators.values())
        stayed = 0
        for start in range(0, len(coordinators), PAGE):
            page = coordinators[start : start + PAGE]
            moved = await asyncio.gather(*(self._hand_over(coordinator) for coordinator in page))
            stayed += moved.count(False)
        return stayed

    async def _hand_over(self, coordinator: Coordinator) -> bool:
        workflow = coordinator.machine.workflow
        target = rendezvous(
            coordinator.workflow_id, self._placement.able(workflow.name, workflow.version, workflow.runtime)
        )
        return target is not None and await self._handover.hand_over(coordinator, target)


def _now() -> float:
    """Of the loop: how long ago something was, whatever happens to anybody's clock."""
    return asyncio.get_running_loop().time()


def in_turn(orphans: list[tuple[str, Head]]) -> list[list[tuple[str, Head]]]:
    """Which to adopt together, and in which order.

    The busiest first: who has been waiting for a week can wait two seconds more. One whose last adopter may have died of
    it comes last and alone: if it kills this node too, that is held against nobody else who happened to be on the way.
    """
    calm = sorted((one for one in orphans if not one[1].unconfirmed_adoptions), key=_last_ms, reverse=True)
    wary = [[one] for one in orphans if one[1].unconfirmed_adoptions]
    return [calm[start : start + AT_ONCE] for start in range(0, len(calm), AT_ONCE)] + wary


def _last_ms(orphan: tuple[str, Head]) -> int:
    """When something last happened in it."""
    return int(orphan[1].last.partition(b"-")[0])
