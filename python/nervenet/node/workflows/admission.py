# SPDX-License-Identifier: Apache-2.0
"""Limits: the workflows of this node and their memory, the tasks in a queue, the signals in a journal.

What happens at a limit: a start or a single task is refused with `Overloaded`, a task of a workflow waits until its queue
has room, and a journal that is too long ends its run as a timeout does, with time to clean up. Limits are approximate: the
length of a queue is read once a second, and the load of other nodes is what their records report.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from nervenet.errors import Overloaded
from nervenet.node.guards.memory import Memory
from nervenet.node.workflows.journal_limit import SIGNALS
from nervenet.timing import QUEUE_LENGTH_FRESH_MS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from typing import Any

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.registry.selection import Requirement

_log = logging.getLogger(__name__)

MOST_LOOKED: Final = 10_000
"""Limit of remembered queue lengths: workflows choose the labels, so there can be any number of queues."""


class Planned:
    """The starts of one call that this node will own."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.count = 0

    def add(self, cost: int) -> None:
        """One more, which needs `cost` bytes."""
        self.count += 1
        self._admission.planned += 1
        self._admission.memory.promise(cost)


class Admission:
    """One for each node."""

    def __init__(self, context: NodeContext, hosted: HostedWorkflows) -> None:
        self._context = context
        self._hosted = hosted
        self._looked: dict[Requirement, int] = {}
        self._long: dict[Requirement, int] = {}
        self.planned = 0  # starts under way that this node will own
        self.memory = Memory(context.config.max_memory, processes=context.config.processes)
        self._told_short = False

    # ── workflows of a node ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def owned(self) -> int:
        return len(self._hosted) + self.planned

    @property
    def full(self) -> bool:
        return self.owned >= self._context.config.max_workflows or self.memory.short

    def may_adopt(self) -> bool:
        """Whether there is memory for another one's workflow, which costs what those here cost on average."""
        fits = not self.memory.short and self.memory.fits(self.memory.used // max(1, self.owned))
        if not fits and not self._told_short:
            _log.warning(
                "%s: %d of %d MiB are used (NERVENET_MAX_MEMORY): workflows of nodes that are gone are left to others",
                self._context.status.node_id,
                self.memory.used >> 20,
                self.memory.limit >> 20,
            )
        self._told_short = not fits
        return fits

    @contextmanager
    def planning(self) -> Iterator[Planned]:
        """Starts are under way: each that is added counts as owned until this ends, however it ends."""
        planned = Planned(self)
        try:
            yield planned
        finally:
            self.planned -= planned.count

    def with_room(self, nodes: list[str]) -> list[str]:
        """Those of other nodes that have room for one more, as far as the registry knows."""
        views = self._context.table.nodes
        return [
            n for n in nodes if n != self._context.status.node_id and (v := views.get(n)) is not None and not v.full
        ]

    # ── tasks in a queue ─────────────────────────────────────────────────────────────────────────────────────────────

    def queue_full(self, requirement: Requirement) -> bool:
        """Whether that queue holds as much as it may. Asking also has its length looked at, once a second."""
        now = self._context.clock.now_ms()
        if now - self._looked.get(requirement, 0) >= QUEUE_LENGTH_FRESH_MS:
            self._looked.pop(requirement, None)  # so that the one that was looked at longest ago stands first
            self._looked[requirement] = now
            if len(self._looked) > MOST_LOOKED:
                oldest = next(iter(self._looked))
                del self._looked[oldest]
                self._long.pop(oldest, None)
            stream = self._context.keys.queue(requirement.capability, requirement.hash)
            self._context.link.send("XLEN", stream).add_done_callback(lambda reply: self._learn(requirement, reply))
        return requirement in self._long

    def _learn(self, requirement: Requirement, reply: asyncio.Future[Any]) -> None:
        if reply.cancelled() or reply.exception() is not None:
            return
        length, limit = reply.result(), self._context.config.max_queued
        if length < limit:
            self._long.pop(requirement, None)
            return
        if requirement not in self._long:
            _log.warning(
                "%d tasks wait for %r, the limit is %d (NERVENET_MAX_QUEUED)", length, requirement.capability, limit
            )
        self._long[requirement] = length

    def check_queue(self, requirement: Requirement) -> None:
        """For a task that nobody started a workflow for. Raises Overloaded."""
        if self.queue_full(requirement):
            raise Overloaded(
                f"{self._long[requirement]} tasks wait for {requirement.capability!r}, the limit is "
                f"{self._context.config.max_queued} (NERVENET_MAX_QUEUED): come again when its agents have caught up, or start more of them",
                code="RESOURCE_EXHAUSTED",
                reason="QUEUE_FULL",
                metadata={"capability": requirement.capability},
            )

    # ── entries in a journal ─────────────────────────────────────────────────────────────────────────────────────────

    async def check_signal(self, workflow_id: str) -> None:
        """Raises Overloaded where signals alone would fill the journal up."""
        limit = int(self._context.config.journal_limit * SIGNALS)
        coordinator = self._hosted.get(workflow_id)
        if coordinator is not None:
            entries = coordinator.machine.entries
        else:
            entries = await self._context.link.call("XLEN", self._context.keys.journal(workflow_id))
        if entries >= limit:
            raise Overloaded(
                f"the journal of {workflow_id} has {entries} entries and takes no more signals until the workflow "
                "begins a fresh one (ctx.continue_as_new)",
                code="RESOURCE_EXHAUSTED",
                reason="JOURNAL_FULL",
                metadata={"workflow_id": workflow_id},
            )
