# SPDX-License-Identifier: Apache-2.0
"""One workflow id that Redis loses while something new begins under it: the next run, or by a client's second try another life.

As in node/recovery/{redis_recovery,unloaded_recovery,write_back}.py and streams/{recent,tasks/outcomes}.py. A workflow calls one step in
each run. A client that got no answer starts it again; if Redis has lost it, it begins once more at node `b`, as another *life* of the id:
the same id and run, but a later `created` in its head. Node `a` writes back what it remembers of its own life, unless the other one is
there already.

With `restarts` somebody has the closed workflow begun again at its owner. Another node may tell a second caller of that run at once, before
the owner hosts it. Then nothing but the owner's memory of the request brings back what Redis loses of it.

A node that finds a later run in place of what it remembers reads that. Redis may lose the later run too, before it is read.

Another node may have told a caller of the start, and remembers it (`told_elsewhere`). If Redis has lost it, that node makes it again,
perhaps before its owner is back, who may remember that it has closed.

An agent's task names id and run, but no life. So the entry after which it was sent is compared with the head (`RecentWrites.append`) wherever Redis may have
lost something since the task was sent: when the agent repeats an outcome, or when its handler was running at the loss. Look and append are
two commands. Not here: what several servers lose separately, so that a task outlives its workflow in a queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.engine import Model, Step

Journal = tuple[tuple[str, int], ...]
"""Entries: their names, and the life in which each came to be."""


class Head(NamedTuple):
    life: int
    run: int
    owner: str
    journal: Journal


class Node(NamedTuple):
    """What one node remembers. Life 0: nothing."""

    life: int = 0
    run: int = 0
    folded: Journal = ()
    doubt: bool = False  # another server answers: nothing is believed until the journal is compared
    reading: bool = False  # the journal is a later run's, and must be read
    renewing: bool = False  # its `continue_as_new` was carried out; the answer is on its way


class Task(NamedTuple):
    life: int
    run: int
    state: str = (
        "sent"  # sent, running, looked (the head is of its life), done (and remembered), again (to be repeated)
    )
    outlived: bool = False  # Redis came back while its handler ran


class State(NamedTuple):
    head: Head | None
    before: Journal  # of the run before the head's; () where there is none
    a: Node
    b: Node = Node()
    tasks: frozenset[Task] = frozenset()
    lives: int = 1
    unasked: int = 0  # a life that no client has asked for
    to_tell: bool = False  # another node is to make the start again, if it is gone
    restart: str = (
        ""  # at `a`: the next run is 'begun' and not hosted yet, to be begun 'again' since Redis came back, or 'there'
    )
    told: int = 0  # the latest run that a caller was told of
    faults: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Lives(Model[State]):
    """Faults and second starts are how often each may happen; the rest are the safeguards, each of which can be taken away."""

    losses: int = 1
    starts: int = 1
    runs: int = 1
    restarts: int = 0
    told_elsewhere: bool = False

    keeps_until_read: bool = True
    remembers_restarts: bool = True
    marks_what_runs: bool = True
    compares_what_is_repeated: bool = True
    same_start: bool = True
    """Whether a start that is made again has the entry that was there."""
    looks_again: bool = True
    """Whether an append that meets another server than the look is not carried out, and both are repeated."""

    LIMITED = ("losses", "starts", "restarts")

    def initial(self) -> State:
        begun = (("start", 1),)
        return State(Head(1, 1, "a", begun), (), Node(1, 1, begun), faults=self.limits())

    def goals(self) -> Mapping[str, Callable[[State], bool]]:
        return {
            "the workflow closes": lambda s: s.head is not None and _closed(s.head),
            "a run that somebody was told of is there": lambda s: s.head is not None and s.head.run >= s.told,
        }

    def wrong(self, s: State) -> str:
        if s.head is None:
            return ""
        if any(life != s.head.life for _, life in s.head.journal):
            return "an outcome is recorded in another life"
        names = [name for name, _ in s.head.journal]
        if len(names) != len(set(names)):
            return "a name is recorded twice"
        for node in (s.a, s.b):
            same = (node.life, node.run) == (s.head.life, s.head.run) and not (node.doubt or node.reading)
            if same and node.folded != s.head.journal[: len(node.folded)]:
                return "the owner has gone on from what the journal does not say"
        return ""

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def steps(self, s: State) -> Iterator[Step[State]]:
        yield from self._node(s, "a")
        yield from self._node(s, "b")
        for task in s.tasks:
            yield from self._task(s, task)
        if s.b.life == 0 and s.head is None and (after := self.spend(s, "starts")) is not None:
            life = s.lives + 1
            begun = (("start", life),)
            new = after._replace(head=Head(life, 1, "b", begun), before=(), b=Node(life, 1, begun), lives=life)
            yield Step("the client starts it again, at b", new)
        if self.restarts and s.head is not None:
            yield from self._restart(s, s.head)
        if s.to_tell:
            yield Step("another node makes the start again, if it is gone", self._told_again(s))
        if s.head is not None and (after := self.spend(s, "losses")) is not None:
            for kept in range(1, len(s.head.journal) + 1):  # all: only answers are lost
                left = s.head._replace(journal=s.head.journal[:kept])
                yield Step(f"REDIS COMES BACK WITH {kept} ENTRIES", self._lost(after, left, s.before), fault=True)
            for kept in range(1, len(s.before) + 1):
                left = s.head._replace(run=s.head.run - 1, journal=s.before[:kept])
                yield Step(f"REDIS COMES BACK WITH {kept} OF THE RUN BEFORE", self._lost(after, left, ()), fault=True)
            yield Step("REDIS COMES BACK WITHOUT IT", self._lost(after, None, ()), fault=True)

    def _restart(self, s: State, head: Head) -> Iterator[Step[State]]:
        is_next = (head.life, head.run) == (s.a.life, s.a.run + 1)
        if s.restart == "begun" and not s.a.doubt and is_next:
            yield Step(f"a hosts run {head.run}", _with(s, "a", _hosting(head))._replace(restart="there"))
        if s.told < head.run > 1:
            yield Step(f"another node tells a caller of run {head.run}", s._replace(told=head.run))
        if s.a.doubt or head.owner != "a":
            return
        if s.restart == "again" and head.run != s.a.run:
            yield Step("the next run is there", s._replace(restart="there"))
        elif _closed(head) and ("close", head.life) in s.a.folded:
            begun = s if s.restart == "again" else self.spend(s, "restarts")
            if begun is not None and s.restart in ("", "again"):
                run = Head(head.life, head.run + 1, "a", (("start", head.life),))
                new = begun._replace(head=run, before=head.journal, restart="begun")
                yield Step(f"a begins run {run.run} for a caller", new)

    def _lost(self, s: State, head: Head | None, before: Journal) -> State:
        """Every process learns of it before it reads another reply. A task that no agent has yet is lost with its workflow."""
        a, b = (self._doubting(node) for node in (s.a, s.b))
        tasks = frozenset(self._survivor(t) for t in s.tasks if t.state != "sent" or head is not None)
        lost = s._replace(head=head, before=before, a=a, b=b, tasks=tasks)
        restart = "again" if s.restart and self.remembers_restarts else ""
        return lost._replace(to_tell=self.told_elsewhere, restart=restart)

    def _told_again(self, s: State) -> State:
        told = s._replace(to_tell=False)
        if s.head is not None:
            return told
        if self.same_start:
            return told._replace(head=Head(1, 1, "a", (("start", 1),)))
        life = s.lives + 1
        return told._replace(head=Head(life, 1, "a", (("start", life),)), lives=life, unasked=life)

    def _doubting(self, node: Node) -> Node:
        remembers = node.life > 0 and (self.keeps_until_read or not node.reading)
        return node._replace(doubt=remembers, renewing=False)

    def _survivor(self, task: Task) -> Task:
        if task.state == "done":
            return task._replace(state="again")
        if task.state == "looked":
            return task._replace(state="running") if self.looks_again else task
        return task._replace(outlived=self.marks_what_runs or task.outlived) if task.state == "running" else task

    def _node(self, s: State, name: str) -> Iterator[Step[State]]:
        node: Node = getattr(s, name)
        if node.life == 0:
            if s.head is not None and s.head.owner == name:
                yield Step(f"{name} loads what it owns", _with(s, name, _hosting(s.head)))
            return
        if node.doubt:
            yield self._compared(s, name, node)
        elif node.reading:
            yield self._read(s, name, node)
        elif node.renewing:
            yield Step(f"{name} hears that the next run has begun", _with(s, name, _hosting(s.head)))
        elif s.head is not None and (node.life, node.run) == (s.head.life, s.head.run):
            yield from self._owner(s, s.head, name, node)

    def _compared(self, s: State, name: str, node: Node) -> Step[State]:
        """journal_restore, and what follows from its answer."""
        if s.head is None or (s.head.life == node.life and s.head.run < node.run):
            again = s._replace(head=Head(node.life, node.run, name, node.folded), before=())
            return Step(f"{name} makes it again", _with(again, name, node._replace(doubt=False, reading=False)))
        if s.head.life != node.life:
            undone = s.head.life == s.unasked and ("close", node.life) in node.folded
            wrong = "an end is undone by a start that nobody asked for" if undone else ""
            return Step(f"{name} leaves it: another life is there", _with(s, name, Node()), wrong=wrong)
        if s.head.run > node.run:
            reading = node._replace(doubt=False, reading=True)
            return Step(f"{name} finds a later run, and will read it", _with(s, name, reading))
        behind = tuple(entry for entry in s.head.journal if entry not in node.folded)
        journal = node.folded if ("close", node.life) in node.folded else node.folded + behind
        restored = s._replace(head=s.head._replace(journal=journal))
        return Step(f"{name}: journal_restore", _with(restored, name, node._replace(doubt=False, reading=False)))

    def _read(self, s: State, name: str, node: Node) -> Step[State]:
        if s.head is not None and s.head.owner == name:
            return Step(f"{name} reads what is there", _with(s, name, _hosting(s.head)))
        return Step(f"{name} finds nothing of its own to read", _with(s, name, Node()))

    def _owner(self, s: State, head: Head, name: str, node: Node) -> Iterator[Step[State]]:
        known = len(node.folded)
        if known < len(head.journal):
            folded = node._replace(folded=head.journal[: known + 1])
            yield Step(f"{name} folds {head.journal[known][0]}", _with(s, name, folded))
        elif ("close", node.life) in node.folded:
            return
        elif not any(entry == "task" for entry, _ in node.folded):
            if not any(task[:2] == node[:2] for task in s.tasks):
                sent = s._replace(tasks=s.tasks | {Task(node.life, node.run)})
                yield Step(f"{name} sends the task of life {node.life}, run {node.run}", sent)
        elif node.run < self.runs:
            run = Head(node.life, node.run + 1, name, (("start", node.life),))
            renewed = s._replace(head=run, before=head.journal)
            yield Step(f"{name} begins run {run.run}", _with(renewed, name, node._replace(renewing=True)))
        else:
            closed = head._replace(journal=(*head.journal, ("close", node.life)))
            yield Step(f"{name} closes it", _with(s._replace(head=closed), name, node._replace(folded=closed.journal)))

    def _task(self, s: State, task: Task) -> Iterator[Step[State]]:
        rest, what = s.tasks - {task}, f"the task of life {task.life}, run {task.run}"
        stale = s.head is not None and (s.head.run != task.run or _closed(s.head))
        if task.state == "sent" and s.head is not None:
            tasks = rest if stale else rest | {task._replace(state="running")}
            yield Step(f"an agent claims {what}: {'stale' if stale else 'run'}", s._replace(tasks=tasks))
        elif task.state in ("running", "again") and s.head is not None:
            compares = task.outlived if task.state == "running" else self.compares_what_is_repeated
            if compares and s.head.life != task.life:
                yield Step(f"an agent drops {what}: it is of another life", s._replace(tasks=rest))
            elif compares:
                looked = task._replace(state="looked", outlived=True)
                yield Step(f"an agent looks at the head for {what}", s._replace(tasks=rest | {looked}))
            else:
                yield self._append(s, s.head, task)
        elif task.state == "looked" and s.head is not None:
            yield self._append(s, s.head, task)

    def _append(self, s: State, head: Head, task: Task) -> Step[State]:
        """journal_append, or task_complete: they know the run, and not the life."""
        rest, what = s.tasks - {task}, f"the task of life {task.life}, run {task.run}"
        if head.run != task.run or _closed(head):
            return Step(f"the outcome of {what} comes too late", s._replace(tasks=rest))
        journal = head.journal
        if not any(name == "task" for name, _ in journal):
            journal = (*journal, ("task", task.life))
        tasks = rest | {Task(task.life, task.run, "done")}
        return Step(f"an agent records {what}", s._replace(head=head._replace(journal=journal), tasks=tasks))


def _closed(head: Head) -> bool:
    return ("close", head.life) in head.journal


def _hosting(head: Head | None) -> Node:
    assert head is not None
    return Node(head.life, head.run, head.journal)


def _with(s: State, name: str, node: Node) -> State:
    return s._replace(a=node) if name == "a" else s._replace(b=node)
