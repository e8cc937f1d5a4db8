# SPDX-License-Identifier: Apache-2.0
"""Watches the pending steps of every workflow until their outcomes are in the journal (the owner's duty, law 3).

The monitor looks at each workflow once per lease, and at once when it gets a hint. It checks two things. Has the journal
more entries than were folded here? Is each pending step somewhere where an agent will do it? The monitor sends again
what is lost. A second copy of a task does no harm: the claim turns it away (law 2). So no message, claim or queue entry
must survive anything, and news of a death only makes this faster.

A look only reads, and it is cheap: one HMGET per workflow, and one question about the stream entry for steps that nobody
has claimed. Looks are staggered (by the time at which a workflow was hosted) and batched. `judge` decides, as a pure
function; `_treat` acts.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import TYPE_CHECKING, Protocol, TypeGuard, TypeVar

from nervenet.node.timers import Round
from nervenet.records import FailureCode
from nervenet.redis_link.faults import LinkError, RedisRefused, Unreadable
from nervenet.streams.groups import ConsumerGroups
from nervenet.timing import (
    ATTEMPT_OVERTIME_MS,
    CLAIM_TTL_MS,
    DOUBTFUL_CLAIM_CHECK_MS,
    IDLE_WORKFLOW_CHECK_MS,
    PENDING_MONITOR_TICK,
    QUIET_WORKFLOW_UNLOADED_MS,
    UNCLAIMED_WAIT_MS,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nervenet.node.context import NodeContext
    from nervenet.node.tasks.attempts import Attempts
    from nervenet.node.tasks.blame import Blame
    from nervenet.node.tasks.dispatcher import Dispatcher
    from nervenet.node.tasks.outlier_ejection import OutlierEjection
    from nervenet.node.workflows.attempt import DispatchedAttempt
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.node.workflows.unloading import Unloader
    from nervenet.streams.answers import Look
    from nervenet.streams.heads import Claim

_log = logging.getLogger(__name__)

_W = TypeVar("_W", "Coordinator", "UnloadedWorkflow")

BATCH = 1_000
HELD_PAGE = 500
STEPS_AT_A_TIME = 50


class Case(enum.Enum):
    """The condition of a pending step, as its owner sees it."""

    FINE = "held by a claim that is renewed, or not sent yet"
    LOST = "its agent is gone"
    OVERTIME = "it runs longer than it may"
    UNCLAIMED = "nobody has claimed it: where is its copy?"


def judge(sent: DispatchedAttempt, claim: Claim | None, *, now_ms: int, dead: bool) -> Case:
    """The condition of a step. `dead`: its claimant has a tombstone. A claim of a lower attempt counts as none."""
    if claim is not None and claim.attempt == sent.dispatch.attempt:
        limit = sent.dispatch.options.attempt_ms
        if dead or claim.until_ms < now_ms:
            return Case.LOST
        if limit is not None and claim.since_ms + limit + ATTEMPT_OVERTIME_MS < now_ms:
            return Case.OVERTIME
        return Case.FINE
    if sent.dispatch.at_ms > now_ms:
        return Case.FINE
    return Case.UNCLAIMED


def is_rewritten(one: Coordinator | UnloadedWorkflow, look: Look) -> bool:
    """Whether its journal does not contain what was folded of it: shorter, or with another entry at the end."""
    return look.last_number < one.applied or (look.last_number == one.applied and look.last_ms != one.applied_ms)


class Recovery(Protocol):
    """What the monitor has done about a workflow whose head or journal is not as it should be."""

    claims_return_ms: int
    """Until then agents may not have taken back the claims that Redis lost."""

    @property
    def is_under_way(self) -> bool:
        """Whether something is still compared with what Redis has."""

    def suspect(self, one: Coordinator | UnloadedWorkflow) -> None:
        """An open workflow has no head, or that of an earlier run."""

    def reload(self, coordinator: Coordinator, why: str) -> None:
        """Its journal is not what was folded here."""

    async def mend(self, coordinator: Coordinator, why: Unreadable) -> None:
        """Its head or journal is something else."""

    async def reclaim(self, workflow_id: str, owner: str) -> None:
        """Its head names an owner that does not exist."""


class UnloadedRecovery(Protocol):
    """The same of a workflow that is out of memory."""

    def reload(self, unloaded: UnloadedWorkflow, why: str) -> None:
        """Its journal is not what was folded here."""

    async def mend(self, unloaded: UnloadedWorkflow, why: Unreadable) -> None:
        """Its head or journal is something else."""


class PendingMonitor:
    """One for each node. `look_at_children`: looks at the children of a workflow."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        dispatcher: Dispatcher,
        attempts: Attempts,
        outliers: OutlierEjection,
        blame: Blame,
        recovery: Recovery,
        unloaded_recovery: UnloadedRecovery,
        unloader: Unloader,
        look_at_children: Callable[[Coordinator], Awaitable[None]],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._dispatcher = dispatcher
        self._attempts = attempts
        self._outliers = outliers
        self._blame = blame
        self._recovery = recovery
        self._unloaded_recovery = unloaded_recovery
        self._unloader = unloader
        self._look_at_children = look_at_children
        self._groups = ConsumerGroups(context.link, context.keys)
        self._awake = hosted.to_look_at
        self._asleep: Round[Coordinator] = Round(context.clock, QUIET_WORKFLOW_UNLOADED_MS)
        self._rechecks: Round[Coordinator] = Round(context.clock, DOUBTFUL_CLAIM_CHECK_MS)
        self._to_recheck: set[Coordinator] = set()
        self._looked_at_unloaded_ms = context.clock.now_ms()

    async def run(self) -> None:
        """For as long as the node lives."""
        while True:
            await asyncio.sleep(PENDING_MONITOR_TICK)
            try:
                await self._tick()
            except LinkError as error:
                _log.warning("%s: no look at the workflows for now: %s", self._context.status.node_id, error)

    async def _tick(self) -> None:
        for late in self._dispatcher.not_accepted(BATCH):
            await self._look_at(late)
        due_for_recheck = self._rechecks.due(BATCH)
        self._to_recheck.difference_update(due_for_recheck)
        await self._look_at(dict.fromkeys(due_for_recheck))
        due = self._awake.due(BATCH) + self._asleep.due(BATCH)
        alive = [c for c in due if not c.dropped]
        try:
            await self._look_at(dict.fromkeys(alive))
        finally:  # also when Redis is out of reach: they must be looked at again
            for coordinator in alive:
                if not coordinator.dropped:
                    coordinator.watched = (self._awake if coordinator.busy else self._asleep).put(coordinator)
        await self._unloader.unload_some([coordinator for coordinator in alive if not coordinator.busy])
        await self._look_at_unloaded()

    async def look_at(self, coordinators: list[Coordinator]) -> None:
        """Look at these now, because of a hint: an agent died, or Redis came back."""
        for start in range(0, len(coordinators), BATCH):
            await self._look_at(dict.fromkeys(coordinators[start : start + BATCH]))

    async def _look_at(self, coordinators: dict[Coordinator, None]) -> None:
        journal = self._context.journal
        looks = [(c, journal.look(c.workflow_id, tuple(c.sent))) for c in coordinators if not c.dropped]
        await self._each(looks, self._treat_workflow, self._recovery.mend)

    async def _each(
        self,
        looks: Sequence[tuple[_W, Awaitable[Look | None]]],
        treat: Callable[[_W, Look | None], Awaitable[None]],
        mend: Callable[[_W, Unreadable], Awaitable[None]],
    ) -> None:
        """Treat what each look found, or have repaired what is unreadable."""
        for one, look in looks:
            try:
                found = await look
            except Unreadable as error:
                self._context.spawn(mend(one, error))
            except RedisRefused as error:
                if error.retry:  # Redis is not well
                    raise
                self._context.link.skips.skip(f"the head of {one.workflow_id}", error)
            else:
                await treat(one, found)

    def _is_mine(self, look: Look | None, one: Coordinator | UnloadedWorkflow) -> TypeGuard[Look]:
        """Whether Redis has this run of it, as this node's. Otherwise it is another node's, or Redis has lost it."""
        context = self._context
        if look is None or look.run < one.run:
            self._recovery.suspect(one)
            return False
        if look.owner == context.status.node_id and look.run == one.run:
            return True
        self._hosted.forget_any(one)
        if look.owner != context.status.node_id and not context.table.lives(look.owner):
            context.spawn(self._recovery.reclaim(one.workflow_id, look.owner))
        return False

    # ── workflows that are out of memory ─────────────────────────────────────────────────────────────────────────────

    async def _look_at_unloaded(self) -> None:
        """Look at some of them, so that each has its turn once a minute: has the journal news that did not arrive here?"""
        now = self._context.clock.now_ms()
        count = len(self._hosted.unloaded) * (now - self._looked_at_unloaded_ms) // IDLE_WORKFLOW_CHECK_MS
        if not count:  # the time is not lost: the next tick counts it
            return
        self._looked_at_unloaded_ms = now
        journal = self._context.journal
        some = list(self._hosted.unloaded.next_to_look_at(min(count, BATCH)))
        looks = [(one, journal.look(one.workflow_id, ())) for one in some]
        await self._each(looks, self._treat_unloaded, self._unloaded_recovery.mend)

    async def _treat_unloaded(self, one: UnloadedWorkflow, look: Look | None) -> None:
        if one.dropped or self._recovery.is_under_way or not self._is_mine(look, one):
            return
        if is_rewritten(one, look):
            self._unloaded_recovery.reload(one, "history was rewritten")
        elif look.last_number > one.applied:
            self._unloader.load_soon(one.workflow_id)

    # ── workflows in memory ──────────────────────────────────────────────────────────────────────────────────────────

    async def _treat_workflow(self, coordinator: Coordinator, look: Look | None) -> None:
        context = self._context
        if coordinator.dropped or coordinator.awaiting_reconciliation or not self._is_mine(look, coordinator):
            return
        if is_rewritten(coordinator, look):
            self._recovery.reload(coordinator, "history was rewritten")
            return
        if look.last_number > coordinator.applied:
            coordinator.catch_up()
        coordinator.repeat_unconfirmed()
        if coordinator.machine.children:
            context.spawn(self._look_at_children(coordinator))
        for step in look.unreadable:
            context.link.skips.skip(
                f"the claim of {step} of {coordinator.workflow_id}", "it is no claim, and is deleted"
            )
            context.spawn(context.journal.forget_claim(coordinator.workflow_id, step))
        now = context.clock.now_ms()
        claims_return = now < self._recovery.claims_return_ms  # Redis lost them: a look at all workflows follows
        if not claims_return:
            await self._treat_steps(coordinator, look, now)

    async def _treat_steps(self, coordinator: Coordinator, look: Look, now_ms: int) -> None:
        """Treat what it sent, in parts: a fan-out of thousands must not hold up the others."""
        sent = tuple(coordinator.sent.items())
        for first in range(0, len(sent), STEPS_AT_A_TIME):
            if coordinator.dropped or coordinator.awaiting_reconciliation:
                return
            for step, one in sent[first : first + STEPS_AT_A_TIME]:
                if step not in look.done and not one.over:
                    self._treat(coordinator, one, look.claims.get(step), now_ms)
            if first + STEPS_AT_A_TIME < len(sent):
                await asyncio.sleep(0)

    def _treat(self, coordinator: Coordinator, sent: DispatchedAttempt, claim: Claim | None, now_ms: int) -> None:
        dead = claim is not None and self._context.table.tombstone(claim.agent_id) is not None
        case = judge(sent, claim, now_ms=now_ms, dead=dead)
        if claim is not None and claim.attempt == sent.dispatch.attempt:
            sent.claimed_by, sent.started_ms = claim.agent_id, claim.since_ms
            self._outliers.accepted(claim.agent_id)
            if case is Case.LOST:
                self._lost(coordinator, sent, claim.agent_id, claim.since_ms, proven=dead)
                return
            sent.lost_ms = 0
            if case is Case.OVERTIME:
                text = f"attempt {sent.dispatch.attempt} ran longer than {sent.dispatch.options.attempt_ms} ms"
                self._attempts.give_up(coordinator, sent, FailureCode.TIMEOUT, text, agent_id=claim.agent_id)
            elif not self._context.table.answers(claim.agent_id):
                self._recheck_soon(coordinator)
        elif case is Case.UNCLAIMED:
            sent.claimed_by = ""
            if sent.entry_id:
                self._context.spawn(self._find(coordinator, sent, sent.sent_ms))
            elif not sent.stream and now_ms >= sent.sent_ms + UNCLAIMED_WAIT_MS:
                self._dispatcher.send(coordinator, sent)  # another owner sent it, and its claim is gone

    def _lost(
        self, coordinator: Coordinator, sent: DispatchedAttempt, agent_id: str, since_ms: int, *, proven: bool
    ) -> None:
        """The agent that ran it since then is gone."""
        blame = self._blame.of_loss(coordinator, sent, agent_id, since_ms, proven=proven)
        if blame is None:
            self._recheck_soon(coordinator)
            return
        text = f"agent {agent_id} {'died' if proven else 'went silent'}"
        self._attempts.give_up(coordinator, sent, FailureCode.AGENT_LOST, text, agent_id=agent_id, blame_percent=blame)

    def _recheck_soon(self, coordinator: Coordinator) -> None:
        """Its agent is no longer registered or connected, but the claim is still valid: look again soon, until it ends."""
        if coordinator not in self._to_recheck:
            self._to_recheck.add(coordinator)
            self._rechecks.put(coordinator)

    async def _find(self, coordinator: Coordinator, sent: DispatchedAttempt, at_ms: int) -> None:
        """Is it in a living agent's inbox, or in the queue? Then it waits. Otherwise send the same attempt again."""
        if not _still(coordinator, sent, at_ms):
            return
        context = self._context
        stream, entry_id = sent.stream, sent.entry_id
        place, consumer = await self._groups.place(stream, entry_id)
        if not _still(coordinator, sent, at_ms):
            return
        if sent.claim_later and self._may_run(coordinator, sent, place):
            return
        accept_ms = sent.dispatch.options.accept_ms
        late = accept_ms is not None and context.clock.now_ms() >= at_ms + accept_ms
        there = False
        if sent.agent_id:  # its inbox may be that of its gateway, which may die alone
            alive = context.table.lives(sent.agent_id) and context.table.lives(context.keys.tag(stream))
            there = alive and place in ("unread", "pending")
            if there and late:
                self._outliers.not_accepted(sent.agent_id, sent.dispatch.capability)
            waits = there and not late and not self._outliers.ejected(sent.agent_id)
        else:
            waits = place == "unread" or (place == "pending" and context.table.lives(consumer))
            if place == "unread":
                self._dispatcher.name_again(sent)
        if waits:
            return
        _log.info("%s: %s was lost (%s), sent again", coordinator.workflow_id, sent, place)
        if place != "gone":
            await context.queues.drop(stream, entry_id)
        if _still(coordinator, sent, at_ms):
            avoid = (sent.agent_id,) if sent.agent_id else ()
            context.metrics.resent.child("late" if there and late else "lost").add()
            self._dispatcher.send(coordinator, sent, avoid)

    def _may_run(self, coordinator: Coordinator, sent: DispatchedAttempt, place: str) -> bool:
        """Its agent may have begun it without a claim: that it has read it counts as a claim, which lasts as long as any."""
        context, agent_id = self._context, sent.agent_id
        lives = context.table.lives(agent_id)
        if place == "unread" or (lives and place != "pending") or self._blame.ended_in_order(agent_id):
            return False
        proven = context.table.tombstone(agent_id) is not None
        over = context.clock.now_ms() >= sent.sent_ms + CLAIM_TTL_MS
        if lives and not proven:
            return not over
        if proven or over:
            self._lost(coordinator, sent, agent_id, sent.sent_ms, proven=proven)
        else:
            self._recheck_soon(coordinator)
        return True

    async def agent_gone(self, agent_id: str, *, proven: bool) -> None:
        """An agent is gone: look at once at what was sent to it, claimed by it, or read by it from a queue.

        Also for a node: the agents of its gateway are still alive, but its inbox is gone.
        """
        inbox = self._context.keys.inbox(agent_id)
        sent = [(c, one) for c in self._hosted.coordinators.values() for one in c.sent.values()]
        held = await self._held(agent_id, {one.stream for _, one in sent if not one.agent_id}) if proven else set()
        touched = {
            coordinator: None
            for coordinator, one in sent
            if agent_id in (one.agent_id, one.claimed_by)
            or one.stream == inbox
            or (one.stream, one.entry_id) in held
            or (proven and not one.stream)  # a previous owner sent it, nobody knows to which agent
        }
        if touched:
            _log.info("%s is gone: a look at %d workflows", agent_id, len(touched))
            await self.look_at(list(touched))

    async def _held(self, agent_id: str, queues: set[bytes]) -> set[tuple[bytes, bytes]]:
        """The entries that are pending under an agent's name in these queues."""
        held: set[tuple[bytes, bytes]] = set()
        for queue in queues - {b""}:
            after = b""
            while page := await self._groups.pending(queue, agent_id, HELD_PAGE, after):
                held.update((queue, one.id) for one in page)
                after = page[-1].id
        return held


def _still(coordinator: Coordinator, sent: DispatchedAttempt, at_ms: int) -> bool:
    """Whether the attempt was neither ended nor sent again since `at_ms`."""
    return not sent.over and sent.sent_ms == at_ms and not coordinator.dropped
