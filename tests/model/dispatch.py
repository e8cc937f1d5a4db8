# SPDX-License-Identifier: Apache-2.0
"""One step of one workflow: sent, read, claimed, run, recorded, and found again when a copy of it gets lost.

As in task_claim.lua, journal_append.lua, task_complete.lua, entry_place.lua, stream_trim.lua and node/{tasks,recovery,workflows}/.
Two agents of one slot; the owner may be replaced at any moment by one that knows only what Redis holds (`ownership.py` is
about how that comes to be), and the replaced one may live on as a zombie. All news and streams are unordered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.engine import Model, Step

UP, ZOMBIE, DEAD = "up", "zombie", "dead"
IDLE, CLAIMING, RUNNING, REPORTING, DROPPING, ENDING = "idle", "claiming", "running", "reporting", "dropping", "ending"
"""ENDING: the answer on its way to the agent says that there is nothing left to do."""
UNREAD, NOWHERE = -1, -2
OWNER_FAILED = -1
"""The outcome that the owner appends when attempts are used up; otherwise it is the agent's number."""
LOST, SPARED, FAILED = "lost", "spared", "failed"
"""SPARED: its agent is lost, and the entry says that this blames the step too little to count (decision 0026)."""
LOST_LIMIT = 2
"""Three in the product; two keeps the model small, and no state differs in kind."""
MOST_COPIES = 4


class Copy(NamedTuple):
    """An entry in a task stream: unread, pending under an agent, or delivered and pending nowhere.

    `known`: the owner remembers this entry as the one that it sent. `by_owner`: the node that sent it still is the owner.
    `first`: its agent may begin without a claim.
    """

    attempt: int
    holder: int = UNREAD
    known: bool = False
    by_owner: bool = True
    first: bool = False


class Claim(NamedTuple):
    attempt: int
    agent: int
    past: bool = False


class Agent(NamedTuple):
    """`to_owner`: the node that its envelope names as `reply_to` still is the owner. `unclaimed`: it runs and has not claimed yet.
    `died_in`: the attempt that it ran when it died."""

    life: str = UP
    at: str = IDLE
    attempt: int = 0
    to_owner: bool = False
    unclaimed: bool = False
    died_in: int = 0


class State(NamedTuple):
    journal: tuple[
        tuple[str, int, str | int], ...
    ] = ()  # ("attempt", n, lost | spared | failed) · ("task", 0, who) · ("close", 0, 0)
    claim: Claim | None = None
    copies: tuple[Copy, ...] = ()
    applied: int = 0
    sent: int = 0  # the attempt that the owner remembers to have sent
    wakes: int = 0
    zombie_applied: int = -1  # what the replaced owner had folded; -1: there is none
    agents: tuple[Agent, ...] = (Agent(), Agent())
    told: int = -2  # the agent that was told that its success is the outcome
    expired: bool = False  # closed so long ago that the head is gone
    died_with: int = 0  # the attempt that the owner sent to an agent that is dead and buried
    waits: bool = False  # the owner is new, and agents may run what they have not claimed yet
    took_over: bool = False  # the owner does not know what the one before it sent
    faults: tuple[int, ...] = ()


class Fold(NamedTuple):
    current: int
    out: bool
    done: bool


