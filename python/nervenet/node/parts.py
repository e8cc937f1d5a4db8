# SPDX-License-Identifier: Apache-2.0
"""The parts of a node, put together: each gets the context and the parts below it in its constructor.

Where two parts need each other, the one that is made first gets a method of this class, which looks up the other when it
is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nervenet.durable import Machine
from nervenet.durable.declared import LANGUAGE
from nervenet.node.gateway.gateway import Gateway
from nervenet.node.gauges import NodeGauges
from nervenet.node.recovery.durability_watch import DurabilityWatch
from nervenet.node.recovery.failure_detector import FailureDetector
from nervenet.node.recovery.reaper import Reaper
from nervenet.node.recovery.redis_recovery import RedisRecovery
from nervenet.node.recovery.remembered import RememberedWrites
from nervenet.node.recovery.sweeper import Sweeper
from nervenet.node.recovery.write_back import WriteBack
from nervenet.node.tasks.attempts import Attempts
from nervenet.node.tasks.blame import Blame
from nervenet.node.tasks.dispatcher import Dispatcher
from nervenet.node.tasks.outlier_ejection import OutlierEjection
from nervenet.node.tasks.pending_monitor import PendingMonitor
from nervenet.node.workflows.admission import Admission
from nervenet.node.workflows.bookkeeping import CloseBookkeeping
from nervenet.node.workflows.checks import Checks
from nervenet.node.workflows.children import Children
from nervenet.node.workflows.continue_as_new import ContinueAsNew
from nervenet.node.workflows.coordinator import Coordinator, Effects
from nervenet.node.workflows.definitions import StoredDefinitions
from nervenet.node.workflows.escalations import Escalations
from nervenet.node.workflows.facts import Facts
from nervenet.node.workflows.handover import Handover
from nervenet.node.workflows.hosted import HostedWorkflows
from nervenet.node.workflows.load import Loader
from nervenet.node.workflows.placement import Placement
from nervenet.node.workflows.repair import Repair
from nervenet.node.workflows.run_end import RunEnd
from nervenet.node.workflows.start import Starter
from nervenet.node.workflows.start_plan import StartPlanner
from nervenet.node.workflows.unloading import Unloader
from nervenet.node.workflows.wakes import WakeReader, Wakes
from nervenet.registry.leases import AgentLeases

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.load import LastLine
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.records import Start
    from nervenet.registry.etcd import Etcd


class NodeParts:
    """See the module. `Node` brings them to life. `last_line`: see `Loader`."""

    def __init__(self, context: NodeContext, etcd: Etcd, last_line: LastLine | None) -> None:
        self.context = context
        self.etcd = etcd
        hosted = self.hosted = HostedWorkflows(context)
        self.placement = Placement(context)
        self.bookkeeping = CloseBookkeeping(context)
        self.handover = Handover(context, hosted)
        self.admission = Admission(context, hosted)
        self.stored_definitions = StoredDefinitions(context, self.placement)
        self.checks = Checks(context, hosted)

        self.outliers = OutlierEjection(context, self._look_at_tasks_of)
        self.blame = Blame(context, hosted)
        self.dispatcher = Dispatcher(context, self.blame, self.admission)
        self.attempts = Attempts(context, self.dispatcher)
        self.remembered = RememberedWrites(context.clock, hosted)
        self.durability = DurabilityWatch(context, self.remembered)
        self.loader = Loader(
            context,
            hosted,
            self.placement,
            self.stored_definitions,
            self.admission,
            self.handover,
            self.bookkeeping,
            new_coordinator=self._new_coordinator,
            ready=self.remembered.written_back,
            losses=lambda: self.remembered.losses,
            lost=self._lost_while_unloaded,
            look_at=self._look_at,
            last_line=last_line,
        )
        self.unloader = Unloader(context, hosted, self.loader.load)
        self.recovery = RedisRecovery(
            context,
            hosted,
            self.remembered,
            WriteBack(context, self.bookkeeping),
            self.dispatcher,
            self.stored_definitions,
            load=self.loader.load,
            load_soon=self.unloader.load_soon,
            look_at=self._look_at,
            record_again=lambda *fact: self.facts.record_again(*fact),
        )
        self.wakes = Wakes(
            context, hosted, load_soon=self.unloader.load_soon, refused=self.dispatcher.refused, look_at=self._look_at
        )
        self._wake_reader = WakeReader(context, self.wakes)
        self.facts = Facts(context, self.wakes, self.remembered.remember)
        self.escalations = Escalations(context, self.wakes, self.remembered.remember)
        self.starter = Starter(
            context,
            hosted,
            StartPlanner(context, self.placement, self.stored_definitions, self.admission, self.checks),
            self.stored_definitions,
            self.admission,
            self.bookkeeping,
            load=self.loader.load,
            new_coordinator=self._new_coordinator,
            remember=self.remembered.remember,
            losses=lambda: self.remembered.losses,
        )
        self.repair = Repair(context, hosted, self.starter, self.facts, self.loader.load)
        self.children = Children(context, self.starter, self.facts, self.admission, self.checks)
        self.monitor = PendingMonitor(
            context,
            hosted,
            self.dispatcher,
            self.attempts,
            self.outliers,
            self.blame,
            self.recovery,
            self.recovery.unloaded,
            self.unloader,
            self.children.look_at,
        )
        self.run_end = RunEnd(
            context,
            hosted,
            self.escalations,
            self.bookkeeping,
            self.children,
            recall=self.dispatcher.recall,
            remember=self.remembered.remember_closed,
        )
        self.continue_as_new = ContinueAsNew(
            context,
            hosted,
            self.placement,
            self.children,
            self.run_end,
            self.handover,
            new_coordinator=self._new_coordinator,
            reload=self.recovery.reload,
        )
        self._effects = Effects(
            dispatch=self.attempts.dispatch,
            follow=self.attempts.follow,
            withdraw=self.attempts.withdraw,
            release_agent=self.dispatcher.release,
            attempt_ended=self.outliers.attempt_ended,
            question_entry=self.escalations.question_entry,
            expire_at=self.escalations.expire_at,
            relist_questions=self.escalations.relist_questions,
            carry_out=self.children.carry_out,
            cancel_children=self.children.cancel_all,
            continue_run=self.continue_as_new.continue_run,
            weigh_entry=self.remembered.add_bytes,
            forget_entries=self.remembered.forget_entries,
            reload=self.recovery.reload,
            suspect=self.recovery.suspect,
            mend=self.recovery.mend,
            forget=self.hosted.forget,
            closed=self.run_end.closed,
            blocked=hosted.blocked,
        )

        self.leases = AgentLeases(etcd, context.table.layout)
        self.gateway = Gateway(context, self.wakes, etcd, self.leases)
        self._gauges = NodeGauges(
            context,
            hosted,
            self.admission,
            self.dispatcher,
            self.outliers,
            self.remembered,
            self.escalations,
            self.gateway,
        )
        self.failure_detector = FailureDetector(context, self.etcd)
        self._reaper = Reaper(context, self.handover)
        self._sweeper = Sweeper(
            context, hosted, self.placement, self.loader, self.handover, self.bookkeeping, self.escalations
        )

    # ── what parts need of parts that are made after them ────────────────────────────────────────────────────────────

    def _new_coordinator(
        self,
        workflow_id: str,
        definition: str,
        version: int,
        run: int,
        start: Start,
        /,
        *,
        applied: int = 0,
        req: bytes = b"",
    ) -> Coordinator:
        context = self.context
        workflow = context.definitions.get((definition, version))
        if start.runtime == LANGUAGE:
            workflow = self.stored_definitions.get(definition, version)
        assert workflow is not None  # the caller has asked `able` or `_has_code`
        machine = Machine(workflow, workflow_id, run, payload_limit=context.config.payload_limit, codecs=context.codecs)
        return Coordinator(context, self._effects, machine, start, applied, req)

    def _look_at(self, coordinators: list[Coordinator]) -> Coroutine[Any, Any, None]:
        return self.monitor.look_at(coordinators)

    def _lost_while_unloaded(self, unloaded: UnloadedWorkflow, exists: bool) -> None:
        if exists:
            self.recovery.unloaded.reload(unloaded, "its journal does not continue what was folded here")
        else:
            self.recovery.suspect(unloaded)

    def _look_at_tasks_of(self, agent_id: str) -> Coroutine[Any, Any, None]:
        return self.monitor.agent_gone(agent_id, proven=False)
