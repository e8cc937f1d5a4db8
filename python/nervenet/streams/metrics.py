# SPDX-License-Identifier: Apache-2.0
"""What claims and outcomes of tasks count, the same in an agent and in the gateway of a node; and the link's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.metrics import Registry, catalog

if TYPE_CHECKING:
    from nervenet.redis_link.link import Link
    from nervenet.streams.tasks.attempt import OutcomeEntry

__all__ = ["TaskMetrics", "read_link"]


class TaskMetrics:
    """One for each process. Without a registry it counts for nobody."""

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry("agent")
        self.attempts = registry.counters(catalog.TASK_ATTEMPTS)
        self.claims_lost = registry.counters(catalog.CLAIMS_LOST).child()
        self._schedule_to_start = registry.histograms(catalog.SCHEDULE_TO_START)
        self._run = registry.histograms(catalog.TASK_RUN)
        self._duplicates = registry.counters(catalog.DUPLICATES)
        self._tokens = registry.histograms(catalog.TOKENS)

    def claimed(self, capability: str, waited_ms: int) -> None:
        """An attempt was claimed, this long after it was sent."""
        self._schedule_to_start.child(capability).observe(waited_ms / 1000 if waited_ms > 0 else 0.0)

    def recorded(self, capability: str, outcome: OutcomeEntry, ran_ms: int) -> None:
        """The journal took an outcome, this long after its claim."""
        self.attempts.child(capability, outcome.result).value += 1
        self._run.child(capability, outcome.result).observe(ran_ms / 1000 if ran_ms > 0 else 0.0)
        for model, tokens_in, tokens_out in outcome.tokens:
            self._tokens.child(model, "input", capability).observe(tokens_in)
            self._tokens.child(model, "output", capability).observe(tokens_out)

    def duplicate(self, reason: str) -> None:
        """A second copy changed nothing."""
        self._duplicates.child(reason).add()


def read_link(registry: Registry, link: Link) -> None:
    """Export what the link counts anyway."""
    counters, skips = link.counters, link.skips
    registry.add(counters.batch_sizes)
    registry.add(counters.round_trips)
    registry.read(catalog.REDIS_CONNECTED, lambda: float(link.connected))
    registry.read(catalog.REDIS_RECONNECTS, lambda: counters.reconnects)
    registry.read(catalog.REDIS_RETRIES, lambda: counters.retried)
    registry.read(catalog.REDIS_COMMANDS, lambda: counters.commands)
    registry.read(catalog.UNREADABLE, lambda: skips.count)
