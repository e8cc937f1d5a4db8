# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802  # methods carry the contract's names
"""AgentService as a node serves it: by `agent_id`, for every agent that it can reach, asked at the agent itself (or at the
node whose gateway it is connected to); and `Connect`, the gateway.

What the registry knows too (who an agent is, how busy it was) is answered from there when the agent does not answer;
a wish to drain or resume is left in its record then, and reaches it with its next heartbeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nervenet.errors import Unavailable
from nervenet.node.gateway.connected_agent import state_number
from nervenet.node.gateway.gateway import running
from nervenet.node.services.records import agent_record, load_of
from nervenet.rpc.status import invalid, not_found
from nervenet.v1 import agent_pb2
from nervenet.v1 import agent_service_pb2 as pb
from nervenet.wire import optional_ms, timestamp

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.connect import ConnectHandler
    from nervenet.node.gateway.connected_agent import ConnectedAgent, GatewayTask
    from nervenet.node.gateway.gateway import Gateway
    from nervenet.node.services.heartbeats import Heartbeats
    from nervenet.node.services.peers import Peers
    from nervenet.registry.views import AgentView


class Agents:
    """The servicer."""

    def __init__(
        self,
        context: NodeContext,
        gateway: Gateway,
        peers: Peers,
        heartbeats: Heartbeats,
        connect_handler: ConnectHandler,
    ) -> None:
        self._table = context.table
        self._clock = context.clock
        self._gateway = gateway
        self._peers = peers
        self._heartbeats = heartbeats
        self.Connect = connect_handler.connect

    async def DescribeAgent(self, request: pb.DescribeAgentRequest, context: Any) -> pb.DescribeAgentResponse:
        if (connected := self._connected(request.agent_id)) is not None:
            record = agent_pb2.AgentRecord()
            record.CopyFrom(connected.record)
            record.state = state_of(connected)
            return pb.DescribeAgentResponse(agent=record, load=connected.load(self._clock.now_ms()))
        agent = self._agent(request.agent_id)
        try:
            answer: pb.DescribeAgentResponse = await self._ask(agent, "DescribeAgent", request)
            return answer
        except Unavailable:
            return pb.DescribeAgentResponse(agent=agent_record(agent.record), load=load_of(self._table, agent.id))

    async def GetLoad(self, request: pb.GetLoadRequest, context: Any) -> pb.GetLoadResponse:
        if (connected := self._connected(request.agent_id)) is not None:
            return pb.GetLoadResponse(load=connected.load(self._clock.now_ms()))
        agent = self._agent(request.agent_id)
        try:
            answer: pb.GetLoadResponse = await self._ask(agent, "GetLoad", request)
            return answer
        except Unavailable:
            return pb.GetLoadResponse(load=load_of(self._table, agent.id))

    async def ListActiveTasks(self, request: pb.ListActiveTasksRequest, context: Any) -> pb.ListActiveTasksResponse:
        if (connected := self._connected(request.agent_id)) is not None:
            return pb.ListActiveTasksResponse(tasks=[_active(task) for task in running(connected)])
        answer: pb.ListActiveTasksResponse = await self._ask(self._agent(request.agent_id), "ListActiveTasks", request)
        return answer

    async def DrainAgent(self, request: pb.DrainAgentRequest, context: Any) -> pb.DrainAgentResponse:
        if (connected := self._connected(request.agent_id)) is not None:
            self._gateway.drain_agent(connected, optional_ms(request, "grace"))
            return pb.DrainAgentResponse(state=state_of(connected), active=len(connected.tasks))
        agent = self._agent(request.agent_id)
        try:
            answer: pb.DrainAgentResponse = await self._ask(agent, "DrainAgent", request)
            return answer
        except Unavailable:
            await self._wish(agent, agent_pb2.AGENT_STATE_DRAINING)
            load = self._table.loads.get(agent.id)
            active = load.active if load is not None else 0
            return pb.DrainAgentResponse(state=agent_pb2.AGENT_STATE_DRAINING, active=active)

    async def ResumeAgent(self, request: pb.ResumeAgentRequest, context: Any) -> pb.ResumeAgentResponse:
        if (connected := self._connected(request.agent_id)) is not None:
            self._gateway.resume_agent(connected)
            return pb.ResumeAgentResponse(state=state_of(connected))
        agent = self._agent(request.agent_id)
        try:
            answer: pb.ResumeAgentResponse = await self._ask(agent, "ResumeAgent", request)
            return answer
        except Unavailable:
            await self._wish(agent, agent_pb2.AGENT_STATE_ACTIVE)
            return pb.ResumeAgentResponse(state=agent_pb2.AGENT_STATE_ACTIVE)

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Any) -> pb.CancelTaskResponse:
        # First by task: what an agent began under an earlier id still runs here.
        if self._gateway.cancel(request.task_id, request.attempt, request.reason):
            return pb.CancelTaskResponse(found=True)
        if self._connected(request.agent_id) is not None:
            return pb.CancelTaskResponse(found=False)
        answer: pb.CancelTaskResponse = await self._ask(self._agent(request.agent_id), "CancelTask", request)
        return answer

    def _connected(self, agent_id: str) -> ConnectedAgent | None:
        """The agent, if it is connected to this very node."""
        connected = self._gateway.agents.get(agent_id)
        return connected if connected is not None and connected.outbox is not None else None

    def _agent(self, agent_id: str) -> AgentView:
        if not agent_id:
            raise invalid("agent_id", "a node serves many agents: name one")
        agent = self._table.agents.get(agent_id)
        if agent is None:
            raise not_found("agent", agent_id)
        return agent

    async def _ask(self, agent: AgentView, name: str, request: Message) -> Any:
        if agent.transport == "GATEWAY" and agent.control_endpoint == self._gateway.address:
            words = f"agent {agent.id} is not connected at the moment"
            raise Unavailable(words, code="UNAVAILABLE", reason="NO_AGENT")
        try:
            return await self._peers.agent(agent.control_endpoint, name, request)
        except Unavailable as error:
            words = f"agent {agent.id} can't be reached: {error.message}"
            raise Unavailable(words, code="UNAVAILABLE", reason="NO_AGENT") from None

    async def _wish(self, agent: AgentView, state: agent_pb2.AgentState) -> None:
        await self._heartbeats.set_state(agent.id, self._table.lease(agent.id), state)


def state_of(connected: ConnectedAgent) -> agent_pb2.AgentState:
    return state_number(connected.state)


def _active(task: GatewayTask) -> pb.ActiveTask:
    workflow_id, run, step, attempt = task.key
    active = pb.ActiveTask(
        task_id=task.envelope.task_id,
        workflow_id=workflow_id,
        step=step,
        run=run,
        attempt=attempt,
        capability=task.envelope.capability,
        start_time=timestamp(task.acked_ms or task.started_ms),
        message=task.message,
    )
    if task.fraction is not None:
        active.fraction = task.fraction
    return active
