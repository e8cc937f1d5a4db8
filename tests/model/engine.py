# SPDX-License-Identifier: Apache-2.0
"""Explores every state that a model can reach, breadth first, and says what is wrong with the shortest way there.

A model is states as immutable values (named tuples), the steps out of each, what must never be, and what must stay
possible. A *goal* is liveness without clocks: from every reachable state, however many faults led there, a state that
satisfies the goal can be reached by steps that are no faults. Together with `acyclic` (no circle of fault-free steps) that
means: once faults end, it does happen.

Why our own and not a model checker: it runs in plain Python wherever the tests run, models are ordinary code that the
type checker reads, and a counterexample is a list of sentences.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

S = TypeVar("S", bound=Any)


class Step(NamedTuple, Generic[S]):
    """One atomic step. `wrong`: the step itself breaks a promise (what somebody was told is not so)."""

    label: str
    state: S
    fault: bool = False
    wrong: str = ""


class Model(Generic[S]):
    """What `check` asks of a model. Its states have `faults`: how often each of `LIMITED` may still happen."""

    __slots__ = ()
    LIMITED: ClassVar[tuple[str, ...]]
    """The fields that say how often a kind of fault, or a call of a client, may happen."""

    def initial(self) -> S:
        raise NotImplementedError

    def steps(self, state: S) -> Iterable[Step[S]]:
        """Everything that can happen next."""
        raise NotImplementedError

    def wrong(self, state: S) -> str:
        """What must never be, and is so in this state; "" = nothing."""
        raise NotImplementedError

    def goals(self) -> Mapping[str, Callable[[S], bool]]:
        """What must stay possible."""
        raise NotImplementedError

    def same(self, state: S) -> S:
        """The one state that stands for all that differ only by names of processes."""
        return state

    def limits(self) -> tuple[int, ...]:
        """`faults` of the initial state."""
        return tuple(getattr(self, name) for name in self.LIMITED)

    def spend(self, state: S, name: str) -> S | None:
        """The state in which that may happen once less, or None when it may not happen any more."""
        left: tuple[int, ...] = state.faults
        i = self.LIMITED.index(name)
        return state._replace(faults=(*left[:i], left[i] - 1, *left[i + 1 :])) if left[i] else None


@dataclass(slots=True, frozen=True)
class Objection:
    """A promise that the model breaks, and the shortest way to where it does."""

    promise: str
    trace: tuple[str, ...]
    state: object

    def __str__(self) -> str:
        steps = "\n".join(f"  {n:2}. {label}" for n, label in enumerate(self.trace, 1))
        return f"{self.promise}:\n{steps}\n   => {self.state}"


@dataclass(slots=True)
class Verdict:
    """What was found. `complete` is false when the search stopped at its limit: goals were not checked then."""

    states: int = 0
    steps: int = 0
    complete: bool = True
    acyclic: bool = True
    objections: list[Objection] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.complete and not self.objections

    def __str__(self) -> str:
        if self.objections:
            return "; ".join(objection.promise for objection in self.objections)
        return "ok" if self.complete else "no objection so far"


def check(model: Model[S], limit: int = 2_000_000) -> Verdict:
    """Try everything. Objections come with the shortest trace for each broken promise, safety before liveness."""
    return _Search(model, limit).run()


def objection_to(model: Model[S], promise: str, limit: int = 2_000_000) -> Objection | None:
    """The shortest way to where it breaks the first promise that begins with these words; None: it keeps it."""
    verdict = _Search(model, limit, promise).run()
    return next((objection for objection in verdict.objections if objection.promise.startswith(promise)), None)


class _Search(Generic[S]):
    """The states found so far, by number: who led there, and where fault-free steps lead from there."""

    def __init__(self, model: Model[S], limit: int, until: str | None = None) -> None:
        """`until`: it ends with the first broken promise that begins with these words."""
        self._model, self._limit, self._until = model, limit, until
        self._numbers: dict[S, int] = {}
        self._states: list[S] = []
        self._parents: list[tuple[int, str]] = []
        self._forward: list[list[int]] = []
        self._found: dict[str, Objection] = {}
        self._verdict = Verdict()

    def run(self) -> Verdict:
        verdict = self._verdict
        self._explore()
        verdict.states = len(self._states)
        if verdict.complete:
            self._goals()
            verdict.acyclic = self._acyclic()
        verdict.objections = list(self._found.values())
        return verdict

    def _number(self, state: S, parent: int, label: str) -> int:
        state = self._model.same(state)
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self._states)
            self._states.append(state)
            self._parents.append((parent, label))
            self._forward.append([])
        return number

    def _explore(self) -> None:
        model, verdict = self._model, self._verdict
        self._number(model.initial(), -1, "")
        at = 0
        while at < len(self._states):
            if len(self._states) > self._limit:
                verdict.complete = False
                return
            state = self._states[at]
            if promise := model.wrong(state):
                self._object(promise, at)
            if self._until is not None and any(promise.startswith(self._until) for promise in self._found):
                verdict.complete = False
                return
            for step in model.steps(state):
                verdict.steps += 1
                if step.wrong:
                    self._object(step.wrong, at, step)
                number = self._number(step.state, at, step.label)
                if not step.fault:
                    self._forward[at].append(number)
            at += 1

    def _object(self, promise: str, at: int, last: Step[S] | None = None) -> None:
        if promise not in self._found:
            trace, state = self._trace(at), self._states[at]
            if last is not None:
                trace, state = (*trace, last.label), last.state
            self._found[promise] = Objection(promise, trace, state)

    def _trace(self, at: int) -> tuple[str, ...]:
        labels: list[str] = []
        while at > 0:
            at, label = self._parents[at]
            labels.append(label)
        return tuple(reversed(labels))

    def _goals(self) -> None:
        backward: list[list[int]] = [[] for _ in self._states]
        for start, ends in enumerate(self._forward):
            for end in ends:
                backward[end].append(start)
        for name, reached in self._model.goals().items():
            hopeful = [reached(state) for state in self._states]
            todo = deque(number for number, yes in enumerate(hopeful) if yes)
            while todo:
                for before in backward[todo.popleft()]:
                    if not hopeful[before]:
                        hopeful[before] = True
                        todo.append(before)
            if not all(hopeful):
                self._object(f"never again possible: {name}", hopeful.index(False))

    def _acyclic(self) -> bool:
        into = [0] * len(self._states)
        for start, ends in enumerate(self._forward):
            for end in ends:
                into[end] += end != start
        todo = [number for number, count in enumerate(into) if count == 0]
        done = 0
        while todo:
            start = todo.pop()
            done += 1
            for end in self._forward[start]:
                if end != start:
                    into[end] -= 1
                    if into[end] == 0:
                        todo.append(end)
        return done == len(self._states)
