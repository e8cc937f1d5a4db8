# SPDX-License-Identifier: Apache-2.0
"""Which live agents get no tasks, and why: what this node has decided, and what every other node has decided.

Each node judges alone, by the tasks that it owns (`nervenet.node.tasks.outlier_ejection`), and no decision leaves its memory. So
who wants the whole picture asks all nodes at the same time. Rejected: to write ejections into etcd. That would be a
write for each, read by every node, for a question that people ask now and then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from nervenet.errors import RequestError
from nervenet.v1 import registry_service_pb2 as pb
from nervenet.wire import timestamp

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.services.peers import Peers
    from nervenet.node.tasks.outlier_ejection import OutlierEjection

_log = logging.getLogger(__name__)


class Ejections:
    """One for each node."""

    def __init__(self, context: NodeContext, outliers: OutlierEjection, peers: Peers) -> None:
        self._context = context
        self._outliers = outliers
        self._peers = peers

    def here(self) -> list[pb.Ejection]:
        """The agents to which this node sends nothing, by id."""
        return [
            pb.Ejection(
                agent_id=agent_id,
                node_id=self._context.status.node_id,
                reason=pb.EJECTION_REASON_ACCEPTS_NOTHING if one.stuck else pb.EJECTION_REASON_FAILS_EVERYTHING,
                message=one.why,
                capability=one.capability,
                until_time=timestamp(one.until_ms),
            )
            for agent_id, one in self._outliers.standing()
        ]

    async def everywhere(self) -> dict[str, list[pb.Ejection]]:
        """By agent, what each node of the mesh says. Nodes that do not answer are left out."""
        others = [one.address for one in self._context.table.nodes.values() if one.id != self._context.status.node_id]
        found: dict[str, list[pb.Ejection]] = {}
        for told in (self.here(), *await asyncio.gather(*map(self._ask, others))):
            for one in told:
                found.setdefault(one.agent_id, []).append(one)
        return found

    async def _ask(self, address: str) -> list[pb.Ejection]:
        try:
            return await self._peers.ejections(address)
        except RequestError as error:  # an older release does not know the call
            _log.info("the node at %s does not say which agents it has ejected: %s", address, error)
            return []
