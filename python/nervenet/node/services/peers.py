# SPDX-License-Identifier: Apache-2.0
"""The way to other nodes and to agents: what only they can answer is asked over the contract, like anybody else does.

One channel for each process that was asked, closed when the process has left the registry.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from nervenet.errors import Unavailable
from nervenet.grpc_import import grpc
from nervenet.rpc.channels import Channel, Metadata, Trust, metadata_for_agent, metadata_of
from nervenet.rpc.status import error_of
from nervenet.timing import PEER_CALL_TIMEOUT
from nervenet.v1 import agent_service_pb2 as agents
from nervenet.v1 import coordinator_service_pb2 as coordinators
from nervenet.v1 import registry_service_pb2 as registries
from nervenet.v1 import workflow_pb2
from nervenet.wire import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from google.protobuf.message import Message

    from nervenet.config import Config
    from nervenet.errors import RequestError

_log = logging.getLogger(__name__)

REPLAY_TIMEOUT: Final = 30.0
"""A long journal takes seconds to replay."""
HOP_KEY: Final = "nervenet-hop"
"""In the metadata of a question that a node has passed on: it is answered, not passed on again."""


class Peers:
    """One for each node. Also the `AgentControl` of its dispatcher.

    Args:
        config: The settings of the node.
        nodes: The addresses of all nodes. Only they are sent a token that is this node's alone.
    """

    def __init__(self, config: Config, nodes: Callable[[], Container[str]]) -> None:
        self._config = config
        self._trust = Trust(config)
        self._nodes = nodes
        self._channels: dict[str, Channel] = {}

    async def workflow(self, address: str, request: coordinators.GetWorkflowRequest) -> workflow_pb2.Workflow:
        """What the owner of a workflow says about it."""
        answer = await self._ask(address, "GetWorkflow", request, PEER_CALL_TIMEOUT, ((HOP_KEY, "1"),))
        found: workflow_pb2.Workflow = answer.workflow
        return found

    async def retry(
        self, address: str, request: coordinators.RetryWorkflowRequest
    ) -> coordinators.RetryWorkflowResponse:
        """Replay a BLOCKED workflow again at its owner."""
        answer: coordinators.RetryWorkflowResponse = await self._ask(
            address, "RetryWorkflow", request, REPLAY_TIMEOUT, ((HOP_KEY, "1"),)
        )
        return answer

    async def waits(
        self, address: str, workflow_ids: Sequence[str], stuck_ms: int | None
    ) -> list[coordinators.WorkflowWaits]:
        """What those workflows of a node wait for."""
        request = coordinators.ListWaitsRequest(workflow_ids=workflow_ids, stuck_after=duration(stuck_ms))
        answer: coordinators.ListWaitsResponse = await self._ask(address, "ListWaits", request, PEER_CALL_TIMEOUT)
        return list(answer.workflows)

    async def ejections(self, address: str) -> list[registries.Ejection]:
        """The agents that a node sends nothing."""
        request = registries.ListEjectionsRequest()
        answer: registries.ListEjectionsResponse = await self._ask(address, "ListEjections", request, PEER_CALL_TIMEOUT)
        return list(answer.ejections)

    async def drain_node(self, address: str, request: registries.DrainNodeRequest) -> registries.DrainNodeResponse:
        answer: registries.DrainNodeResponse = await self._ask(address, "DrainNode", request, PEER_CALL_TIMEOUT)
        return answer

    async def agent(self, address: str, name: str, request: Message, within: float = PEER_CALL_TIMEOUT) -> Any:
        """A call of AgentService at the agent itself."""
        return await self._ask(address, name, request, within, to_agent=True)

    async def cancel_task(
        self, endpoint: str, agent_id: str, task_id: str, run: int, attempt: int, reason: str
    ) -> bool:
        request = agents.CancelTaskRequest(agent_id=agent_id, task_id=task_id, run=run, attempt=attempt, reason=reason)
        answer: agents.CancelTaskResponse = await self._ask(
            endpoint, "CancelTask", request, PEER_CALL_TIMEOUT, to_agent=True
        )
        return answer.found

    async def _ask(
        self,
        address: str,
        name: str,
        request: Message,
        within: float,
        more: Metadata = (),
        *,
        to_agent: bool = False,
    ) -> Any:
        if not address:
            raise Unavailable("it told no address", code="UNAVAILABLE")
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = Channel(address, self._config, trust=self._trust)
        is_agent = to_agent and address not in self._nodes()  # an agent of the gateway is asked through its node
        ours = metadata_for_agent(self._config) if is_agent else metadata_of(self._config)
        try:
            return await channel[name](request, timeout=within, metadata=(*ours, *more))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Unavailable(f"{address} did not answer within {within:g} s", code="UNAVAILABLE") from None
            found = _not_the_callers(error_of(error, address), address)
            if isinstance(found, Unavailable) and not found.reason and (why := await channel.why_not_secured()):
                found = Unavailable(f"no answer from {address}: {why}", code=found.code)
            raise found from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Unavailable(f"{address} is gone", code="UNAVAILABLE") from None  # `forget` closed it under this call

    async def forget(self, address: str) -> None:
        """That process is gone."""
        channel = self._channels.pop(address, None)
        if channel is not None:
            await channel.close()

    async def close(self) -> None:
        channels, self._channels = self._channels, {}
        await asyncio.gather(*(channel.close() for channel in channels.values()))


def _not_the_callers(error: RequestError, address: str) -> RequestError:
    """The error for the caller of this node. That another process refuses the node's own credentials is not the caller's fault."""
    if error.code != "UNAUTHENTICATED":
        return error
    _log.error(
        "%s refuses the credentials of this node: %s (NERVENET_TOKEN_FILE, NERVENET_TLS_CERT)", address, error.message
    )
    words = f"{address} does not know this node: its log says more; ask another node"
    return Unavailable(words, code="UNAVAILABLE", reason="NODE_REFUSED")
