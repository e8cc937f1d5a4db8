# SPDX-License-Identifier: Apache-2.0
"""Keeps the promise that every accepted workflow has an owner that knows of it.

Three walks. Each acts on what Redis and the registry say at that moment, and any node can repeat each of them at any
time without harm:

- *own set*, once per lease: load the workflows that are in this node's set and not hosted, and remove those that belong to
  another node;
- *dead nodes*: rendezvous hashing splits the owned sets of nodes that are gone among the nodes that have the code. A dead
  node's set is looked at for a while, also when it is empty: a node that has not noticed the death may still start
  workflows there;
- *running*, once a minute and at start: the truth behind the sets. Owner gone: adopt. Owner alive, but the id is not in its
  set: add it. Closed: finish the bookkeeping. Old and without a head: remove it. This walk, and each death, also covers the
  closed workflows that a process was restarting: it may have died before the next run was listed anywhere.

`sweep_plan.py` decides what is done with the ids of one page. A node adopts nothing while its own session is not alive:
when etcd is out of reach, its table shows the past.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from nervenet.node.recovery.sweep_plan import (
    HeadlessIds,
    Restart,
    in_turn,
    judge_restart,
    sort_dead_set,
    sort_own_set,
    sort_running,
)
from nervenet.redis_link.faults import LinkError
from nervenet.registry.rendezvous import rendezvous
from nervenet.streams.listing import Listed, Listing
from nervenet.timing import DEAD_NODE_REMEMBERED, HEIR_WINDOW, SWEEP_OWNED_EVERY, SWEEP_RUNNING_EVERY

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
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.streams.heads import Head

_log = logging.getLogger(__name__)

PAGE = 500
FIELDS = (
    "owner", "state", "definition", "version", "runtime", "created_ms", "closed_ms", "last", "adoptions", "adopted_at",
    "retention_ms",
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
        self._headless = HeadlessIds()
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
        unlisted = [one.workflow_id for one in self._hosted.all() if one.workflow_id not in listed and not one.dropped]
        if unlisted and context.status.node_id == node_id:
            await context.ownership.own(node_id, *unlisted)

    async def _load_mine(self, workflow_ids: list[str]) -> None:
        """Load those whose head names this node. Remove ids of other nodes, and ids without a head after the grace period."""
        heads = await self._context.journal.heads(workflow_ids, ("owner", "state"))
        me = self._context.status.node_id
        plan = sort_own_set(heads, me)
        headless = [w for w in plan.headless if not self._hosted.here(w)]
        needless = [w for w in plan.anothers if not self._hosted.here(w)]
        needless += self._headless.never_started(headless, _now())
        if needless:  # sent in the same turn in which nothing of it was here: a load that begins now lists it behind us
            await self._handover.disown(me, *needless)
        await asyncio.gather(*(self._load(w) for w in plan.mine))

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
        context, is_empty = self._context, True

        def is_ours(workflow_id: str, head: Head) -> bool:
            return self._is_mine(workflow_id, head) or (anybody and self._has_code(head))

        async for page in context.ownership.owned(dead):
            plan = sort_dead_set(await context.journal.heads(page, FIELDS), dead, is_ours)
            for workflow_id, head in plan.closed:
                self._bookkeeping.finish_by_head(workflow_id, head, owner=dead)
            orphans += plan.orphans
            if plan.anothers:
                await self._handover.disown(dead, *plan.anothers)
            is_empty = is_empty and len(plan.anothers) == len(page)
        return is_empty

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
                if self._hosted.find(row.member) is None and math.isfinite(row.score)
            }
            heads = await context.journal.heads(list(scores), FIELDS)
            plan = sort_running(heads, scores, context.clock.now_ms(), self._lives)
            for workflow_id in plan.never_started:
                await context.ownership.running_remove(workflow_id, scores[workflow_id])
            for workflow_id, head in plan.closed:
                self._bookkeeping.finish_by_head(workflow_id, head, score=scores[workflow_id])
            for _, head in plan.orphans:  # its owner may have died before this node came: look sooner than in a minute
                self._dead.setdefault(head.owner, _now())
            for part in in_turn([orphan for orphan in plan.orphans if self._is_mine(*orphan)]):
                adopted += await self._adopt(part)
            for owner, owned in plan.by_owner.items():
                await self._remind(owner, owned)
        if adopted:
            _log.info("%s: the sweep adopted %d workflows", context.status.node_id, adopted)

    def _lives(self, node_id: str) -> bool:
        return node_id == self._context.status.node_id or self._context.table.lives(node_id)

    async def _relist(self) -> None:
        """Put what is hosted here into `running`, in case that list was lost."""
        hosted = [(one.workflow_id, one.created_ms) for one in self._hosted.all() if one.created_ms and not one.dropped]
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
                restart = judge_restart(head, mark, now)
                if restart is Restart.BEGUN and head is not None:
                    await context.ownership.reopen(workflow_id, mark)
                    await context.ownership.own(head.owner, workflow_id)
                if restart is not Restart.UNDER_WAY:
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
        for unloaded in self._hosted.unloaded.asking:
            self._escalations.list_unloaded_again(unloaded)
        after: Listed | None = None
        while page := await self._listing.escalations(after, PAGE):
            after = page[-1]
            over = await self._listing.escalations_over(page)
            for row in (row for row, gone in zip(page, over, strict=True) if gone):
                await self._listing.escalation_forget(row)

    # ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def hand_over_all(self) -> int:
        """Give every workflow to another node that has its code. Returns how many stay until a later node adopts them."""
        hosted = self._hosted.all()
        stayed = 0
        for start in range(0, len(hosted), PAGE):
            page = hosted[start : start + PAGE]
            moved = await asyncio.gather(*(self._hand_over(one) for one in page))
            stayed += moved.count(False)
        return stayed

    async def _hand_over(self, one: Coordinator | UnloadedWorkflow) -> bool:
        able = self._placement.able(one.workflow.name, one.workflow.version, one.workflow.runtime)
        target = rendezvous(one.workflow_id, able)
        return target is not None and await self._handover.hand_over(one, target)


def _now() -> float:
    """The time of the event loop: a change of the wall clock does not move it."""
    return asyncio.get_running_loop().time()