@dataclass(slots=True, frozen=True)
class Dispatch(Model[State]):
    """Faults are how often each may happen; the rest are the safeguards, each of which can be taken away."""

    agent_crashes: int = 0
    agent_zombies: int = 0
    owner_deaths: int = 0
    owner_zombies: int = 0
    losses: int = 0
    lost_reads: int = 0
    failures: int = 0
    slow_renewals: int = 0
    doubles: int = 0
    most_attempts: int = 2
    retention: bool = False
    """A closed workflow may expire while copies of its task are still queued."""
    wakes_arrive: bool = True

    write_once: bool = True
    owner_check: bool = True
    rule_2: bool = True
    rule_3: bool = True
    polls: bool = True
    bury: bool = True
    trim: bool = True
    pending_reread: bool = True
    living_consumer: bool = True
    attempt_after_outcome: bool = True
    busy: bool = True
    drops_the_old: bool = True
    one_script: bool = False
    """What an attempt ended with is recorded and told to the owner in one step (task_complete)."""
    drops_in_script: bool = False
    """An agent with nothing else to do has its copy dropped in that step too."""
    compares_owner: bool = True
    """It is told in that step only to the node that the head names; else the agent wakes the owner itself."""
    drops_after_wake: bool = True
    """That step drops the copy only if it told the owner."""
    begins_unclaimed: bool = False
    """An agent begins the first copy of the first attempt at once, and claims it a little later."""
    claims_later: bool = True
    first_copies: bool = True
    """What a new owner finds unclaimed may have been sent before: it is claimed first."""
    waits_for_claims: bool = True
    """A new owner waits so long before it sends what nobody claims that every living agent has claimed what it runs."""
    counts_the_unclaimed: bool = True
    """What was pending under a dead agent is lost with it, as if it had been claimed."""

    LIMITED = (
        "agent_crashes", "agent_zombies", "owner_deaths", "owner_zombies", "losses", "lost_reads", "failures",
        "slow_renewals", "doubles",
    )  # fmt: skip

    def initial(self) -> State:
        return State(faults=self.limits())

    def goals(self) -> Mapping[str, Callable[[State], bool]]:
        return {"the workflow closes": closed, "nothing is left in task streams": lambda s: closed(s) and not s.copies}

    def wrong(self, state: State) -> str:
        names = [entry[:2] for entry in state.journal]
        if len(names) != len(set(names)):
            return "a name is recorded twice"
        running = [
            a.attempt for a in state.agents if a.life == UP and a.at == RUNNING and not (self.doubles and a.unclaimed)
        ]
        # a claim that vanished excludes nobody: then an attempt may run twice, and one outcome is recorded
        if self.losses == 0 and len(running) != len(set(running)):
            return "one attempt runs on two living agents"
        died = {a.died_in for a in state.agents if a.died_in}
        if not (self.losses or self.owner_deaths or self.owner_zombies) and died.intersection(running):
            return "an attempt that its agent died in runs again, and nobody counts that"
        return ""

    def same(self, state: State) -> State:
        state = state._replace(copies=tuple(sorted(state.copies)))
        return _swapped(state) if _looks(state, 0) > _looks(state, 1) else state

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def steps(self, s: State) -> Iterator[Step[State]]:
        yield from self._owner(s)
        yield from self._zombie_owner(s)
        for i, agent in enumerate(s.agents):
            for step in self._agent(s, i, agent):
                yield step if agent.life == UP else step._replace(fault=True)
        yield from self._burying(s)
        yield from self._claims(s)
        yield from self._environment(s)

    def _fold(self, s: State, applied: int) -> Fold:
        entries = s.journal[:applied]
        attempts = [(n, why) for kind, n, why in entries if kind == "attempt"]
        lost = sum(why == LOST for _, why in attempts)
        used = sum(why == FAILED for _, why in attempts)
        done = any(kind == "task" for kind, *_ in entries)
        current = max((n for n, _ in attempts), default=0) + 1
        out = lost >= LOST_LIMIT or used >= self.most_attempts
        return Fold(current, out and not done, done)

    def _append(self, s: State, entry: tuple[str, int, str | int]) -> tuple[State, str]:
        """journal_append: (state, "new" | "exists" | "closed")."""
        kind, n, _ = entry
        if closed(s):
            return s, "closed"
        if self.write_once and _has(s, kind, n):
            return s, "exists"
        if kind == "attempt" and self.attempt_after_outcome and _has(s, "task"):
            return s, "exists"
        claim = None if kind == "task" else s.claim
        return s._replace(journal=(*s.journal, entry), claim=claim), "new"

    def _owner(self, s: State) -> Iterator[Step[State]]:
        end = len(s.journal)
        if s.wakes and s.applied < end:
            yield Step("owner reads a wake and what it missed", s._replace(applied=end, wakes=0))
        if closed(s):
            return
        if self.polls and s.applied < end:
            yield Step("watch: the journal is ahead, owner reads", s._replace(applied=end))
        fold = self._fold(s, s.applied)
        if fold.done:
            closing, _ = self._append(s, ("close", 0, 0))
            yield Step("owner closes", closing)
            return
        if fold.out:
            yield self._own_entry(s, ("task", 0, OWNER_FAILED), "owner: out of attempts, the step fails")
            return
        fresh = s.applied == end  # watch treats steps only after it has read what it missed
        held = s.claim is not None and s.claim.attempt >= fold.current
        if s.waits and not held:
            if not (self.claims_later and any(a.life == UP and a.unclaimed for a in s.agents)):
                old = tuple(sorted(copy._replace(first=False) for copy in s.copies))
                yield Step("the new owner has waited for claims", s._replace(waits=False, copies=old))
            return
        if s.sent != fold.current and not held:
            yield Step(f"owner sends #{fold.current}", _send(s, fold.current, first=self._may_begin(s, fold.current)))
        if fresh and self.rule_2 and _lost(s, fold.current):
            yield from self._give_up(s, fold.current, "watch rule 2")
        if fresh and not held and s.sent == fold.current and self._died_unclaimed(s, fold.current):
            yield from self._give_up(s, fold.current, "watch: it was with an agent that died")
        elif fresh and not held and self.rule_3 and s.sent == fold.current:
            yield from self._rule_3(s, fold.current)

    def _may_begin(self, s: State, attempt: int) -> bool:
        """Whether the copy that an owner sends first may begin without a claim."""
        return self.begins_unclaimed and attempt == 1 and not (s.took_over and self.first_copies)

    def _died_unclaimed(self, s: State, current: int) -> bool:
        if not self.counts_the_unclaimed:
            return False
        dead = (c for c in s.copies if c.known and c.first and c.holder >= 0 and s.agents[c.holder].life != UP)
        return s.died_with == current or any(dead)

    def _give_up(self, s: State, current: int, label: str) -> Iterator[Step[State]]:
        for blame in (LOST, SPARED):  # or it waits for now: it may learn how much later
            yield self._own_entry(s, ("attempt", current, blame), f"{label}: #{current} is {blame}")

    def _own_entry(self, s: State, entry: tuple[str, int, str | int], label: str) -> Step[State]:
        after, status = self._append(s, entry)
        if status == "new" and s.applied == len(s.journal):
            after = after._replace(applied=len(after.journal))
        wrong = ""
        if status == "new" and entry[0] == "task" and s.told >= 0:
            wrong = "a failure is recorded after an agent was told that its success is"
        return Step(label, after, wrong=wrong)

    def _rule_3(self, s: State, current: int) -> Iterator[Step[State]]:
        known = [copy for copy in s.copies if copy.known]
        for copy in known:
            if copy.holder == UNREAD:
                return
            if copy.holder >= 0 and (s.agents[copy.holder].life == UP or not self.living_consumer):
                return
            if copy.holder == NOWHERE and not self.living_consumer:
                return
        rest = tuple(copy for copy in s.copies if not copy.known)
        yield Step(f"watch rule 3: the copy of #{current} is lost, sent again", _send(s._replace(copies=rest), current))

    def _zombie_owner(self, s: State) -> Iterator[Step[State]]:
        if s.zombie_applied < 0:
            return
        gone = s._replace(zombie_applied=-1)
        yield Step("the replaced owner learns it and lets go", gone, fault=True)
        fold = self._fold(s, s.zombie_applied)
        entry: tuple[str, int, str | int] = ("attempt", fold.current, LOST)
        if fold.done:
            entry = ("close", 0, 0)
        elif fold.out:
            entry = ("task", 0, OWNER_FAILED)
        if self.owner_check:
            yield Step(f"the replaced owner wants {entry[0]}: not_owner", gone, fault=True)
            return
        after, status = self._append(s, entry)
        wrong = "an owner's entry by a node that owns it no more" if status == "new" else ""
        yield Step(f"the replaced owner appends {entry[0]}", after, fault=True, wrong=wrong)

    def _agent(self, s: State, i: int, agent: Agent) -> Iterator[Step[State]]:
        name = f"agent {i}" + (" (zombie)" if agent.life == ZOMBIE else "")
        if agent.life == DEAD:
            return
        if agent.at == IDLE:
            for copy in dict.fromkeys(s.copies):
                if copy.holder == UNREAD:
                    taken = _with_copy(s, copy, copy._replace(holder=i))
                    yield Step(f"{name} reads #{copy.attempt}", _begin(taken, i, copy))
                    if copy.first:  # that it claims first, as above, is as good: it does so with an old one
                        begun = _agent(_begin(taken, i, copy), i, at=RUNNING, unclaimed=True)
                        yield Step(f"{name} reads #{copy.attempt}, and begins", begun)
                    lost = self.spend(taken, "lost_reads")
                    if lost is not None:
                        yield Step(f"{name} reads #{copy.attempt}, THE REPLY IS LOST", lost, fault=True)
                elif copy.holder == i and self.pending_reread and agent.life == UP:
                    yield Step(f"{name} reads #{copy.attempt} in its pending list", _begin(s, i, copy))
        elif agent.at == CLAIMING:
            yield self._claim(s, i, agent, name)
        elif agent.at == RUNNING:
            if agent.unclaimed and self.claims_later and not s.expired:  # unknown to it: it runs on
                yield self._claim(s, i, agent, name)
            yield from self._complete(s, i, agent, name)
        elif agent.at == REPORTING:
            wakes = 1 if self.wakes_arrive else 0
            yield Step(f"{name} wakes the owner, XDEL, XACK", _drop(s, i)._replace(wakes=wakes))
        elif agent.at == DROPPING:
            yield Step(f"{name} drops its copy: XDEL, XACK", _drop(s, i))
        elif agent.at == ENDING:
            yield Step(f"{name} reads the answer", _idle(s, i))

    def _claim(self, s: State, i: int, agent: Agent, name: str) -> Step[State]:
        n, claim = agent.attempt, s.claim
        if s.expired:  # unknown: kept, unless it is older than the retention
            return Step(f"{name} claims #{n}: unknown", _agent(s, i, at=DROPPING if self.drops_the_old else IDLE))
        if closed(s) or _has(s, "attempt", n):
            answer, then = "stale", DROPPING
        elif _has(s, "task"):
            answer, then = "done", REPORTING
        elif claim is not None and claim.attempt > n:
            answer, then = "stale", DROPPING
        elif claim is not None and claim.attempt == n and claim.agent != i and self.busy:
            answer, then = "busy", DROPPING
        else:
            answer, then = "run", RUNNING
            s = s._replace(claim=Claim(n, i))
        return Step(f"{name} claims #{n}: {answer}", _agent(s, i, at=then, unclaimed=False))

    def _complete(self, s: State, i: int, agent: Agent, name: str) -> Iterator[Step[State]]:
        after, status = self._append(s, ("task", 0, i))
        wrong = ""
        if status == "new":
            wrong = "two agents are told that they won" if s.told >= 0 else ""
            after = after._replace(told=i)
        after, then = self._told(after, agent, status)
        label = f"{name} succeeds with #{agent.attempt}: {status}"
        yield Step(label, _agent(after, i, at=then, unclaimed=False), wrong=wrong)
        if self._may_drop(agent, status):
            yield Step(f"{label}, dropped", _agent(_drop(after, i), i, at=ENDING), wrong=wrong)
        failing = self.spend(s, "failures")
        if failing is not None:
            after, status = self._append(failing, ("attempt", agent.attempt, FAILED))
            wrong = ""
            if status == "new" and _has(s, "task"):
                wrong = "an agent is told that its failed attempt is recorded, but the step is over"
            after, then = self._told(after, agent, status)
            label = f"{name} fails #{agent.attempt}: {status}"
            yield Step(label, _agent(after, i, at=then, unclaimed=False), fault=True, wrong=wrong)
            if self._may_drop(agent, status):
                yield Step(f"{label}, dropped", _agent(_drop(after, i), i, at=ENDING), fault=True, wrong=wrong)

    def _may_drop(self, agent: Agent, status: str) -> bool:
        return self.drops_in_script and status == "new" and (agent.to_owner or not self.drops_after_wake)

    def _told(self, s: State, agent: Agent, status: str) -> tuple[State, str]:
        """What the owner knows when the answer to an append is under way, and what is left for the agent to do."""
        if status == "closed":
            return s, DROPPING
        if not (self.one_script and status == "new"):
            return s, REPORTING
        if agent.to_owner:
            return s._replace(wakes=1 if self.wakes_arrive else 0), DROPPING
        return s, REPORTING if self.compares_owner else DROPPING

    def _burying(self, s: State) -> Iterator[Step[State]]:
        for copy in dict.fromkeys(s.copies):
            if copy.holder >= 0 and s.agents[copy.holder].life != UP and self.bury:
                died_with = copy.attempt if copy.known and copy.first else s.died_with
                buried = _without(s, copy)._replace(died_with=died_with)
                yield Step("bury: what is pending under a gone agent", buried)
            if copy.holder == NOWHERE and self.trim:
                yield Step("bury: trims what is pending nowhere", _without(s, copy))

    def _claims(self, s: State) -> Iterator[Step[State]]:
        if s.claim is None:
            return
        agent = s.agents[s.claim.agent]
        runs = agent.life == UP and agent.at == RUNNING and agent.attempt == s.claim.attempt
        past = s._replace(claim=s.claim._replace(past=True))
        if not s.claim.past:
            if not runs:
                yield Step("the claim's `until` passes", past)
            elif (slow := self.spend(past, "slow_renewals")) is not None:
                yield Step("THE CLAIM'S `until` PASSES WHILE ITS AGENT RUNS", slow, fault=True)
        elif runs:
            yield Step("claims_renew", s._replace(claim=s.claim._replace(past=False)))

    def _environment(self, s: State) -> Iterator[Step[State]]:
        if self.retention and closed(s) and not s.expired:
            yield Step("the retention passes", s._replace(expired=True))
        for i, agent in enumerate(s.agents):
            others = any(a.life == UP for j, a in enumerate(s.agents) if j != i)
            if agent.life == UP and others:
                if (after := self.spend(s, "agent_crashes")) is not None:
                    died_in = agent.attempt if agent.at == RUNNING and not _over(s, agent.attempt) else 0
                    gone = _agent(
                        after, i, life=DEAD, at=IDLE, attempt=0, to_owner=False, unclaimed=False, died_in=died_in
                    )
                    yield Step(f"AGENT {i} CRASHES", gone, fault=True)
                if (after := self.spend(s, "agent_zombies")) is not None:
                    yield Step(f"AGENT {i} IS BELIEVED DEAD AND LIVES", _agent(after, i, life=ZOMBIE), fault=True)
        for name, zombie in (("owner_deaths", -1), ("owner_zombies", s.applied)):
            if (after := self.spend(s, name)) is not None:
                yield Step(f"THE OWNER IS REPLACED ({name})", self._replaced(after, zombie), fault=True)
        if (after := self.spend(s, "doubles")) is not None and s.sent and not closed(s):
            yield Step("THE OWNER SENDS A SECOND COPY", _send(after, s.sent), fault=True)
        if (after := self.spend(s, "losses")) is not None:
            yield from self._vanish(after)

    def _replaced(self, s: State, zombie: int) -> State:
        waits = self.begins_unclaimed and self.waits_for_claims
        copies = tuple(copy._replace(known=False, by_owner=False) for copy in s.copies)
        agents = tuple(agent._replace(to_owner=False) for agent in s.agents)
        end = len(s.journal)
        current = self._fold(s, end).current
        held = s.claim is not None and s.claim.attempt == current and not s.claim.past
        return s._replace(
            copies=copies,
            agents=agents,
            applied=end,
            wakes=0,
            sent=current if held else 0,
            zombie_applied=zombie,
            died_with=0,
            waits=waits,
            took_over=self.begins_unclaimed,
        )

    def _vanish(self, s: State) -> Iterator[Step[State]]:
        for copy in dict.fromkeys(s.copies):
            yield Step(f"THE ENTRY OF #{copy.attempt} VANISHES", _without(s, copy), fault=True)
            if copy.holder >= 0:
                lost = _with_copy(s, copy, copy._replace(holder=NOWHERE))
                yield Step(f"#{copy.attempt} VANISHES FROM ITS PENDING LIST", lost, fault=True)
        if s.claim is not None:
            yield Step("THE CLAIM VANISHES", s._replace(claim=None), fault=True)
        if s.wakes:
            yield Step("A WAKE VANISHES", s._replace(wakes=0), fault=True)


