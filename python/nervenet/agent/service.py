# SPDX-License-Identifier: Apache-2.0
"""The agent's control port: a gRPC server with AgentService, health and reflection, and the agent's record.

It only reads from the agent process and calls it. `Connect`, the gateway for agents that have only gRPC, is served by
nodes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from nervenet.metrics import catalog
from nervenet.rpc.channels import Channel, Trust, split_addresses
from nervenet.rpc.server import GrpcServer, Service
from nervenet.rpc.status import not_found, not_yet
from nervenet.streams.tasks.attempt import StopReason
from nervenet.timing import AGENT_SERVER_STOP
from nervenet.v1 import agent_pb2 as pb
from nervenet.v1 import agent_service_pb2 as api
from nervenet.wire import optional_ms, timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from nervenet.agent.load import LoadMeter, LoadSample
    from nervenet.agent.running import Running
    from nervenet.agent.slots import Slots
    from nervenet.clock import Clock
    from nervenet.config import Config
    from nervenet.definitions import Agent
    from nervenet.metrics import Registry
    from nervenet.streams.tasks.attempt import AttemptKey

SERVICE: Final = "nervenet.v1.AgentService"


class ControlledAgent(Protocol):
    """The part of the agent process that the control port reads and calls. `AgentRuntime` implements it."""

    name: str
    state: str
    config: Config
    clock: Clock
    agents: Mapping[str, Agent[Any, Any]]
    labels: Mapping[str, str]
    slots: Slots
    meter: LoadMeter
    metrics: Registry
    running: dict[AttemptKey, Running]

    @property
    def agent_id(self) -> str:
        """The id of the present incarnation."""
        ...

    @property
    def runtime(self) -> str:
        """Language and version, for people."""
        ...

    def drain(self, grace_ms: int | None = None) -> None:
        """Take no new task, finish what runs within the grace, give the rest back."""
        ...

    def resume(self) -> None:
        """Take tasks again."""
        ...

    def stop(self, running: Running, reason: StopReason) -> None:
        """Stop one attempt."""
        ...


class AgentPort:
    """The server, and the channels to nodes."""

    def __init__(self, runtime: ControlledAgent) -> None:
        self._runtime = runtime
        self._server: GrpcServer | None = None
        self._targets = split_addresses(runtime.config.address)
        self._trust = Trust(runtime.config)
        self._channels: dict[str, Channel] = {}
        self._registered = timestamp(runtime.clock.now_ms())
        self._capabilities = [_capability(agent, runtime.slots.limits[agent.name]) for agent in runtime.agents.values()]
        self._health_updates: set[asyncio.Task[None]] = set()
        self.address = ""

    def __repr__(self) -> str:
        return f"<AgentPort {self.address}>"

    async def start(self) -> None:
        config = self._runtime.config
        services = [Service(SERVICE, AgentService(self._runtime, self))]
        self._server = await GrpcServer.start(
            config,
            "agent",
            services,
            asyncio.Event(),
            calls=self._runtime.metrics.histograms(catalog.RPC_SERVER),
            process_id=lambda: self._runtime.agent_id,
        )
        self.address = config.advertised(self._server.address)

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop(AGENT_SERVER_STOP)
        for channel in self._channels.values():
            await channel.close()

    def dial(self, turn: int) -> Channel:
        """The channel to a node. Each `turn` is the next node."""
        target = self._targets[turn % len(self._targets)]
        if target not in self._channels:
            self._channels[target] = Channel(target, self._runtime.config, trust=self._trust)
        return self._channels[target]

    def record(self, agent_id: str) -> pb.AgentRecord:
        """The record of an incarnation."""
        runtime = self._runtime
        return pb.AgentRecord(
            agent_id=agent_id,
            name=runtime.name,
            capabilities=self._capabilities,
            state=f"AGENT_STATE_{runtime.state}",
            transport=pb.TRANSPORT_REDIS,
            control_endpoint=self.address,
            labels=runtime.labels,
            runtime=runtime.runtime,
            register_time=self._registered,
            slots=runtime.slots.total,
        )

    def set_desired_state(self, state: Any) -> None:
        """Drain, or take tasks again, as a node has asked."""
        if state == pb.AGENT_STATE_DRAINING:
            self._runtime.drain()
        elif state == pb.AGENT_STATE_ACTIVE and self._runtime.state in ("DRAINING", "DRAINED"):
            self._runtime.resume()

    def changed(self) -> None:
        """Report the agent's new state in the health service."""
        if self._server is not None:
            update = asyncio.get_running_loop().create_task(self._server.serve(self._runtime.state == "ACTIVE"))
            self._health_updates.add(update)
            update.add_done_callback(self._health_updates.discard)


