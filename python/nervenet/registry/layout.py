# SPDX-License-Identifier: Apache-2.0
"""The keys in etcd: `/nervenet/<namespace>/<kind>/<id>`, readable with `etcdctl get --prefix /nervenet`.

| kind | value | lease |
| --- | --- | --- |
| `agents` | AgentRecord | the agent's |
| `load` | Load | the agent's |
| `nodes` | NodeRecord | the node's |
| `tombstones` | `{"reason": …, "by": …}` | its own, a minute |

Record and load are two keys, so that a load report does not wake the watchers of records.
"""

from __future__ import annotations

AGENTS = "agents"
LOAD = "load"
NODES = "nodes"
TOMBSTONES = "tombstones"


class Layout:
    """The keys of one namespace."""

    __slots__ = ("namespace", "prefix")

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.prefix = f"/nervenet/{namespace}/"

    def agent(self, agent_id: str) -> str:
        return f"{self.prefix}{AGENTS}/{agent_id}"

    def load(self, agent_id: str) -> str:
        return f"{self.prefix}{LOAD}/{agent_id}"

    def node(self, node_id: str) -> str:
        return f"{self.prefix}{NODES}/{node_id}"

    def tombstone(self, process_id: str) -> str:
        return f"{self.prefix}{TOMBSTONES}/{process_id}"

    def is_of_agent(self, key: str) -> bool:
        """Whether a key is the record or the load of an agent of this namespace."""
        return key.startswith((self.agent(""), self.load("")))

    def split(self, key: str) -> tuple[str, str]:
        """(kind, id) of a key below the prefix."""
        kind, _, process_id = key[len(self.prefix) :].partition("/")
        return kind, process_id
