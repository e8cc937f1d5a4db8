# SPDX-License-Identifier: Apache-2.0
"""Which agent gets a task: pure functions over the present candidates.

`select` is on the hot path: it compares numbers that are always current, and computes nothing about an agent. `explain`
returns the same choice with each candidate, its score, and why it was rejected. A choice without an agent means the
shared queue of the requirement, where the first agent with room takes the task: late binding is better than an outdated
guess.

Rejected: a heap. It must be updated at each report and each assignment, for each requirement, while comparing a
thousand agents costs less than sending the task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from nervenet.registry.rendezvous import spread, unit

if TYPE_CHECKING:
    from nervenet.options import Policy
    from nervenet.registry.pools import Candidate


class Requirement(NamedTuple):
    """What a task requires of an agent. Hashable; make it with `require`."""

    capability: str
    match: tuple[tuple[str, str], ...] = ()
    version: str = ""

    @property
    def hash(self) -> str:
        return requirement_hash(self.match, self.version)

    def missing(self, version: str, labels: Mapping[str, str]) -> str:
        """The reason why a capability of this version and labels does not meet the requirement; "": it does."""
        if self.version and version != self.version:
            return f"version {version or 'unknown'}, asked for {self.version}"
        for key, value in self.match:
            if labels.get(key) != value:
                return f"label {key}={labels.get(key, '')}, asked for {value}"
        return ""


def require(capability: str, match: Mapping[str, str] | None = None, version: str | None = None) -> Requirement:
    return Requirement(capability, tuple(sorted(match.items())) if match else (), version or "")


def requirement_hash(match: Mapping[str, str] | Iterable[tuple[str, str]], version: str | None = None) -> str:
    """The hash in `queue:{<capability>/<hash>}`; "" if nothing is required.

    The first 16 hex digits of SHA-256 over the UTF-8 text: version, then for each label, sorted by its key as UTF-8
    bytes, a NUL, the key, a NUL, the value. Agents in other languages compute it too.
    """
    labels = sorted(dict(match).items(), key=lambda item: item[0].encode())
    if not labels and not version:
        return ""
    text = "\0".join([version or "", *(part for label in labels for part in label)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Choice(NamedTuple):
    """The chosen agent, or None for the shared queue. `why` is the reason, for people."""

    agent: Candidate | None
    why: str


class AgentScore(NamedTuple):
    """One agent in the result of `explain`. A lower `score` is better. `rejected` is the reason, "" if it may get the
    task."""

    agent_id: str
    score: float
    rejected: str


class Explained(NamedTuple):
    choice: Choice
    verdicts: list[AgentScore]


BY_POLICY = Choice(None, "the policy is queue")
NOBODY = Choice(None, "no live agent serves it")
ALL_BUSY = Choice(None, "no agent has a free slot")


class Eligible:
    """The agents that meet a requirement, are active and not ejected, by id, and a list of their scores.

    The candidates write their changed scores into `scores` (`Candidate.score_copies`), so that a choice among a thousand
    agents reads one list of numbers.
    """

    __slots__ = ("candidates", "places", "scores", "units")

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.candidates = sorted(candidates, key=lambda candidate: candidate.agent_id)
        self.scores = [candidate.score for candidate in self.candidates]
        self.units = [unit(candidate.agent_id) for candidate in self.candidates]
        self.places = {candidate.agent_id: place for place, candidate in enumerate(self.candidates)}

    def without(self, avoid: Collection[str]) -> list[int]:
        """The positions of the agents to avoid; none if no other agent is alive."""
        places = [self.places[agent_id] for agent_id in avoid if agent_id in self.places]
        return places if len(places) < len(self.candidates) else []


def select(
    eligible: Eligible,
    policy: Policy,
    *,
    chance: Callable[[], float],
    avoid: Collection[str] = (),
    sticky_key: str | None = None,
    turn: int = 0,
) -> Choice:
    """The choice among the eligible agents.

    `chance` returns numbers in [0, 1); `turn` is a counter for ROUND_ROBIN. Agents in `avoid` get the task only if no
    other agent is alive. STICKY without a key is LEAST_LOADED.
    """
    if policy == "queue":
        return BY_POLICY
    if not eligible.candidates:
        return NOBODY
    out = eligible.without(avoid) if avoid else ()
    if policy == "sticky" and sticky_key is not None:
        return Choice(_sticky_agent(eligible, out, sticky_key), "sticky")
    scores = eligible.scores
    if out:
        scores = scores.copy()
        for place in out:
            scores[place] = inf
    if policy == "round_robin":
        return _next(eligible, scores, turn)
    return _least_loaded(eligible, scores, chance)


def _least_loaded(eligible: Eligible, scores: list[float], chance: Callable[[], float]) -> Choice:
    least = min(scores)
    if least == inf:
        return ALL_BUSY
    if scores.count(least) == 1:
        return Choice(eligible.candidates[scores.index(least)], "least loaded")
    # Two random ones of the equals, so that nodes with the same table do not all choose the same agent.
    one = eligible.candidates[_place(scores, least, chance())]
    other = eligible.candidates[_place(scores, least, chance())]
    return Choice(one if one.quality <= other.quality else other, "least loaded, by chance among equals")


def _place(scores: list[float], least: float, chance: float) -> int:
    start = int(chance * len(scores))
    try:
        return scores.index(least, start)
    except ValueError:
        return scores.index(least, 0, start)


def _next(eligible: Eligible, scores: list[float], turn: int) -> Choice:
    count = len(scores)
    for step in range(count):
        place = (turn + step) % count
        if scores[place] < inf:
            return Choice(eligible.candidates[place], "next in turn")
    return ALL_BUSY


def _sticky_agent(eligible: Eligible, out: Collection[int], key: str) -> Candidate:
    # Free slots do not matter: a conversation waits for its agent, until the accept timeout moves it.
    factor = spread(key)
    weights = [each * factor % 1.0 for each in eligible.units]
    for place in out:
        weights[place] = -1.0
    return eligible.candidates[weights.index(max(weights))]


def explain(
    candidates: Iterable[Candidate],
    requirement: Requirement,
    policy: Policy,
    *,
    chance: Callable[[], float],
    avoid: Collection[str] = (),
    sticky_key: str | None = None,
    turn: int = 0,
) -> Explained:
    """`select` over all agents of the capability, with the score of each: the chosen one first, then by score."""
    reasons = {candidate: candidate.barred or candidate.lacks(requirement) for candidate in candidates}
    eligible = Eligible(candidate for candidate, reason in reasons.items() if not reason)
    choice = select(eligible, policy, chance=chance, avoid=avoid, sticky_key=sticky_key, turn=turn)
    out = eligible.without(avoid)
    for place, candidate in enumerate(eligible.candidates):
        if place in out:
            reasons[candidate] = "to be avoided: it failed this task before"
        elif candidate.score == inf and candidate is not choice.agent:
            reasons[candidate] = f"no free slot ({candidate.occupancy})"
    verdicts = [AgentScore(candidate.agent_id, candidate.load, reason) for candidate, reason in reasons.items()]
    chosen = choice.agent.agent_id if choice.agent else ""
    verdicts.sort(key=lambda v: (v.agent_id != chosen, bool(v.rejected), v.score, v.agent_id))
    return Explained(choice, verdicts)
