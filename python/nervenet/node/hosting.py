# SPDX-License-Identifier: Apache-2.0
"""A node's workflows: which it owns, how they begin, how their news arrives, how they are let go.

It hides ownership. Everybody else asks the host for a coordinator or records a fact; only here is it decided which
node has a workflow, and every such operation (start, adopt, load, hand over, close) on one workflow runs alone.
Nothing in memory is the truth: `owned`, `running` and the head in Redis are, and `sweep.py` compares.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from nervenet import telemetry
from nervenet.durable import PYTHON, Machine
from nervenet.durable.declared import LANGUAGE
from nervenet.node.builtin import DECLARED
from nervenet.node.coordinator import Coordinator
from nervenet.node.tracing import export_closed
from nervenet.records import Entry, Payload, Start
from nervenet.redis_link.faults import LinkError, Unreadable
from nervenet.registry.rendezvous import rendezvous
from nervenet.streams.answers import Appended
from nervenet.streams.ownership import ClosedWorkflow
from nervenet.streams.queues import LOOK, NOT_YOU, OutgoingWake
from nervenet.wire import encode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping

    from nervenet.clock import Entropy
    from nervenet.config import Config
    from nervenet.definitions import Workflow
    from nervenet.node.admission import Admission
    from nervenet.node.blame import Blame
    from nervenet.node.checks import Checks
    from nervenet.node.children import Children
    from nervenet.node.dispatching import Dispatcher
    from nervenet.node.elsewhere import Elsewhere
    from nervenet.node.escalations import Escalations
    from nervenet.node.gateway.gateway import Gateway
    from nervenet.node.loading import Loader
    from nervenet.node.outliers import Outliers
    from nervenet.node.renewal import Renewal
    from nervenet.node.restore import Restore
    from nervenet.node.starting import Starter
    from nervenet.node.stored import Stored
    from nervenet.node.timers import MeshClock, Timers
    from nervenet.node.watch import Watch
    from nervenet.node.watchdog import Watchdog
    from nervenet.records import Body, Close, Mismatch, State
    from nervenet.redis_link.link import Link
    from nervenet.registry.table import Table
    from nervenet.streams.heads import Head
    from nervenet.streams.journal import JournalStore
    from nervenet.streams.keys import Keys
    from nervenet.streams.ownership import Ownership
    from nervenet.streams.queues import Queues

_log = logging.getLogger(__name__)

BOOKS_S = 0.02
"""Nobody waits for the books, and three commands for twenty workflows are cheaper than for two."""
MOST_REMEMBERED = 10_000
"""Answers about definitions that are kept at most: their names come from callers."""

_T = TypeVar("_T")


class _Early(list[tuple[int, int, str, bytes]]):
    """News of a workflow that is not hosted yet, kept while starts and loads of it are under way here: `users` of them."""

    users = 0


class Host:
    """See the module. Built by `node.py`, which also fills in the parts that need the host themselves."""

    dispatcher: Dispatcher
    watch: Watch
    escalations: Escalations
    outliers: Outliers
    blame: Blame
    starter: Starter
    admission: Admission
    children: Children
    renewal: Renewal
    loader: Loader
    restore: Restore
    stored: Stored
    checks: Checks
    gateway: Gateway

    def __init__(
        self,
        node_id: str,
        config: Config,
        definitions: Mapping[tuple[str, int], Workflow[Any, Any]],
        *,
        link: Link,
        keys: Keys,
        journal: JournalStore,
        queues: Queues,
        ownership: Ownership,
        table: Table,
        clock: MeshClock,
        timers: Timers,
        watchdog: Watchdog,
        entropy: Entropy = os.urandom,
        release: tuple[int, ...] = (),
    ) -> None:
        self.node_id = node_id
        self.config = config
        self.definitions = definitions
        self.link = link
        self.keys = keys
        self.journal = journal
        self.queues = queues
        self.ownership = ownership
        self.table = table
        self.clock = clock
        self.timers = timers
        self.watchdog = watchdog
        self.elsewhere: Elsewhere | None = None  # `nervenet dev` alone has it
        self.telemetry = telemetry.current()
        self.retention_ms = config.retention_ms
        self.draining = False
        self.coordinators: dict[str, Coordinator] = {}
        self.recovered = 0
        self.entropy = entropy
        self.own_release = release
        self._others: dict[tuple[str, int, str], list[str]] = {}
        self._highest: dict[str, int] = {}
        self._early: dict[str, _Early] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._on_close: dict[str, list[Callable[[Close | None], None]]] = {}
        self._tasks: set[asyncio.Future[Any]] = set()
        self._finished: list[ClosedWorkflow] = []
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<Host {self.node_id} {len(self.coordinators)} workflows{', draining' if self.draining else ''}>"

    def coordinator(self, workflow_id: str) -> Coordinator | None:
        return self.coordinators.get(workflow_id)

    def spawn(self, work: Awaitable[object]) -> None:
        """Run something for a workflow beside everything else; its error is logged, never lost."""
        task = asyncio.ensure_future(work, loop=self._loop)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def run_to_end(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await work that writes for a caller. It goes on when the caller is cancelled meanwhile.

        gRPC cancels a handler whose caller has gone away, at any of its awaits. What it has written by then would be known
        to nobody; so whatever writes more than one thing, or has to tell somebody of it, runs in a task of the node.
        """
        task = self._loop.create_task(work)
        self._tasks.add(task)
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            task.add_done_callback(self._ended)  # nobody else hears of its error
            raise
        self._tasks.discard(task)
        return task.result()

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, LinkError):
                _log.warning("%s: given up for now, the watch will repeat it: %s", self.node_id, error)
            else:
                _log.error("%s: %r", self.node_id, error, exc_info=error)

    # ── who can run what ─────────────────────────────────────────────────────────────────────────────────────────────

    def has(self, definition: str, version: int, python: str = PYTHON) -> bool:
        found = self.definitions.get((DECLARED, 1) if python == LANGUAGE else (definition, version))
        return found is not None and found.runtime == python

    def able(self, definition: str, version: int, python: str = PYTHON) -> list[str]:
        """The nodes that could own such a workflow now, this one among them."""
        if python == LANGUAGE:  # any node that knows the language
            definition, version = DECLARED, 1
        key = (definition, version, python)
        others = self._others.get(key)
        if others is None:
            if len(self._others) >= MOST_REMEMBERED:
                self._others.clear()
            found = self.table.nodes_for(*key)
            others = self._others[key] = [node.id for node in found if node.id != self.node_id]
        if not self.draining and self.has(definition, version, python):
            return [*others, self.node_id]
        return others

    def highest_version(self, name: str) -> int:
        """Of all live nodes; 0 = nobody has the definition."""
        highest = self._highest.get(name)
        if highest is None:
            if len(self._highest) >= MOST_REMEMBERED:
                self._highest.clear()
            versions = [v for n, v in self.definitions if n == name]
            versions += [d.version for node in self.table.nodes.values() for d in node.definitions if d.name == name]
            highest = self._highest[name] = max(versions, default=0)
        return highest

    def nodes_changed(self) -> None:
        """The registry has news of a node: who can run what is asked again."""
        self._others.clear()
        self._highest.clear()
        self.checks.nodes_changed()

    # ── what comes before it is hosted ───────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def expecting(self, *workflow_ids: str) -> Iterator[None]:
        """Starts or loads of these are under way here: their news is kept until the coordinator is there, or this ends."""
        expected = []
        for workflow_id in workflow_ids:
            early = self._early.get(workflow_id)
            if early is None:
                early = self._early[workflow_id] = _Early()
            early.users += 1
            expected.append(early)
        try:
            yield
        finally:
            for workflow_id, early in zip(workflow_ids, expected, strict=True):
                early.users -= 1
                if not early.users and self._early.get(workflow_id) is early:
                    del self._early[workflow_id]

    def begin(self, workflow_id: str, start: Start, data: bytes, version: int, run: int, journal_id: bytes) -> None:
        """The first entry of a run that was created here: no need to read what was just written."""
        if workflow_id in self.coordinators:
            return
        ms, _, n = journal_id.partition(b"-")
        coordinator = self.new_coordinator(workflow_id, start.definition, version, run, start)
        coordinator.applied = int(n) - 1
        self.take_in(coordinator)
        coordinator.feed_own(Entry("start", start, int(n), int(ms), self.node_id), data)
        self.feed_kept(coordinator)

    def here(self, workflow_id: str) -> bool:
        """Whether it is hosted, or a start or load of it is under way here."""
        return workflow_id in self.coordinators or workflow_id in self._early

    def belongs_to(self, workflow_id: str, head: Head) -> str | None:
        """Which node takes a workflow over whose owner is gone."""
        return rendezvous(workflow_id, self.able(head.definition, head.version, head.runtime))

    # ── coordinators ──────────────────────────────────────────────────────────────────────────────────────────────────

    def new_coordinator(self, workflow_id: str, definition: str, version: int, run: int, start: Start) -> Coordinator:
        workflow = self.definitions.get((definition, version))
        if start.python == LANGUAGE:
            workflow = self.stored.get(definition, version)
        assert workflow is not None  # who comes here has asked `able` or `_has_code`
        machine = Machine(workflow, workflow_id, run, payload_limit=self.config.payload_limit)
        return Coordinator(self, machine, start)

    def take_in(self, coordinator: Coordinator) -> None:
        """It is hosted here from now on."""
        self.coordinators[coordinator.workflow_id] = coordinator
        self.watch.add(coordinator)

    def feed_kept(self, coordinator: Coordinator) -> None:
        for n, ms, name, data in self._early.pop(coordinator.workflow_id, ()):
            coordinator.feed(n, ms, name, data)

    def reload(self, coordinator: Coordinator, why: str) -> None:
        """The journal is not what this machine has folded: write back what it lacks, else drop it and read again."""
        if not coordinator.in_doubt and not coordinator.dropped:
            _log.warning("%s: read again: %s", coordinator.workflow_id, why)
            coordinator.doubt()
            self.spawn(self.restore.reconcile(coordinator))

    def forget(self, coordinator: Coordinator, close: Close | None = None) -> None:
        """It is no longer hosted here: closed, or another node's. Whoever waits for its end is told which."""
        if self.coordinators.get(coordinator.workflow_id) is coordinator:
            del self.coordinators[coordinator.workflow_id]
            for tell in self._on_close.pop(coordinator.workflow_id, ()):
                tell(close)
        coordinator.drop()

    def replace(self, old: Coordinator, new: Coordinator) -> None:
        """The next run of what is hosted here; whoever waits for its end goes on waiting."""
        self.release(old, "the run is over")
        old.drop()
        self.take_in(new)

    async def disown(self, node_id: str, *workflow_ids: str) -> None:
        """Take out of a node's set what its heads say is another's; put back what became that node's meanwhile.

        Heads and sets lie in different slots. Who gives a workflow away therefore lists it before and after the head
        names the new owner: either we see the new head here, or the second listing comes after our removal.
        """
        await self.ownership.disown(node_id, *workflow_ids)
        heads = await self.journal.heads(workflow_ids, ("owner", "closed_ms"))
        back = [w for w, head in heads if head is not None and head.owner == node_id and not head.closed]
        if back:
            await self.ownership.own(node_id, *back)

    async def hand_over(self, coordinator: Coordinator, target: str) -> bool:
        """Give a workflow to another node: its set, the owner, the wake, its set again (`disown`), then our own set.

        Whether this node has nothing to do with it any more: it may as well have closed meanwhile.
        """
        workflow_id = coordinator.workflow_id
        async with self.lock(workflow_id):
            if coordinator.dropped:
                return True
            await self.ownership.own(target, workflow_id)
            moved = await self.ownership.move(workflow_id, target, self.node_id)
            if moved.status not in ("moved", "mine"):
                return moved.status == "closed"
            self.forget(coordinator)
            self.wake(target, workflow_id, coordinator.run, b"0-0", "")
            await self.ownership.own(target, workflow_id)
            await self.disown(self.node_id, workflow_id)
            return True

    def lock(self, workflow_id: str) -> asyncio.Lock:
        """Held while it is decided who hosts that workflow. It is one lock for as long as anybody holds or awaits it."""
        lock = self._locks.get(workflow_id)
        if lock is None:
            lock = self._locks[workflow_id] = asyncio.Lock()
        return lock

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def news(self, workflow_id: str, journal_id: bytes, name: str, data: bytes) -> None:
        """A wake: an entry of a workflow that we own, or only a hint that there is one."""
        ms, _, n = journal_id.partition(b"-")
        coordinator = self.coordinators.get(workflow_id)
        if coordinator is None:
            if (kept := self._early.get(workflow_id)) is None:
                self.spawn(self.loader.load(workflow_id))
            elif data:
                kept.append((int(n), int(ms), name, data))
        elif data:
            coordinator.feed(int(n), int(ms), name, data)
        elif name.startswith(NOT_YOU):
            self.dispatcher.refused(coordinator, name.removeprefix(NOT_YOU))
        elif name == LOOK:
            self.spawn(self.watch.look_at([coordinator]))
        elif int(n) > coordinator.applied or not name:
            coordinator.catch_up()

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def append(self, coordinator: Coordinator, name: str, body: Body) -> Appended:
        """An owner's entry. If the workflow is not ours any more, we learn it here and let go."""
        data = encode_entry(body, self.node_id)
        try:
            answer = await self.journal.append(coordinator.workflow_id, coordinator.run, name, data, owner=self.node_id)
        except LinkError as error:
            coordinator.wishes[name] = body
            if isinstance(error, Unreadable):
                self.spawn(self.restore.mend(coordinator, error))
            raise
        self._answered(coordinator, name, body, answer, data)
        return answer

    def _answered(self, coordinator: Coordinator, name: str, body: Body, answer: Appended, data: bytes) -> None:
        if coordinator.in_doubt and answer.status in ("not_owner", "stale", "unknown"):
            coordinator.wishes[name] = body  # says a Redis that has lost something; asked again when that is back
        elif name.startswith("patch:") and answer.recorded:
            coordinator.acknowledged(name)
        elif answer.status == "new":
            ms, _, n = answer.id.partition(b"-")
            coordinator.feed_own(Entry(name, body, int(n), int(ms), self.node_id), data)
        elif answer.status == "exists":
            coordinator.catch_up()  # somebody was first: his entry is the fact
        elif answer.status in ("not_owner", "stale"):
            self.forget(coordinator)
        elif answer.status == "unknown":
            coordinator.wishes[name] = body
            self.restore.suspect(coordinator)

    async def record(self, workflow_id: str, run: int, name: str, body: Body, actor: str) -> Appended:
        """A fact from outside (signal, cancel): append, then wake the owner, also when the caller has left."""
        return await self.run_to_end(self._record(workflow_id, run, name, body, actor))

    async def _record(self, workflow_id: str, run: int, name: str, body: Body, actor: str) -> Appended:
        data = encode_entry(body, actor)
        answer = await self.journal.append(workflow_id, run, name, data)
        if answer.status == "new" and answer.owner != self.node_id:
            self.restore.remember(lambda: self._record_again(workflow_id, run, name, data))
        if answer.status in ("new", "exists"):
            self.tell_owner(
                workflow_id, answer.owner, answer.run, answer.id, name, data if answer.status == "new" else b""
            )
        return answer

    async def _record_again(self, workflow_id: str, run: int, name: str, data: bytes) -> bool:
        answer = await self.journal.append(workflow_id, run, name, data)
        if answer.status == "new":
            self.tell_owner(workflow_id, answer.owner, answer.run, answer.id, name, data)
        return answer.status != "unknown"

    def tell_owner(self, workflow_id: str, owner: str, run: int, journal_id: bytes, name: str, data: bytes) -> None:
        if owner == self.node_id:
            self.news(workflow_id, journal_id, name, data)
        else:
            self.wake(owner, workflow_id, run, journal_id, name, data)

    def wake(self, owner: str, workflow_id: str, run: int, journal_id: bytes, name: str, data: bytes = b"") -> None:
        """News for another node. If it gets lost, the owner's watch, or its sweep, finds the entry."""
        self.queues.wake_nowait(OutgoingWake(owner, workflow_id, run, journal_id, name, data)).add_done_callback(_heard)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def close_run(self, coordinator: Coordinator, close: Close) -> None:
        data = encode_entry(close, self.node_id)
        whose = (coordinator.workflow_id, coordinator.run, self.node_id)
        where = (*whose, data, close.state, self.retention_ms, coordinator.machine.failed_at, _why(close))
        reply = self.journal.close_nowait(*where)

        def answered(reply: asyncio.Future[Any]) -> None:
            if reply.cancelled() or reply.exception() is not None:
                self.spawn(self._close_patiently(coordinator, close, where))
            else:
                self._close_answered(coordinator, close, Appended.parse(reply.result()), data)

        reply.add_done_callback(answered)

    async def _close_patiently(
        self, coordinator: Coordinator, close: Close, where: tuple[str, int, str, bytes, State, int, str, str]
    ) -> None:
        try:
            answer = await self.journal.close(*where)
        except LinkError:
            coordinator.wishes["close"] = close
            raise
        self._close_answered(coordinator, close, answer, where[3])

    def _close_answered(self, coordinator: Coordinator, close: Close, answer: Appended, data: bytes) -> None:
        if answer.status == "closed" and not coordinator.in_doubt:
            self.closed(coordinator, close)
        else:
            self._answered(coordinator, "close", close, answer, data)

    def closed(self, coordinator: Coordinator, close: Close) -> None:
        """`close` is in the journal and folded: tell who waits, and do the books."""
        workflow_id = coordinator.workflow_id
        created_ms, closed_ms = coordinator.created_ms, coordinator.applied_ms
        self.release(coordinator, "the workflow is over")
        self.restore.closed(coordinator, close)
        self.forget(coordinator, close)
        self.finish(workflow_id, self.node_id, created_ms, closed_ms)
        if coordinator.parent is not None:
            definition = coordinator.machine.workflow.name
            self.spawn(self.children.report(workflow_id, definition, coordinator.parent, close))
        if coordinator.span_id and self.telemetry.on:
            self.spawn(export_closed(self, coordinator))

    def release(self, coordinator: Coordinator, why: str) -> None:
        """Nothing of this run matters any more: agents stop, questions leave the list."""
        for step, sent in coordinator.sent.items():
            if sent.agent_id:
                self.dispatcher.tell_to_stop(coordinator, step, sent.agent_id, sent.dispatch.attempt, why)
        self.escalations.workflow_over(coordinator)

    def finish(self, workflow_id: str, owner: str, created_ms: int, closed_ms: int, score: int = 0) -> None:
        """The book-keeping of what is closed: one set of commands for all that close within some milliseconds."""
        if not self._finished:
            self._loop.call_later(BOOKS_S, self._finish)
        self._finished.append(ClosedWorkflow(workflow_id, owner, created_ms, closed_ms, score))

    def _finish(self) -> None:
        closed, self._finished = self._finished, []
        if closed:
            self.spawn(self.ownership.finish(closed, self.retention_ms))

    def on_close(self, workflow_id: str, tell: Callable[[Close | None], None]) -> Callable[[], None] | None:
        """Call `tell` with `close` when a workflow that is hosted here closes, or with None when it leaves this node.

        Answers a function that ends it, or None when the workflow is not hosted here.
        """
        if workflow_id not in self.coordinators:
            return None
        waiting = self._on_close.setdefault(workflow_id, [])
        waiting.append(tell)
        return lambda: waiting.remove(tell) if tell in waiting else None

    # ── what people see ──────────────────────────────────────────────────────────────────────────────────────────────

    def mirror(self, coordinator: Coordinator, state: State, at: str, note: str) -> None:
        blocked = coordinator.machine.blocked
        told = None
        if blocked is not None:
            if blocked.expected or blocked.found:
                words = f"journal {blocked.expected}, code {blocked.found} ({blocked.where})"
            else:
                words = blocked.detail
            _log.error("%s is BLOCKED: %s", coordinator.workflow_id, words)
            told = blocked_json(blocked, self.clock.now_ms())
        self.spawn(
            self.journal.set_head(
                coordinator.workflow_id, coordinator.run, self.node_id, state=state, at=at, note=note, blocked=told
            )
        )

    def publish(self, coordinator: Coordinator, view: Payload) -> None:
        self.spawn(self.journal.set_head(coordinator.workflow_id, coordinator.run, self.node_id, view=view.data))

    async def settle(self) -> None:
        """Wait until nothing is under way any more; for the end of the process."""
        self._finish()
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))


def blocked_json(blocked: Mismatch, now_ms: int) -> bytes:
    """As it stands in the head."""
    return json.dumps(
        {
            "expected": blocked.expected,
            "found": blocked.found,
            "where": blocked.where,
            "agreed": blocked.agreed,
            "detail": blocked.detail,
            "time_ms": now_ms,
        }
    ).encode()


def _heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.debug("not told: %s", error)


def _why(close: Close) -> str:
    """In a list's few words, why a run ended as it did: `RateLimited: 429 from api (5 attempts)`."""
    failure = close.failure
    if failure is None:
        return ""
    words = ": ".join(filter(None, (failure.type, failure.message)))
    return f"{words} ({failure.attempt} attempts)" if failure.attempt > 1 else words