def _lost(s: State, attempt: int) -> bool:
    """It is claimed, and the claim has run out or its agent is gone."""
    claim = s.claim
    return claim is not None and claim.attempt == attempt and (claim.past or s.agents[claim.agent].life != UP)


def closed(s: State) -> bool:
    return bool(s.journal) and s.journal[-1][0] == "close"


def _has(s: State, kind: str, n: int = 0) -> bool:
    return any(entry[0] == kind and entry[1] == n for entry in s.journal)


def _over(s: State, attempt: int) -> bool:
    return _has(s, "attempt", attempt) or _has(s, "task")


def _send(s: State, attempt: int, *, first: bool = False) -> State:
    copies = tuple(copy._replace(known=False) for copy in s.copies)
    if len(copies) < MOST_COPIES:
        copies = (*copies, Copy(attempt, UNREAD, True, first=first))
    return s._replace(copies=copies, sent=attempt)


def _without(s: State, copy: Copy) -> State:
    at = s.copies.index(copy)
    return s._replace(copies=s.copies[:at] + s.copies[at + 1 :])


def _with_copy(s: State, old: Copy, new: Copy) -> State:
    rest = _without(s, old)
    return rest._replace(copies=tuple(sorted((*rest.copies, new))))


def _agent(s: State, i: int, **changes: object) -> State:
    agents = list(s.agents)
    agents[i] = agents[i]._replace(**changes)  # type: ignore[arg-type]
    return s._replace(agents=tuple(agents))


