# SPDX-License-Identifier: Apache-2.0
"""Redis comes back without its tail, or empty; each process that remembers entries writes them back (docs/decisions/0012).

As in journal_restore.lua and node/recovery/write_back.py. The workflow calls `a`, then `b`; somebody sends a signal through another node.
The owner remembers what it has folded, agents their outcomes, that other node its signal; each writes back when another
server answers. An entry is (n, epoch, name): the epoch stands for the milliseconds of its id, so that an entry which takes a
lost one's number is told apart. Not here: processes that die together with Redis' tail; what only they knew is lost.

The owner may unload the workflow where nothing is for it to do (docs/decisions/0056): what it remembers stays, packed. News
loads it: it reads the journal, compares it with what it remembers, and folds what is new. A loss may come between any two of these.

Messages tell the owner of entries that others append, late or never. It folds what a message says if that is the next entry. After
a write-back a message may tell of an entry that has moved, so the owner looks at the journal instead.

With `in_flight` the owner's `close` is on its way for a while, so it may meet a shortened journal, and be lost with that by the next
loss. With `restarted` this is the second run, begun at another node than the first: a Redis that has lost all of it has the first
one's head, which names its owner.

With `adoptions` another node takes the owner for dead and reads what Redis has, while agents have yet to write back what the loss took. A
task tells after which entry its owner sent it. An agent whose outcome met a loss appends it only where the journal has that entry, because code that
is replayed asks for nothing sooner. It wakes the owner, waits for whoever writes that entry back, and gives up if nobody does: then the
step runs again.

A loss may take the adoption, too: then the former owner writes the head back, and the other one finds that it is not the owner. What it
knows may be another journal by now, so it adds nothing as it was. But what somebody was told is recorded (`signals_here`: a signal that the
owner itself recorded, and nobody else remembers, and for which the code waits) it records again, by name.

With `late_loads` a load that somebody asked for before the loss comes to its turn behind it. What the owner closed is not in memory any
more, so it could host what a shortened journal says, beside what is written back.

Once a look at the server says that its disk has the closed journal, the owner forgets it (docs/decisions/0057): from then on a
crash loses nothing of it, and a FLUSHALL is not asked about any more. How a look tells what is on the disk: redis_link/persistence.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.engine import Model, Step

STEPS = ("a", "b")


class Entry(NamedTuple):
    n: int
    epoch: int
    name: str


START = Entry(1, 0, "start")


class Sent(NamedTuple):
    """A task: a step, and the last entry that its owner had folded when it sent it."""

    step: str
    after: Entry


SIGNAL = Sent("signal", START)
WAITING = ("unknown", "gap")
"""Answers to an append that is made again later: the owner has yet to put back the head, or the entries before it."""


class State(NamedTuple):
    journal: tuple[Entry, ...] = (START,)
    epoch: int = 0
    folded: tuple[Entry, ...] = (START,)  # by the owner; it remembers them
    doubt: bool = False  # another server answers: nothing is believed until the journal is compared
    sent: frozenset[Sent] = frozenset()
    done: frozenset[Sent] = frozenset()  # those whose outcomes agents remember
    again: frozenset[Sent] = frozenset()  # what agents and the other node have yet to write back
    former: tuple[Entry, ...] = ()  # what an owner remembers whose workflow another node has adopted
    told: frozenset[str] = frozenset()
    unloaded: bool = False  # the owner has no code in memory: it sends, folds and closes nothing
    read: tuple[Entry, ...] | None = None  # what a load has read, and not yet folded
    durable: int = 0  # entries that a crash can't take: they are on the disk, and on those of the replicas
    look: bool = False  # the owner has asked whether all of a closed journal is, and has no answer yet
    forgotten: bool = False  # the owner no longer remembers the closed journal
    news: frozenset[Entry] = frozenset()  # messages under way to the owner
    closing: str = ""  # the owner's `close` is 'sent', or its answer was 'heard'
    fact: bool = False  # a node remembers the signal itself, not only a journal with it
    left: bool = False  # the owner leaves the workflow to another node
    late: tuple[Entry, ...] | None = None  # what a late load hosts
    faults: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Restore(Model[State]):
    """Faults are how often each may happen; the rest are the safeguards, each of which can be taken away."""

    losses: int = 1
    owner_deaths: int = 0
    signals: int = 1
    unloads: int = 0
    silent: bool = False
    """Whether a loss goes unnoticed while the workflow is unloaded."""
    messages: bool = False
    """Whether the owner also folds what messages say, not only what it reads."""
    in_flight: bool = False
    restarted: bool = False
    late_loads: int = 0
    adoptions: int = 0
    signals_here: bool = False

    outcomes_wait: bool = True
    gaps_wake: bool = True
    says_again: bool = True
    doubted_facts: bool = True
    """Whether the owner remembers a signal that it records in doubt. Another entry has had that number, so it could take it for folded."""
    repeats_in_doubt: bool = True
    later_run_counts: bool = True
    in_doubt: bool = True
    doubts_old_news: bool = True
    same_ids: bool = True
    others_behind: bool = True
    by_name: bool = True
    agents_remember: bool = True
    unloads_only_quiet: bool = True
    packs_entries: bool = True
    news_loads: bool = True
    compares_when_loaded: bool = True
    loads_again_after_a_loss: bool = True
    loads_wait: bool = True
    forgets: bool = False
    asks_first: bool = True
    of_one_server: bool = True

    LIMITED = ("losses", "owner_deaths", "signals", "unloads", "late_loads", "adoptions")

    def initial(self) -> State:
        return State(faults=self.limits())

    def goals(self) -> Mapping[str, Callable[[State], bool]]:
        return {
            "the workflow closes": lambda s: _has(s, "close") and not s.doubt,
            "what was acknowledged stands": lambda s: not s.doubt and all(_stands(s, name) for name in s.told),
        }

    def wrong(self, s: State) -> str:
        names = [entry.name for entry in s.journal]
        if len(names) != len(set(names)):
            return "a name is recorded twice"
        if [entry.n for entry in s.journal] != list(range(1, len(names) + 1)):
            return "a hole in the numbers"
        if s.doubt or s.unloaded:
            return ""
        if "task:b" in names and "task:a" not in names[: names.index("task:b")]:
            return "an answer stands before its question: the next replay is BLOCKED"
        if s.forgotten:
            return ""
        hosted = (s.folded, *([] if s.late is None else [s.late]))
        goes_on = all(folded == s.journal[: len(folded)] for folded in hosted)
        return "" if goes_on else "the owner has gone on from what the journal does not say"

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def steps(self, s: State) -> Iterator[Step[State]]:
        yield from self._owner(s)
        yield from self._late_load(s)
        yield from self._former_owner(s)
        for sent in s.sent - s.done:
            yield self._outcome(s, sent)
        for sent in s.again:
            back, status = self._append_outcome(s, sent)
            if status not in WAITING:
                back = back._replace(again=s.again - {sent})
                yield Step(f"{_name(sent)} is written back at the end: {status}", back)
        for sent in s.sent:
            knows = not s.doubt and not (s.unloaded and s.journal != s.folded and self.gaps_wake)
            if knows and s.journal and not self._may_stand(s, sent):
                gone = frozenset((sent,))
                given_up = s._replace(sent=s.sent - gone, done=s.done - gone, again=s.again - gone)
                yield Step(f"the agent of {sent.step} gives up: nobody writes back what it was sent after", given_up)
        if (after := self.spend(s, "signals")) is not None and self.signals_here:
            signaled, status = self._append(after, "signal")
            if s.doubt and status == "new":
                signaled = _told(signaled._replace(fact=self.doubted_facts), "signal", status)
                yield Step("the owner records a signal in a doubted journal", signaled)
            elif not s.doubt and s.folded == s.journal and not _has(s, "close"):
                signaled = signaled._replace(folded=signaled.journal)
                yield Step(f"the owner records a signal: {status}", _told(signaled, "signal", status))
        elif after is not None:
            signaled, status = self._append(after._replace(fact=True), "signal")
            yield Step(f"another node records a signal: {status}", _told(signaled, "signal", status))
        if self.forgets:
            yield from self._disk(s)
        if (after := self.spend(s, "losses")) is not None:
            # less than the disk has: a FLUSHALL or a lost disk, after which what is forgotten stays lost
            for kept in range(s.durable if s.forgotten else 0, len(s.journal)):
                yield Step(f"REDIS COMES BACK WITH {kept} ENTRIES", self._lost(after, kept), fault=True)
                if s.former and "close" not in s.told:
                    label = f"REDIS COMES BACK WITH {kept} ENTRIES AND WITHOUT THE ADOPTION"
                    lost = self._lost(after, kept)._replace(folded=s.former, former=s.folded, closing="")
                    yield Step(label, lost, fault=True)
        if not s.doubt and not s.again and not s.forgotten and (after := self.spend(s, "owner_deaths")) is not None:
            yield Step("THE OWNER IS REPLACED", _taken(after), fault=True)
        if s.journal and "close" not in s.told and (after := self.spend(s, "adoptions")) is not None:
            adopted = _taken(after)._replace(former=s.folded, doubt=False, closing="")
            yield Step("ANOTHER NODE ADOPTS IT FROM THE OWNER, WHO LIVES", adopted, fault=True)

    def _disk(self, s: State) -> Iterator[Step[State]]:
        """The server syncs; the owner of a closed journal asks for that, and forgets."""
        if s.durable < len(s.journal):
            yield Step("all is synced to the disk", s._replace(durable=len(s.journal)))
        if s.folded[-1].name != "close" or s.forgotten:
            return
        if not self.asks_first:
            yield Step("the owner forgets what has closed", s._replace(forgotten=True))
        elif not s.look and not s.doubt:
            yield Step("the owner asks whether it is on the disk", s._replace(look=True))
        elif s.look and s.durable == len(s.journal):
            yield Step("it is: the owner forgets what has closed", s._replace(look=False, forgotten=True))

    def _append(self, s: State, name: str) -> tuple[State, str]:
        """journal_append. Without a head it is unknown: nothing is said about whether the workflow ever was."""
        if not s.journal:
            return s, "unknown"
        if _has(s, name):
            return s, "exists"
        if _has(s, "close"):
            return s, "closed"
        entry = Entry(s.journal[-1].n + 1, s.epoch, name)
        news = s.news | {entry} if self.messages and name != "close" else s.news
        return s._replace(journal=(*s.journal, entry), news=news), "new"

    def _append_outcome(self, s: State, sent: Sent) -> tuple[State, str]:
        if s.journal and not self._may_stand(s, sent):
            return s, "gap"
        return self._append(s, _name(sent))

    def _may_stand(self, s: State, sent: Sent) -> bool:
        """Whether the journal has the entry after which it was sent."""
        return sent is SIGNAL or sent.after in s.journal or not self.outcomes_wait

    def _lost(self, s: State, kept: int) -> State:
        """Everybody who lives learns that another server answers, before any other reply is read."""
        again = s.done if self.agents_remember else frozenset()
        if "signal" in s.told and s.fact:
            again |= {SIGNAL}
        read = None if self.loads_again_after_a_loss else s.read
        doubt = s.doubt or (self.in_doubt and not (self.silent and s.unloaded))
        lost = s._replace(journal=s.journal[:kept], epoch=s.epoch + 1, doubt=doubt, again=again, read=read)
        return lost._replace(durable=min(s.durable, kept), look=s.look and not self.of_one_server)

    def _asked(self, folded: tuple[Entry, ...]) -> frozenset[str]:
        """Steps that the code asks for after this many entries."""
        names = [entry.name for entry in folded]
        return frozenset(("a", "b") if "task:a" in names else ("a",))

    def _unsent(self, s: State) -> frozenset[str]:
        """Steps that the code asks for, and that no task is about which may still be answered."""
        return self._asked(s.folded) - {sent.step for sent in s.sent if sent.after in s.folded}

    def _former_owner(self, s: State) -> Iterator[Step[State]]:
        """It may add what the journal lacks at its end, under the same ids, and else what somebody was told, by name."""
        if s.journal and len(s.journal) < len(s.former) and s.journal == s.former[: len(s.journal)]:
            yield Step("the former owner writes back what is missing at the end", s._replace(journal=s.former))
        elif self.says_again and any(entry.name == "signal" for entry in s.former) and not _has(s, "signal"):
            again, status = self._append(s, "signal")
            if status == "new":
                yield Step("the former owner records the signal again", again)

    def _is_done(self, folded: tuple[Entry, ...]) -> bool:
        """Whether the code returns: after `b`, and after the signal if only the owner knows of it."""
        names = [entry.name for entry in folded]
        return "task:b" in names and ("signal" in names or not self.signals_here)

    def _owner(self, s: State) -> Iterator[Step[State]]:
        if s.forgotten:
            if s.doubt:
                yield Step("nothing of it is remembered, and nothing was lost", s._replace(doubt=False))
            return
        if s.left:
            return
        if s.closing == "sent":
            yield self._close_arrives(s)
        if s.doubt or not s.journal:
            if self.restarted and not s.journal and not self.later_run_counts:
                yield Step("journal_restore: the run before is another node's", s._replace(doubt=False, left=True))
            else:
                yield Step("journal_restore", self._restored(s))
            return
        if s.unloaded:
            yield from self._unloaded(s)
            return
        if (after := self.spend(s, "unloads")) is not None and (self._is_quiet(s) or not self.unloads_only_quiet):
            yield Step("the owner unloads it", after._replace(unloaded=True))
        for told in s.news:
            if told.n == len(s.folded) + 1:
                heard = s._replace(folded=(*s.folded, told), news=s.news - {told})
                yield Step(f"a message says {told.name}: owner folds it", heard)
        for step in self._unsent(s):
            yield Step(f"owner sends {step}", s._replace(sent=s.sent | {Sent(step, s.folded[-1])}))
        known = len(s.folded)
        if known < len(s.journal):
            entry = s.journal[known]
            if s.journal[:known] != s.folded:
                yield Step("a known number with another time: the owner reads again", s._replace(doubt=True))
            else:
                yield Step(f"owner folds {entry.name}", s._replace(folded=(*s.folded, entry)))
        elif s.folded[-1].name == "close" or s.closing or not self._is_done(s.folded):
            return
        elif self.in_flight:
            yield Step("owner sends close", s._replace(closing="sent"))
        else:
            after, status = self._append(s, "close")
            folded = after.journal if status == "new" else s.folded
            yield Step(f"owner closes: {status}", _told(after._replace(folded=folded), "close", status))

    def _close_arrives(self, s: State) -> Step[State]:
        """The owner hears the answer, which counts for nothing while it is in doubt: then it sends `close` again."""
        after, status = self._append(s, "close")
        if s.doubt:
            return Step(
                f"close meets a doubted journal: {status}",
                after._replace(closing="" if self.repeats_in_doubt else "heard"),
            )
        closing = "" if status == "unknown" else "heard"
        folded = after.journal if status == "new" and after.journal[: len(s.folded)] == s.folded else s.folded
        return Step(f"owner closes: {status}", _told(after._replace(folded=folded, closing=closing), "close", status))

    def _is_quiet(self, s: State) -> bool:
        """Nothing is for the owner to do before there is news."""
        return not self._unsent(s) and not any(entry.name in ("task:b", "close") for entry in s.folded)

    def _unloaded(self, s: State) -> Iterator[Step[State]]:
        """News loads it; or a look finds that the journal is not what is remembered."""
        if s.read is None:
            if s.journal != s.folded and self.news_loads:
                yield Step("a load reads the journal", s._replace(read=s.journal))
        elif s.read[: len(s.folded)] == s.folded or not self.compares_when_loaded:
            yield Step("it is loaded", s._replace(folded=s.read, unloaded=False, read=None))
        else:
            yield Step("what was read is not what is remembered", s._replace(doubt=True, read=None))

    def _late_load(self, s: State) -> Iterator[Step[State]]:
        """It reads what the owner does not host. What it hosts then folds and closes like any other."""
        if s.late is None:
            after, there = self.spend(s, "late_loads"), bool(s.journal) and not _has(s, "close")
            closed = any(entry.name == "close" for entry in s.folded)
            its_turn = s.epoch and closed and not (self.loads_wait and s.doubt)
            if after is not None and its_turn and there:
                yield Step("a load that waited since before the loss", after._replace(late=s.journal))
        elif s.late != s.journal[: len(s.late)] or s.late[-1].name == "close":
            return
        elif len(s.late) < len(s.journal):
            yield Step("what was loaded folds an entry", s._replace(late=s.journal[: len(s.late) + 1]))
        elif any(entry.name == "task:b" for entry in s.late):
            after, status = self._append(s, "close")
            yield Step(f"what was loaded closes: {status}", after._replace(late=after.journal))

    def _restored(self, s: State) -> State:
        """What the owner remembers, under its old ids; what others appended meanwhile behind it, under new ones."""
        if self.doubts_old_news:
            s = s._replace(news=frozenset())
        if s.unloaded and not self.packs_entries:
            return s._replace(folded=s.journal, doubt=False)
        known = {entry.name for entry in s.folded}
        if not self.same_ids:  # by name, at the end: what one would do first
            journal = s.journal or (START,)
            for entry in s.folded:
                if entry.name not in [there.name for there in journal]:
                    journal = (*journal, Entry(len(journal) + 1, s.epoch, entry.name))
            return s._replace(journal=journal, folded=journal, doubt=False)
        others = [entry.name for entry in s.journal if entry not in s.folded]
        if self.by_name:
            others = [name for name in others if name not in known]
        if not self.others_behind:
            others = []
        first = s.folded[-1].n + 1
        behind = [Entry(first + i, s.epoch, name) for i, name in enumerate(others)]
        if s.folded[-1].name == "close":
            behind = []  # the end stays the end
        return s._replace(journal=(*s.folded, *behind), doubt=False)

    def _outcome(self, s: State, sent: Sent) -> Step[State]:
        after, status = self._append_outcome(s, sent)
        if status in WAITING:
            return Step(f"an agent finishes {sent.step}: {status}, it keeps it", s)
        after = _told(after, _name(sent), status)
        return Step(f"an agent finishes {sent.step}: {status}", after._replace(done=after.done | {sent}))


def _name(sent: Sent) -> str:
    return sent.step if sent is SIGNAL else f"task:{sent.step}"


def _taken(s: State) -> State:
    """Another node owns it, and knows what the journal says."""
    return s._replace(folded=s.journal, unloaded=False, read=None, news=frozenset())


def _has(s: State, name: str) -> bool:
    return any(entry.name == name for entry in s.journal)


def _stands(s: State, name: str) -> bool:
    """A signal that met the shortened journal of what had closed comes as late as one that met a `close`."""
    return _has(s, name) or (name == "signal" and _has(s, "close"))


def _told(s: State, name: str, status: str) -> State:
    return s._replace(told=s.told | {name}) if status == "new" else s
