# SPDX-License-Identifier: Apache-2.0
"""The data plane as one value, for parts that need most of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nervenet.streams.metrics import TaskMetrics

if TYPE_CHECKING:
    from nervenet.blobs import Blobs
    from nervenet.redis_link.link import Link
    from nervenet.streams.journal import JournalStore
    from nervenet.streams.keys import Keys
    from nervenet.streams.queues import Queues

__all__ = ["DataPlane"]


@dataclass(slots=True, frozen=True)
class DataPlane:
    """The link to Redis, and what is built on it in one namespace."""

    link: Link
    keys: Keys
    journal: JournalStore
    queues: Queues
    metrics: TaskMetrics = field(default_factory=TaskMetrics)
    blobs: Blobs | None = None
    """Where large values lie. None: all of them lie in Redis."""
