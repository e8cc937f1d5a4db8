# SPDX-License-Identifier: Apache-2.0
"""Ejects agents that are alive but do no good: they accept nothing, or fail everything. They get no tasks for a while.

A heartbeat proves that a process is alive, not that it works: its reader may hang, its model may be gone. So each node
judges by what it sees itself of the tasks that it owns:

- *accepts nothing*: a task lay in the agent's inbox for the whole accept timeout while the agent reported free slots. One
  such task is enough: it moves to another agent anyway, and the next one would wait as long. Any claim or outcome of the
  agent ends the ejection at once.
- *fails everything*: `IN_A_ROW` attempts failed in a row, and another agent of the same capability succeeded since the
  first of them. So an input that no agent can handle, or a failing service that all of them use, ejects nobody. And never
  more than half of a capability's agents are ejected for this reason.

An ejected agent is not treated as dead. It finishes what it runs, it still reads the shared queues, and it gets tasks
again after a time that doubles with each ejection (as in Envoy's outlier detection). `FailureStreak` decides, as a pure
value; the class remembers and tells the agent pools.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.durable.retry import may_repeat
from nervenet.records import FailureCode
from nervenet.timing import EJECTION_BASE_MS, EJECTION_LONGEST_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nervenet.node.context import NodeContext
    from nervenet.records import Failure

_log = logging.getLogger(__name__)

IN_A_ROW: Final = 5
AT_FAULT: Final = frozenset(
    {FailureCode.APPLICATION, FailureCode.DEPENDENCY, FailureCode.INTERNAL, FailureCode.TIMEOUT}
)
"""Failures that may be the agent's own fault. A rate limit, a cancel, a drain or a death is not."""


class FailureStreak(NamedTuple):
    """Failures in a row of one agent at one capability."""

    failures: int
    since_ms: int

    def outlier(self, good_ms: int) -> bool:
        """Whether the agent is at fault: another one succeeded at `good_ms`, after this began."""
        return self.failures >= IN_A_ROW and good_ms >= self.since_ms


class Ejected(NamedTuple):
    """One ejection. `stuck`: the agent accepted nothing, so any sign of work ends the ejection. `why`: in words."""

    until_ms: int
    times: int
    stuck: bool
    capability: str
    why: str


def for_how_long(times: int) -> int:
    """The n-th ejection, in ms."""
    return int(min(EJECTION_LONGEST_MS, EJECTION_BASE_MS * 2 ** min(times - 1, 10)))


class OutlierEjection:
    """One for each node. `look_at_tasks_of`: sends what waits in an agent's inbox to other agents."""

    def __init__(self, context: NodeContext, look_at_tasks_of: Callable[[str], Awaitable[None]]) -> None:
        self._context = context
        self._look_at_tasks_of = look_at_tasks_of
        self._pools = context.table.pools
        self._streaks: dict[tuple[str, str], FailureStreak] = {}
        self._good: dict[str, tuple[str, int]] = {}  # by capability, who succeeded last and when
        self._ejected: dict[str, Ejected] = {}

    def __repr__(self) -> str:
        return f"<OutlierEjection {self.count} agents ejected>"

    def ejected(self, agent_id: str) -> bool:
        """Whether it gets nothing now."""
        found = self._ejected.get(agent_id)
        return found is not None and found.until_ms > self._context.clock.now_ms()

    @property
    def count(self) -> int:
        """How many agents get nothing now."""
        return sum(map(self.ejected, tuple(self._ejected)))

    def standing(self) -> list[tuple[str, Ejected]]:
        """The agents that get nothing now, by id."""
        return [(agent_id, found) for agent_id, found in sorted(self._ejected.items()) if self.ejected(agent_id)]

    # ── what is seen ─────────────────────────────────────────────────────────────────────────────────────────────────

    def accepted(self, agent_id: str) -> None:
        """It claimed something, or ended it."""
        found = self._ejected.get(agent_id)
        if found is not None and found.stuck and self.ejected(agent_id):
            self._ejected[agent_id] = found._replace(until_ms=0)
            self._pools.readmit(agent_id)
            _log.info("%s takes tasks again", agent_id)

    def not_accepted(self, agent_id: str, capability: str) -> None:
        """A task lay in its inbox for the whole accept timeout."""
        if not self.ejected(agent_id) and self._pools.reports_room(agent_id):
            words = f"it did not take a task of {capability!r} in time, though it has room"
            self._eject(agent_id, capability, words, stuck=True)

    def attempt_ended(self, agent_id: str, capability: str, failure: Failure | None, at_ms: int) -> None:
        """It has done a task, or failed. `at_ms` is the time of the journal's entry: what came first there came first."""
        if self._ejected:
            self.accepted(agent_id)
        if failure is None:
            self._good[capability] = agent_id, at_ms
            if self._streaks:
                self._streaks.pop((agent_id, capability), None)
            return
        if failure.code not in AT_FAULT or not may_repeat(failure, ()):
            return
        before = self._streaks.get((agent_id, capability))
        streak = FailureStreak(before.failures + 1, before.since_ms) if before else FailureStreak(1, at_ms)
        self._streaks[agent_id, capability] = streak
        other, good_ms = self._good.get(capability, ("", -1))
        if other != agent_id and streak.outlier(good_ms) and not self.ejected(agent_id) and self._may_go(capability):
            del self._streaks[agent_id, capability]
            words = f"{streak.failures} attempts at {capability!r} failed in a row, where {other} succeeds: {failure.message}"
            self._eject(agent_id, capability, words, stuck=False)

    def gone(self, agent_id: str) -> None:
        """It is no longer registered."""
        self._ejected.pop(agent_id, None)
        for key in [key for key in self._streaks if key[0] == agent_id]:
            del self._streaks[key]

    # ── what is done ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _may_go(self, capability: str) -> bool:
        agents = [candidate.agent_id for candidate in self._pools.candidates(capability)]
        return 2 * (sum(map(self.ejected, agents)) + 1) <= len(agents)

    def _eject(self, agent_id: str, capability: str, why: str, *, stuck: bool) -> None:
        now = self._context.clock.now_ms()
        before = self._ejected.get(agent_id)
        times = before.times + 1 if before and before.until_ms + EJECTION_LONGEST_MS > now else 1
        until = now + for_how_long(times)
        self._ejected[agent_id] = Ejected(until, times, stuck, capability, why)
        self._pools.eject(agent_id, why)
        self._context.metrics.ejections.child("accepts_nothing" if stuck else "fails_everything").add()
        _log.warning("%s gets nothing for %d s: %s", agent_id, (until - now) // 1000, why)
        self._context.timers.at(until, self._readmit, agent_id, until)
        self._context.spawn(self._look_at_tasks_of(agent_id))  # what waits in its inbox goes elsewhere

    def _readmit(self, agent_id: str, until_ms: int) -> None:
        found = self._ejected.get(agent_id)
        if found is not None and found.until_ms == until_ms:
            self._pools.readmit(agent_id)