def _drop(s: State, i: int) -> State:
    """Of several copies of one attempt under one agent it drops the one that it read; they are alike."""
    held = next((c for c in s.copies if c.holder == i and c.attempt == s.agents[i].attempt), None)
    if held is not None:
        s = _without(s, held)
    return _idle(s, i)


def _idle(s: State, i: int) -> State:
    return _agent(s, i, at=IDLE, attempt=0, to_owner=False, unclaimed=False)


def _begin(s: State, i: int, copy: Copy) -> State:
    return _agent(s, i, at=CLAIMING, attempt=copy.attempt, to_owner=copy.by_owner)


def _looks(s: State, i: int) -> tuple[object, ...]:
    """What tells the two agents apart, at least mostly: who looks the same may stand in either place."""
    claims = s.claim is not None and s.claim.agent == i
    return (s.agents[i], claims, s.told == i, sum(copy.holder == i for copy in s.copies))


def _swapped(s: State) -> State:
    def other(who: int) -> int:
        return 1 - who if who >= 0 else who

    journal = tuple((k, n, other(w) if k == "task" and isinstance(w, int) else w) for k, n, w in s.journal)
    claim = s.claim and s.claim._replace(agent=1 - s.claim.agent)
    copies = tuple(sorted(copy._replace(holder=other(copy.holder)) for copy in s.copies))
    return s._replace(
        journal=journal, claim=claim, copies=copies, agents=(s.agents[1], s.agents[0]), told=other(s.told)
    )
