# SPDX-License-Identifier: Apache-2.0
"""What every part of a node needs, in one frozen object: clients of Redis and etcd, clocks, configuration, identity.

    class Reaper:
        def __init__(self, context: NodeContext, handover: Handover) -> None:

A part receives the context and its collaborators in its constructor and changes neither. What changes while a node runs,
such as its id, is in `status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nervenet.errors import RequestError, Unavailable
from nervenet.rpc.status import not_found

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from nervenet.archive.reader import ArchiveReader
    from nervenet.blobs import Blobs
    from nervenet.clock import Entropy
    from nervenet.codecs import Codecs
    from nervenet.config import Config
    from nervenet.definitions import Workflow
    from nervenet.node.background import BackgroundTasks
    from nervenet.node.guards.collector import CollectorPause
    from nervenet.node.guards.replay_process import ReplayProcess
    from nervenet.node.guards.watchdog import Watchdog
    from nervenet.node.metrics import NodeMetrics
    from nervenet.node.status import NodeStatus
    from nervenet.node.timers import MeshClock, Timers
    from nervenet.redis_link.link import Link
    from nervenet.registry.table import Table
    from nervenet.streams.journal import JournalStore
    from nervenet.streams.keys import Keys
    from nervenet.streams.ownership import Ownership
    from nervenet.streams.queues import Queues
    from nervenet.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContext:
    """See the module."""

    status: NodeStatus
    config: Config
    codecs: Codecs
    """What decodes values for workflow code and for the checks of callers' values."""
    definitions: Mapping[tuple[str, int], Workflow[Any, Any]]
    """What this node has code for, by name and version."""
    release: tuple[int, ...]
    """The release of nervenet that this node runs."""
    link: Link
    keys: Keys
    journal: JournalStore
    queues: Queues
    ownership: Ownership
    archive: ArchiveReader | None
    """None: the mesh has no archive."""
    blobs: Blobs | None
    """Where large values lie. None: all of them lie in Redis."""
    table: Table
    clock: MeshClock
    timers: Timers
    watchdog: Watchdog
    collector_pause: CollectorPause
    replay_process: ReplayProcess | None
    """Checks each run for determinism in another process; only `nervenet dev` has one."""
    entropy: Entropy
    telemetry: Telemetry
    metrics: NodeMetrics
    background: BackgroundTasks
    spawn: Callable[[Awaitable[object]], None]
    """`background.spawn`, bound once: it is called for every entry."""

    def no_workflow(self, workflow_id: str) -> RequestError:
        """Redis does not know this workflow. After a crash it may be yet to be written back: then `Unavailable`, so come again."""
        if self.clock.now_ms() < self.status.doubted_until_ms:
            words = f"Redis has come back, and {workflow_id} may be among what it has lost and gets back: try again"
            return Unavailable(words, code="UNAVAILABLE", reason="BACKEND_DOWN")
        return not_found("workflow", workflow_id, namespace=self.config.namespace)
