# SPDX-License-Identifier: Apache-2.0
"""The current score of each agent, and for each requirement the agents that meet it.

An agent's load report is always a little old. So this node counts the tasks that it has assigned since, and those that
have ended since; both counts are dropped when a report arrives that was measured after them. Clocks differ, so the time
of a sample is corrected by the smallest difference ever seen between an agent's sampling and this node's receiving.
What remains is the delay.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from math import inf
from typing import TYPE_CHECKING, Final

from nervenet.registry.selection import Choice, Eligible, Explained, Requirement, explain, select
from nervenet.registry.views import AgentView, CapabilityView, LoadView

if TYPE_CHECKING:
    from nervenet.options import Policy

IN_TRANSIT_MS: Final = 50
"""A task that was assigned this shortly before a sample may not have reached the agent yet, so it still counts."""

MAX_REQUIREMENTS: Final = 256
MAX_STICKY_KEYS: Final = 10_000
"""Requirements whose agents are remembered. There is a limit because labels and keys come from callers."""

_NO_LOAD: Final = LoadView()


class Candidate:
    """One capability of one agent. `score` is compared by the selection: the share of taken slots; inf: no room.

    `load` is the same as a number for people: 1.0 and more means full.
    """

    __slots__ = (
        "_reported",
        "agent_candidates",
        "agent_id",
        "assigned",
        "capability",
        "finished",
        "labels",
        "load",
        "score",
        "score_copies",
        "stream",
    )

    def __init__(self, agent_candidates: AgentCandidates, capability: CapabilityView) -> None:
        self.agent_candidates = agent_candidates
        self.agent_id = agent_candidates.agent.id
        self.stream = agent_candidates.agent.stream  # the id of the inbox that its tasks are sent to
        self.capability = capability
        self.labels: Mapping[str, str] = {**agent_candidates.agent.labels, **capability.labels}
        self.score = self.load = 0.0
        self.score_copies: list[tuple[list[float], int]] = []  # other places that have a copy of its score
        self._reported = 0
        self.assigned: list[int] = []  # the times of tasks that it got since its last report
        self.finished = 0  # tasks that have ended since then

    def __repr__(self) -> str:
        return f"<Candidate {self.agent_id} {self.capability.name} {self.occupancy}>"

    @property
    def agent(self) -> AgentView:
        return self.agent_candidates.agent

    @property
    def barred(self) -> str:
        """The reason why it gets no tasks for now; "": it gets tasks."""
        return self.agent_candidates.barred

    @property
    def quality(self) -> tuple[float, int]:
        """Decides between two equal scores: fewer failures, then the faster agent."""
        load = self.agent_candidates.load
        return load.error_rate, load.average_ms

    @property
    def in_flight(self) -> int:
        """Its tasks of this capability: reported, plus assigned since, minus ended since."""
        return max(0, self._reported - self.finished) + len(self.assigned)

    @property
    def slots(self) -> int:
        whole = self.agent_candidates.slots
        return min(self.capability.slots or whole, whole)

    @property
    def occupancy(self) -> str:
        if self.in_flight >= self.slots:
            return f"{self.in_flight} of {self.slots}"
        return f"{self.agent_candidates.in_flight} of {self.agent_candidates.slots}"

    def lacks(self, requirement: Requirement) -> str:
        return requirement.missing(self.capability.version, self.labels)

    def give_back(self, at_ms: int) -> None:
        try:
            self.assigned.remove(at_ms)
        except ValueError:
            self.finished += 1

    def inherit(self, before: Candidate) -> None:
        self._reported, self.assigned, self.finished = before._reported, before.assigned, before.finished

    def report(self, active: int, sampled_ms: int) -> None:
        self._reported, self.finished = active, 0
        if self.assigned:
            self.assigned = [at for at in self.assigned if at > sampled_ms - IN_TRANSIT_MS]

    def rescore(self, whole: int, share: float) -> None:
        """Set the slots of the whole agent, and the share of them that is taken."""
        active, slots = self._reported - self.finished, self.capability.slots
        taken = (max(0, active)) + len(self.assigned)
        load = taken / (slots if 0 < slots < whole else whole)
        self.load = load = max(share, load)
        self.score = score = load if load < 1.0 else inf
        for scores, place in self.score_copies:
            scores[place] = score


class AgentCandidates:
    """One agent: its record, its last report, and a candidate for each capability."""

    __slots__ = ("_skew", "agent", "candidates", "ejected", "load")

    def __init__(self, agent: AgentView) -> None:
        self.agent, self.load = agent, _NO_LOAD
        self.ejected = ""
        self._skew: float = inf
        self.candidates = {name: Candidate(self, capability) for name, capability in agent.capabilities.items()}

    @property
    def slots(self) -> int:
        return self.load.slots or self.agent.slots

    @property
    def in_flight(self) -> int:
        found = self.load.active + self.load.queued
        for candidate in self.candidates.values():
            found += len(candidate.assigned) - candidate.finished
        return max(0, found)

    @property
    def barred(self) -> str:
        if self.agent.state != "ACTIVE":
            return f"is {self.agent.state.lower()}"
        return f"ejected: {self.ejected}" if self.ejected else ""

    def inherit(self, before: AgentCandidates) -> None:
        """Take over a new record of the same agent; the counts stay."""
        self.load, self.ejected, self._skew = before.load, before.ejected, before._skew
        for name, candidate in self.candidates.items():
            if name in before.candidates:
                candidate.inherit(before.candidates[name])

    def report(self, load: LoadView, received_ms: int) -> None:
        self.load = load
        self._skew = min(self._skew, received_ms - load.sample_ms)
        sampled_ms = int(load.sample_ms + self._skew)
        for name, candidate in self.candidates.items():
            candidate.report(load.active_by_capability.get(name, 0), sampled_ms)
        self.rescore()

    def rescore(self) -> None:
        whole = self.load.slots or self.agent.slots
        share = self.in_flight / whole
        for candidate in self.candidates.values():
            candidate.rescore(whole, share)


class Pools:
    """All agents as candidates. The table updates it; the owner of a task reports assigned and ended tasks."""

    def __init__(self, chance: Callable[[], float] | None = None) -> None:
        self._chance = chance or random.Random().random
        self._by_agent: dict[str, AgentCandidates] = {}
        self._by_capability: dict[str, dict[str, Candidate]] = {}
        self._eligible: dict[Requirement, Eligible] = {}
        self._turns: dict[Requirement, int] = {}
        self._sticky_agents: dict[tuple[Requirement, str], Choice] = {}
        self._stale: dict[AgentCandidates, None] = {}
        """Agents whose counts have changed since their scores were written. A set would have no order."""

    def __repr__(self) -> str:
        return f"<Pools {len(self._by_agent)} agents, {len(self._by_capability)} capabilities>"

    def choose(
        self,
        requirement: Requirement,
        policy: Policy = "least_loaded",
        *,
        avoid: Collection[str] = (),
        sticky_key: str | None = None,
    ) -> Choice:
        """Choose an agent for one task, or the queue. Call `assign` when the task was sent."""
        if self._stale:
            self._rescore()
        eligible = self._eligible.get(requirement)
        if eligible is None:
            eligible = self._find(requirement)
        if policy == "sticky" and sticky_key is not None and not avoid:
            return self._sticky_agent(requirement, sticky_key, eligible)
        turn = 0
        if policy == "round_robin":
            turn = self._turns[requirement] = self._turns.get(requirement, -1) + 1
        return select(eligible, policy, chance=self._chance, avoid=avoid, sticky_key=sticky_key, turn=turn)

    def explain(
        self,
        requirement: Requirement,
        policy: Policy = "least_loaded",
        *,
        avoid: Collection[str] = (),
        sticky_key: str | None = None,
    ) -> Explained:
        """What `choose` would return now, with the score of each agent of the capability. It changes nothing."""
        return explain(
            self.candidates(requirement.capability),
            requirement,
            policy,
            chance=self._chance,
            avoid=avoid,
            sticky_key=sticky_key,
            turn=self._turns.get(requirement, -1) + 1,
        )

    def candidates(self, capability: str) -> list[Candidate]:
        """All registered agents with this capability, in any state, by id."""
        self._rescore()
        serving = self._by_capability.get(capability, {})
        return [serving[agent_id] for agent_id in sorted(serving)]

    def assign(self, agent_id: str, capability: str, now_ms: int) -> None:
        """Count a task that was sent to the agent's inbox at `now_ms`, by this node's clock."""
        agent_candidates = self._by_agent.get(agent_id)
        if agent_candidates and (candidate := agent_candidates.candidates.get(capability)):
            candidate.assigned.append(now_ms)
            self._stale[agent_candidates] = None

    def release(self, agent_id: str, capability: str, assigned_ms: int) -> None:
        """Count the end of a task, identified by the time of its assignment (0: it came from a queue)."""
        agent_candidates = self._by_agent.get(agent_id)
        if agent_candidates and (candidate := agent_candidates.candidates.get(capability)):
            candidate.give_back(assigned_ms)
            self._stale[agent_candidates] = None

    def _rescore(self) -> None:
        """Write the scores of the agents whose counts have changed. An agent that ends a task usually gets the next one in the
        same tick, so this is done when somebody chooses, not for every change."""
        stale, self._stale = self._stale, {}
        for agent_candidates in stale:
            agent_candidates.rescore()

    def others(self, requirement: Requirement, avoid: Collection[str]) -> bool:
        """Whether an agent that is not in `avoid` meets this requirement now."""
        eligible = self._eligible.get(requirement) or self._find(requirement)
        return any(candidate.agent_id not in avoid for candidate in eligible.candidates)

    def reports_room(self, agent_id: str) -> bool:
        """Whether the agent had free slots in its last report."""
        agent_candidates = self._by_agent.get(agent_id)
        return agent_candidates is not None and agent_candidates.load.active < agent_candidates.slots

    def eject(self, agent_id: str, why: str) -> None:
        """Send no tasks to this agent until `readmit`: it accepts none, or fails all of them."""
        self._set_ejected(agent_id, why)

    def why_ejected(self, agent_id: str) -> str:
        """The reason given to `eject`; "" if it gets tasks."""
        agent_candidates = self._by_agent.get(agent_id)
        return agent_candidates.ejected if agent_candidates else ""

    def readmit(self, agent_id: str) -> None:
        self._set_ejected(agent_id, "")

    def _set_ejected(self, agent_id: str, why: str) -> None:
        agent_candidates = self._by_agent.get(agent_id)
        if agent_candidates and agent_candidates.ejected != why:
            agent_candidates.ejected = why
            self._forget(agent_candidates.agent)

    def put_agent(self, agent: AgentView) -> None:
        """Add or change an agent. Its counts and its ejection survive a change of the record."""
        before = self._by_agent.get(agent.id)
        agent_candidates = AgentCandidates(agent)
        if before:
            self.remove_agent(agent.id)
            agent_candidates.inherit(before)
        self._by_agent[agent.id] = agent_candidates
        for name, candidate in agent_candidates.candidates.items():
            self._by_capability.setdefault(name, {})[agent.id] = candidate
        agent_candidates.rescore()
        self._forget(agent)

    def remove_agent(self, agent_id: str) -> None:
        agent_candidates = self._by_agent.pop(agent_id, None)
        if agent_candidates is None:
            return
        for name in agent_candidates.candidates:
            serving = self._by_capability[name]
            del serving[agent_id]
            if not serving:
                del self._by_capability[name]
        self._forget(agent_candidates.agent)

    def put_load(self, agent_id: str, load: LoadView, received_ms: int) -> None:
        agent_candidates = self._by_agent.get(agent_id)
        if agent_candidates:
            agent_candidates.report(load, received_ms)

    def _sticky_agent(self, requirement: Requirement, key: str, eligible: Eligible) -> Choice:
        # Ranking a thousand agents costs more than all else here, and the result stays the same until the agents change.
        choice = self._sticky_agents.get((requirement, key))
        if choice is None:
            choice = select(eligible, "sticky", chance=self._chance, sticky_key=key)
            if len(self._sticky_agents) >= MAX_STICKY_KEYS:
                self._sticky_agents.clear()
            self._sticky_agents[requirement, key] = choice
        return choice

    def _find(self, requirement: Requirement) -> Eligible:
        self._rescore()
        serving = self._by_capability.get(requirement.capability, {}).values()
        found = Eligible(c for c in serving if not c.barred and not c.lacks(requirement))
        for place, candidate in enumerate(found.candidates):
            candidate.score_copies.append((found.scores, place))
        if len(self._eligible) >= MAX_REQUIREMENTS:
            for eligible in self._eligible.values():
                self._dissolve(eligible)
            self._eligible.clear()
            self._turns.clear()
        self._eligible[requirement] = found
        return found

    def _forget(self, agent: AgentView) -> None:
        for requirement in [r for r in self._eligible if r.capability in agent.capabilities]:
            self._dissolve(self._eligible.pop(requirement))
        self._sticky_agents.clear()

    def _dissolve(self, eligible: Eligible) -> None:
        for candidate in eligible.candidates:
            candidate.score_copies = [seat for seat in candidate.score_copies if seat[0] is not eligible.scores]
