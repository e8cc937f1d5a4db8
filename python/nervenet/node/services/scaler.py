# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802  # methods carry KEDA's names
"""KEDA's external scaler: how many agents of a pool there should be, so that a pool starts at zero and ends there.

A node serves it where NERVENET_SCALER says, on a port of its own, because KEDA sends neither a token nor metadata: only a
certificate tells who it is (docs/decisions/0047). Any node answers for the whole mesh, from what Redis and the registry have.

`StreamIsActive` does not poll: a node that sends a task to a shared queue announces it, and the stream looks then. As an
announcement may get lost, it also looks once a second while the pool has nothing to do.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from nervenet.node.services._keda import externalscaler_pb2 as keda
from nervenet.node.services.scaled_pool import Demand, ScaledPool, read_pool
from nervenet.redis_link.faults import LinkError
from nervenet.registry.selection import require
from nervenet.rpc.methods import RpcMethod
from nervenet.rpc.status import invalid
from nervenet.streams.backlog import Backlog
from nervenet.timing import SCALER_LOOK_ACTIVE, SCALER_LOOK_IDLE, SCALER_REPEAT, SCALER_STREAM_LIFE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.close_notifier import Hints

_log = logging.getLogger(__name__)

SERVICE: Final = "externalscaler.ExternalScaler"
TASKS: Final = "nervenet-tasks"
AGE: Final = "nervenet-oldest-seconds"


def _method(name: str, request: Any, answer: Any, *, streams: bool = False) -> RpcMethod:
    return RpcMethod(name, SERVICE, f"/{SERVICE}/{name}", request, answer, False, streams, True, True, "")


METHODS: Final = (
    _method("IsActive", keda.ScaledObjectRef, keda.IsActiveResponse),
    _method("StreamIsActive", keda.ScaledObjectRef, keda.IsActiveResponse, streams=True),
    _method("GetMetricSpec", keda.ScaledObjectRef, keda.GetMetricSpecResponse),
    _method("GetMetrics", keda.GetMetricsRequest, keda.GetMetricsResponse),
)
"""KEDA's methods under KEDA's names, with our messages."""


class Demands:
    """What the pools of one namespace have to do. One for each node."""

    def __init__(self, context: NodeContext, hints: Hints) -> None:
        self._context = context
        self._hints = hints
        self._backlog = Backlog(context.link, context.keys, context.queues)

    async def of(self, pool: ScaledPool) -> Demand:
        """Raises LinkError."""
        each = await asyncio.gather(*(self._of(pool, capability) for capability in pool.capabilities))
        return Demand(
            waiting=sum(one.waiting for one in each),
            running=sum(one.running for one in each),
            oldest_ms=max(one.oldest_ms for one in each),
            agents=max(one.agents for one in each),
        )

    async def _of(self, pool: ScaledPool, capability: str) -> Demand:
        """Tasks that run came from a queue, where they are pending, or from an inbox, which only their agent's load shows. An
        agent's load has both, and is a second old: so the larger number counts."""
        queued = await self._backlog.within_reach(capability, pool.version, pool.labels)
        requirement = require(capability, pool.labels, pool.version)
        able = [one for one in self._context.table.pools.candidates(capability) if not one.lacks(requirement)]
        busy = sum(one.in_flight for one in able)
        age = self._context.clock.now_ms() - queued.oldest_ms if queued.tasks else 0
        active = sum(one.agent.state == "ACTIVE" for one in able)
        return Demand(queued.tasks, max(queued.pending, busy), max(0, age), active)

    def follow(self, pool: ScaledPool, look: Callable[[], None]) -> ExitStack:
        """Call `look` when a task goes to a queue of the pool's capabilities, until the stack is closed."""
        following = ExitStack()
        for capability in pool.capabilities:
            following.callback(self._hints.follow_queues(capability, look))
        return following


class Scaler:
    """The servicer. `demands` are those of each namespace that this process serves, the usual one first."""

    def __init__(self, demands: Mapping[str, Demands], stopping: asyncio.Event) -> None:
        self._demands = demands
        self._stopping = stopping

    async def IsActive(self, request: keda.ScaledObjectRef, context: Any) -> keda.IsActiveResponse:
        return keda.IsActiveResponse(result=(await self._demand(self._pool(request))).active)

    async def StreamIsActive(self, request: keda.ScaledObjectRef, context: Any) -> AsyncIterator[keda.IsActiveResponse]:
        pool, news, told, told_at = self._pool(request), asyncio.Event(), None, 0.0
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + SCALER_STREAM_LIFE
        with self._demands[pool.namespace].follow(pool, news.set):
            while not self._stopping.is_set() and loop.time() < ends_at:
                news.clear()
                active = await self._is_active(pool, told)
                if active is not None and (active is not told or loop.time() - told_at >= SCALER_REPEAT):
                    told, told_at = active, loop.time()
                    yield keda.IsActiveResponse(result=active)
                await self._news_or(news, SCALER_LOOK_ACTIVE if active else SCALER_LOOK_IDLE)

    async def _is_active(self, pool: ScaledPool, before: bool | None) -> bool | None:
        """As before while Redis does not answer: a stream that ends with an error is opened again later and later."""
        try:
            return (await self._demand(pool)).active
        except LinkError as error:
            _log.debug("a scaler's stream goes on without Redis: %s", error)
            return before

    async def GetMetricSpec(self, request: keda.ScaledObjectRef, context: Any) -> keda.GetMetricSpecResponse:
        pool = self._pool(request)
        specs = [keda.MetricSpec(metric_name=TASKS, target_size=pool.slots, target_size_float=pool.slots)]
        if pool.max_age_ms:
            seconds = pool.max_age_ms / 1000
            specs.append(
                keda.MetricSpec(metric_name=AGE, target_size=max(1, round(seconds)), target_size_float=seconds)
            )
        return keda.GetMetricSpecResponse(metric_specs=specs)

    async def GetMetrics(self, request: keda.GetMetricsRequest, context: Any) -> keda.GetMetricsResponse:
        pool = self._pool(request.scaled_object_ref)
        if request.metric_name not in ("", TASKS, AGE):
            raise invalid("metricName", f"there are {TASKS} and {AGE}")
        demand = await self._demand(pool)
        name = request.metric_name or TASKS
        value = demand.age() if name == AGE else float(demand.tasks)
        metric = keda.MetricValue(metric_name=name, metric_value=round(value), metric_value_float=value)
        return keda.GetMetricsResponse(metric_values=[metric])

    def _pool(self, request: keda.ScaledObjectRef) -> ScaledPool:
        return read_pool(request.scaler_metadata, self._demands)

    def _demand(self, pool: ScaledPool) -> Coroutine[Any, Any, Demand]:
        return self._demands[pool.namespace].of(pool)

    async def _news_or(self, news: asyncio.Event, seconds: float) -> None:
        """Return at the first news, after this time, or when the node stops."""
        waits = [asyncio.create_task(event.wait()) for event in (news, self._stopping)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