class AgentService:
    """The AgentService of this agent."""

    def __init__(self, runtime: ControlledAgent, port: AgentPort) -> None:
        self._runtime = runtime
        self._port = port

    async def DescribeAgent(self, request: Any, context: Any) -> api.DescribeAgentResponse:  # noqa: N802 - the contract's names
        self._check(request.agent_id)
        record = self._port.record(self._runtime.agent_id)
        return api.DescribeAgentResponse(agent=record, load=load_out(self._runtime.meter.sample()))

    async def GetLoad(self, request: Any, context: Any) -> api.GetLoadResponse:  # noqa: N802
        self._check(request.agent_id)
        return api.GetLoadResponse(load=load_out(self._runtime.meter.sample()))

    async def ListActiveTasks(self, request: Any, context: Any) -> api.ListActiveTasksResponse:  # noqa: N802
        self._check(request.agent_id)
        running = sorted((r for r in self._runtime.running.values() if r.started_ms), key=lambda r: r.started_ms)
        return api.ListActiveTasksResponse(tasks=[_active(one) for one in running])

    async def DrainAgent(self, request: Any, context: Any) -> api.DrainAgentResponse:  # noqa: N802
        self._check(request.agent_id)
        self._runtime.drain(optional_ms(request, "grace"))
        return api.DrainAgentResponse(state=f"AGENT_STATE_{self._runtime.state}", active=len(self._runtime.running))

    async def ResumeAgent(self, request: Any, context: Any) -> api.ResumeAgentResponse:  # noqa: N802
        self._check(request.agent_id)
        self._runtime.resume()
        return api.ResumeAgentResponse(state=pb.AGENT_STATE_ACTIVE)

    async def CancelTask(self, request: Any, context: Any) -> api.CancelTaskResponse:  # noqa: N802
        # Not by agent_id: tasks of an earlier incarnation of this process still run here.
        found = [
            running
            for running in self._runtime.running.values()
            if running.envelope.task_id == request.task_id
            and running.key.run == (request.run or 1)
            and request.attempt in (0, running.key.attempt)
        ]
        for running in found:
            self._runtime.stop(running, StopReason.GONE)
        return api.CancelTaskResponse(found=bool(found))

    async def Connect(self, requests: Any, context: Any) -> AsyncIterator[api.ConnectResponse]:  # noqa: N802
        raise not_yet("an agent is no gateway: Connect is served by nodes")
        yield  # type: ignore[unreachable]  # what makes it a stream

    def _check(self, agent_id: str) -> None:
        if agent_id and agent_id != self._runtime.agent_id:
            raise not_found("agent", agent_id, f"this is {self._runtime.agent_id}, not {agent_id}")


def load_out(load: LoadSample) -> pb.Load:
    message = pb.Load(
        active=load.active,
        queued=load.queued,
        slots=load.slots,
        cpu=round(load.cpu, 3),
        error_rate=round(load.error_rate, 4),
        active_by_capability=load.by_capability,
    )
    message.average_task_time.FromMilliseconds(round(load.average_ms))
    message.sample_time.FromMilliseconds(load.sample_ms)
    return message


def _active(running: Running) -> api.ActiveTask:
    envelope = running.envelope
    task = api.ActiveTask(
        task_id=envelope.task_id,
        workflow_id=envelope.workflow_id,
        step=envelope.step,
        run=envelope.run,
        attempt=envelope.attempt,
        capability=envelope.capability,
        start_time=timestamp(running.started_ms),
        message=running.message,
    )
    if running.fraction is not None:
        task.fraction = running.fraction
    return task


def _capability(agent: Agent[Any, Any], slots: int) -> pb.Capability:
    return pb.Capability(
        name=agent.name,
        version=agent.version,
        description=agent.description,
        input_schema=agent.input.schema().decode(),
        output_schema=agent.output.schema().decode(),
        schemas_marked=True,
        labels=dict(agent.labels),
        slots=slots,
    )
