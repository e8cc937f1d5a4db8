# SPDX-License-Identifier: Apache-2.0
"""What the policy asks about workflows and agents when a rule depends on them: `nervenet.security.permit.Lookups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.node.services.archived import archived_run
from nervenet.node.services.reads import labels_of
from nervenet.node.services.records import agent_record
from nervenet.rpc.status import not_found
from nervenet.security.permit import AgentFacts, WorkflowFacts

if TYPE_CHECKING:
    from nervenet.errors import RequestError
    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.gateway import Gateway
    from nervenet.registry.etcd import Etcd

__all__ = ["NodeLookups"]


class NodeLookups:
    """One for each node."""

    def __init__(self, context: NodeContext, gateway: Gateway, etcd: Etcd) -> None:
        self._context = context
        self._gateway = gateway
        self._etcd = etcd

    async def workflow(self, workflow_id: str) -> WorkflowFacts | None:
        head = await self._context.journal.head(workflow_id, ("definition", "labels"))
        if head is None:  # the archive gives it to no one whom Redis would not have given it to
            found = await archived_run(self._context, workflow_id)
            head = None if found is None else found.head
        return None if head is None else WorkflowFacts(head.definition, labels_of(head))

    async def agent(self, agent_id: str) -> AgentFacts | None:
        """From the gateway, which keeps agents for a while whose stream broke, the table, or etcd."""
        connected = self._gateway.agents.get(agent_id)
        if connected is not None:
            return AgentFacts(connected.record.subject, connected.lease_id)
        table = self._context.table
        view = table.agents.get(agent_id)
        if view is not None:
            return AgentFacts(agent_record(view.record).subject, table.lease(agent_id))
        stored = await self._etcd.get(table.layout.agent(agent_id))
        return None if stored is None else AgentFacts(agent_record(stored.value).subject, stored.lease)

    def no_workflow(self, workflow_id: str, escalation_id: str = "") -> RequestError:
        namespace = self._context.config.namespace
        if escalation_id:
            words = f"there is no workflow {workflow_id!r} in namespace {namespace} that could ask {escalation_id!r}"
            return not_found("escalation", escalation_id, words)
        return self._context.no_workflow(workflow_id)

    def no_agent(self, agent_id: str) -> RequestError:
        return not_found("agent", agent_id)
