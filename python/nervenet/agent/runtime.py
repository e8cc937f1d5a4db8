# SPDX-License-Identifier: Apache-2.0
"""An agent process: it opens all parts, registers, takes tasks, drains, and leaves.

    async with AgentRuntime.open(mesh.agents.values(), config, name="ocr") as agent:
        await agent.stopped()                  # or do something else meanwhile
    # leaving the block drains: finish the running tasks within the grace, give the others back, deregister

An agent id is one incarnation. When its lease is lost, the running tasks are finished under the old id, no task is read
under it any longer, and the process registers again under a new id.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from nervenet.agent.current_config import opening
from nervenet.agent.executors.common import Executor, Resources
from nervenet.agent.executors.loop import LoopExecutor
from nervenet.agent.executors.process import ProcessExecutor
from nervenet.agent.executors.thread import ThreadExecutor
from nervenet.agent.lag import LoopLag
from nervenet.agent.load import LoadMeter
from nervenet.agent.registration import Registration
from nervenet.agent.running import Running
from nervenet.agent.service import AgentPort
from nervenet.agent.slots import Slots
from nervenet.agent.task_reader import TaskReader
from nervenet.agent.task_runner import SETTLE_WITHIN, TaskRunner
from nervenet.blobs import open_blobs
from nervenet.clock import SYSTEM, Clock, Entropy, new_id
from nervenet.codecs import open_codecs
from nervenet.errors import ConfigError
from nervenet.metrics import Registry, catalog
from nervenet.metrics.loop_lag import LoopLagMeter
from nervenet.metrics.process import read_process
from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.streams.data_plane import DataPlane
from nervenet.streams.groups import ConsumerGroups
from nervenet.streams.journal import JournalStore
from nervenet.streams.keys import Keys
from nervenet.streams.metrics import TaskMetrics, read_link
from nervenet.streams.queues import Queues
from nervenet.streams.script import packaged_scripts
from nervenet.streams.tasks.attempt import AttemptKey, StopReason
from nervenet.supervision import supervise

if TYPE_CHECKING:
    from nervenet.blobs import Blobs
    from nervenet.config import Config
    from nervenet.definitions import Agent, MeshDefinitions

_log = logging.getLogger("nervenet.agent")


class AgentRuntime:
    """Made by `open`. `agent_id` is that of the present incarnation, `address` that of its AgentService."""

    def __init__(
        self,
        agents: Mapping[str, Agent[Any, Any]],
        config: Config,
        *,
        name: str,
        labels: Mapping[str, str],
        slots: int,
        link: Link,
        clock: Clock,
        entropy: Entropy,
        metrics: Registry,
        blobs: Blobs | None,
    ) -> None:
        self.agents = agents
        self.config = config
        self.name = name
        self.labels = labels
        self.clock = clock
        self.state = "ACTIVE"
        self.slots = Slots(slots, {agent.name: min(agent.slots, slots) for agent in agents.values()})
        self.meter = LoadMeter(self.slots, clock)
        self.running: dict[AttemptKey, Running] = {}
        keys = Keys(config.namespace)
        self.metrics = metrics
        self._data_plane = DataPlane(
            link, keys, JournalStore(link, keys), Queues(link, keys), TaskMetrics(metrics), blobs
        )
        self._groups = ConsumerGroups(link, keys)
        self._entropy = entropy
        self._resources = Resources()
        self._codecs = open_codecs(config.codec)
        self._executors = self._make_executors()
        self.task_runner = TaskRunner(
            self._data_plane,
            agents,
            self._executors,
            self.slots,
            self.running,
            meter=self.meter,
            clock=clock,
            retention_ms=config.retention_ms,
        )
        self._port = AgentPort(self)
        self._reader: TaskReader | None = None
        self._registration: Registration | None = None
        self._draining: asyncio.Task[None] | None = None
        self._main_task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._export(link)

    def _export(self, link: Link) -> None:
        """Numbers that exist anyway."""
        metrics, slots = self.metrics, self.slots
        metrics.read(catalog.SLOTS, lambda: slots.total)
        metrics.read(catalog.SLOTS_USED, lambda: {(name,): used for name, used in slots.by_capability.items()})
        metrics.read(catalog.LEASE_LEFT, lambda: 0.0 if self._registration is None else self._registration.remaining)
        read_link(metrics, link)
        read_process(metrics)

    def __repr__(self) -> str:
        return (
            f"<Agent {self.agent_id or self.name} {self.state.lower()}, {self.slots.taken} of {self.slots.total} slots>"
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        agents: Collection[Agent[Any, Any]],
        config: Config,
        *,
        name: str,
        labels: Mapping[str, str] | None = None,
        slots: int | None = None,
        clock: Clock = SYSTEM,
        entropy: Entropy = os.urandom,
        metrics: Registry | None = None,
    ) -> AsyncIterator[AgentRuntime]:
        """A registered agent that takes tasks; leaving the block drains it. `metrics` is where it counts.

        Raises the errors of its lifespans, LinkError if Redis does not answer, ConfigError if a node refuses it.
        """
        url = config.require("redis", "an agent")
        async with AsyncExitStack() as stack:
            link = await open_link(url, name=name, scripts=packaged_scripts())
            stack.push_async_callback(link.close)
            own = {agent.name: agent for agent in agents}
            total = slots or sum(agent.slots for agent in own.values())
            metrics = metrics or Registry("agent")
            runtime = cls(
                own,
                config,
                name=name,
                labels=labels or {},
                slots=total,
                link=link,
                clock=clock,
                entropy=entropy,
                metrics=metrics,
                blobs=await open_blobs(config, metrics, entropy),
            )
            stack.push_async_callback(runtime._close)
            link.on_reconnect += (runtime.task_runner.redis_came_back,)
            await runtime._begin()
            stack.enter_context(LoopLag(clock))
            stack.enter_context(LoopLagMeter(runtime.metrics, clock))
            yield runtime
            await runtime.leave()

    # ── identity ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def agent_id(self) -> str:
        return self._reader.agent_id if self._reader is not None else ""

    @property
    def address(self) -> str:
        return self._port.address

    @property
    def capabilities(self) -> list[str]:
        return list(self.agents)

    @property
    def runtime(self) -> str:
        """What this process runs on: `python 3.11.7, nervenet 0.2.0`."""
        return f"python {platform.python_version()}, nervenet {version('nervenet')}"

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stopped(self) -> None:
        """Wait until a part fails permanently, and raise its error. An agent never ends on its own otherwise."""
        assert self._main_task is not None
        await asyncio.shield(self._main_task)

    async def _begin(self) -> None:
        loop_agents = [agent for agent in self.agents.values() if agent.run != "process"]
        with opening(self.config):
            await self._resources.enter(loop_agents)
        for executor in set(self._executors.values()):
            await executor.start()
        await self._port.start()
        self._main_task = asyncio.create_task(self._run_incarnations(), name=f"agent {self.name}")
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait((self._main_task, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._main_task.done():
            self._main_task.result()

    async def _run_incarnations(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(supervise(f"{self.name}: renewing claims", self.task_runner.run))
                group.create_task(self._codecs.follow())
                while True:
                    await self._incarnation(group)
        except ExceptionGroup as broken:  # callers want the error, not the group
            raise broken.exceptions[0] from None

    async def _incarnation(self, group: asyncio.TaskGroup) -> None:
        """One incarnation: from a new id to the loss of its lease."""
        agent_id = new_id(self.name, self._entropy)
        await self._data_plane.queues.make_inbox(agent_id)
        registration = Registration(agent_id, self._port, self.meter.sample, self.config, self.clock)
        reader = TaskReader(
            agent_id,
            self._data_plane,
            self.task_runner,
            self.agents,
            self.labels,
            self.clock,
            lambda: registration.alive,
        )
        self._registration, self._reader = registration, reader
        reading = group.create_task(self._read(registration, reader))
        await registration.run()
        _log.warning(
            "%s has lost its lease: it finishes its running tasks and registers again under a new id", agent_id
        )
        reader.stop()
        if not registration.registered.is_set():
            reading.cancel()

    async def _read(self, registration: Registration, reader: TaskReader) -> None:
        await registration.registered.wait()
        _log.info("%s takes %s at %s", reader.agent_id, ", ".join(self.agents), self.address)
        self._ready.set()
        await reader.run()

    async def _close(self) -> None:
        """Close all parts, drained or not."""
        await _ended(self._draining)
        await _ended(self._main_task)
        await self._port.close()
        self.task_runner.close()
        for executor in set(self._executors.values()):
            await executor.close()
        await self._resources.close()

    def stop(self, running: Running, reason: StopReason) -> None:
        """Stop one attempt."""
        self.task_runner.stop(running, reason)

    # ── drain ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def drain(self, grace_ms: int | None = None) -> None:
        """Begin to drain: read no task, finish the running ones within the grace, give the others back."""
        if self._draining is None:
            grace = self.config.drain_ms if grace_ms is None else grace_ms
            self._set_state("DRAINING")
            self._draining = asyncio.create_task(self._drain(grace / 1000))

    def resume(self) -> None:
        """Take tasks again."""
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None
        self._set_state("ACTIVE")
        if self._reader is not None:
            self._reader.resume()

    async def drained(self) -> None:
        """Return when no task runs any longer."""
        if self._draining is not None:
            await asyncio.wait((self._draining,))

    async def _drain(self, grace: float) -> None:
        if self._reader is not None:
            await self._reader.pause()
        self.task_runner.release_unclaimed()
        try:
            async with asyncio.timeout(grace):
                await self.task_runner.settled()
        except TimeoutError:
            await self._give_back()
        self._set_state("DRAINED")

    async def _give_back(self) -> None:
        """The grace is over: store the last checkpoints, stop the running tasks, and record AGENT_DRAINED for them."""
        left = list(self.running.values())
        _log.warning("%s: %d tasks still run after the grace; other agents continue them", self.agent_id, len(left))
        await self.task_runner.claim_renewer.renew([running for running in left if running.checkpoint_due])
        for running in left:
            self.task_runner.stop(running, StopReason.DRAINED)
        try:
            async with asyncio.timeout(SETTLE_WITHIN):
                await self.task_runner.settled()
        except TimeoutError:
            _log.warning("%s: %d handlers do not end", self.agent_id, len(self.running))

    def _set_state(self, state: str) -> None:
        self.state = state
        self._port.changed()
        if self._registration is not None:
            self._registration.changed()

    async def leave(self) -> None:
        """Drain, deregister, and delete the inbox and the consumers, so that no node has to clean up."""
        self.drain()
        await self.drained()
        await _ended(self._main_task)  # or the end of the lease would begin a new incarnation
        registration, reader = self._registration, self._reader
        if registration is None or reader is None:
            return
        await registration.leave()
        try:
            await self._data_plane.link.call("DEL", self._data_plane.keys.inbox(reader.agent_id))
            for queue in reader.queues:
                await self._groups.drop_consumer(queue, reader.agent_id)
        except LinkError as error:
            _log.warning("%s: a node must delete its inbox: %s", reader.agent_id, error)

    def _make_executors(self) -> dict[str, Executor]:
        limit = self.config.payload_limit
        codecs = self._codecs
        loop = LoopExecutor(self._resources, self.clock, limit, codecs)
        threads = ThreadExecutor(self._resources, self.clock, limit, self.slots.total, codecs)
        pooled = [agent for agent in self.agents.values() if agent.run == "process"]
        size = min(self.slots.total, sum(self.slots.limits[agent.name] for agent in pooled))
        processes = ProcessExecutor(pooled, self.clock, limit, size, self.config.codec)
        return {
            agent.name: loop if agent.is_async else processes if agent.run == "process" else threads
            for agent in self.agents.values()
        }


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait((task,))


def chosen(mesh: MeshDefinitions, only: Collection[str] = ()) -> list[Agent[Any, Any]]:
    """The agents to run: those in `only`, or all that have a handler. Raises ConfigError if there is none."""
    local = {agent.name: agent for agent in mesh.agents.values() if agent.fn is not None}
    if not local:
        raise ConfigError(f"mesh {mesh.name!r} has no agents to run")
    for name in only:
        if name not in local:
            raise ConfigError(f"mesh {mesh.name!r} has no agent {name!r}; it has: {', '.join(sorted(local))}")
    return [local[name] for name in only] if only else list(local.values())
