# SPDX-License-Identifier: Apache-2.0
"""One question to humans: two people, a deadline, a success that comes late, a cancel, an owner that is replaced.

As in decision_append.lua, journal_append.lua and node/workflows/escalations.py. The step has used up its attempts when it begins; a
granted retry may fail again, and then there is a second question. Entries are folded one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.engine import Model, Step

COMPLETE, RETRY, CANCEL, EXPIRED = "complete", "retry", "cancel", "expired"
OWNER, AGENT, LATE = "owner", "agent", "late agent"
RUNNING, OVER = "running", "over"


class Entry(NamedTuple):
    kind: str  # escalated, decided, task, cancel, attempt, close
    k: int = 0
    who: str = ""
    action: str = ""


class State(NamedTuple):
    journal: tuple[Entry, ...] = ()
    applied: int = 0
    zombie: int = -1  # what the replaced owner had folded; -1: there is none
    errands: tuple[tuple[str, int], ...] = ()  # the owner's changes of the list that are under way
    listed: frozenset[int] = frozenset()
    said: frozenset[tuple[str, int]] = frozenset()  # who has an answer to his decision of which question
    told: frozenset[tuple[str, int, str]] = frozenset()  # and was told that it counts
    late: str = RUNNING
    retry: str = OVER
    owed: Entry | None = None  # only without `one_script`: the outcome that a decision has yet to bring
    faults: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Escalation(Model[State]):
    """Faults are how often each may happen; the rest are the safeguards, each of which can be taken away."""

    owner_deaths: int = 0
    owner_zombies: int = 0
    lost_replies: int = 0
    cancels: int = 0
    late_success: bool = True
    questions: int = 2

    decided_once: bool = True
    over_check: bool = True
    asked_check: bool = True
    one_script: bool = True
    cancel_first: bool = True
    owner_check: bool = True
    list_sweep: bool = True

    LIMITED = ("owner_deaths", "owner_zombies", "lost_replies", "cancels")

    def initial(self) -> State:
        late = RUNNING if self.late_success else OVER
        return State(late=late, faults=self.limits())

    def goals(self) -> Mapping[str, Callable[[State], bool]]:
        return {
            "the workflow closes": _closed,
            "the list of open questions is empty": lambda s: _closed(s) and not s.listed,
        }

    def wrong(self, s: State) -> str:
        names = [(entry.kind, entry.k) for entry in s.journal]
        if len(names) != len(set(names)):
            return "a name is recorded twice"
        outcome = next((entry for entry in s.journal if entry.kind == "task"), None)
        for who, _, action in s.told:
            if action != RETRY and outcome is not None and outcome.who != who:
                return f"{who.split()[0]} is told that it counts, but another outcome is recorded"
        for i, entry in enumerate(s.journal):
            if entry.kind == "decided" and entry.action == CANCEL and ("cancel", 0) not in names[: i + 2]:
                return "the code meets the failed step before the cancel"
            if entry.kind == "decided" and ("escalated", entry.k) not in names[:i]:
                return "a decision without its question"
        return ""

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def steps(self, s: State) -> Iterator[Step[State]]:
        yield from self._owner(s)
        yield from self._zombie(s)
        for who in ("person 1", "person 2"):
            yield from self._person(s, who)
        yield from self._agents(s)
        yield from self._environment(s)

    def _append(self, s: State, entry: Entry) -> tuple[State, str]:
        """journal_append."""
        if _closed(s):
            return s, "closed"
        there = _has(s, entry.kind, entry.k) or (entry.kind == "attempt" and _has(s, "task"))
        return (s, "exists") if there else (s._replace(journal=(*s.journal, entry)), "new")

    def _decide(self, s: State, who: str, k: int, action: str) -> tuple[State, str]:
        """decision_append."""
        if self.decided_once and _has(s, "decided", k):
            return s, "exists"
        if _closed(s):
            return s, "closed"
        if self.over_check and _has(s, "task"):
            return s, "over"
        if self.asked_check and not _has(s, "escalated", k):
            return s, "not_asked"
        entries = [Entry("decided", k, who, action)]
        if action != RETRY:
            outcome = Entry("task", 0, who, action)
            if not self.one_script:
                return s._replace(journal=(*s.journal, *entries), owed=outcome), "new"
            entries.append(outcome)
        if action == CANCEL and not _has(s, "cancel"):
            entries.insert(1 if self.cancel_first else 2, Entry("cancel"))
        if not self.over_check and _has(s, "task"):
            entries = entries[:1]
        return s._replace(journal=(*s.journal, *entries)), "new"

    def _owner(self, s: State) -> Iterator[Step[State]]:
        if s.errands:
            (what, k), *rest = s.errands
            listed = s.listed | {k} if what == "set" else s.listed - {k}
            yield Step(f"owner: list {what} {k}", s._replace(errands=tuple(rest), listed=listed))
        if s.owed is not None:
            after, status = self._append(s._replace(owed=None), s.owed)
            yield Step(f"the outcome of the decision: {status}", after)
        if s.applied < len(s.journal):
            yield self._fold_next(s)
        elif not _closed(s):
            yield from self._act(s)

    def _fold_next(self, s: State) -> Step[State]:
        entry = s.journal[s.applied]
        s = s._replace(applied=s.applied + 1)
        asked = [e.k for e in s.journal[: s.applied] if e.kind == "escalated"]
        if entry.kind == "escalated":
            s = s._replace(errands=(*s.errands, ("set", entry.k)))
        elif entry.kind == "decided":
            s = s._replace(errands=(*s.errands, ("clear", entry.k)))
            if entry.action == RETRY:
                s = s._replace(retry=RUNNING)
        elif entry.kind in ("task", "close"):
            s = s._replace(errands=(*s.errands, *(("clear", k) for k in asked)))
        return Step(f"owner folds {entry.kind}{entry.k or ''}", s)

    def _act(self, s: State) -> Iterator[Step[State]]:
        entry = self._wants(s, s.applied)
        if entry is not None:
            after, status = self._append(s, entry)
            yield Step(f"owner appends {entry.kind}{entry.k or ''}: {status}", after)
        if (k := _open_question(s, s.applied)) and entry is None:
            after, status = self._decide(s, OWNER, k, EXPIRED)
            yield Step(f"owner: the deadline of {k}: {status}", after)

    def _wants(self, s: State, applied: int) -> Entry | None:
        """What the fold of this many entries lets an owner append next."""
        folded = s.journal[:applied]
        kinds = [entry.kind for entry in folded]
        if "task" in kinds:
            return Entry("close")
        if "cancel" in kinds:
            return Entry("task", 0, OWNER, "canceled")
        k = kinds.count("escalated")
        retried = k > 0 and folded[-1].kind == "attempt" and _has(s, "attempt", k)
        if k == 0 or (retried and k < self.questions):
            return Entry("escalated", k + 1)
        if retried:
            return Entry("task", 0, OWNER, "failed")
        return None

    def _zombie(self, s: State) -> Iterator[Step[State]]:
        """The earlier owner, which has folded less: what it appends is refused, or should be."""
        if s.zombie < 0:
            return
        yield Step("the replaced owner lets go", s._replace(zombie=-1), fault=True)
        entry = self._wants(s, s.zombie)
        if entry is not None and not self.owner_check:
            after, status = self._append(s, entry)
            wrong = "an owner's entry by a node that owns it no more" if status == "new" else ""
            yield Step(f"the replaced owner appends {entry.kind}: {status}", after, fault=True, wrong=wrong)

    def _person(self, s: State, who: str) -> Iterator[Step[State]]:
        questions = [e.k for e in s.journal if e.kind == "escalated"] or ([] if self.asked_check else [1])
        for k in questions:
            if (who, k) in s.said or _closed(s):
                continue
            for action in (COMPLETE, RETRY, CANCEL):
                after, status = self._decide(s, who, k, action)
                label = f"{who} decides {k}, {action}: {status}"
                if (lost := self.spend(after, "lost_replies")) is not None:
                    yield Step(f"{label}, THE REPLY IS LOST", lost, fault=True)
                wrong = ""
                if status == "new":
                    if any(other != who and number == k for other, number, _ in s.told):
                        wrong = "two people are told that theirs counts"
                    after = after._replace(told=after.told | {(who, k, action)})
                yield Step(label, after._replace(said=after.said | {(who, k)}), wrong=wrong)

    def _agents(self, s: State) -> Iterator[Step[State]]:
        """The late one has success with the attempt that was given up; who retries may fail again."""
        if s.late == RUNNING:
            after, status = self._append(s._replace(late=OVER), Entry("task", 0, LATE))
            told = after.told | {(LATE, 0, COMPLETE)} if status == "new" else after.told
            yield Step(f"the late agent has success: {status}", after._replace(told=told))
        if s.retry == RUNNING:
            k = sum(entry.kind == "escalated" for entry in s.journal)
            for entry in (Entry("task", 0, AGENT), Entry("attempt", k)):
                after, status = self._append(s._replace(retry=OVER), entry)
                told = after.told | {(AGENT, 0, COMPLETE)} if (entry.kind, status) == ("task", "new") else after.told
                yield Step(f"the retry appends {entry.kind}: {status}", after._replace(told=told))

    def _environment(self, s: State) -> Iterator[Step[State]]:
        for name, zombie in (("owner_deaths", -1), ("owner_zombies", s.applied)):
            if (after := self.spend(s, name)) is not None:
                yield Step(f"THE OWNER IS REPLACED ({name})", self._replaced(after, zombie), fault=True)
        if (after := self.spend(s, "cancels")) is not None:
            canceled, status = self._append(after, Entry("cancel"))
            yield Step(f"a client cancels: {status}", canceled, fault=True)
        if self.list_sweep:
            for k in s.listed:
                if _closed(s) or _has(s, "decided", k) or _has(s, "task"):
                    yield Step(f"a sweep: question {k} is open no more", s._replace(listed=s.listed - {k}))

    def _replaced(self, s: State, zombie: int) -> State:
        """The next one folds the whole journal, puts open questions on the list and sends a granted retry again."""
        k = _open_question(s, len(s.journal))
        last = s.journal[-1] if s.journal else Entry("")
        retry = RUNNING if last.kind == "decided" and last.action == RETRY else s.retry
        errands = (("set", k),) if k else ()
        return s._replace(applied=len(s.journal), zombie=zombie, errands=errands, retry=retry)


def _closed(s: State) -> bool:
    return bool(s.journal) and s.journal[-1].kind == "close"


def _has(s: State, kind: str, k: int = 0) -> bool:
    return any(entry.kind == kind and entry.k == k for entry in s.journal)


def _open_question(s: State, applied: int) -> int:
    """Its number, as far as this many entries tell; 0 = none."""
    folded = s.journal[:applied]
    k = max((entry.k for entry in folded if entry.kind == "escalated"), default=0)
    over = any(entry.kind in ("task", "close") or (entry.kind == "decided" and entry.k == k) for entry in folded)
    return 0 if over else k
