# SPDX-License-Identifier: Apache-2.0
"""Runs of one workflow id, and deliveries of an earlier run that come late or twice: does anything cross?

As in workflow_renew.lua, journal_append.lua, task_claim.lua and node/workflows/{continue_as_new,start}.py. Each run has one step; run 1 ends by
`continue_as_new`, the last one closes, and a client may begin a closed one again. Whatever was sent once may be sent again at
any later moment: a task, a claim, an outcome, a signal, an owner's own renewal or close, a client's request.

The code may have an error where it would end (decision 0035): then the run is BLOCKED until corrected code replays it. Somebody
may have it replayed at any moment, or cancel it and begin it again, as node/workflows/repair.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.engine import Model, Step


class Entry(NamedTuple):
    n: int
    name: str  # start, task, signal, cancel, close
    run: int  # in which run it came to be: what it is about


class Message(NamedTuple):
    """A command on its way to Redis, or a task on its way to an agent."""

    what: str  # task, claim, outcome, signal, cancel, renew, close, ask (a client, for the next run), restart
    run: int
    folded: int = 0  # renew: the last entry that its sender had folded


class State(NamedTuple):
    run: int = 1
    last: int = 1
    journal: tuple[Entry, ...] = (Entry(1, "start", 1),)
    markers: frozenset[str] = frozenset(("start",))
    claim: int = 0  # the run whose task is claimed; 0: none
    closed: bool = False
    applied: int = 1  # the last entry that the owner has folded
    hosted: int = 1  # the run that the owner hosts
    sent: int = 0  # the run whose task the owner has sent
    messages: frozenset[Message] = frozenset()
    again: frozenset[Message] = frozenset()  # delivered once; each may come again
    signaled: bool = False  # a client was told that its signal is recorded
    heard: int = 0  # how often code has read it
    has_error: bool = False  # the code that is deployed
    blocked: bool = False  # what the owner hosts
    spoiled: bool = False  # an error in the code has ended a run
    asked: int = 0  # how many restarts clients have asked for, repeated requests counted once
    faults: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Renew(Model[State]):
    """Faults and client calls are how often each may happen; the rest are the safeguards, each of which can be taken away."""

    runs: int = 2
    """By `continue_as_new`."""
    restarts: int = 1
    doubles: int = 2
    signals: int = 1
    owner_deaths: int = 0
    errors: int = 0
    """How often code with an error is deployed."""
    retries: int = 1
    """How often somebody has a BLOCKED run replayed without a correction."""

    named_run: bool = True
    """A request for the next run names the run that it follows."""
    blocks: bool = True
    """An error blocks the run."""
    append_fence: bool = True
    claim_fence: bool = True
    renew_fence: bool = True
    close_fence: bool = True
    keep_unread: bool = True
    keep_unfolded: bool = True
    clear_markers: bool = True

    LIMITED = ("restarts", "doubles", "signals", "owner_deaths", "errors", "retries")

    def initial(self) -> State:
        return State(faults=self.limits())

    def goals(self) -> Mapping[str, Callable[[State], bool]]:
        # a signal that comes between the last entry that the code used and `close` is recorded and not read: as promised
        return {"the workflow closes": lambda s: s.closed}

    def wrong(self, s: State) -> str:
        if any(entry.run != s.run for entry in s.journal if entry.name != "signal"):
            return "an entry crosses runs"
        if s.claim not in (0, s.run):
            return "a claim crosses runs"
        numbers = [entry.n for entry in s.journal]
        if numbers != list(range(s.last - len(numbers) + 1, s.last + 1)):
            return "a hole in the numbers"
        if s.run > self.runs + s.asked:
            return "a run that nobody asked for"
        if s.spoiled:
            return "an error in the code has ended a run"
        recorded = any(entry.name == "signal" for entry in s.journal)
        if s.signaled and s.heard == 0 and s.run == self.runs and not s.closed and not recorded:
            return "a signal that was acknowledged is gone"
        return "a signal is read twice" if s.heard > 1 else ""

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def steps(self, s: State) -> Iterator[Step[State]]:
        yield from self._owner(s)
        for message in s.messages:
            if message.what == "ask" and message.run == s.run and not s.closed:
                continue  # the node waits for the end of the run that was canceled
            gone = s._replace(messages=s.messages - {message}, again=s.again | {message})
            yield from self._arrives(gone, message, fault=False)
        if (after := self.spend(s, "doubles")) is not None:
            for message in s.again:
                if message.what == "ask" and not s.closed and (message.run == s.run or not self.named_run):
                    continue
                yield from self._arrives(after, message, fault=True)
        if (after := self.spend(s, "signals")) is not None:
            yield Step("a client signals", _send(after, Message("signal", s.run)))
        if s.closed and (after := self.spend(s, "restarts")) is not None:
            yield Step(
                "a client asks for its next run", _send(after, Message("ask", s.run))._replace(asked=s.asked + 1)
            )
        if s.blocked and not s.closed and (after := self.spend(s, "restarts")) is not None:
            both = _send(_send(after, Message("cancel", s.run)), Message("ask", s.run))
            yield Step("a client cancels what is BLOCKED, and asks for its next run", both._replace(asked=s.asked + 1))
        if not s.has_error and (after := self.spend(s, "errors")) is not None:
            yield Step("CODE WITH AN ERROR IS DEPLOYED", after._replace(has_error=True), fault=True)
        if s.has_error:
            yield Step("it is corrected, and replayed", _reloaded(s)._replace(has_error=False))
        if s.blocked and (after := self.spend(s, "retries")) is not None:
            yield Step("somebody has it replayed", _reloaded(after), fault=True)
        if (after := self.spend(s, "owner_deaths")) is not None and not s.closed:
            yield Step("THE OWNER IS REPLACED", _reloaded(after), fault=True)

    def _owner(self, s: State) -> Iterator[Step[State]]:
        if s.hosted != s.run:
            yield Step(f"owner hosts run {s.run}", s._replace(hosted=s.run, applied=s.journal[0].n, blocked=False))
            return
        if s.closed:
            return
        if s.applied < s.last:
            yield Step("owner folds the next entry", s._replace(applied=s.applied + 1))
        folded = [entry.name for entry in s.journal if entry.n <= s.applied]
        if "cancel" in folded:  # code that is blocked cannot clean up, and this one has nothing to clean up
            yield from self._sends(s, Message("close", s.run))
            return
        if s.blocked:
            return
        if "task" not in folded:
            if s.sent != s.run:
                yield Step(
                    f"owner sends the task of run {s.run}", _send(s, Message("task", s.run))._replace(sent=s.run)
                )
            return
        if s.has_error and self.blocks:
            yield Step("the code raises an error: BLOCKED", s._replace(blocked=True))
            return
        if s.has_error:
            spoiled = self._close(s, Message("close", s.run))[0]._replace(spoiled=True)
            yield Step("the code raises an error: FAILED", spoiled)
            return
        ends = Message("renew", s.run, s.applied) if s.run < self.runs else Message("close", s.run)
        if "signal" in folded and ends.what == "close" and s.heard == 0:
            yield Step("the code reads the signal", s._replace(heard=s.heard + 1))
        else:
            yield from self._sends(s, ends)

    def _sends(self, s: State, ends: Message) -> Iterator[Step[State]]:
        if ends not in s.messages and ends not in s.again:
            yield Step(f"owner: {ends.what} of run {s.run}", _send(s, ends))

    def _arrives(self, s: State, message: Message, *, fault: bool) -> Iterator[Step[State]]:
        after, status = getattr(self, f"_{message.what}")(s, message)
        again = ", AGAIN" if fault else ""
        yield Step(f"{message.what} of run {message.run} arrives{again}: {status}", after, fault=fault)

    def _task(self, s: State, message: Message) -> tuple[State, str]:
        return _send(s, Message("claim", message.run)), "read by an agent"

    def _claim(self, s: State, message: Message) -> tuple[State, str]:
        if self.claim_fence and (message.run != s.run or s.closed):
            return s, "stale"
        if "task" in s.markers:
            return s, "done"
        return _send(s._replace(claim=message.run), Message("outcome", message.run)), "run"

    def _outcome(self, s: State, message: Message) -> tuple[State, str]:
        after, status = self._append(s, "task", message.run)
        return (after._replace(claim=0) if status == "new" else after), status

    def _signal(self, s: State, message: Message) -> tuple[State, str]:
        """A client names no run: what is stale is asked again for the run that there is."""
        after, status = self._append(s, "signal", message.run)
        if status == "stale" and message not in s.again - {message}:
            return _send(s, Message("signal", s.run)), "stale, asked again"
        return after._replace(signaled=after.signaled or status == "new"), status

    def _append(self, s: State, name: str, run: int) -> tuple[State, str]:
        if self.append_fence and run != s.run:
            return s, "stale"
        if s.closed:
            return s, "closed"
        if name in s.markers:
            return s, "exists"
        entry = Entry(s.last + 1, name, run)
        return s._replace(journal=(*s.journal, entry), last=entry.n, markers=s.markers | {name}), "new"

    def _renew(self, s: State, message: Message) -> tuple[State, str]:
        if self.renew_fence and message.run != s.run:
            return s, "stale"
        if s.closed:
            return s, "closed"
        return self._next(s, message.folded), "new"

    def _cancel(self, s: State, message: Message) -> tuple[State, str]:
        return self._append(s, "cancel", message.run)

    def _ask(self, s: State, message: Message) -> tuple[State, str]:
        """A node reads the head, waits until the run has closed, and begins the run that follows it."""
        if self.named_run and message.run != s.run:
            return s, "begun before"
        return _send(s, Message("restart", s.run)), "closed"

    def _restart(self, s: State, message: Message) -> tuple[State, str]:
        if self.renew_fence and message.run != s.run:
            return s, "stale"
        if not s.closed:
            return s, "exists"
        return self._next(s, s.last), "new"

    def _next(self, s: State, folded: int) -> State:
        """The next run: `start`, then what nobody has read yet, and what came behind the last entry that was folded."""
        unread = [e for e in s.journal if e.name == "signal" and s.heard == 0 and not s.closed]
        kept = [e for e in unread if (self.keep_unread and e.n <= folded) or (self.keep_unfolded and e.n > folded)]
        run, n = s.run + 1, s.last + 1
        entries = [Entry(n, "start", run)]
        entries += [Entry(n + i, "signal", run) for i, _ in enumerate(kept, 1)]
        markers = frozenset(entry.name for entry in entries)
        if not self.clear_markers:
            markers |= s.markers
        journal, last = tuple(entries), entries[-1].n
        return s._replace(run=run, journal=journal, last=last, markers=markers, claim=0, closed=False, blocked=False)

    def _close(self, s: State, message: Message) -> tuple[State, str]:
        if self.close_fence and message.run != s.run:
            return s, "stale"
        if s.closed:
            return s, "closed"
        entry = Entry(s.last + 1, "close", message.run)
        return s._replace(journal=(*s.journal, entry), last=entry.n, closed=True), "new"


def _reloaded(s: State) -> State:
    """The owner reads the journal from its beginning."""
    return s._replace(hosted=s.run, applied=s.journal[0].n, sent=0, blocked=False)


def _send(s: State, message: Message) -> State:
    return s._replace(messages=s.messages | {message})
