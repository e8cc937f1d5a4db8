# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802  # methods carry the contract's names
"""AgentService as a node serves it: by `agent_id`, for every agent that it can reach, asked at the agent itself.

What the registry knows too (who an agent is, how busy it was) is answered from there when the agent does not answer;
a wish to drain or resume is left in its record then, and reaches it with its next heartbeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nervenet.errors import Unavailable
from nervenet.node.services.records import agent_record, load_of
from nervenet.rpc.status import invalid, not_found, not_yet
from nervenet.v1 import agent_pb2
from nervenet.v1 import agent_service_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from nervenet.node.services.heartbeats import Heartbeats
    from nervenet.node.services.peers import Peers
    from nervenet.registry.table import Table
    from nervenet.registry.views import AgentView

__all__ = ["Agents"]


class Agents:
    """The servicer."""

    def __init__(self, table: Table, peers: Peers, heartbeats: Heartbeats) -> None:
        self._table = table
        self._peers = peers
        self._heartbeats = heartbeats

    async def DescribeAgent(self, request: pb.DescribeAgentRequest, context: Any) -> pb.DescribeAgentResponse:
        agent = self._agent(request.agent_id)
        try:
            answer: pb.DescribeAgentResponse = await self._ask(agent, "DescribeAgent", request)
            return answer
        except Unavailable:
            return pb.DescribeAgentResponse(agent=agent_record(agent.record), load=load_of(self._table, agent.id))

    async def GetLoad(self, request: pb.GetLoadRequest, context: Any) -> pb.GetLoadResponse:
        agent = self._agent(request.agent_id)
        try:
            answer: pb.GetLoadResponse = await self._ask(agent, "GetLoad", request)
            return answer
        except Unavailable:
            return pb.GetLoadResponse(load=load_of(self._table, agent.id))

    async def ListActiveTasks(self, request: pb.ListActiveTasksRequest, context: Any) -> pb.ListActiveTasksResponse:
        answer: pb.ListActiveTasksResponse = await self._ask(self._agent(request.agent_id), "ListActiveTasks", request)
        return answer

    async def DrainAgent(self, request: pb.DrainAgentRequest, context: Any) -> pb.DrainAgentResponse:
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
        agent = self._agent(request.agent_id)
        try:
            answer: pb.ResumeAgentResponse = await self._ask(agent, "ResumeAgent", request)
            return answer
        except Unavailable:
            await self._wish(agent, agent_pb2.AGENT_STATE_ACTIVE)
            return pb.ResumeAgentResponse(state=agent_pb2.AGENT_STATE_ACTIVE)

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Any) -> pb.CancelTaskResponse:
        answer: pb.CancelTaskResponse = await self._ask(self._agent(request.agent_id), "CancelTask", request)
        return answer

    async def Connect(self, requests: Any, context: Any) -> Any:
        """The gateway comes with the polyglot agents."""
        raise not_yet("the gateway for agents that speak only gRPC comes with a later version: connect to Redis")
        yield  # type: ignore[unreachable]  # makes it a stream, as the contract has it

    def _agent(self, agent_id: str) -> AgentView:
        if not agent_id:
            raise invalid("agent_id", "a node serves many agents: name one")
        agent = self._table.agents.get(agent_id)
        if agent is None:
            raise not_found("agent", agent_id)
        return agent

    async def _ask(self, agent: AgentView, name: str, request: Message) -> Any:
        try:
            return await self._peers.agent(agent.control_endpoint, name, request)
        except Unavailable as error:
            words = f"agent {agent.id} can't be reached: {error.message}"
            raise Unavailable(words, code="UNAVAILABLE", reason="NO_AGENT") from None

    async def _wish(self, agent: AgentView, state: agent_pb2.AgentState) -> None:
        await self._heartbeats.set_state(agent.id, self._table.lease(agent.id), state)
