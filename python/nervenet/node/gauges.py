# SPDX-License-Identifier: Apache-2.0
"""What is measured by looking: open workflows by state, questions, queues, agents, limits.

Plain numbers are read when somebody asks, perhaps in another thread. What takes a walk over all workflows, asks Redis, or
is not a plain number, is looked at in the background every few seconds, and only while somebody exports the metrics. A look
costs at most a hundredth of the time, whatever a node hosts: the pause before the next one grows with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM
from nervenet.metrics import catalog
from nervenet.records import State
from nervenet.redis_link.faults import LinkError
from nervenet.streams.archive import ArchiveList
from nervenet.streams.backlog import Backlog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.gateway import Gateway
    from nervenet.node.recovery.remembered import RememberedWrites
    from nervenet.node.tasks.dispatcher import Dispatcher
    from nervenet.node.tasks.outlier_ejection import OutlierEjection
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.escalations import Escalations
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.unloaded import UnloadedWorkflow

_log = logging.getLogger(__name__)

LOOK_EVERY: Final = 2.0
COST_SHARE: Final = 0.01
"""The part of the time that looking may take."""
AT_A_TIME: Final = 500
"""Workflows that are looked at without a pause."""
MOST_CAPABILITIES: Final = 500
Values = dict[tuple[str, ...], float]


class NodeGauges:
    """One for each node."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        admission: Admission,
        dispatcher: Dispatcher,
        outliers: OutlierEjection,
        remembered: RememberedWrites,
        escalations: Escalations,
        gateway: Gateway,
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._admission = admission
        self._dispatcher = dispatcher
        self._escalations = escalations
        self._backlog = Backlog(context.link, context.keys, context.queues)
        self._open: Values = {}
        self._questions: Values = {}
        self._oldest_question = 0.0
        self._depth: Values = {}
        self._age: Values = {}
        self._agents: Values = {}
        self._serving: Values = {}
        self._slots: Values = {}
        self._memory: Values = {}
        self._full = 0.0
        self._archive_list = ArchiveList(context.link, context.keys) if context.config.archive else None
        self._archive_waiting = 0
        self._archive_age = 0.0
        registry, config = context.metrics.registry, context.config
        registry.read(catalog.WORKFLOWS_OPEN, lambda: self._open)
        registry.read(catalog.WORKFLOWS_HOSTED, self._hosted_now)
        registry.read(catalog.ESCALATIONS_OPEN, lambda: self._questions)
        registry.read(catalog.ESCALATION_AGE, lambda: self._oldest_question)
        registry.read(catalog.QUEUE_DEPTH, lambda: self._depth)
        registry.read(catalog.QUEUE_AGE, lambda: self._age)
        registry.read(catalog.AGENTS, lambda: self._agents)
        registry.read(catalog.SERVING, lambda: self._serving)
        registry.read(catalog.MESH_SLOTS, lambda: self._slots)
        registry.read(catalog.NODES, self._nodes)
        registry.read(catalog.NODE_FULL, lambda: self._full)
        registry.read(catalog.NODE_LIMIT, lambda: config.max_workflows)
        registry.read(catalog.NODE_MEMORY, lambda: self._memory)
        registry.read(catalog.LEASE_LEFT, lambda: context.status.session.remaining)
        registry.read(catalog.EJECTED, lambda: outliers.count)
        registry.read(catalog.JOURNAL_HELD, lambda: remembered.size)
        registry.read(catalog.GATEWAY_AGENTS, lambda: len(gateway.agents))
        if self._archive_list is not None:
            registry.read(catalog.ARCHIVE_WAITING, lambda: self._archive_waiting)
            registry.read(catalog.ARCHIVE_AGE, lambda: self._archive_age)

    async def run(self) -> None:
        """For as long as the node lives."""
        while True:
            took = 0.0
            if self._context.metrics.registry.exported:
                began = SYSTEM.monotonic()
                await self.look()
                took = SYSTEM.monotonic() - began
            await asyncio.sleep(max(LOOK_EVERY, took / COST_SHARE))

    async def look(self) -> None:
        """Look at everything once."""
        memory = self._admission.memory  # not read when somebody asks: that may be another thread
        self._memory = {("used",): memory.used, ("limit",): memory.limit}
        self._full = float(self._admission.full)
        await self._look_at_workflows()
        self._look_at_agents()
        try:
            await self._look_at_queues()
            if self._archive_list is not None:
                self._archive_waiting, oldest_ms = await self._archive_list.backlog()
                self._archive_age = max(0, self._context.clock.now_ms() - oldest_ms) / 1000 if oldest_ms else 0.0
        except LinkError as error:
            self._depth, self._age = {}, {}
            _log.debug("%s: no look at the queues: %s", self._context.status.node_id, error)

    # ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look_at_workflows(self) -> None:
        coordinators = list(self._hosted.coordinators.values())
        states: Counter[tuple[str, ...]] = Counter()
        questions: Counter[tuple[str, ...]] = Counter()
        oldest = self._context.clock.now_ms()
        for start in range(0, len(coordinators), AT_A_TIME):
            for coordinator in coordinators[start : start + AT_A_TIME]:
                states[coordinator.machine.workflow.name, state_of(coordinator)] += 1
                oldest = min(oldest, self._count_questions(coordinator, questions))
            await asyncio.sleep(0)
        unloaded = self._hosted.unloaded
        for (definition, state), count in unloaded.states.items():
            states[definition, "parked" if state is State.RUNNING else state.lower()] += count
        asking = unloaded.asking
        for start in range(0, len(asking), AT_A_TIME):
            for one in asking[start : start + AT_A_TIME]:
                oldest = min(oldest, self._count_questions(one, questions))
            await asyncio.sleep(0)
        now = self._context.clock.now_ms()
        self._open, self._questions = _kept(self._open, states), _kept(self._questions, questions)
        self._oldest_question = max(0, now - oldest) / 1000 if questions else 0.0

    def _count_questions(self, one: Coordinator | UnloadedWorkflow, questions: Counter[tuple[str, ...]]) -> int:
        """Count the open questions of a workflow by their source. Returns when the first of them was asked."""
        first = self._context.clock.now_ms()
        for step, number in one.listed_questions:
            asked = self._escalations.open.get((one.workflow_id, step, number))
            if asked is not None:
                questions[(asked.source,)] += 1
                first = min(first, asked.asked_ms)
        return first

    def _hosted_now(self) -> Values:
        return {("loaded",): len(self._hosted.coordinators), ("unloaded",): len(self._hosted.unloaded)}

    # ── the registry ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _nodes(self) -> Mapping[tuple[str, ...], float]:
        return Counter((node.state.lower(),) for node in tuple(self._context.table.nodes.values()))

    def _look_at_agents(self) -> None:
        table = self._context.table
        agents = tuple(table.agents.values())
        serving: Counter[tuple[str, ...]] = Counter()
        states: Counter[tuple[str, ...]] = Counter()
        for agent in agents:
            states[(agent.state.lower(),)] += 1
            if agent.state == "ACTIVE":
                serving.update((name,) for name in agent.capabilities)
        self._agents = _kept(self._agents, states)
        self._serving = _kept(self._serving, serving)
        loads = [load for agent in agents if (load := table.loads.get(agent.id)) is not None]
        used = sum(load.active + load.queued for load in loads)
        self._slots = {("total",): sum(agent.slots for agent in agents), ("used",): used}

    # ── queues ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look_at_queues(self) -> None:
        names = {name for agent in self._context.table.agents.values() for name in agent.capabilities}
        names |= self._dispatcher.queued_capabilities()
        depth: Values = {}
        age: Values = {}
        now = self._context.clock.now_ms()
        for name, waiting in (await self._backlog.of(sorted(names)[:MOST_CAPABILITIES])).items():
            depth[(name,)] = waiting.tasks
            age[(name,)] = max(0, now - waiting.oldest_ms) / 1000 if waiting.tasks else 0.0
            if waiting.tasks:
                self._serving.setdefault((name,), 0)
        self._depth, self._age = depth, age


def state_of(coordinator: Coordinator) -> str:
    """Its state in small letters; `parked` if it runs and waits for nothing that could go wrong meanwhile."""
    state = coordinator.machine.state
    if state is State.RUNNING and not coordinator.busy:
        return "parked"
    return state.lower()


def _kept(before: Values, now: Mapping[tuple[str, ...], float]) -> Values:
    """What there is now, and 0 for what there was: a value that is gone without a last 0 looks as if it had not changed."""
    kept: Values = dict.fromkeys(before, 0.0) if len(before) <= MOST_CAPABILITIES else {}
    return {**kept, **now}
