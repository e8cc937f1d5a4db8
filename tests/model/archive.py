# SPDX-License-Identifier: Apache-2.0
"""Closed runs go to the archive, once each, before Redis forgets them.

As in workflow_close.lua, workflow_renew.lua, the scripts `archive_*.lua`, node/workflows/bookkeeping.py and node/archiving/. There
is one workflow, whose first run closes; it may be begun again, and then its second run closes too. Runs are numbered from 0.
A node in the middle of its work dies (what it read is gone) or is so slow that another node takes its batch over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.engine import Model, Step

OPEN, HEAD, COPY, GONE = "open", "in the head", "in a copy", "gone"
LIST, REMOVE, DONE = "list", "remove", "done"
NOBODY = -1
Runs = frozenset[int]
NONE: Runs = frozenset()


class Run(NamedTuple):
    where: str = OPEN
    marked: bool = False
    books: str = LIST
    """What its bookkeeping does next: LIST it for the archive, then take it out of `running`."""


class Batch(NamedTuple):
    """What a node has taken from the list. Its members are fixed when it is sealed, and so is the name of its object."""

    runs: Runs
    holder: int
    sealed: bool = False


class Worker(NamedTuple):
    """A node that archives. `step`: what it does next; `batch`: its number; `runs`: what it will write, or has written."""

    step: str = ""
    batch: int = NOBODY
    runs: Runs = NONE
    found: Runs = NONE
    """Those of `runs` whose journals it has read."""


IDLE = Worker()


class State(NamedTuple):
    runs: tuple[Run, ...]
    workers: tuple[Worker, ...]
    waiting: Runs = NONE
    batches: tuple[Batch | None, ...] = ()
    objects: frozenset[tuple[object, Runs]] = frozenset()
    """Name and content. A name is what was sealed; whoever writes it first has written it."""
    faults: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Archive(Model[State]):
    """Faults and client calls are how often each may happen; the rest are the safeguards, each of which can be taken away."""

    workers: int = 2
    restarts: int = 0
    crashes: int = 0
    slow: int = 0
    """How often a node is so slow that another takes its batch over, while it goes on."""
    books_again: int = 0
    """How often the sweep does the bookkeeping of a closed run that another has done already."""

    waits: bool = True
    """Redis forgets a closed run only when it is marked as archived."""
    copies: bool = True
    taken: bool = True
    marks_count: bool = True
    seals: bool = True
    named: bool = True
    taken_over: bool = True
    listed_last: bool = True
    lists_first: bool = True
    """Who begins a workflow again lists the run that is over before."""
    marked_is_written: bool = True

    LIMITED = ("restarts", "crashes", "slow", "books_again")

    def initial(self) -> State:
        runs = (Run(books=LIST if self.listed_last else REMOVE),) * (1 + self.restarts)
        return State(runs, (IDLE,) * self.workers, batches=(), faults=self.limits())

    def goals(self) -> Mapping[str, Callable[[State], bool]]:
        return {
            "each closed run is in the archive": lambda s: all(
                _count(s, i) or run.where == OPEN for i, run in enumerate(s.runs)
            ),
            "Redis forgets all of it": lambda s: (
                not s.waiting and not any(s.batches) and all(run.where == GONE for run in s.runs)
            ),
        }

    def wrong(self, s: State) -> str:
        for i, run in enumerate(s.runs):
            if _count(s, i) > 1:
                return "a run is in the archive twice"
            if run.where == GONE and not _count(s, i):
                return "Redis forgets a run that is not in the archive"
        return ""

    def same(self, s: State) -> State:
        """Numbers of batches that are over are of no use; a batch is known by what is in it."""
        while s.batches and s.batches[-1] is None and all(w.batch < len(s.batches) - 1 for w in s.workers):
            s = s._replace(batches=s.batches[:-1])
        return s

    def steps(self, s: State) -> Iterator[Step[State]]:
        yield from self._runs(s)
        for i, worker in enumerate(s.workers):
            yield from self._take(s, i, worker)
            if worker.step:
                yield getattr(self, f"_{worker.step}")(s, i, worker)
                if (after := self.spend(s, "crashes")) is not None:
                    yield Step(f"NODE {i} DIES, another comes", _orphaned(_worker(after, i, IDLE), i), fault=True)

    # ── the life of the runs ─────────────────────────────────────────────────────────────────────────────────────────

    def _runs(self, s: State) -> Iterator[Step[State]]:
        for i, run in enumerate(s.runs):
            if run.where == OPEN and (i == 0 or s.runs[i - 1].where in (COPY, GONE)):
                yield Step(f"run {i} closes", _run(s, i, run._replace(where=HEAD)))
            if run.where != OPEN and run.books != DONE:
                yield self._book(s, i, run)
                if not self.listed_last and run.books == LIST and (after := self.spend(s, "crashes")) is not None:
                    after = _run(after, i, run._replace(books=DONE))  # it is not in `running`: no sweep finds it
                    yield Step("THE NODE DIES before it lists the run", after, fault=True)
            elif run.where in (HEAD, COPY) and (after := self.spend(s, "books_again")) is not None:
                yield Step(f"the bookkeeping of run {i} is done AGAIN", self._list(after, i), fault=True)
            if run.where == HEAD and (run.marked or not self.waits):
                yield Step(f"the retention of run {i} passes", _run(s, i, run._replace(where=GONE)))
            if run.where == HEAD and i + 1 < len(s.runs) and (after := self.spend(s, "restarts")) is not None:
                if run.books == LIST and self.lists_first:
                    after = self._list(after, i)
                kept = COPY if self.copies and not run.marked else GONE
                begun = run._replace(where=kept, books=DONE)  # from now on the sweep sees the next run
                yield Step(f"run {i} is begun again", _run(after, i, begun))

    def _book(self, s: State, i: int, run: Run) -> Step[State]:
        """Who dies between the two steps leaves the run in `running`, and the sweep does both."""
        first, second = (LIST, REMOVE) if self.listed_last else (REMOVE, LIST)
        after = _run(s, i, run._replace(books=second if run.books == first else DONE))
        if run.books == LIST:
            return Step(f"run {i} is listed for the archive", self._list(after, i))
        return Step(f"run {i} leaves `running`", after)

    def _list(self, s: State, i: int) -> State:
        if self.taken and self._in_batch(s, i):
            return s
        return s._replace(waiting=s.waiting | {i})

    def _in_batch(self, s: State, i: int) -> bool:
        return any(batch is not None and i in batch.runs for batch in s.batches)

    # ── what a node does with a batch ────────────────────────────────────────────────────────────────────────────────

    def _take(self, s: State, i: int, worker: Worker) -> Iterator[Step[State]]:
        if worker.step:
            return
        if s.waiting:
            batches = (*s.batches, Batch(s.waiting, i))
            taken = s._replace(batches=batches, waiting=NONE)
            yield Step(f"node {i} takes {_names(s.waiting)}", _worker(taken, i, Worker("read", len(batches) - 1)))
        for number, batch in enumerate(s.batches):
            if batch is None or batch.holder == i:
                continue
            label = f"node {i} takes over batch {number}"
            after = _batch(s, number, batch._replace(holder=i))
            taken = _worker(after, i, Worker("read", number))
            if batch.holder == NOBODY and self.taken_over:
                yield Step(label, taken)
            elif batch.holder != NOBODY and (late := self.spend(taken, "slow")) is not None:
                yield Step(f"{label}, WHOSE HOLDER IS SLOW", late, fault=True)

    def _read(self, s: State, i: int, w: Worker) -> Step[State]:
        batch = s.batches[w.batch]
        if batch is None:
            return Step(f"node {i}: the batch is over", _worker(s, i, IDLE))
        there = frozenset(run for run in batch.runs if s.runs[run].where in (HEAD, COPY))
        marked = frozenset(run for run in batch.runs if s.runs[run].marked)
        if batch.sealed:
            if self.marked_is_written and (marked or there != batch.runs):
                return Step(f"node {i}: it is written", _worker(s, i, w._replace(step="mark", runs=batch.runs)))
            return Step(f"node {i} reads it again", _worker(s, i, w._replace(step="put", runs=batch.runs, found=there)))
        fresh = there - marked if self.marks_count else there
        return Step(f"node {i} reads {_names(fresh)}", _worker(s, i, w._replace(step="seal", runs=fresh, found=fresh)))

    def _seal(self, s: State, i: int, w: Worker) -> Step[State]:
        batch = s.batches[w.batch]
        if batch is None or batch.holder != i:
            return Step(f"node {i}: the batch is another's", _worker(s, i, IDLE))
        if not w.runs:
            return Step(f"node {i}: nothing to write", _worker(_batch(s, w.batch, None), i, IDLE))
        sealed = batch._replace(runs=w.runs, sealed=True) if self.seals else batch
        return Step(f"node {i} seals {_names(w.runs)}", _worker(_batch(s, w.batch, sealed), i, w._replace(step="put")))

    def _put(self, s: State, i: int, w: Worker) -> Step[State]:
        name: object = w.runs if self.named else (w.runs, i)
        objects = s.objects
        if not any(name == other for other, _ in objects) or not self.marked_is_written:
            objects = frozenset(one for one in objects if one[0] != name) | {(name, w.found)}
        return Step(
            f"node {i} writes {_names(w.found)}", _worker(s._replace(objects=objects), i, w._replace(step="mark"))
        )

    def _mark(self, s: State, i: int, w: Worker) -> Step[State]:
        """One run at a time, the lowest first: a crash is possible between two."""
        first = min((run for run in w.runs if not s.runs[run].marked), default=NOBODY)
        if first == NOBODY:
            return Step(f"node {i}: all are marked", _worker(s, i, w._replace(step="done")))
        run = s.runs[first]._replace(marked=True)
        if run.where == COPY:
            run = run._replace(where=GONE)
        return Step(f"node {i} marks {first}", _run(s, first, run))

    def _done(self, s: State, i: int, w: Worker) -> Step[State]:
        return Step(f"node {i}: the batch is done", _worker(_batch(s, w.batch, None), i, IDLE))


def _count(s: State, run: int) -> int:
    return sum(run in content for _, content in s.objects)


def _run(s: State, i: int, run: Run) -> State:
    return s._replace(runs=(*s.runs[:i], run, *s.runs[i + 1 :]))


def _worker(s: State, i: int, worker: Worker) -> State:
    return s._replace(workers=(*s.workers[:i], worker, *s.workers[i + 1 :]))


def _batch(s: State, i: int, batch: Batch | None) -> State:
    return s._replace(batches=(*s.batches[:i], batch, *s.batches[i + 1 :]))


def _orphaned(s: State, i: int) -> State:
    """Its batches are nobody's: their time passes."""
    batches = (b._replace(holder=NOBODY) if b is not None and b.holder == i else b for b in s.batches)
    return s._replace(batches=tuple(batches))


def _names(runs: Runs) -> str:
    return " and ".join(f"run {run}" for run in sorted(runs)) or "nothing"
