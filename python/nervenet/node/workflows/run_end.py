# SPDX-License-Identifier: Apache-2.0
"""The end of a run: agents stop, questions leave the list, and those who wait are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.node.workflows.tracing import export_closed
from nervenet.streams.ownership import ClosedWorkflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.attempt import DispatchedAttempt
    from nervenet.node.workflows.bookkeeping import CloseBookkeeping
    from nervenet.node.workflows.children import Children
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.escalations import Escalations
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.records import Close


class RunEnd:
    """One for each node.

    Args:
        recall: has the agent of an attempt stop it, or not get it; why.
        remember: keeps a closed journal for some seconds, to be written back if Redis loses it.
    """

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        escalations: Escalations,
        bookkeeping: CloseBookkeeping,
        children: Children,
        *,
        recall: Callable[[Coordinator, DispatchedAttempt, str], None],
        remember: Callable[[Coordinator, Close], None],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._escalations = escalations
        self._bookkeeping = bookkeeping
        self._recall = recall
        self._remember = remember
        self._children = children

    def closed(self, coordinator: Coordinator, close: Close) -> None:
        """`close` is in the journal and folded: tell those who wait, and move it to the closed workflows."""
        context, workflow_id = self._context, coordinator.workflow_id
        took_ms = coordinator.applied_ms - coordinator.created_ms
        context.metrics.closed(coordinator.machine.workflow.name, close, took_ms, coordinator.labels)
        created_ms, closed_ms = coordinator.created_ms, coordinator.applied_ms
        self.release(coordinator, "the workflow is over")
        self._remember(coordinator, close)
        self._hosted.forget(coordinator, close)
        own_ms = coordinator.machine.workflow.retention_ms or 0
        about = (context.status.node_id, created_ms, closed_ms, 0, coordinator.run, own_ms)
        self._bookkeeping.finish(ClosedWorkflow(workflow_id, *about, coordinator.machine.workflow.name))
        if coordinator.parent is not None:
            definition = coordinator.machine.workflow.name
            context.spawn(self._children.report(workflow_id, definition, coordinator.parent, close))
        if coordinator.story is not None and context.telemetry.on:
            context.spawn(export_closed(context, coordinator, coordinator.story))

    def release(self, coordinator: Coordinator, why: str) -> None:
        """Nothing of this run matters any more: agents stop, questions leave the list."""
        for sent in coordinator.sent.values():
            if sent.agent_id:
                self._recall(coordinator, sent, why)
        self._escalations.workflow_over(coordinator)

    def replace(self, old: Coordinator, new: Coordinator) -> None:
        """Host the next run in the place of this one; those who wait for the workflow's end continue to wait."""
        self.release(old, "the run is over")
        old.drop()
        self._hosted.attach(new)
