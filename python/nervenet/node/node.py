# SPDX-License-Identifier: Apache-2.0
"""A node: one process that hosts coordinators and serves the control plane. All nodes are alike, none is special.

Here the parts are put together and nothing else is decided: link and etcd session, the registry's table, the host with
its dispatcher, watch, sweep and burial, and the gRPC services on top. An id is one incarnation: when etcd says that the
lease is gone, the node lets go of everything and comes back under a new id; what it owned is adopted like a dead
node's.

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
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from nervenet.clock import SYSTEM, Clock, Entropy, new_id
from nervenet.node.admission import Admission
from nervenet.node.blame import Blame
from nervenet.node.builtin import builtin
from nervenet.node.bury import Bury
from nervenet.node.checks import Checks
from nervenet.node.children import Children
from nervenet.node.death import Contact, Death
from nervenet.node.dispatching import AgentControl, Dispatcher
from nervenet.node.elsewhere import Elsewhere
from nervenet.node.escalations import Escalations
from nervenet.node.gateway.gateway import Gateway
from nervenet.node.hosting import Host
from nervenet.node.loading import Loader
from nervenet.node.outliers import Outliers
from nervenet.node.renewal import Renewal
from nervenet.node.restore import Restore
from nervenet.node.starting import Starter
from nervenet.node.stored import Stored
from nervenet.node.sweep import Sweep
from nervenet.node.timers import MeshClock, Timers
from nervenet.node.watch import Watch
from nervenet.node.watchdog import Watchdog
from nervenet.redis_link.durability import check_strict
from nervenet.redis_link.faults import LinkError, RedisRefused, UnfitServer
from nervenet.redis_link.opening import open_link
from nervenet.registry.codec import release_of
from nervenet.registry.etcd import Etcd, EtcdError
from nervenet.registry.session import Session
from nervenet.registry.table import How, Table, TableChange
from nervenet.registry.views import AgentView
from nervenet.streams.journal import JournalStore
from nervenet.streams.keys import Keys
from nervenet.streams.ownership import Ownership
from nervenet.streams.queues import Queues, Wake, parse_wakes
from nervenet.streams.script import packaged_scripts
from nervenet.supervision import supervise
from nervenet.timing import NODE_LEASE
from nervenet.wire import encode_node_record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

    from nervenet.config import Config
    from nervenet.definitions import Workflow
    from nervenet.redis_link.dial import ServerIdentity

_log = logging.getLogger(__name__)

LEASE = NODE_LEASE
PATIENCE_S = 5.0
"""So long a node that leaves waits for what is under way."""
WORTH_TELLING = 2
"""Failures in a row of one part, each within STABLE seconds of the one before, from which health says NOT_SERVING."""
BEYOND_REPAIR = 10
"""Failures in a row (some 20 s) of the wake reader or of the membership, after which the node ends itself."""
WAKES = 1_000
BLOCK_MS = 2_000


class Served(NamedTuple):
    """The gRPC side of a node, while it serves."""

    address: str
    control: AgentControl
    contact: Contact | None = None
    """None = this node certifies nobody's death."""


class Serve(Protocol):
    """Starts the services of a node; leaving the context stops them gracefully."""

    def __call__(self, node: Node, /) -> AbstractAsyncContextManager[Served]: ...


