# SPDX-License-Identifier: Apache-2.0
"""Registry records as the contract's messages: etcd has their proto JSON."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from google.protobuf import json_format

from nervenet.v1 import agent_pb2
from nervenet.v1 import registry_service_pb2 as pb

if TYPE_CHECKING:
    from nervenet.registry.table import Table
    from nervenet.registry.views import AgentView


def agent_record(stored: bytes) -> agent_pb2.AgentRecord:
    """A message of one's own, to be changed at will."""
    record = agent_pb2.AgentRecord()
    record.CopyFrom(_agent(stored))
    return record


@lru_cache(maxsize=4096)
def _agent(stored: bytes) -> agent_pb2.AgentRecord:
    return json_format.Parse(stored, agent_pb2.AgentRecord(), ignore_unknown_fields=True)


@lru_cache(maxsize=256)
def node_record(stored: bytes) -> agent_pb2.NodeRecord:
    stored = stored.replace(b'"AGENT_STATE_', b'"NODE_STATE_')  # an older node wrote it
    record = json_format.Parse(stored, agent_pb2.NodeRecord(), ignore_unknown_fields=True)
    record.state = record.state or agent_pb2.NODE_STATE_ACTIVE
    return record


def load_of(table: Table, agent_id: str) -> agent_pb2.Load | None:
    load = table.loads.get(agent_id)
    if load is None:
        return None
    return json_format.Parse(load.record, agent_pb2.Load(), ignore_unknown_fields=True)


def entry_of(table: Table, agent: AgentView) -> pb.AgentEntry:
    return pb.AgentEntry(agent=agent_record(agent.record), load=load_of(table, agent.id))
