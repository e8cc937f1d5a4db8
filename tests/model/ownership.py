# SPDX-License-Identifier: Apache-2.0
"""Who owns a workflow, and whether he knows: start, adopt, hand over, sweep, close, begin again.

As in workflow_create.lua, workflow_adopt.lua, owner_move.lua, running_*.lua and node/{workflows,recovery}/. The
workflow has no steps: a node that hosts and owns it can close it. So the states are about `running`, the owned sets, the head and
what each node is in the middle of. Time is the number of ZADDs so far: all that matters is which of two came later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.engine import Model, Step

UNBORN, UP, ZOMBIE, DEAD = "unborn", "up", "zombie", "dead"
NONE, OPEN, CLOSED = "none", "open", "closed"
REMOVE, LOOK = "remove", "look"
NOBODY = -1


class Doing(NamedTuple):
    """What a node is in the middle of: the next step of a protocol, with whom, and the score that it read or set."""

    what: str = ""
    whom: int = NOBODY
    score: int = 0


IDLE = Doing()


class Node(NamedTuple):
    life: str = UP
    hosts: bool = False
    doing: Doing = IDLE
    dropping: str = ""  # takes the id out of its own set: REMOVE, then LOOK at the head again; nothing holds that up
    books: Doing = IDLE  # removals decided upon: of a headless id, or behind a close
    draining: bool = False


class State(NamedTuple):
    nodes: tuple[Node, ...]
    head: str = NONE
    run: int = 1
    owner: int = NOBODY
    clock: int = 0
    score: int = 0  # of the id in `running`; 0: it is not there
    closed_at: int = 0
    mark: int = 0  # of the id among those that are being begun again; 0: it is not there
    grace: int = 0  # scores up to here are older than the grace
    owned: frozenset[int] = frozenset()
    wakes: frozenset[int] = frozenset()
    faults: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Ownership(Model[State]):
    """Faults and client calls are how often each may happen; the rest are the safeguards, each of which can be taken away."""

    nodes: int = 2
    spares: int = 0
    starts: int = 1
    restarts: int = 0
    drains: int = 0
    crashes: int = 0
    zombies: int = 0
    losses: int = 0
    lost_wakes: int = 0
    slow_starts: int = 0
    others: bool = False
    born: bool = False
    """The workflow is there already, at the first node."""
    news: bool = True
    """Whether deaths are heard of: the dead's sets are read. Without, only `running` is walked."""

    own_sweep: bool = True
    running_sweep: bool = True
    remind: bool = True
    not_after: bool = True
    score_check: bool = True
    finish_closed: bool = True
    clean_owned: bool = True
    fenced_books: bool = True
    marks: bool = True
    mark_date: bool = True
    lists_first: bool = True
    looks_again: bool = True
    lists_again: bool = True

    LIMITED = ("starts", "restarts", "drains", "crashes", "zombies", "losses", "lost_wakes", "slow_starts")

    def initial(self) -> State:
        nodes = (Node(),) * self.nodes + (Node(UNBORN),) * self.spares
        state = State(nodes, faults=self.limits())
        if not self.born:
            return state
        nodes = (Node(hosts=True), *nodes[1:])
        state = state._replace(nodes=nodes, head=OPEN, owner=0, clock=1, score=1, owned=frozenset((0,)))
        return self.spend(state, "starts") or state

    def goals(self) -> Mapping[str, Callable[[State], bool]]:
        return {
            "the workflow closes": lambda s: s.head != OPEN,
            "no set and no list names what is closed": lambda s: (
                s.head != OPEN and not s.owned and not s.score and not s.mark
            ),
        }

    def wrong(self, state: State) -> str:
        """A node that dies now leaves a set that names the workflow, unless keys vanish or the workflow is begun again."""
        for i, node in enumerate(state.nodes if not self.losses + self.restarts else ()):
            if node.life == UP and node.hosts and state.head == OPEN and state.owner == i and i not in state.owned:
                return "a node hosts what its set does not name"
        return ""

    def same(self, state: State) -> State:
        """Nodes in the order of how they look, and of all times only which comes before which."""
        state = _ranked(state)
        keys = [_looks(state, i) for i in range(len(state.nodes))]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        if order == list(range(len(keys))):
            return state
        to = {old: new for new, old in enumerate(order)} | {NOBODY: NOBODY}
        return state._replace(
            nodes=tuple(_renamed(state.nodes[old], to) for old in order),
            owner=to[state.owner],
            owned=frozenset(to[i] for i in state.owned),
            wakes=frozenset(to[i] for i in state.wakes),
        )

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def steps(self, s: State) -> Iterator[Step[State]]:
        if (s.score and s.head == NONE and s.grace < s.score) or (s.head == CLOSED and s.grace < s.mark):
            yield from self._grace(s)
        for i, node in enumerate(s.nodes):
            if node.life == UNBORN:
                yield Step(f"node {i} joins", _node(s, i, life=UP))
            elif node.life == UP:
                yield from self._node(s, i, node)
                yield from self._clients(s, i, node)
                yield from self._sweeps(s, i, node)
                yield from self._faults(s, i)
            elif node.life == ZOMBIE:
                for step in self._node(s, i, node):
                    yield step._replace(label=f"{step.label} (zombie)", fault=True)
                yield Step(f"node {i} notices that its lease is gone, and ends", _killed(s, i), fault=True)
        if self.clean_owned and any(node.life == UP for node in s.nodes):
            for i in s.owned:
                if s.nodes[i].life in (DEAD, ZOMBIE) and not (s.head == OPEN and s.owner == i):
                    yield Step(f"bury: SREM owned[{i}]", s._replace(owned=s.owned - {i}))

    def _grace(self, s: State) -> Iterator[Step[State]]:
        passed = s._replace(grace=s.clock)
        if any(n.life == UP and n.doing.what in ("own", "create", "renew") for n in s.nodes):
            if (slow := self.spend(passed, "slow_starts")) is not None:
                yield Step("A START TAKES LONGER THAN THE GRACE", slow, fault=True)
        else:
            yield Step("the grace passes", passed)

    def _faults(self, s: State, i: int) -> Iterator[Step[State]]:
        if any(n.life in (UP, UNBORN) and not n.draining for j, n in enumerate(s.nodes) if j != i):
            if (after := self.spend(s, "crashes")) is not None:
                yield Step(f"NODE {i} CRASHES", _killed(after, i), fault=True)
            if (after := self.spend(s, "zombies")) is not None:
                yield Step(f"NODE {i} IS BELIEVED DEAD AND LIVES", _node(after, i, life=ZOMBIE), fault=True)
        for name in ("losses", "lost_wakes"):
            if i in s.wakes and (after := self.spend(s, name)) is not None:
                yield Step(f"A WAKE OF NODE {i} VANISHES", after._replace(wakes=s.wakes - {i}), fault=True)
        if i in s.owned and (after := self.spend(s, "losses")) is not None:
            yield Step(f"THE ID VANISHES FROM owned[{i}]", after._replace(owned=s.owned - {i}), fault=True)

    def _clients(self, s: State, i: int, node: Node) -> Iterator[Step[State]]:
        """Calls that come from outside: a start at any node for any owner, the wish that a node leaves."""
        if node.doing != IDLE or node.draining:
            return
        for call, begun in (("starts", s.head != CLOSED), ("restarts", s.head == CLOSED)):
            after = self.spend(s, call) if begun else None
            if after is None or node.hosts:
                continue
            for owner, other in enumerate(s.nodes):
                if other.life == UP and (owner == i or self.others):
                    yield self._zadd(after, i, f"node {i}: a start for owner {owner}", Doing("own", owner))
        if (after := self.spend(s, "drains")) is not None:
            yield Step(f"node {i} begins to drain", _node(after, i, draining=True))

    def _zadd(self, s: State, i: int, label: str, then: Doing) -> Step[State]:
        clock = s.clock + 1
        then = then._replace(score=clock)
        return Step(f"{label}: ZADD running", _node(s._replace(clock=clock, score=clock), i, doing=then))

    # ── what a node is in the middle of ──────────────────────────────────────────────────────────────────────────────

    def _node(self, s: State, i: int, node: Node) -> Iterator[Step[State]]:
        doing = node.doing
        if doing.what:  # "own again" is `_own_again`
            yield getattr(self, f"_{doing.what.replace(' ', '_')}")(s, i, doing)
        if node.dropping == REMOVE:
            yield self._leave_set(s, i)
        elif node.dropping == LOOK:
            back = s._replace(owned=s.owned | {i}) if s.head == OPEN and s.owner == i else s
            yield Step(f"node {i}: looks again, is it its own? SADD", _node(back, i, dropping=""))
        yield from self._do_books(s, i, node.books)
        if node.hosts:
            yield from self._host(s, i, node)
        elif self.own_sweep and i in s.owned and doing == IDLE and not node.dropping:
            if s.head == OPEN and s.owner == i:
                if not node.draining:
                    yield Step(f"node {i}: in its own set and its own: loads it", self._loaded(s, i))
            else:
                yield Step(f"node {i}: in its own set and not its own: will drop it", _node(s, i, dropping=REMOVE))
        if i in s.wakes and doing.what not in ("own", "create", "adopt"):
            yield self._woken(s, i, node)

    def _woken(self, s: State, i: int, node: Node) -> Step[State]:
        s = s._replace(wakes=s.wakes - {i})
        if node.hosts or node.draining or s.head != OPEN:
            return Step(f"node {i} reads a wake: known, or closed", s)
        if s.owner == i:
            return Step(f"node {i} reads a wake: its own, loads it", self._loaded(s, i))
        return Step(f"node {i} reads a wake: not its own, will leave its set", _node(s, i, dropping=REMOVE))

    def _loaded(self, s: State, i: int) -> State:
        """It lists what it loads behind whatever removal it has sent before."""
        s = _node(s, i, hosts=True)
        return self._listed(s, i) if self.lists_first else s

    def _listed(self, s: State, i: int) -> State:
        if s.nodes[i].dropping == REMOVE:
            s = _node(s, i, dropping=LOOK if self.looks_again else "")
        return s._replace(owned=s.owned | {i})

    def _leave_set(self, s: State, i: int) -> Step[State]:
        after = _node(s._replace(owned=s.owned - {i}), i, dropping=LOOK if self.looks_again else "")
        return Step(f"node {i}: SREM its own set", after)

    def _own(self, s: State, i: int, d: Doing) -> Step[State]:
        s = s._replace(owned=s.owned | {d.whom})
        return Step(f"node {i}: SADD owned[{d.whom}]", _node(s, i, doing=d._replace(what="create")))

    def _create(self, s: State, i: int, d: Doing) -> Step[State]:
        if s.head == NONE:
            if self.not_after and d.score <= s.grace:
                return self._zadd(s, i, f"node {i}: workflow_create: expired, begins again", d._replace(what="own"))
            made = s._replace(head=OPEN, owner=d.whom)
            return Step(f"node {i}: workflow_create: created, owner {d.whom}", self._begun(made, i, d.whom))
        if s.head == CLOSED:
            if s.run == 1 and self.restarts:
                then = d._replace(what="mark" if self.marks else "renew")
                return Step(f"node {i}: workflow_create: exists, closed", _node(s, i, doing=then))
            # someone else's finish is under way already, or the sweep's will be; ours knows the score that it set
            books = Doing("SREM", s.owner, d.score)
            return Step(
                f"node {i}: workflow_create: exists, closed: does the books", _node(s, i, doing=IDLE, books=books)
            )
        if s.owner == i == d.whom:
            return Step(f"node {i}: workflow_create: exists, mine", _node(s, i, doing=IDLE, hosts=True))
        return Step(f"node {i}: workflow_create: exists", _node(s, i, doing=IDLE))

    def _begun(self, s: State, i: int, owner: int) -> State:
        if owner == i:
            return _node(s, i, doing=IDLE, hosts=True)
        return _node(s, i, doing=Doing("wake", owner))

    def _mark(self, s: State, i: int, d: Doing) -> Step[State]:
        clock = s.clock + 1
        s = s._replace(clock=clock, mark=clock)
        return Step(f"node {i}: ZADD restarting", _node(s, i, doing=d._replace(what="renew", score=clock)))

    def _renew(self, s: State, i: int, d: Doing) -> Step[State]:
        if s.head != CLOSED or s.run != 1:
            then = d._replace(what="reopen", whom=s.owner)
            return Step(f"node {i}: workflow_renew: stale", _node(s, i, doing=then))
        if self.marks and self.mark_date and d.score <= s.grace:
            return Step(f"node {i}: workflow_renew: expired", _node(s, i, doing=d._replace(what="mark")))
        s = s._replace(head=OPEN, run=2, owner=d.whom)
        return Step(f"node {i}: workflow_renew: run 2", _node(s, i, doing=d._replace(what="reopen")))

    def _reopen(self, s: State, i: int, d: Doing) -> Step[State]:
        clock = s.clock + 1
        s = s._replace(clock=clock, score=clock)
        return Step(f"node {i}: reopen: ZADD running", _node(s, i, doing=d._replace(what="own again")))

    def _own_again(self, s: State, i: int, d: Doing) -> Step[State]:
        s = s._replace(owned=s.owned | {d.whom})
        then = d._replace(what="unmark")
        return Step(
            f"node {i}: SADD owned[{d.whom}]", _node(s, i, doing=then) if self.marks else self._begun(s, i, d.whom)
        )

    def _unmark(self, s: State, i: int, d: Doing) -> Step[State]:
        s = self._unmarked(s, d.score)
        return Step(f"node {i}: ZREM restarting", self._begun(s, i, d.whom))

    def _unmarked(self, s: State, score: int) -> State:
        return s._replace(mark=0) if s.mark == score or not self.score_check else s

    def _wake(self, s: State, i: int, d: Doing) -> Step[State]:
        if s.nodes[d.whom].life != DEAD:
            s = s._replace(wakes=s.wakes | {d.whom})
        then = IDLE
        if s.nodes[i].draining:
            then = d._replace(what="list again") if self.lists_again else Doing("disown mine")
        return Step(f"node {i}: wakes node {d.whom}", _node(s, i, doing=then))

    def _adopt(self, s: State, i: int, d: Doing) -> Step[State]:
        if s.head == OPEN and s.owner in (d.whom, i):
            s = _node(s._replace(owner=i), i, hosts=True, doing=d._replace(what="disown the dead"))
            return Step(f"node {i}: workflow_adopt: adopted", s)
        refused = _node(s, i, doing=IDLE, dropping=REMOVE if s.owner != i else s.nodes[i].dropping)
        return Step(f"node {i}: workflow_adopt: refused or closed", refused)

    def _disown_the_dead(self, s: State, i: int, d: Doing) -> Step[State]:
        s = s._replace(owned=s.owned - {d.whom})
        return Step(f"node {i}: SREM owned[{d.whom}]", _node(s, i, doing=IDLE))

    def _move(self, s: State, i: int, d: Doing) -> Step[State]:
        if s.head == OPEN and s.owner == i:
            s = _node(s._replace(owner=d.whom), i, hosts=False, doing=d._replace(what="wake"))
            return Step(f"node {i}: owner_move to node {d.whom}", s)
        return Step(f"node {i}: owner_move refused", _node(s, i, doing=IDLE))

    def _list_again(self, s: State, i: int, d: Doing) -> Step[State]:
        s = s._replace(owned=s.owned | {d.whom})
        return Step(f"node {i}: SADD owned[{d.whom}] again", _node(s, i, doing=Doing("disown mine")))

    def _disown_mine(self, s: State, i: int, d: Doing) -> Step[State]:
        return self._leave_set(_node(s, i, doing=IDLE), i)

    def _do_books(self, s: State, i: int, books: Doing) -> Iterator[Step[State]]:
        if books.what == "SREM":
            then = books._replace(what="ZREM")
            yield Step(
                f"node {i}: books: SREM owned[{books.whom}]",
                _node(s._replace(owned=s.owned - {books.whom}), i, books=then),
            )
        elif books.what == "ZREM":
            stays = self.fenced_books and s.score > books.score
            s = _node(s, i, books=IDLE)
            yield Step(f"node {i}: books: ZREM running", s if stays else s._replace(score=0))
        elif books.what == "headless":
            stays = self.score_check and s.score != books.score
            s = _node(s, i, books=IDLE)
            yield Step(f"node {i}: running_remove", s if stays else s._replace(score=0))
        elif books.what == "relist":
            s = s._replace(clock=s.clock + 1, score=s.clock + 1)
            yield Step(f"node {i}: cut short: ZADD running", _node(s, i, books=books._replace(what="relist own")))
        elif books.what == "relist own":
            s = s._replace(owned=s.owned | {books.whom})
            then = books._replace(what="unmark")
            yield Step(f"node {i}: cut short: SADD owned[{books.whom}]", _node(s, i, books=then))
        elif books.what == "unmark":
            yield Step(f"node {i}: ZREM restarting", self._unmarked(_node(s, i, books=IDLE), books.score))

    def _host(self, s: State, i: int, node: Node) -> Iterator[Step[State]]:
        if node.doing != IDLE and node.doing.what != "disown the dead":
            return
        if s.head == OPEN and s.owner == i:
            closing = s._replace(head=CLOSED, closed_at=s.clock)
            yield Step(f"node {i} closes the workflow", self._over(closing, i))
        elif s.head == CLOSED:
            yield Step(f"node {i}: watch: it is closed", self._over(s, i))
        else:
            yield Step(f"node {i}: watch: another's, lets go", _node(s, i, hosts=False))
        if self.own_sweep and i not in s.owned:
            yield Step(f"node {i}: hosts it, not in its set: SADD", s._replace(owned=s.owned | {i}))
        if node.draining and node.doing == IDLE:
            for target, other in enumerate(s.nodes):
                if target != i and other.life == UP and not other.draining:
                    to = s._replace(owned=s.owned | {target})
                    yield Step(f"node {i}: hand over: SADD owned[{target}]", _node(to, i, doing=Doing("move", target)))

    def _over(self, s: State, i: int) -> State:
        """Let go and do the books; what was added to `running` after the close is not ours."""
        return _node(s, i, hosts=False, books=Doing("SREM", s.owner, s.closed_at))

    # ── the sweeps ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _sweeps(self, s: State, i: int, node: Node) -> Iterator[Step[State]]:
        if node.draining and not node.hosts and node.doing == node.books == IDLE and not node.dropping:
            yield Step(f"node {i} leaves", _killed(s, i))
            return
        if node.draining:
            return
        for dead in s.owned if self.news and node.doing == IDLE and not node.hosts else ():
            if s.nodes[dead].life in (DEAD, ZOMBIE) and s.head == OPEN and s.owner == dead:
                yield self._begin_adoption(s, i, dead)
        if self.running_sweep and s.mark and node.books == IDLE:
            yield from self._sweep_marks(s, i)
        if not self.running_sweep or not s.score or node.hosts:
            return
        if s.head == NONE and s.score <= s.grace and node.books == IDLE:
            yield Step(
                f"node {i}: no head and old: will remove it", _node(s, i, books=Doing("headless", NOBODY, s.score))
            )
        elif s.head == CLOSED and node.books == IDLE and self.finish_closed:
            yield Step(f"node {i}: closed: will do the books", _node(s, i, books=Doing("SREM", s.owner, s.score)))
        elif s.head == OPEN and s.nodes[s.owner].life in (DEAD, ZOMBIE):
            if node.doing == IDLE:
                yield self._begin_adoption(s, i, s.owner)
        elif s.head == OPEN and self.remind and s.owner not in s.owned:
            yield Step(
                f"node {i}: its owner does not know: SADD owned[{s.owner}]", s._replace(owned=s.owned | {s.owner})
            )

    def _sweep_marks(self, s: State, i: int) -> Iterator[Step[State]]:
        """A start that begins something again, and was cut short: before the next run, or behind it."""
        if s.head == OPEN:
            yield Step(f"node {i}: a restart: will list it", _node(s, i, books=Doing("relist", s.owner, s.mark)))
        elif s.head == CLOSED and s.mark <= s.grace:
            yield Step(f"node {i}: no restart, and old", _node(s, i, books=Doing("unmark", NOBODY, s.mark)))

    def _begin_adoption(self, s: State, i: int, dead: int) -> Step[State]:
        s = self._listed(s, i)
        return Step(f"node {i} adopts from node {dead}: SADD its own set", _node(s, i, doing=Doing("adopt", dead)))