class Node:
    """See the module; made by `open`."""

    def __init__(self, host: Host, etcd: Etcd, session: Session, entropy: Entropy, clock: Clock = SYSTEM) -> None:
        self.host = host
        self.etcd = etcd
        self.session = session
        self.address = ""
        self.on_failure: Callable[[Exception], None] | None = None
        """Who ends this node when a part of it fails; None: the process is the node's, and ends at once."""
        self._entropy = entropy
        self._clock = clock
        self.death = Death(host, etcd, lambda: self.session.alive)
        self._sweep = Sweep(host, lambda: self.session.alive)
        self._bury = Bury(host, lambda: self.session.alive)
        self._tasks: list[asyncio.Task[Any]] = []
        self._reading: asyncio.Future[Any] | None = None
        self._registered = False
        self._state = "STARTING"
        self.failing: set[str] = set()
        """The parts that keep failing; while there are any, health says NOT_SERVING."""

    def __repr__(self) -> str:
        return f"<Node {self.host.node_id} at {self.address}, {self._state}, {len(self.host.coordinators)} workflows>"

    @property
    def node_id(self) -> str:
        return self.host.node_id

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
    ) -> AsyncIterator[Self]:
        """Connect, register, serve. Raises LinkError, EtcdError or OSError in words when something is out of reach."""
        node_id = new_id("n", entropy)
        definitions = builtin() | dict(workflows)
        async with AsyncExitStack() as stack:
            link = await open_link(config.require("redis", "a node"), name=node_id, scripts=packaged_scripts())
            stack.push_async_callback(link.close)
            if config.durability == "strict":
                await check_strict(link)
            etcd = await stack.enter_async_context(Etcd.open(config.require("etcd", "a node"), clock=clock))
            session = await stack.enter_async_context(await Session.open(etcd, LEASE, clock=clock))
            table = await stack.enter_async_context(Table(etcd, config.namespace, clock=clock))
            mesh_clock = MeshClock(clock)
            await mesh_clock.learn(link)
            keys = Keys(config.namespace)
            timers = Timers(mesh_clock, asyncio.get_running_loop())
            stack.callback(timers.close)
            watchdog = stack.enter_context(Watchdog(clock))
            host = Host(
                node_id,
                config,
                definitions,
                link=link,
                keys=keys,
                journal=JournalStore(link, keys),
                queues=Queues(link, keys),
                ownership=Ownership(link, keys),
                table=table,
                clock=mesh_clock,
                timers=timers,
                watchdog=watchdog,
                entropy=entropy,
                release=release_of(runtime()),
            )
            if config.replay_check:
                host.elsewhere = stack.enter_context(Elsewhere(workflows.values()))
            node = cls(host, etcd, session, entropy, clock)
            stack.push_async_callback(lambda: node.session.close())  # of its last life, should it come back anew
            await stack.enter_async_context(node._running(serve))
            yield node

    @asynccontextmanager
    async def _running(self, serve: Serve) -> AsyncIterator[None]:
        host = self.host
        host.admission = Admission(host)
        host.stored = Stored(host)
        host.checks = Checks(host)
        host.starter = Starter(host)
        host.dispatcher = Dispatcher(host)
        host.watch = Watch(host)
        host.escalations = Escalations(host)
        host.outliers = Outliers(host)
        host.blame = Blame(host)
        host.children = Children(host)
        host.renewal = Renewal(host)
        host.loader = Loader(host)
        host.restore = Restore(host, lambda: self.session.alive)
        host.gateway = Gateway(host, self.etcd, lambda: self.address, lambda: self.session.alive)
        await host.queues.make_wake(self.node_id)
        async with serve(self) as served:
            self.address = served.address
            host.dispatcher.control = served.control
            self.death.contact = served.contact
            await self._introduce()
            await self._register("ACTIVE")
            stop_listening = host.table.on_change(self._registry_news)
            host.link.on_reconnect += (self._redis_came_back, host.gateway.redis_came_back)
            works = (
                self._news,
                host.watch.run,
                self._sweep.run,
                self._bury.run,
                self.death.run,
                self._housekeeping,
                self._crowding,
                host.gateway.run,
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
                for coordinator in tuple(host.coordinators.values()):
                    host.forget(coordinator)
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await host.settle()
                except TimeoutError:  # Redis is away or slow: what was under way is found by another node's sweep
                    _log.warning("%s: leaves with work under way", self.node_id)

    # ── one policy for parts that fail ───────────────────────────────────────────────────────────────────────────────

    async def _supervised(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part for as long as the node lives: one that fails is repeated, and the node says NOT_SERVING meanwhile.

        Without its membership or its wake a node is worse than a dead one, whose workflows go on elsewhere. When one
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
            if error is not None and part in (self._news, self._housekeeping) and failures >= BEYOND_REPAIR:
                self._end(name, error)

        await supervise(f"{self.node_id}: {name}", part, on_change=changed)

    def _end(self, name: str, error: Exception) -> None:
        _log.critical("%s: %s keeps failing; this node ends, others take its workflows", self.node_id, name)
        if self.on_failure is None:
            os._exit(70)
        self.on_failure(error)

    async def drain(self) -> None:
        """Take nothing new, give every workflow to another node. What nobody can take waits for a later one."""
        self.host.draining = True
        try:
            await self._register("DRAINING")
        except EtcdError as error:  # who gives us something meanwhile gives it to a dead node: the sweep finds it
            _log.warning("%s: leaves without a word to the registry: %s", self.node_id, error)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self.host.loader.idle()
        stayed, _ = await asyncio.gather(self._sweep.hand_over_all(), self.host.gateway.drain())
        if stayed:
            _log.warning("%s: %d workflows wait for a node that has their code", self.node_id, stayed)

    # ── who I am ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _register(self, state: str) -> None:
        self._state = state
        host = self.host
        record = encode_node_record(
            host.node_id,
            self.address,
            host.checks.published(),
            state=state,
            max_workflows=host.config.max_workflows,
            owned=host.admission.owned,
            full=host.admission.full,
            now_ms=host.clock.now_ms(),
            runtime=runtime(),
            pid=os.getpid(),
        )
        await self.session.put(host.table.layout.node(host.node_id), record)
        self._registered = True

    async def _introduce(self) -> None:
        if self.death.contact is not None:
            await self.death.contact.introduce(self.node_id)

    async def _housekeeping(self) -> None:
        """What is checked once a lease: the clock, the wake, the lease itself."""
        host = self.host
        while True:
            try:
                async with asyncio.timeout(LEASE):
                    await self.session.lost.wait()
            except TimeoutError:
                pass
            try:
                if self.session.lost.is_set():
                    await self._reincarnate()
                if not self._registered:
                    await self._register(self._state)
                await host.clock.learn(host.link)
                await self._must_be_strict()
                if self.session.alive:
                    await host.restore.keep_wake()
            except (LinkError, EtcdError) as error:
                _log.warning("%s: %s", self.node_id, error)
                await asyncio.sleep(0.2)

    async def _crowding(self) -> None:
        """The registry is told when this node is full, and when it has room again: where starts are to go."""
        told = False
        while True:
            await asyncio.sleep(1)
            admission = self.host.admission
            if admission.full == told or (told and admission.owned > self.host.config.max_workflows * 0.95):
                continue
            try:
                await self._register(self._state)
                told = not told
            except EtcdError as error:
                _log.debug("%s: %s", self.node_id, error)

    async def _reincarnate(self) -> None:
        """The lease is gone: others adopt what this id owned, and this process begins anew."""
        host = self.host
        old = host.node_id
        self._let_go()
        new = new_id("n", self._entropy)
        await host.queues.make_wake(new)
        session = await Session.open(self.etcd, LEASE, clock=self._clock)
        ended, self.session, self._registered, host.node_id = self.session, session, False, new
        self._let_go()  # what was begun meanwhile belongs to the old id as well
        _log.warning("%s lost its lease and comes back as %s", old, new)
        await self._introduce()
        await ended.abandon()
        self._sweep.node_gone(old)
        host.nodes_changed()
        self.death.registry_news(new, node=True, removed=False)
        if self._reading is not None:
            self._reading.cancel()  # it waits for news of the old id

    def _let_go(self) -> None:
        for coordinator in tuple(self.host.coordinators.values()):
            self.host.forget(coordinator)

    def _registry_news(self, news: TableChange) -> None:
        self.death.registry_news(news.id, node=news.kind == "nodes", removed=news.how.removed)
        if news.kind == "nodes":
            self.host.nodes_changed()
        elif news.kind == "agents":
            self.host.checks.agents_changed()
            self.host.gateway.registry_news(news)
            if isinstance(news.new, AgentView) and news.new.away:
                self.host.spawn(self.host.watch.agent_gone(news.id, proven=False))
        if not news.how.removed:
            return
        self.host.blame.process_gone(news)
        if news.kind == "nodes" and news.id != self.node_id:
            _log.info("node %s is gone (%s)", news.id, news.how)
            self._sweep.node_gone(news.id)
            self.host.spawn(self.host.watch.agent_gone(news.id, proven=news.how is How.TOMBSTONED))
        elif news.kind == "agents":
            self.host.outliers.gone(news.id)
            self.host.spawn(self.host.watch.agent_gone(news.id, proven=news.how is How.TOMBSTONED))

    async def _must_be_strict(self) -> None:
        if self.host.config.durability == "strict":
            try:
                await check_strict(self.host.link)
            except UnfitServer as error:
                _log.critical("%s: %s", self.node_id, error)
                os._exit(70)  # nothing may be acknowledged that a crash could still take back

    async def _redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """Another server, or the same one restarted: what was in its memory may be gone. Compare everything."""
        host = self.host
        await host.restore.came_back()  # first of all: until it has begun, news may be taken that it would refuse
        await self._must_be_strict()
        await self._sweep.own_set()

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _news(self) -> None:
        """Read the wake stream, from its beginning after every connect: what is known is dropped by its number."""
        host = self.host
        reader = await host.link.dedicated()
        last, connects, mine = b"0", 0, ""
        while True:
            if (reader.connects, host.node_id) != (connects, mine):
                connects, mine, last = reader.connects, host.node_id, b"0"
            self._reading = asyncio.ensure_future(reader.read(*host.queues.read_wakes(mine, last, WAKES, BLOCK_MS)))
            try:
                wakes = parse_wakes(await self._reading)
            except LinkError as error:
                _log.debug("%s: %s", mine, error)
                if isinstance(error, RedisRefused) and error.wrong_type:
                    await host.queues.make_wake(mine)
                await asyncio.sleep(0.1)
                last = b"0"
                continue
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                continue  # only the reading was ended: we have another id now
            for wake in wakes:
                if type(wake) is not Wake:
                    host.link.skips.skip(f"an entry of the wake of {mine}", "it has other fields")
                    continue
                try:
                    host.news(wake.workflow_id, wake.journal_id, wake.name, wake.entry or b"")
                except Exception:  # noqa: BLE001 - one piece of news costs the workflow that it belongs to, not the others'
                    _log.exception("%s: news %r of %s", mine, wake.name, wake.workflow_id)
            if wakes:
                newest = wakes[-1]
                last = newest.id if isinstance(newest, Wake) else newest
                host.queues.trim_wakes_nowait(mine, last)


def runtime() -> str:
    """What this process runs on, for people, and for nodes of another release: `python 3.11.7, nervenet 0.2.0`."""
    return f"python {platform.python_version()}, nervenet {version('nervenet')}"
