# SPDX-License-Identifier: Apache-2.0
"""What the nodes of one process share: the connections to Redis and etcd, the clock, the watchdog, the workflows' code.

    async with ProcessParts.open(mesh.workflows, config, name="node 4711", registry=registry) as parts:
        async with Node.open(parts=parts, …) as first, Node.open(parts=parts, …) as second: ...

A process that serves one namespace has one node, which opens its own. All that knows of a namespace belongs to the node:
keys, lease, table, timers, limits, workflows, metrics.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nervenet.clock import SYSTEM, Clock
from nervenet.codecs import open_codecs
from nervenet.metrics.loop_lag import LoopLagMeter
from nervenet.metrics.process import read_process
from nervenet.node.guards.collector import CollectorPause
from nervenet.node.guards.replay_process import ReplayProcess
from nervenet.node.guards.watchdog import Watchdog
from nervenet.node.timers import MeshClock
from nervenet.node.workflows.builtin import builtin
from nervenet.redis_link.durability import check_strict
from nervenet.redis_link.opening import open_link
from nervenet.registry.etcd import Etcd
from nervenet.streams.metrics import read_link
from nervenet.streams.script import packaged_scripts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Self

    from nervenet.codecs import Codecs
    from nervenet.config import Config
    from nervenet.definitions import Workflow
    from nervenet.metrics import Registry
    from nervenet.redis_link.link import Link

__all__ = ["ProcessParts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessParts:
    """See the module. Made by `open`."""

    codecs: Codecs
    definitions: Mapping[tuple[str, int], Workflow[Any, Any]]
    link: Link
    etcd: Etcd
    clock: MeshClock
    watchdog: Watchdog
    collector_pause: CollectorPause
    replay_process: ReplayProcess | None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        workflows: Mapping[tuple[str, int], Workflow[Any, Any]],
        config: Config,
        *,
        name: str,
        registry: Registry,
        clock: Clock = SYSTEM,
    ) -> AsyncIterator[Self]:
        """Connect. Raises LinkError or EtcdError in words when something is out of reach.

        Args:
            workflows: The code of the mesh.
            config: The settings of the process.
            name: What Redis and the log call the connection.
            registry: Where the process counts.
            clock: The system's.
        """
        codecs = open_codecs(config.codec)
        async with AsyncExitStack() as stack:
            following = asyncio.create_task(codecs.follow(), name="the keys of codecs")
            stack.callback(following.cancel)
            link = await open_link(config.require("redis", "a node"), name=name, scripts=packaged_scripts())
            stack.push_async_callback(link.close)
            if config.durability == "strict":
                await check_strict(link)
            etcd = await stack.enter_async_context(Etcd.open(config.require("etcd", "a node"), clock=clock))
            registry.add(etcd.calls)
            read_link(registry, link)
            read_process(registry)
            stack.enter_context(LoopLagMeter(registry, clock))
            mesh_clock = MeshClock(clock)
            await mesh_clock.learn(link)
            yield cls(
                codecs=codecs,
                definitions=builtin() | dict(workflows),
                link=link,
                etcd=etcd,
                clock=mesh_clock,
                watchdog=stack.enter_context(Watchdog(clock)),
                collector_pause=stack.enter_context(CollectorPause()),
                replay_process=(
                    stack.enter_context(ReplayProcess(workflows.values(), config.codec))
                    if config.replay_check
                    else None
                ),
            )