def _node(s: State, i: int, **changes: object) -> State:
    node = s.nodes[i]._replace(**changes)  # type: ignore[arg-type]
    return s._replace(nodes=(*s.nodes[:i], node, *s.nodes[i + 1 :]))


def _killed(s: State, i: int) -> State:
    return _node(s, i, life=DEAD, hosts=False, doing=IDLE, dropping="", books=IDLE, draining=False)


def _renamed(node: Node, to: Mapping[int, int]) -> Node:
    doing, books = node.doing, node.books
    return node._replace(doing=doing._replace(whom=to[doing.whom]), books=books._replace(whom=to[books.whom]))


def _ranked(s: State) -> State:
    """0 stays 0; nobody asks how much time lies between two moments."""
    times = {t for n in s.nodes for t in (n.doing.score, n.books.score)}
    times |= {0, s.score, s.mark, s.closed_at, s.grace, s.clock}
    rank = {time: n for n, time in enumerate(sorted(times))}
    nodes = tuple(
        n._replace(doing=n.doing._replace(score=rank[n.doing.score]), books=n.books._replace(score=rank[n.books.score]))
        for n in s.nodes
    )
    ranked = {name: rank[getattr(s, name)] for name in ("score", "mark", "closed_at", "grace", "clock")}
    return s._replace(nodes=nodes, **ranked)


def _looks(s: State, i: int) -> tuple[object, ...]:
    named = sum((n.doing.whom == i) + 4 * (n.books.whom == i) for n in s.nodes)
    return (s.nodes[i], s.owner == i, i in s.owned, i in s.wakes, named)
