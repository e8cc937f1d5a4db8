# SPDX-License-Identifier: Apache-2.0
"""What the parts of a node count when something happens. `gauges.py` has what is looked at instead.

Nothing here is called while a journal is replayed: each event counts once, on the node on which it happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM
from nervenet.metrics import catalog
from nervenet.records import Attempt, FailureCode, Outcome
from nervenet.streams.metrics import TaskMetrics
from nervenet.timing import NODE_LEASE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nervenet.clock import Clock
    from nervenet.metrics import Registry
    from nervenet.records import Body, Close, Failure

MOST_DEATHS: Final = 200
"""Nodes whose time of death is remembered."""


class ArchiveMetrics:
    """What the archiver counts."""

    def __init__(self, registry: Registry) -> None:
        self._runs = registry.counters(catalog.ARCHIVE_RUNS).child()
        self._bytes = registry.counters(catalog.ARCHIVE_BYTES).child()
        self._failures = registry.counters(catalog.ARCHIVE_FAILURES).child()
        self._lost = registry.counters(catalog.ARCHIVE_LOST).child()

    def archived(self, runs: int) -> None:
        """This number of runs is in the archive and marked, by this node."""
        self._runs.add(runs)

    def wrote(self, size: int) -> None:
        """The objects of a batch are written."""
        self._bytes.add(size)

    def failed(self) -> None:
        """A call of the sink failed."""
        self._failures.add()

    def lost(self) -> None:
        """A run is gone, and nobody archived it."""
        self._lost.add()


class NodeMetrics:
    """One for each node."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self.registry = registry
        self.tasks = TaskMetrics(registry)
        self.archive = ArchiveMetrics(registry)
        self.calls = registry.histograms(catalog.RPC_SERVER)
        self.refused = registry.counters(catalog.WORKFLOWS_REFUSED)
        self.blocked = registry.counters(catalog.WORKFLOWS_BLOCKED)
        self.handovers = registry.counters(catalog.HANDOVERS).child()
        self.retries = registry.counters(catalog.TASK_RETRIES)
        self.sent = registry.counters(catalog.TASKS_SENT)
        self.resent = registry.counters(catalog.TASKS_RESENT)
        self.asked = registry.counters(catalog.ESCALATIONS_ASKED)
        self.decisions = registry.counters(catalog.DECISIONS)
        self.ejections = registry.counters(catalog.EJECTIONS)
        self._clock = clock
        self._entries = registry.counters(catalog.JOURNAL_ENTRIES).child()
        self._bytes = registry.counters(catalog.JOURNAL_BYTES).child()
        self._started = registry.counters(catalog.WORKFLOWS_STARTED)
        self._closed = registry.counters(catalog.WORKFLOWS_CLOSED)
        self._durations = registry.histograms(catalog.WORKFLOW_DURATION)
        self._invocations = registry.histograms(catalog.INVOKE_AGENT_DURATION)
        self._replays = registry.counters(catalog.REPLAYS)
        self._replay_durations = registry.histograms(catalog.REPLAY_DURATION).child()
        self._adoptions = registry.counters(catalog.ADOPTIONS)
        self._adoption_delay = registry.histograms(catalog.ADOPTION_DELAY).child()
        self._deaths: dict[str, float] = {}

    # ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────

    def started(self, definition: str, labels: Mapping[str, str]) -> None:
        """A workflow was created."""
        self._started.child(definition, *self.registry.values_of(labels)).add()

    def closed(self, definition: str, close: Close, took_ms: int, labels: Mapping[str, str]) -> None:
        """A run ended, this long after its start."""
        self._closed.child(definition, close.state.lower(), *self.registry.values_of(labels)).add()
        self._durations.child(definition, _error_type(close.failure)).observe(max(0, took_ms) / 1000)

    def folded(self, size: int) -> None:
        """An entry of a workflow here was folded, not replayed."""
        self._entries.value += 1
        self._bytes.value += size

    def replayed(self, reason: str, began: float) -> None:
        """A whole journal was folded; `began` is the time of its first entry, as `SYSTEM.monotonic` has it."""
        self._replays.child(reason).add()
        self._replay_durations.observe(SYSTEM.monotonic() - began)

    # ── deaths and adoptions ─────────────────────────────────────────────────────────────────────────────────────────

    def node_died(self, node_id: str, *, proven: bool) -> None:
        """The registry has lost a node. An expired lease lived on after its node, for one lease time at most."""
        self._deaths[node_id] = self._clock.monotonic() - (0 if proven else NODE_LEASE)
        while len(self._deaths) > MOST_DEATHS:
            del self._deaths[next(iter(self._deaths))]

    def adopted(self, definition: str, dead: str) -> None:
        """A workflow of a node that is gone continues here."""
        self._adoptions.child(definition).add()
        died = self._deaths.get(dead)
        if died is not None:
            self._adoption_delay.observe(self._clock.monotonic() - died)

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def task_over(self, capability: str, took_ms: int, failure: Failure | None) -> None:
        """A step of a workflow here has its outcome."""
        kind = "" if failure is None else _error_type(failure)
        self._invocations.child(capability, kind).observe(took_ms / 1000 if took_ms > 0 else 0.0)

    def appended(self, body: Body) -> None:
        """The journal took an entry of this node: an attempt that it gave up, or a step that it withdrew, has ended."""
        kind = type(body)
        if kind is Attempt or kind is Outcome:
            assert isinstance(body, Attempt | Outcome)
            failure = body.failure
            given_up = kind is Attempt or (failure is not None and failure.code is FailureCode.CANCELED)
            if failure is not None and body.capability and given_up:
                self.tasks.attempts.child(body.capability, failure.code.lower()).add()


def _error_type(failure: Failure | None) -> str:
    """As the convention wants it: the exception's type, else our code; "" for a success."""
    return "" if failure is None else failure.type or str(failure.code)
