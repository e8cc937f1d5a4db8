# SPDX-License-Identifier: Apache-2.0
"""Keeps the promise that every accepted workflow has an owner that knows of it.

Three walks. Each decides from what Redis and the registry say at that moment, and any node can repeat each of them at any
time without harm:

- *own set*, once per lease: load the workflows that are in this node's set and not hosted, and remove those that belong to
  another node;
- *dead nodes*: rendezvous hashing splits the owned sets of nodes that are gone among the nodes that have the code. A dead
  node's set is looked at for a while, also when it is empty: a node that has not noticed the death may still start
  workflows there;
- *running*, once a minute and at start: the truth behind the sets. Owner gone: adopt. Owner alive, but the id is not in its
  set: add it. Closed: finish the bookkeeping. Old and without a head: remove it. This walk, and each death, also covers the
  closed workflows that a process was restarting: it may have died before the next run was listed anywhere.

An id without a head may be a start that is under way (the set is written first, then the head), so it keeps its place
until the grace period of a start is over.

A node adopts nothing while its own session is not alive: when etcd is out of reach, its table shows the past.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from nervenet.redis_link.faults import LinkError
from nervenet.registry.rendezvous import rendezvous
from nervenet.streams.listing import Listed, Listing
from nervenet.timing import DEAD_NODE_REMEMBERED, HEIR_WINDOW, START_GRACE_MS, SWEEP_OWNED_EVERY, SWEEP_RUNNING_EVERY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.bookkeeping import CloseBookkeeping
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.escalations import Escalations
    from nervenet.node.workflows.handover import Handover
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.load import Loader
    from nervenet.node.workflows.placement import Placement
    from nervenet.streams.heads import Head

_log = logging.getLogger(__name__)

PAGE = 500
AT_ONCE = 64
"""Workflows that are adopted at a time: about 30 ms of the event loop, so that many adoptions delay neither other workflows
nor the lease."""
FIELDS = (
    "owner", "state", "definition", "version", "runtime", "created_ms", "closed_ms", "last", "adoptions", "adopted_at",
)  # fmt: skip


class Sweeper:
    """One for each node."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        placement: Placement,
        loader: Loader,
        handover: Handover,
        bookkeeping: CloseBookkeeping,
        escalations: Escalations,
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._placement = placement
        self._loader = loader
        self._handover = handover
        self._bookkeeping = bookkeeping
        self._escalations = escalations
        self._listing = Listing(context.link, context.keys)
        self._dead: dict[str, float] = {}
        self._headless: dict[str, float] = {}
        self._news = asyncio.Event()

    def node_gone(self, node_id: str) -> None:
        """A node is gone: look at its set now."""
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
                next_own = loop.time() + SWEEP_OWNED_EVERY
                await self._walk(self.own_set)
                await self._walk(self.hand_on_unreadable)
            if loop.time() >= next_running and self._may() and not self._news.is_set():
                next_running = loop.time() + SWEEP_RUNNING_EVERY
                await self._walk(self.running)
                await self._walk(self.escalations)
            try:
                async with asyncio.timeout(max(0.05, min(next_own, next_running) - loop.time())):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _walk(self, walk: Callable[[], Awaitable[None]]) -> None:
        """Run one walk. An error in it does not stop the other walks."""
        try:
            await walk()
        except LinkError as error:
            _log.warning("%s: %s was interrupted: %s", self._context.status.node_id, walk.__name__, error)

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
        """Load those whose head names this node. Remove ids of other nodes, and ids without a head after the grace period."""
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
            if not error.is_of_one_key:  # Redis is away or full: this concerns all of them
                raise
            self._context.link.skips.skip(f"workflow {workflow_id}", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._context.link.skips.skip(f"workflow {workflow_id}", f"{error!r}")
        return False

    def _never_started(self, headless: list[str]) -> list[str]:
        """Those that had no head one grace period ago either."""
        now = _now()
        self._headless = {w: at for w, at in self._headless.items() if now - at < 2 * START_GRACE_MS / 1000}
        return [w for w in headless if now - self._headless.setdefault(w, now) > START_GRACE_MS / 1000]

    async def hand_on_unreadable(self) -> None:
        """A workflow that is blocked because a newer release wrote to its journal goes to a node of a newer release."""
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

        The workflows of all dead nodes are adopted together. A death in the middle of that is handled at once: its
        workflows do not wait for the remaining ten thousand of another node.
        """
        again = True
        while again and self._may():
            self._news.clear()
            orphans: list[tuple[str, Head]] = []
            for node_id, since in tuple(self._dead.items()):
                age = _now() - since
                if self._context.table.lives(node_id) or (
                    await self._look(node_id, orphans, anybody=age > HEIR_WINDOW) and age > DEAD_NODE_REMEMBERED
                ):
                    self._dead.pop(node_id, None)
            for part in in_turn(orphans):
                if not self._news.is_set():
                    await self._adopt(part)
            again = self._news.is_set()
        if self._may():
            await self.restarts()

    async def _look(self, dead: str, orphans: list[tuple[str, Head]], *, anybody: bool) -> bool:
        """Remove from a dead node's set what does not belong there, and find this node's part of the rest (with `anybody`: all
        that this node has code for). Returns whether the set is empty now."""
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
                    self._bookkeeping.finish(workflow_id, dead, head.created_ms, head.closed_ms)
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
        """Adopt these together. Returns how many are hosted now."""
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
        """Every id in `running`, page by page: a workflow without a living owner gets one."""
        context = self._context
        await self._relist()
        await self.restarts()
        adopted = 0
        after: Listed | None = None
        while page := await self._listing.running(after, PAGE):
            after = page[-1]
            if self._news.is_set():  # a death must not wait for the end of a long walk
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
                    if scores[workflow_id] + START_GRACE_MS < now:
                        await context.ownership.running_remove(workflow_id, scores[workflow_id])
                elif head.closed:
                    self._bookkeeping.finish(
                        workflow_id, head.owner, head.created_ms, head.closed_ms, scores[workflow_id]
                    )
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
        """Put what is hosted here into `running`, in case that list was lost."""
        hosted = [(w, c.created_ms) for w, c in self._hosted.coordinators.items() if c.created_ms and not c.dropped]
        for start in range(0, len(hosted), PAGE):
            await self._context.ownership.relist(self._context.status.node_id, dict(hosted[start : start + PAGE]))

    async def restarts(self) -> None:
        """List workflows that have begun again. One that has not begun within the grace period never will."""
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
                elif mark + START_GRACE_MS > now:
                    continue
                await context.ownership.restart_unmark(workflow_id, mark)

    async def _remind(self, owner: str, workflow_ids: list[str]) -> None:
        """Put workflows into the set of their living owner, which may not know of them."""
        knows = await self._context.ownership.owns(owner, workflow_ids)
        unknown = [w for w, known in zip(workflow_ids, knows, strict=True) if not known]
        if unknown:
            await self._context.ownership.own(owner, *unknown)

    async def escalations(self) -> None:
        """Remove questions from the list that are no longer open (their owner died before it removed them). Add ours."""
        for coordinator in [c for c in self._hosted.coordinators.values() if c.listed_questions]:
            self._escalations.list_again(coordinator)
        after: Listed | None = None
        while page := await self._listing.escalations(after, PAGE):
            after = page[-1]
            over = await self._listing.escalations_over(page)
            for row in (row for row, gone in zip(page, over, strict=True) if gone):
                await self._listing.escalation_forget(row)

    # ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def hand_over_all(self) -> int:
        """Give every workflow to another node that has its code. Returns how many stay until a later node adopts them."""
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
    """The time of the event loop: a change of the wall clock does not move it."""
    return asyncio.get_running_loop().time()


def in_turn(orphans: list[tuple[str, Head]]) -> list[list[tuple[str, Head]]]:
    """Which workflows to adopt together, and in which order.

    Those with the newest entries come first: a workflow that has waited for a week can wait two seconds more. A workflow
    that may have killed its last adopter comes last and alone: if it kills this node too, no other workflow that is being
    adopted is blamed for that.
    """
    safe = sorted((one for one in orphans if not one[1].unconfirmed_adoptions), key=_last_ms, reverse=True)
    suspected = [[one] for one in orphans if one[1].unconfirmed_adoptions]
    return [safe[start : start + AT_ONCE] for start in range(0, len(safe), AT_ONCE)] + suspected


def _last_ms(orphan: tuple[str, Head]) -> int:
    """When something last happened in it."""
    return int(orphan[1].last.partition(b"-")[0])
