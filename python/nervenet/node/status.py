# SPDX-License-Identifier: Apache-2.0
"""What changes while a node runs: its id, its session with etcd, whether it is draining, and what its gRPC side serves.

An id is one incarnation. A node whose lease expired continues under a new id, and other nodes adopt what the old id
owned. So no part stores the id: it reads `status.node_id`, and keeps a local copy only where a protocol must notice that
the id has changed in the middle (see `workflows/load.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nervenet.node.served import Served
    from nervenet.registry.session import Session


class NodeStatus:
    """See the module. Only `Node` changes it, the drain call of its own service, `WriteBack` (`rewritten_ms`), and `RedisRecovery`
    (`doubted_until_ms`)."""

    __slots__ = ("doubted_until_ms", "draining", "node_id", "rewritten_ms", "served", "session")

    def __init__(self, node_id: str, session: Session) -> None:
        self.node_id = node_id
        self.session = session
        self.draining = False
        self.rewritten_ms = 0
        """Redis' time when this node last wrote back what Redis had lost. Entries that were appended before may have moved since, or be
        gone: only the journal says where they are, no message."""
        self.doubted_until_ms = 0
        """The time of Redis until which some node may still write back a workflow that Redis does not know."""
        self.served: Served | None = None  # None: the gRPC side does not serve yet

    def __repr__(self) -> str:
        return f"<NodeStatus {self.node_id}{', draining' if self.draining else ''}>"

    @property
    def alive(self) -> bool:
        """Whether the session is: a node whose lease may have expired must not declare others dead or adopt their work."""
        return self.session.alive

    @property
    def address(self) -> str:
        """Where this node's services answer; "" before they do."""
        return "" if self.served is None else self.served.address
