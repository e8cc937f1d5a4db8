# SPDX-License-Identifier: Apache-2.0
"""A node: one process that hosts coordinators and serves the control plane. All nodes are alike, none is special.

This module puts the parts together (`_make_parts`) and runs them: the link and the etcd session, the registry's table, the
parts that host workflows, and the gRPC services on top. An id is one incarnation: when etcd reports that the lease is
gone, the node releases everything and continues under a new id. Other nodes adopt what the old id owned, as after a death.

    async with Node.open(mesh.workflows, config, serve=serve) as node:
        print(node.address)
        await stop.wait()
        await node.drain()
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, Self

from nervenet import telemetry
from nervenet.clock import SYSTEM, Clock, Entropy, new_id
from nervenet.durable import Machine
from nervenet.durable.declared import LANGUAGE
from nervenet.node.background import BackgroundTasks
from nervenet.node.context import NodeContext
from nervenet.node.gateway.gateway import Gateway
from nervenet.node.guards.replay_process import ReplayProcess
from nervenet.node.guards.watchdog import Watchdog
from nervenet.node.recovery.failure_detector import FailureDetector
from nervenet.node.recovery.reaper import Reaper
from nervenet.node.recovery.redis_recovery import RedisRecovery
from nervenet.node.recovery.remembered import RememberedWrites
from nervenet.node.recovery.sweeper import Sweeper
from nervenet.node.recovery.write_back import WriteBack
from nervenet.node.status import NodeStatus
from nervenet.node.tasks.attempts import Attempts
from nervenet.node.tasks.blame import Blame
from nervenet.node.tasks.dispatcher import Dispatcher
from nervenet.node.tasks.outlier_ejection import OutlierEjection
from nervenet.node.tasks.pending_monitor import PendingMonitor
from nervenet.node.timers import MeshClock, Timers
from nervenet.node.workflows.admission import Admission
from nervenet.node.workflows.bookkeeping import CloseBookkeeping
from nervenet.node.workflows.builtin import builtin
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
from nervenet.node.workflows.run_end import RunEnd
from nervenet.node.workflows.start import Starter
from nervenet.node.workflows.start_plan import StartPlanner
from nervenet.node.workflows.wakes import WakeReader, Wakes
from nervenet.redis_link.durability import check_strict
from nervenet.redis_link.faults import LinkError, UnfitServer
from nervenet.redis_link.opening import open_link
from nervenet.registry.codec import release_of
from nervenet.registry.etcd import Etcd, EtcdError
from nervenet.registry.session import Session
from nervenet.registry.table import How, Table, TableChange
from nervenet.registry.views import AgentView
from nervenet.streams.journal import JournalStore
from nervenet.streams.keys import Keys
from nervenet.streams.ownership import Ownership
from nervenet.streams.queues import Queues
from nervenet.streams.script import packaged_scripts
from nervenet.supervision import supervise
from nervenet.timing import NODE_LEASE, NODE_LEAVE_PATIENCE
from nervenet.wire import encode_node_record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

    from nervenet.config import Config
    from nervenet.definitions import Workflow
    from nervenet.node.served import Served
    from nervenet.node.workflows.load import LastLine
    from nervenet.records import Start
    from nervenet.redis_link.dial import ServerIdentity

_log = logging.getLogger(__name__)

WORTH_TELLING = 2
"""Failures in a row of one part, each within STABLE seconds of the one before, from which health says NOT_SERVING."""
BEYOND_REPAIR = 10
"""Failures in a row (about 20 s) of the wake reader or of the membership, after which the node ends itself."""


class Serve(Protocol):
    """Starts the services of a node; leaving the context stops them gracefully."""

    def __call__(self, node: Node, /) -> AbstractAsyncContextManager[Served]: ...


class Node:
    """See the module; made by `open`."""

    def __init__(
        self, context: NodeContext, etcd: Etcd, clock: Clock = SYSTEM, *, last_line: LastLine | None = None
    ) -> None:
        self.context = context
        self.status = context.status
        self.etcd = etcd
        self.on_failure: Callable[[Exception], None] | None = None
        """Who ends this node when a part of it fails; None: the process is the node's, and ends at once."""
        self._clock = clock
        self._make_parts(last_line)
        self._tasks: list[asyncio.Task[Any]] = []
        self._registered = False
        self._state = "STARTING"
        self.failing: set[str] = set()
        """The parts that keep failing; while there are any, health says NOT_SERVING."""

    def __repr__(self) -> str:
        return f"<Node {self.node_id} at {self.address}, {self._state}, {len(self.hosted.coordinators)} workflows>"

    def _make_parts(self, last_line: LastLine | None) -> None:
        """Each part gets what is below it. Where two need each other, the lower one gets a function of `Node` (see below)."""
        context = self.context
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
            look_at=self._look_at,
            last_line=last_line,
        )
        self.recovery = RedisRecovery(
            context,
            hosted,
            self.remembered,
            WriteBack(context, self.bookkeeping),
            self.dispatcher,
            self.stored_definitions,
            load=self.loader.load,
            look_at=self._look_at,
        )
        self.wakes = Wakes(
            context, hosted, load=self.loader.load, refused=self.dispatcher.refused, look_at=self._look_at
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
        )
        self.children = Children(context, self.starter, self.facts, self.admission, self.checks)
        self.monitor = PendingMonitor(
            context,
            hosted,
            self.dispatcher,
            self.attempts,
            self.outliers,
            self.blame,
            self.recovery,
            self.children.look_at,
        )
        self.run_end = RunEnd(
            context,
            hosted,
            self.escalations,
            self.bookkeeping,
            self.children,
            stop=self.dispatcher.tell_to_stop,
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
        self._effects = self._effects_of_coordinators()

        self.gateway = Gateway(context, self.wakes, self.etcd)
        self.failure_detector = FailureDetector(context, self.etcd)
        self._reaper = Reaper(context, self.handover)
        self._sweeper = Sweeper(
            context, hosted, self.placement, self.loader, self.handover, self.bookkeeping, self.escalations
        )

    def _effects_of_coordinators(self) -> Effects:
        return Effects(
            dispatch=self.attempts.dispatch,
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
        )

    # ── what parts need of parts that are made after them ────────────────────────────────────────────────────────────

    def _new_coordinator(
        self, workflow_id: str, definition: str, version: int, run: int, start: Start, /
    ) -> Coordinator:
        context = self.context
        workflow = context.definitions.get((definition, version))
        if start.runtime == LANGUAGE:
            workflow = self.stored_definitions.get(definition, version)
        assert workflow is not None  # the caller has asked `able` or `_has_code`
        machine = Machine(workflow, workflow_id, run, payload_limit=context.config.payload_limit)
        return Coordinator(context, self._effects, machine, start)

    def _look_at(self, coordinators: list[Coordinator]) -> Coroutine[Any, Any, None]:
        return self.monitor.look_at(coordinators)

    def _look_at_tasks_of(self, agent_id: str) -> Coroutine[Any, Any, None]:
        return self.monitor.agent_gone(agent_id, proven=False)

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def node_id(self) -> str:
        return self.status.node_id

    @property
    def address(self) -> str:
        return self.status.address

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        workflows: Mapping[tuple[str, int], Workflow[Any, Any]],
        config: Config,
        *,
        serve: Serve,
        clock: Clock = SYSTEM,
        entropy: Entropy = os.urandom,
        last_line: LastLine | None = None,
    ) -> AsyncIterator[Self]:
        """Connect, register, serve. `last_line`: see `Loader`. Raises LinkError, EtcdError or OSError in words when something is out of reach."""
        node_id = new_id("n", entropy)
        definitions = builtin() | dict(workflows)
        async with AsyncExitStack() as stack:
            link = await open_link(config.require("redis", "a node"), name=node_id, scripts=packaged_scripts())
            stack.push_async_callback(link.close)
            if config.durability == "strict":
                await check_strict(link)
            etcd = await stack.enter_async_context(Etcd.open(config.require("etcd", "a node"), clock=clock))
            session = await stack.enter_async_context(await Session.open(etcd, NODE_LEASE, clock=clock))
            table = await stack.enter_async_context(Table(etcd, config.namespace, clock=clock))
            mesh_clock = MeshClock(clock)
            await mesh_clock.learn(link)
            keys = Keys(config.namespace)
            timers = Timers(mesh_clock, asyncio.get_running_loop())
            stack.callback(timers.close)
            watchdog = stack.enter_context(Watchdog(clock))
            status = NodeStatus(node_id, session)
            background = BackgroundTasks(status)
            context = NodeContext(
                status=status,
                config=config,
                definitions=definitions,
                release=release_of(runtime()),
                link=link,
                keys=keys,
                journal=JournalStore(link, keys),
                queues=Queues(link, keys),
                ownership=Ownership(link, keys),
                table=table,
                clock=mesh_clock,
                timers=timers,
                watchdog=watchdog,
                replay_process=stack.enter_context(ReplayProcess(workflows.values())) if config.replay_check else None,
                entropy=entropy,
                telemetry=telemetry.current(),
                background=background,
                spawn=background.spawn,
            )
            node = cls(context, etcd, clock, last_line=last_line)
            stack.push_async_callback(lambda: status.session.close())  # the last one: it may have been replaced
            await stack.enter_async_context(node._running(serve))
            yield node

    @asynccontextmanager
    async def _running(self, serve: Serve) -> AsyncIterator[None]:
        context = self.context
        await context.queues.make_wake(self.node_id)
        async with serve(self) as served:
            self.status.served = served
            await self._introduce()
            await self._register("ACTIVE")
            stop_listening = context.table.on_change(self._registry_news)
            context.link.on_reconnect += (self._redis_came_back, self.gateway.redis_came_back)
            works = (
                self._wake_reader.run,
                self.monitor.run,
                self._sweeper.run,
                self._reaper.run,
                self.failure_detector.run,
                self._housekeeping,
                self._crowding,
                self.gateway.run,
            )
            self._tasks = [
                asyncio.create_task(self._supervised(work), name=f"{self.node_id} {work.__qualname__}")
                for work in works
            ]
            try:
                yield
            finally:
                stop_listening()
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks)
                for coordinator in tuple(self.hosted.coordinators.values()):
                    self.hosted.forget(coordinator)
                try:
                    async with asyncio.timeout(NODE_LEAVE_PATIENCE):
                        self.bookkeeping.flush()
                        await context.background.settle()
                except TimeoutError:  # Redis is away or slow: what was under way is found by another node's sweep
                    _log.warning("%s: leaves with work under way", self.node_id)

    # ── one policy for parts that fail ───────────────────────────────────────────────────────────────────────────────

    async def _supervised(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part for as long as the node lives: one that fails is repeated, and the node says NOT_SERVING meanwhile.

        Without its membership or its wake a node is worse than a dead one, whose workflows continue on other nodes. When one
        of these two fails BEYOND_REPAIR times in a row, the node ends.
        """
        name, failures = part.__qualname__, 0

        def changed(error: Exception | None) -> None:
            nonlocal failures
            failures = 0 if error is None else failures + 1
            if error is None:
                self.failing.discard(name)
            elif failures >= WORTH_TELLING:
                self.failing.add(name)
            if error is not None and part in (self._wake_reader.run, self._housekeeping) and failures >= BEYOND_REPAIR:
                self._end(name, error)

        await supervise(f"{self.node_id}: {name}", part, on_change=changed)

    def _end(self, name: str, error: Exception) -> None:
        _log.critical("%s: %s keeps failing; this node ends, others take its workflows", self.node_id, name)
        if self.on_failure is None:
            os._exit(70)
        self.on_failure(error)

    async def drain(self) -> None:
        """Take nothing new, give every workflow to another node. What nobody can take waits for a later one."""
        self.status.draining = True
        try:
            await self._register("DRAINING")
        except EtcdError as error:  # who gives us something meanwhile gives it to a dead node: the sweep finds it
            _log.warning("%s: leaves without a word to the registry: %s", self.node_id, error)
        with suppress(TimeoutError):
            async with asyncio.timeout(NODE_LEAVE_PATIENCE):
                await self.loader.idle()
        stayed, _ = await asyncio.gather(self._sweeper.hand_over_all(), self.gateway.drain())
        if stayed:
            _log.warning("%s: %d workflows wait for a node that has their code", self.node_id, stayed)

    # ── who I am ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _register(self, state: str) -> None:
        self._state = state
        context, admission = self.context, self.admission
        record = encode_node_record(
            self.node_id,
            self.address,
            self.checks.published(),
            state=state,
            max_workflows=context.config.max_workflows,
            owned=admission.owned,
            full=admission.full,
            now_ms=context.clock.now_ms(),
            runtime=runtime(),
            pid=os.getpid(),
        )
        await self.status.session.put(context.table.layout.node(self.node_id), record)
        self._registered = True

    async def _introduce(self) -> None:
        served = self.status.served
        if served is not None and served.contact is not None:
            await served.contact.introduce(self.node_id)

    async def _housekeeping(self) -> None:
        """What is checked once a lease: the clock, the wake, the lease itself."""
        context, status = self.context, self.status
        while True:
            try:
                async with asyncio.timeout(NODE_LEASE):
                    await status.session.lost.wait()
            except TimeoutError:
                pass
            try:
                if status.session.lost.is_set():
                    await self._reincarnate()
                if not self._registered:
                    await self._register(self._state)
                await context.clock.learn(context.link)
                await self._must_be_strict()
                if status.alive:
                    await self.recovery.keep_wake()
            except (LinkError, EtcdError) as error:
                _log.warning("%s: %s", self.node_id, error)
                await asyncio.sleep(0.2)

    async def _crowding(self) -> None:
        """Tell the registry when this node is full and when it has room again, so that starts go to nodes with room."""
        told = False
        while True:
            await asyncio.sleep(1)
            admission = self.admission
            if admission.full == told or (told and admission.owned > self.context.config.max_workflows * 0.95):
                continue
            try:
                await self._register(self._state)
                told = not told
            except EtcdError as error:
                _log.debug("%s: %s", self.node_id, error)

    async def _reincarnate(self) -> None:
        """The lease is gone: others adopt what this id owned, and this node continues under a new id."""
        status = self.status
        old = status.node_id
        self._let_go()
        new = new_id("n", self.context.entropy)
        await self.context.queues.make_wake(new)
        session = await Session.open(self.etcd, NODE_LEASE, clock=self._clock)
        ended, status.session, self._registered, status.node_id = status.session, session, False, new
        self._let_go()  # what was begun meanwhile belongs to the old id as well
        _log.warning("%s lost its lease and comes back as %s", old, new)
        await self._introduce()
        await ended.abandon()
        self._sweeper.node_gone(old)
        self._nodes_changed()
        self.failure_detector.registry_news(new, node=True, removed=False)
        self._wake_reader.id_changed()

    def _let_go(self) -> None:
        for coordinator in tuple(self.hosted.coordinators.values()):
            self.hosted.forget(coordinator)

    def _nodes_changed(self) -> None:
        """Ask again who can run what."""
        self.placement.nodes_changed()
        self.checks.nodes_changed()

    def _registry_news(self, news: TableChange) -> None:
        self.failure_detector.registry_news(news.id, node=news.kind == "nodes", removed=news.how.removed)
        if news.kind == "nodes":
            self._nodes_changed()
        elif news.kind == "agents":
            self.checks.agents_changed()
            self.gateway.registry_news(news)
            if isinstance(news.new, AgentView) and news.new.away:
                self.context.spawn(self.monitor.agent_gone(news.id, proven=False))
        if not news.how.removed:
            return
        self.blame.process_gone(news)
        if news.kind == "nodes" and news.id != self.node_id:
            _log.info("node %s is gone (%s)", news.id, news.how)
            self._sweeper.node_gone(news.id)
            self.context.spawn(self.monitor.agent_gone(news.id, proven=news.how is How.TOMBSTONED))
        elif news.kind == "agents":
            self.outliers.gone(news.id)
            self.context.spawn(self.monitor.agent_gone(news.id, proven=news.how is How.TOMBSTONED))

    async def _must_be_strict(self) -> None:
        if self.context.config.durability == "strict":
            try:
                await check_strict(self.context.link)
            except UnfitServer as error:
                _log.critical("%s: %s", self.node_id, error)
                os._exit(70)  # nothing may be acknowledged that a crash could still take back

    async def _redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """Another server, or the same one restarted: what was in its memory may be gone. Compare everything."""
        await self.recovery.came_back()  # first of all: until it has begun, news may be taken that it would refuse
        await self._must_be_strict()
        await self._sweeper.own_set()


def runtime() -> str:
    """What this process runs on, for people, and for nodes of another release: `python 3.11.7, nervenet 0.2.0`."""
    return f"python {platform.python_version()}, nervenet {version('nervenet')}"
