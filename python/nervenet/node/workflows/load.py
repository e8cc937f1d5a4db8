# SPDX-License-Identifier: Apache-2.0
"""Loads a workflow that exists: reads its journal, replays it, and continues it here.

It hides adoption: whose the workflow was, where its journal ended, which of its attempts agents still hold, and what
happens with a workflow that killed every node that ran it.

One of this node that left memory (`unloaded.py`) is replayed up to where it was then. What its journal got since is news, and
counts as if the workflow had been in memory all the time. A journal that does not continue what the node remembers has lost
something, so it is not loaded before that is written back.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nervenet.clock import SYSTEM
from nervenet.durable.declared import LANGUAGE
from nervenet.durable.machine import canceled_close, unreadable
from nervenet.node.guards.memory import cost_of
from nervenet.node.workflows.owned_journal import ENTRIES_AT_A_TIME, blocked_json
from nervenet.node.workflows.tracing import export_recovered
from nervenet.records import Cancel, Entry, Mismatch, Start, State, UnreadableEntry
from nervenet.streams.answers import RawEntry
from nervenet.streams.ownership import ClosedWorkflow
from nervenet.timing import UNCLAIMED_WAIT_MS
from nervenet.wire import decode_entry, encode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nervenet.definitions import Workflow
    from nervenet.durable import Dispatch
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.bookkeeping import CloseBookkeeping
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.definitions import StoredDefinitions
    from nervenet.node.workflows.handover import Handover
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.placement import Placement
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.records import Body
    from nervenet.streams.answers import Adopted
    from nervenet.streams.heads import Head

_log = logging.getLogger(__name__)

MOST_ADOPTIONS = 2
"""A workflow is BLOCKED and not run again after this number of adoptions whose nodes died with it. With the node that
began it that makes three."""
AT_A_TIME = 200
"""Entries that are decoded or replayed without a pause: a few milliseconds."""
MOST_WEIGHED = 1_000
"""Entries of a journal from which its cost in memory is estimated."""
WAIT_FOR_MEMORY = 0.5
MANY_LOADS = 64
"""Workflows that are loaded at once: many adoptions must not delay the workflows that run here."""


class LastLine(Protocol):
    """Finds the line at which a run ended its process: `crash_line.last_line`."""

    def __call__(
        self, workflow: Workflow[Any, Any], workflow_id: str, run: int, entries: Sequence[Entry], codec: str | None, /
    ) -> str: ...


class _Load(NamedTuple):
    """One load: of which workflow, as which node, from which dead node, how often Redis had lost something before, and since when."""

    workflow_id: str
    node_id: str
    dead: str | None
    losses: int
    began_ns: int


class NewCoordinator(Protocol):
    """Makes the coordinator of a run whose code is here.

    Args:
        applied: the number of the last entry before this run.
        req: the hash of the first run's start, which a later run does not tell.
    """

    def __call__(
        self,
        workflow_id: str,
        definition: str,
        version: int,
        run: int,
        start: Start,
        /,
        *,
        applied: int = 0,
        req: bytes = b"",
    ) -> Coordinator: ...


class Loader:
    """One for each node.

    Args:
        ready: returns when nothing is being written back to a Redis that has lost something.
        losses: how often Redis may have lost something so far.
        lost: what Redis has of an unloaded workflow is not what this node remembers; False: Redis has nothing of it.
        look_at: looks at the pending steps of workflows now.
        last_line: finds the line at which a run ended its process; None: no line is looked for.
    """

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        placement: Placement,
        stored: StoredDefinitions,
        admission: Admission,
        handover: Handover,
        bookkeeping: CloseBookkeeping,
        *,
        new_coordinator: NewCoordinator,
        ready: Callable[[], Awaitable[None]],
        losses: Callable[[], int],
        lost: Callable[[UnloadedWorkflow, bool], None],
        look_at: Callable[[list[Coordinator]], Awaitable[None]],
        last_line: LastLine | None,
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._placement = placement
        self._stored = stored
        self._admission = admission
        self._handover = handover
        self._bookkeeping = bookkeeping
        self._new_coordinator = new_coordinator
        self._ready = ready
        self._losses = losses
        self._lost = lost
        self._look_at = look_at
        self._last_line = last_line
        self.recovered = 0
        self._at_once = asyncio.Semaphore(MANY_LOADS)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Return once nothing is being loaded. A node that stops in the middle of an adoption would look as if the workflow had
        killed it."""
        await self._idle.wait()

    async def load(self, workflow_id: str, dead: str | None = None) -> bool:
        """Host a workflow: one's own that is not loaded yet, or with `dead` that of a node that is gone.

        True when it is hosted afterwards, or no longer needs a host.
        """
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._load(workflow_id, dead)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _load(self, workflow_id: str, dead: str | None) -> bool:
        hosted = None
        while hosted is None:
            await self._ready()
            hosted = await self._load_once(workflow_id, dead)
        return hosted

    async def _load_once(self, workflow_id: str, dead: str | None) -> bool | None:
        """None: Redis may have lost meanwhile what was read of it, or what this waited for is not written back."""
        context, losses = self._context, self._losses()
        if dead is not None and not self._admission.may_adopt():
            return False
        while workflow_id not in self._hosted.coordinators and not self._admission.memory.fits(0):  # noqa: ASYNC110 - memory has no event
            await asyncio.sleep(WAIT_FOR_MEMORY)  # it is ours, and waits in its journal until there is memory
        async with self._at_once, self._hosted.lock(workflow_id):
            if losses != self._losses():
                return None
            node_id = context.status.node_id  # if it changes during this load, the load is no longer the node's own
            if (coordinator := self._hosted.coordinators.get(workflow_id)) is not None:
                if dead is None or await self._is_mine(workflow_id):
                    return True
                # another node took it while this process was stopped, and has died since
                self._hosted.forget(coordinator)
            with self._hosted.expecting(workflow_id):
                if dead is not None:
                    await context.ownership.own(node_id, workflow_id)
                about = _Load(workflow_id, node_id, dead, losses, SYSTEM.now_ns())
                adopted = await context.journal.adopt(workflow_id, node_id, dead or node_id)
                return await self._take(about, adopted) if losses == self._losses() else None

    async def _is_mine(self, workflow_id: str) -> bool:
        """Whether the head still names this node."""
        head = await self._context.journal.head(workflow_id, ("owner",))
        return head is not None and head.owner == self._context.status.node_id

    async def _take(self, about: _Load, adopted: Adopted) -> bool | None:
        context, head, workflow_id, node_id = self._context, adopted.head, about.workflow_id, about.node_id
        unloaded = self._hosted.unloaded.get(workflow_id)
        if adopted.status not in ("adopted", "mine") or head is None:
            return await self._leave(workflow_id, adopted, node_id, unloaded)
        if adopted.status == "mine" and unloaded is None:
            # a node that took it out of our set before this load read an older head
            await context.ownership.own(node_id, workflow_id)
        if not await self._has_code(head):
            _log.warning("%s: no code here for %s v%d of %s", node_id, head.definition, head.version, workflow_id)
            return False
        raw = await self._entries(workflow_id, adopted)
        if unloaded is not None and unloaded.run < head.run:
            unloaded = None  # another node continued it, and began the next run
        known = len(raw) if unloaded is None else _continued(raw, head, unloaded)
        if unloaded is not None and not known:
            self._lost(unloaded, True)
            return False
        if adopted.status == "adopted":
            known = len(raw)  # another node has carried out what came since
        return await self._host(about, adopted, head, raw[:known], raw[known:], unloaded)

    async def _host(
        self,
        about: _Load,
        adopted: Adopted,
        head: Head,
        raw: list[RawEntry],
        news: list[RawEntry],
        unloaded: UnloadedWorkflow | None,
    ) -> bool | None:
        context, workflow_id, node_id = self._context, about.workflow_id, about.node_id
        replay_began = SYSTEM.monotonic()
        coordinator = await self._replay(workflow_id, adopted, raw, unloaded)
        why = "adopted" if adopted.status == "adopted" else "loaded" if unloaded is None else "woken"
        context.metrics.replayed(why, replay_began)
        if about.losses != self._losses():
            if coordinator is not None:
                coordinator.drop()
            return None
        if context.status.node_id != node_id:  # its head names our old id: it is adopted like any other orphan
            if coordinator is not None:
                if coordinator.machine.blocked is None:  # the workflow did not cause that
                    context.spawn(context.journal.set_head(workflow_id, head.run, node_id, survived=True))
                coordinator.drop()
            return False
        if coordinator is None:
            return True
        if workflow_id in self._hosted.coordinators:
            coordinator.drop()
            return True
        coordinator.mirrored = (head.state, head.note)
        self._hosted.attach(coordinator)
        if adopted.status == "adopted" or head.unconfirmed_adoptions:  # or taken over before, and the answer was lost
            self._recovered(coordinator, head, about.dead, about.began_ns)
        self._continue(coordinator, adopted, news)
        if unloaded is not None and adopted.status == "mine":
            coordinator.recovered = unloaded.recovered
        return True

    def _continue(self, coordinator: Coordinator, adopted: Adopted, news: list[RawEntry]) -> None:
        """Carry out what is outstanding, then fold what arrived since it left memory."""
        claims, now, unclaimed = adopted.claims, self._context.clock.now_ms(), False

        def may_run(dispatch: Dispatch) -> bool:
            nonlocal unclaimed
            claim = claims.get(dispatch.step)
            if claim is not None and claim.attempt == dispatch.attempt:
                return True
            begun = dispatch.attempt == 1 and dispatch.at_ms <= now  # perhaps, a moment ago
            unclaimed = unclaimed or begun
            return begun

        coordinator.continue_after_replay(may_run)
        now = self._context.clock.now_ms()
        if unclaimed:
            self._context.timers.at(now + UNCLAIMED_WAIT_MS, self._look_soon, coordinator)
        if len(news) > ENTRIES_AT_A_TIME:
            coordinator.catch_up()
        else:
            for one in news:
                coordinator.feed(one.n, one.ms, one.name, one.data)
        self._hosted.feed_early(coordinator)
        if any(claim.until_ms < now for claim in claims.values()):  # its agent is gone: the next attempt is due
            self._look_soon(coordinator)

    def _look_soon(self, coordinator: Coordinator) -> None:
        self._context.spawn(self._look_at([coordinator]))

    def _recovered(self, coordinator: Coordinator, head: Head, dead: str | None, began_ns: int) -> None:
        """It was replayed, and this node is alive: this adoption does not count against the workflow."""
        context, workflow_id = self._context, coordinator.workflow_id
        self.recovered += 1
        context.metrics.adopted(coordinator.machine.workflow.name, dead or "")
        if coordinator.machine.blocked is None:
            context.spawn(context.journal.set_head(workflow_id, head.run, context.status.node_id, survived=True))
        _log.info("%s continues on this node, after %d entries", workflow_id, coordinator.applied)
        if coordinator.span_id and context.telemetry.on:
            export_recovered(context, coordinator, dead or "", began_ns)

    async def _leave(self, workflow_id: str, adopted: Adopted, node_id: str, unloaded: UnloadedWorkflow | None) -> bool:
        """It is closed, another node's, or does not exist. Returns whether no node needs to host it."""
        head = adopted.head
        if unloaded is not None:
            if head is None or head.run < unloaded.run:
                self._lost(unloaded, head is not None)
                return False
            self._hosted.forget_unloaded(unloaded)
        if adopted.status == "closed":
            if head is not None:
                self._bookkeeping.finish_by_head(workflow_id, head)
            return True
        await self._handover.disown(node_id, workflow_id)
        return adopted.status == "refused"

    async def _has_code(self, head: Head) -> bool:
        """Whether it can run here. A stored definition is read for that."""
        if not self._placement.has(head.definition, head.version, head.runtime):
            return False
        return head.runtime != LANGUAGE or await self._stored.load(head.definition, head.version) is not None

    async def _replay(
        self, workflow_id: str, adopted: Adopted, raw: list[RawEntry], unloaded: UnloadedWorkflow | None
    ) -> Coordinator | None:
        """None: not even its start can be read, so it stands BLOCKED without a coordinator."""
        head = adopted.head
        assert head is not None
        self._admission.memory.promise(cost_of(*(one.data for one in raw[:MOST_WEIGHED])))
        entries = await self._decoded(workflow_id, raw)
        start = entries[0].body if entries else UnreadableEntry("the journal is empty")
        if not isinstance(start, Start):
            await self._without_start(workflow_id, head, entries, start)
            return None
        req = head.request_hash if head.run > 1 or self._context.blobs is not None else b""  # else the start tells it
        coordinator = self._new_coordinator(workflow_id, head.definition, head.version, head.run, start, req=req)
        if unloaded is not None:
            coordinator.listed_questions = unloaded.listed_questions
            if coordinator.story is not None and unloaded.sendings is not None:
                coordinator.story.sendings = unloaded.sendings
        adoptions = head.adoptions if adopted.status == "adopted" else head.unconfirmed_adoptions
        if adoptions > MOST_ADOPTIONS:
            self._stop_killer(coordinator, entries, head.blocked)
        coordinator.machine.foresee(entries)
        for entry, stored in zip(entries, raw, strict=True):
            coordinator.replay(entry, stored.data)
            while coordinator.replay_on():  # noqa: ASYNC110 - it is not waiting, it lets others run
                await asyncio.sleep(0)
            if entry.n % AT_A_TIME == 0:
                await asyncio.sleep(0)  # the others' news
        return coordinator

    async def _decoded(self, workflow_id: str, raw: list[RawEntry]) -> list[Entry]:
        """The entries with all their values, wherever those lie."""
        blobs = self._context.blobs
        if blobs is None or not any(blobs.has_reference(one.data) for one in raw):
            entries: list[Entry] = []
            for first in range(0, len(raw), AT_A_TIME):
                if first:
                    await asyncio.sleep(0)  # the others' news
                entries += [decode_entry(one.name, one.data, one.n, one.ms) for one in raw[first : first + AT_A_TIME]]
            return entries
        reads = (blobs.read_entry(one.name, one.data, one.n, one.ms, workflow_id) for one in raw)
        return list(await asyncio.gather(*reads))

    async def _without_start(self, workflow_id: str, head: Head, entries: list[Entry], start: Body) -> None:
        """Its start cannot be read: show why it is blocked. A cancel ends it."""
        context = self._context
        why = start if isinstance(start, UnreadableEntry) else UnreadableEntry("it is no start")
        blocked = unreadable(entries[0] if entries else Entry("start", why, 1), why, 0)
        cancel = next((entry.body for entry in entries if isinstance(entry.body, Cancel)), None)
        if cancel is not None:
            data = encode_entry(canceled_close(cancel), context.status.node_id)
            node_id, config = context.status.node_id, context.config
            ends = (workflow_id, head.run, node_id, data, State.CANCELED, config.retention_ms)
            answer = await context.journal.close(*ends, hold_ms=config.hold_ms)
            closed_ms = int(answer.id.partition(b"-")[0] or context.clock.now_ms())
            self._bookkeeping.finish(ClosedWorkflow(workflow_id, node_id, head.created_ms, closed_ms, 0, head.run))
        elif head.state is not State.BLOCKED:
            _log.error("%s is BLOCKED: %s", workflow_id, blocked.detail)
            told = blocked_json(blocked, context.clock.now_ms())
            await context.journal.set_head(
                workflow_id, head.run, context.status.node_id, state=State.BLOCKED, note=blocked.note, blocked=told
            )

    def _stop_killer(self, coordinator: Coordinator, entries: list[Entry], known: bytes) -> None:
        """It killed every node that ran it: block it, and look for the line in another process."""
        where = _line_of(known)
        coordinator.machine.blocked = Mismatch(
            f"a node that outlives it, after {MOST_ADOPTIONS} adoptions",
            "nodes that died with it, or stood still for longer than their lease",
            where,
            max(0, len(entries) - 1),
        )
        if not where and self._last_line is not None:
            self._context.spawn(self._find_line(coordinator, entries, self._last_line))

    async def _find_line(self, coordinator: Coordinator, entries: list[Entry], last_line: LastLine) -> None:
        machine = coordinator.machine
        codec = self._context.config.codec
        where = await asyncio.to_thread(last_line, machine.workflow, machine.workflow_id, machine.run, entries, codec)
        if where and not coordinator.dropped and machine.blocked is not None:
            machine.blocked = replace(machine.blocked, where=where)
            coordinator.mirror()

    async def _entries(self, workflow_id: str, adopted: Adopted) -> list[RawEntry]:
        """The whole journal, up to where it ended when it was adopted: its patches are needed before its first entry."""
        head, page, entries = adopted.head, adopted.entries, list[RawEntry]()
        while page:
            entries += page
            if head is None or page[-1].id == head.last:
                break
            page = await self._context.journal.read(workflow_id, page[-1].id)
        return entries


def _continued(raw: list[RawEntry], head: Head, unloaded: UnloadedWorkflow) -> int:
    """How many of these entries were folded before it left memory. 0: this is another journal, or it has lost its end."""
    known = unloaded.applied - raw[0].n + 1 if raw and head.run == unloaded.run else 0
    return known if 0 < known <= len(raw) and raw[known - 1].ms == unloaded.applied_ms else 0


def _line_of(blocked: bytes) -> str:
    """The line that a head's `blocked` names; "" where there is none, or it cannot be read."""
    try:
        return str(json.loads(blocked)["where"])
    except (ValueError, KeyError, TypeError):
        return ""
