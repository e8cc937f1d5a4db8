# SPDX-License-Identifier: Apache-2.0
"""What every part of a node needs, in one frozen object: clients of Redis and etcd, clocks, configuration, identity.

    class Reaper:
        def __init__(self, context: NodeContext, handover: Handover) -> None:

A part receives the context and its collaborators in its constructor and changes neither. Only four things change while
a node runs, and `NodeStatus` holds them: the node's id, its session with etcd, whether it is draining, and what its
gRPC side serves. An id is one incarnation: a node whose lease expired continues under a new id, and other nodes adopt
what the old id owned. So no part stores the id. It reads `status.node_id`, and keeps a local copy only where a protocol
must notice that the id has changed in the middle (see `loading.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from nervenet.clock import Entropy
    from nervenet.config import Config
    from nervenet.definitions import Workflow
    from nervenet.node.background import BackgroundTasks
    from nervenet.node.elsewhere import Elsewhere
    from nervenet.node.served import Served
    from nervenet.node.timers import MeshClock, Timers
    from nervenet.node.watchdog import Watchdog
    from nervenet.redis_link.link import Link
    from nervenet.registry.session import Session
    from nervenet.registry.table import Table
    from nervenet.streams.journal import JournalStore
    from nervenet.streams.keys import Keys
    from nervenet.streams.ownership import Ownership
    from nervenet.streams.queues import Queues
    from nervenet.telemetry import Telemetry


class NodeStatus:
    """What changes while a node runs. Only `Node` changes it, and the drain call of its own service."""

    __slots__ = ("draining", "node_id", "served", "session")

    def __init__(self, node_id: str, session: Session) -> None:
        self.node_id = node_id
        self.session = session
        self.draining = False
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContext:
    """See the module."""

    status: NodeStatus
    config: Config
    definitions: Mapping[tuple[str, int], Workflow[Any, Any]]
    """What this node has code for, by name and version."""
    release: tuple[int, ...]
    """The release of nervenet that this node runs."""
    link: Link
    keys: Keys
    journal: JournalStore
    queues: Queues
    ownership: Ownership
    table: Table
    clock: MeshClock
    timers: Timers
    watchdog: Watchdog
    replay_process: Elsewhere | None
    """Checks each run for determinism in another process; only `nervenet dev` has one."""
    entropy: Entropy
    telemetry: Telemetry
    background: BackgroundTasks
    spawn: Callable[[Awaitable[object]], None]
    """`background.spawn`, bound once: it is called for every entry."""
