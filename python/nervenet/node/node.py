# SPDX-License-Identifier: Apache-2.0
"""A node: one process that hosts coordinators and serves the control plane. All nodes are alike, none is special.

`NodeParts` puts the parts together. This module brings them to life: it connects to Redis and etcd, runs the parts that
never end, tells each what the registry reports, and leaves. `NodeRegistration` keeps the node a member.

    async with Node.open(mesh.workflows, config, serve=serve) as node:
        print(node.address)
        await stop.wait()
        await node.drain()
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, Self

from nervenet import telemetry
from nervenet.archive.reader import ArchiveReader
from nervenet.blobs import open_blobs
from nervenet.clock import SYSTEM, Clock, Entropy, new_id
from nervenet.metrics import Registry, catalog
from nervenet.node.archiving.archiver import Archiver
from nervenet.node.background import BackgroundTasks
from nervenet.node.context import NodeContext
from nervenet.node.metrics import NodeMetrics
from nervenet.node.parts import NodeParts
from nervenet.node.process_parts import ProcessParts
from nervenet.node.recovery.blob_sweep import BlobSweep
from nervenet.node.registration import NodeRegistration, runtime
from nervenet.node.status import NodeStatus
from nervenet.node.timers import Timers
from nervenet.objects import open_sink
from nervenet.redis_link.durability import check_strict
from nervenet.redis_link.faults import LinkError, UnfitServer
from nervenet.registry.codec import release_of
from nervenet.registry.etcd import EtcdError
from nervenet.registry.session import Session
from nervenet.registry.table import ChangeKind, Table, TableChange
from nervenet.registry.views import AgentView
from nervenet.streams.journal import JournalStore
from nervenet.streams.keys import Keys
from nervenet.streams.ownership import Ownership
from nervenet.streams.queues import Queues
from nervenet.supervision import supervise
from nervenet.telemetry.log_fields import bind_fields, bound_fields
from nervenet.timing import NODE_LEASE, NODE_LEAVE_PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

    from nervenet.config import Config
    from nervenet.definitions import Workflow
    from nervenet.node.served import Served
    from nervenet.node.workflows.load import LastLine
    from nervenet.objects import Sink
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.registry.etcd import Etcd

_log = logging.getLogger(__name__)

WORTH_TELLING = 2
"""Failures in a row of one part, each within STABLE seconds of the one before, from which health says NOT_SERVING."""
BEYOND_REPAIR = 10
"""Failures in a row (about 20 s) of the wake reader or of the membership, after which the node ends itself."""


class Serve(Protocol):
    """Starts the services of a node; leaving the context stops them gracefully."""

    def __call__(self, node: Node, /) -> AbstractAsyncContextManager[Served]: ...


class Node(NodeParts):
    """See the module; made by `open`."""

    def __init__(
        self,
        context: NodeContext,
        etcd: Etcd,
        clock: Clock = SYSTEM,
        *,
        last_line: LastLine | None = None,
        on_failure: Callable[[str, Exception], None] | None = None,
        sink: Sink | None = None,
    ) -> None:
        super().__init__(context, etcd, last_line)
        self._archiver = None if sink is None else Archiver(context, sink)
        self.status = context.status
        self._on_failure = on_failure
        self.registration = NodeRegistration(
            context, etcd, clock, self.hosted, self.admission, self.checks, self._id_changed
        )
        self._tasks: list[asyncio.Task[Any]] = []
        self.failing: set[str] = set()
        """The parts that keep failing; while there are any, health says NOT_SERVING."""
        context.metrics.registry.read(catalog.NODE_FAILING, lambda: len(self.failing))

    def __repr__(self) -> str:
        state, count = self.registration.state, len(self.hosted)
        return f"<Node {self.node_id} at {self.address}, {state}, {count} workflows>"

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def node_id(self) -> str:
        return self.status.node_id

    @property
    def address(self) -> str:
        return self.status.address

    @property
    def http(self) -> str | None:
        """Where this node serves HTTP. None: nowhere."""
        return None if self.status.served is None else self.status.served.http

    @property
    def scaler(self) -> str | None:
        """Where this node serves KEDA's external scaler. None: nowhere."""
        return None if self.status.served is None else self.status.served.scaler

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
        on_failure: Callable[[str, Exception], None] | None = None,
        metrics: Registry | None = None,
        sink: Sink | None = None,
        parts: ProcessParts | None = None,
    ) -> AsyncIterator[Self]:
        """Connect, register, serve. Raises LinkError, EtcdError or OSError in words when something is out of reach.

        Args:
            last_line: see `Loader`.
            on_failure: ends this node when a part of it fails, and gets the node's id and the error. None: the process is
                the node's, and ends at once.
            metrics: where this node counts. None: a registry that nobody reads.
            sink: the archive. None: that of the setting `archive`, if there is one.
            parts: what it shares with other nodes of this process. None: it has its own, and counts for the process too.
        """
        node_id = new_id("n", entropy)
        registry = metrics or Registry("node", config.metrics_labels)
        async with AsyncExitStack() as stack:
            if parts is None:
                alone = ProcessParts.open(workflows, config, name=node_id, registry=registry, clock=clock)
                parts = await stack.enter_async_context(alone)
            session = await stack.enter_async_context(await Session.open(parts.etcd, NODE_LEASE, clock=clock))
            status = NodeStatus(node_id, session)
            timers = Timers(parts.clock, asyncio.get_running_loop())
            stack.callback(timers.close)
            keys, background = Keys(config.namespace), BackgroundTasks(status)
            sink = open_sink(config.archive, config.namespace) if sink is None and config.archive else sink
            context = NodeContext(
                status=status,
                config=config,
                codecs=parts.codecs,
                definitions=parts.definitions,
                release=release_of(runtime()),
                link=parts.link,
                keys=keys,
                journal=JournalStore(parts.link, keys),
                queues=Queues(parts.link, keys),
                ownership=Ownership(parts.link, keys),
                archive=None if sink is None else ArchiveReader(sink),
                blobs=await open_blobs(config, registry, entropy, parts.codecs.look_for_keys_in),
                table=await stack.enter_async_context(Table(parts.etcd, config.namespace, clock=clock)),
                clock=parts.clock,
                timers=timers,
                watchdog=parts.watchdog,
                collector_pause=parts.collector_pause,
                replay_process=parts.replay_process,
                entropy=entropy,
                telemetry=telemetry.current(),
                metrics=NodeMetrics(registry, clock),
                background=background,
                spawn=background.spawn,
            )
            node = cls(context, parts.etcd, clock, last_line=last_line, on_failure=on_failure, sink=sink)
            stack.push_async_callback(lambda: status.session.close())  # the last one: it may have been replaced
            await stack.enter_async_context(node._running(serve))
            yield node

    @asynccontextmanager
    async def _running(self, serve: Serve) -> AsyncIterator[None]:
        context = self.context
        await context.queues.make_wake(self.node_id)
        async with serve(self) as served:
            self.status.served = served
            await self.registration.begin()
            stop_listening = context.table.on_change(self._registry_news)
            came_back = _Recovery(self._redis_came_back)
            context.link.on_reconnect.append(came_back)
            works = (
                self._wake_reader.run,
                self.monitor.run,
                self.unloader.run,
                self._sweeper.run,
                self._reaper.run,
                self.failure_detector.run,
                self.durability.run,
                self._housekeeping,
                self.registration.report_room,
                self.gateway.run,
                self._gauges.run,
                *(() if self._archiver is None else (self._archiver.run,)),
                *(() if context.blobs is None else (BlobSweep(context, context.blobs).run,)),
            )
            self._tasks = [
                asyncio.create_task(self._supervised(work), name=f"{self.node_id} {work.__qualname__}")
                for work in works
            ]
            try:
                yield
            finally:
                stop_listening()
                context.link.on_reconnect.remove(came_back)
                came_back.stop()
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks)
                self.unloader.close()
                self.hosted.forget_all()
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
        if self._on_failure is None:
            os._exit(70)
        self._on_failure(self.node_id, error)

    async def drain(self) -> None:
        """Take nothing new, give every workflow to another node. What nobody can take waits for a later one."""
        self.status.draining = True
        try:
            await self.registration.register("DRAINING")
        except EtcdError as error:  # who gives us something meanwhile gives it to a dead node: the sweep finds it
            _log.warning("%s: leaves without a word to the registry: %s", self.node_id, error)
        with suppress(TimeoutError):
            async with asyncio.timeout(NODE_LEAVE_PATIENCE):
                await self.loader.idle()
        stayed, _ = await asyncio.gather(self._sweeper.hand_over_all(), self.gateway.drain())
        if stayed:
            _log.warning("%s: %d workflows wait for a node that has their code", self.node_id, stayed)

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
                await self.registration.keep()
                await context.clock.learn(context.link)
                await self._must_be_strict()
                if status.alive:
                    await self.recovery.keep_wake()
            except (LinkError, EtcdError) as error:
                _log.warning("%s: %s", self.node_id, error)
                await asyncio.sleep(0.2)

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _id_changed(self, old: str, new: str) -> None:
        self._sweeper.node_gone(old)
        self._nodes_changed()
        self.failure_detector.registry_news(new, node=True, removed=False)
        self._wake_reader.id_changed()

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
            self.context.metrics.node_died(news.id, proven=news.how is ChangeKind.TOMBSTONED)
            self._sweeper.node_gone(news.id)
            self.context.spawn(self.monitor.agent_gone(news.id, proven=news.how is ChangeKind.TOMBSTONED))
        elif news.kind == "agents":
            self.outliers.gone(news.id)
            self.context.spawn(self.monitor.agent_gone(news.id, proven=news.how is ChangeKind.TOMBSTONED))

    async def _must_be_strict(self) -> None:
        if self.context.config.durability == "strict":
            try:
                await check_strict(self.context.link)
            except UnfitServer as error:
                _log.critical("%s: %s", self.node_id, error)
                os._exit(70)  # nothing may be acknowledged that a crash could still take back

    async def _redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """Another server, or the same one restarted: what was in its memory may be gone. Compare everything."""
        try:
            await self._recover()
        except Exception:  # noqa: BLE001  # the gateway's part does not depend on it
            _log.exception("%s: not all was recovered after Redis came back", self.node_id)
        await self.gateway.redis_came_back(old, new)

    async def _recover(self) -> None:
        await self.recovery.came_back()  # first of all: until it has begun, news may be taken that it would refuse
        await self._must_be_strict()
        await self._sweeper.own_set()


class _Recovery:
    """A hook of the link that ends with its node, and logs as it does: other nodes may share the link."""

    def __init__(self, recover: Callable[[ServerIdentity, ServerIdentity], Coroutine[Any, Any, None]]) -> None:
        self._recover = recover
        self._fields = bound_fields()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, old: ServerIdentity, new: ServerIdentity) -> None:
        task = asyncio.current_task()
        assert task is not None
        bind_fields(self._fields)
        self._tasks.add(task)
        try:
            await self._recover(old, new)
        finally:
            self._tasks.discard(task)

    def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
