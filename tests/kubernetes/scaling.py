# SPDX-License-Identifier: Apache-2.0
"""A mesh whose agents hold their tasks until they are told, and KEDA's calls to its scaler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from nervenet import Agent, CallOptions, Context, Mesh, Selection
from nervenet.agent.runtime import AgentRuntime
from nervenet.node.services._keda import externalscaler_pb2 as keda
from nervenet.node.services.scaler import METHODS
from tests.support.nodes import NodesHere

mesh = Mesh("scaling")
hold = Agent.remote("hold", str, str)


@mesh.workflow
async def held(ctx: Context, name: str) -> str:
    return await ctx.call(hold, name)


@mesh.workflow
async def held_in(ctx: Context, zone: str) -> str:
    return await ctx.call(hold, zone, options=CallOptions(selection=Selection(match={"zone": zone})))


class Pool:
    """An agent of the capability `hold` that ends its tasks when `release` is set."""

    def __init__(self, slots: int = 1, **labels: str) -> None:
        self.release = asyncio.Event()
        self.begun = asyncio.Semaphore(0)
        own = Mesh("pool")

        @own.agent(name="hold", slots=slots, labels=labels)
        async def hold(name: str) -> str:
            self.begun.release()
            await self.release.wait()
            return name

        self.agents = own.agents


class Keda:
    """What KEDA asks for one ScaledObject. Metadata as it stands in a trigger."""

    def __init__(self, channel: grpc.aio.Channel, **metadata: str) -> None:
        self._channel = channel
        self._ref = keda.ScaledObjectRef(name="hold", namespace="k8s", scaler_metadata=metadata)

    async def is_active(self) -> bool:
        return bool((await self._call("IsActive")(self._ref, timeout=5)).result)

    async def metrics(self) -> dict[str, float]:
        """The value of each metric that the scaler names, as KEDA asks for them."""
        spec = await self._call("GetMetricSpec")(self._ref, timeout=5)
        found = {}
        for one in spec.metric_specs:
            request = keda.GetMetricsRequest(scaled_object_ref=self._ref, metric_name=one.metric_name)
            (value,) = (await self._call("GetMetrics")(request, timeout=5)).metric_values
            found[one.metric_name] = value.metric_value_float
        return found

    async def targets(self) -> dict[str, float]:
        spec = await self._call("GetMetricSpec")(self._ref, timeout=5)
        return {one.metric_name: one.target_size_float for one in spec.metric_specs}

    async def stream(self) -> AsyncIterator[bool]:
        """What the stream says, until it ends."""
        async for answer in self._call("StreamIsActive")(self._ref):
            yield bool(answer.result)

    def _call(self, name: str) -> Any:
        method = next(one for one in METHODS if one.name == name)
        make = self._channel.unary_stream if method.streams_out else self._channel.unary_unary
        return make(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )


class ScaledMesh(NodesHere):
    """Nodes with a scaler, agents that come and go, and KEDA."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str) -> None:
        super().__init__(mesh, redis_url, etcd_url, namespace)

    async def keda(self, scaler: str | None, **metadata: str) -> Keda:
        assert scaler is not None
        channel = await self.stack.enter_async_context(grpc.aio.insecure_channel(scaler))
        return Keda(channel, **{"capability": "hold", "scalerAddress": scaler} | metadata)

    @asynccontextmanager
    async def agent(self, pool: Pool) -> AsyncIterator[AgentRuntime]:
        config = self.config(address=self.nodes[0].address)
        async with AgentRuntime.open(pool.agents.values(), config, name="pool") as agent:
            yield agent
