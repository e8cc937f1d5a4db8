# SPDX-License-Identifier: Apache-2.0
"""Workflows change owner: a node gives one of its own to another, and owned sets are cleared of what moved.

Heads and owned sets lie in different slots, so no script can change both. The order of the writes makes every crash
leave a harmless extra: an id in a set whose head names another node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.node.workflows.wakes import send_wake

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.unloaded import UnloadedWorkflow


class Handover:
    """One for each node."""

    def __init__(self, context: NodeContext, hosted: HostedWorkflows) -> None:
        self._context = context
        self._hosted = hosted

    async def disown(self, node_id: str, *workflow_ids: str) -> None:
        """Take out of a node's set what its heads say is another's; put back what became that node's meanwhile.

        A node that gives a workflow away lists it in the new owner's set before and after the head names the new owner.
        So either we see the new head here, or the second listing comes after our removal.
        """
        ownership = self._context.ownership
        await ownership.disown(node_id, *workflow_ids)
        heads = await self._context.journal.heads(workflow_ids, ("owner", "closed_ms"))
        back = [w for w, head in heads if head is not None and head.owner == node_id and not head.closed]
        if back:
            await ownership.own(node_id, *back)

    async def hand_over(self, hosted: Coordinator | UnloadedWorkflow, target: str) -> bool:
        """Give a workflow to another node: its set, the owner, the wake, its set again (`disown`), then our own set.

        Returns whether this node has nothing to do with it any more: it may have closed meanwhile.
        """
        context, workflow_id = self._context, hosted.workflow_id
        async with self._hosted.lock(workflow_id):
            one = self._hosted.find(workflow_id)  # it may have left memory, or come back
            if one is None:
                return True
            await context.ownership.own(target, workflow_id)
            moved = await context.ownership.move(workflow_id, target, context.status.node_id)
            if moved.status not in ("moved", "mine"):
                return moved.status == "closed"
            context.metrics.handovers.add()
            self._hosted.forget_any(one)
            send_wake(context, target, workflow_id, one.run, b"0-0", "")
            await context.ownership.own(target, workflow_id)
            await self.disown(context.status.node_id, workflow_id)
            return True
