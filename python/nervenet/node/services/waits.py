# SPDX-License-Identifier: Apache-2.0
"""What workflows wait for: of those that this node hosts from memory and one look at their claims, of others from their
owners, each of which is asked once.

`gather` decides, as a pure function, what a workflow's machine, attempts and claims come to. Waits that are alike become
one: a fan-out of a thousand tasks is a line, and what a list costs does not depend on it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.durable.pending import SENT
from nervenet.errors import RequestError
from nervenet.node.workflows.unloaded import UnloadedWorkflow, Waiting
from nervenet.records import FailureCode, State
from nervenet.redis_link.faults import RedisRefused, Unreadable
from nervenet.registry.selection import ALL_BUSY, BY_POLICY, NOBODY, require
from nervenet.streams.keys import escalation_id
from nervenet.timing import STUCK_SILENT_MS, STUCK_UNSERVED_MS
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2
from nervenet.wire import failure_out, timestamp
from nervenet.wire.waits import wait_words

if TYPE_CHECKING:
    from nervenet.durable import Pending
    from nervenet.node.context import NodeContext
    from nervenet.node.services.peers import Peers
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.attempt import DispatchedAttempt
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.placement import Placement
    from nervenet.streams.heads import Claim, Head

_log = logging.getLogger(__name__)

MOST_WAITS: Final = 20
MOST_CLAIMS: Final = 100
"""Of one workflow's steps, how many claims are read for a list. Of the others memory says who runs them, a lease ago."""
MOST_WORKFLOWS: Final = 1_000
"""In one question to an owner."""
STEPS_AT_A_TIME: Final = 500
"""Steps of one workflow that are gone through without a pause: a few milliseconds."""


_NO_FAILURE: Final = frozenset({FailureCode.AGENT_DRAINED})
"""Its agent stopped in an orderly way, and another one got the task: nothing went wrong with it."""


class StuckAfter(NamedTuple):
    """Milliseconds after which a task is stuck: without an agent, without a sign of life."""

    unserved_ms: int = STUCK_UNSERVED_MS
    silent_ms: int = STUCK_SILENT_MS

    @classmethod
    def given(cls, ms: int | None) -> StuckAfter:
        return cls() if ms is None else cls(ms, ms)


class Reason(NamedTuple):
    """Why nobody runs a task. `group`: the same for tasks that wait for the same thing."""

    words: str
    group: str = ""
    unserved: bool = False
    agent_id: str = ""


class _Run(NamedTuple):
    """Who runs a step, since when, and when its handler gave the last sign of life (0: nobody has looked)."""

    agent_id: str
    since_ms: int
    alive_ms: int
    fraction: float


class WaitGroups:
    """Waits, those that are alike as one: the one with the least `order`, which is a time, and their number."""

    def __init__(self) -> None:
        self._groups: dict[tuple[object, ...], workflow_pb2.Wait] = {}
        self._order: dict[tuple[object, ...], int] = {}

    def counts(self, kind: workflow_pb2.WaitKind, order: int, *alike: object) -> bool:
        """Count one more of a group that is known and begins earlier. False: `add` it. Of thousands that are alike few are added."""
        key = (kind, *alike)
        least = self._order.get(key)
        if least is None or order < least:
            return False
        self._groups[key].count += 1
        return True

    def add(self, kind: workflow_pb2.WaitKind, order: int, *alike: object, count: int = 1, **fields: Any) -> None:
        key = (kind, *alike)
        least = self._order.get(key)
        if least is None or order < least:
            before = 0 if least is None else self._groups[key].count
            self._groups[key] = workflow_pb2.Wait(kind=kind, count=before + count, **fields)
            self._order[key] = order
        else:
            self._groups[key].count += count

    def result(self, workflow_id: str, run: int) -> pb.WorkflowWaits:
        """The most urgent first: what is stuck, then by kind, then by time."""
        keys = sorted(self._groups, key=lambda key: (not self._groups[key].stuck, key[0], self._order[key]))
        waits = [self._groups[key] for key in keys]
        for wait in waits[:MOST_WAITS]:
            wait.words = wait_words(wait)
        more = sum(wait.count for wait in waits[MOST_WAITS:])
        return pb.WorkflowWaits(workflow_id=workflow_id, run=run, waits=waits[:MOST_WAITS], more_waits=more)


class Waits:
    """One for each node."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        admission: Admission,
        placement: Placement,
        peers: Peers,
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._admission = admission
        self._placement = placement
        self._peers = peers

    # ── many workflows, of any node ──────────────────────────────────────────────────────────────────────────────────

    async def of(self, heads: Mapping[str, Head], stuck_ms: int | None = None) -> dict[str, pb.WorkflowWaits | None]:
        """What these open workflows wait for; None: their owner does not answer."""
        found: dict[str, pb.WorkflowWaits | None] = {}
        by_owner: dict[str, list[str]] = {}
        here: list[str] = []
        for workflow_id, head in heads.items():
            if head.state is State.BLOCKED:
                found[workflow_id] = blocked_waits(workflow_id, head.run, head.blocked, head.note)
            elif self._hosted.find(workflow_id) is not None:
                here.append(workflow_id)
            elif self._context.table.nodes.get(head.owner) is None:
                found[workflow_id] = self._without_owner(workflow_id, head)
            else:
                found[workflow_id] = None
                by_owner.setdefault(head.owner, []).append(workflow_id)
        told = [self._ask(owner, ids, stuck_ms) for owner, ids in by_owner.items()]
        for answer in await asyncio.gather(self.here(here, StuckAfter.given(stuck_ms)), *told):
            found.update({one.workflow_id: one for one in answer})
        return found

    async def _ask(self, owner: str, workflow_ids: list[str], stuck_ms: int | None) -> list[pb.WorkflowWaits]:
        node = self._context.table.nodes.get(owner)
        if node is None or owner == self._context.status.node_id:  # ours, and not loaded yet
            return []
        try:
            return await self._peers.waits(node.address, workflow_ids[:MOST_WORKFLOWS], stuck_ms)
        except RequestError as error:
            _log.info("%s does not say what its workflows wait for: %s", owner, error)
            return []

    def _without_owner(self, workflow_id: str, head: Head) -> pb.WorkflowWaits:
        """Its node is gone. Another one takes it over, if there is one with the code."""
        able = self._placement.able(head.definition, head.version, head.runtime)
        what = f"{head.definition} v{head.version} on {head.runtime}"
        after = "another one takes it over" if able else f"no live node has {what}: start one"
        groups = WaitGroups()
        groups.add(
            workflow_pb2.WAIT_KIND_NODE,
            0,
            agent_id=head.owner,
            reason=f"its node {head.owner} is gone, {after}",
            stuck=not able,
        )
        return groups.result(workflow_id, head.run)

    # ── workflows of this node ───────────────────────────────────────────────────────────────────────────────────────

    async def here(self, workflow_ids: Iterable[str], stuck: StuckAfter) -> list[pb.WorkflowWaits]:
        """What those of these wait for that this node hosts."""
        hosted = [found for each in workflow_ids if (found := self._hosted.find(each)) is not None]
        told = [_of_unloaded(one) for one in hosted if isinstance(one, UnloadedWorkflow)]
        looks = [(one, self._look(one)) for one in hosted if not isinstance(one, UnloadedWorkflow)]
        for coordinator, look in looks:
            claims: Mapping[str, Claim] = await look if look is not None else {}
            told.append(await self.one(coordinator, claims, stuck))
        return told

    def _look(self, coordinator: Coordinator) -> asyncio.Task[Mapping[str, Claim]] | None:
        steps = list(coordinator.sent)[:MOST_CLAIMS]
        return asyncio.ensure_future(self._claims(coordinator.workflow_id, steps)) if steps else None

    async def _claims(self, workflow_id: str, steps: list[str]) -> Mapping[str, Claim]:
        try:
            look = await self._context.journal.look(workflow_id, steps)
        except Unreadable:
            return {}
        except RedisRefused as error:
            if error.retry:
                raise
            return {}
        return {} if look is None else look.claims

    async def one(
        self, coordinator: Coordinator, claims: Mapping[str, Claim], stuck: StuckAfter | None = None
    ) -> pb.WorkflowWaits:
        """What one workflow waits for. Thousands of steps are gone through in parts."""
        machine, limits = coordinator.machine, stuck or StuckAfter()
        groups = WaitGroups()
        if (blocked := machine.blocked) is not None:
            groups.add(workflow_pb2.WAIT_KIND_BLOCKED, 0, reason=blocked.note, stuck=True)
            return groups.result(coordinator.workflow_id, coordinator.run)
        now = self._context.clock.now_ms()
        reasons = self.reasons()
        for number, call in enumerate(list(machine.pending.values()), 1):
            self._step(groups, coordinator, call, claims.get(call.step), reasons, now, limits)
            if number % STEPS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        for child in machine.children.values():
            at, kind = child.since_ms, workflow_pb2.WAIT_KIND_CHILD
            groups.add(kind, at, child.definition, step=child.step, workflow_id=child.id, since_time=timestamp(at))
        for one in machine.sendings.values():
            at, kind, to = one.since_ms, workflow_pb2.WAIT_KIND_DELIVERY, one.workflow_id
            groups.add(kind, at, one.signal, step=one.step, signal=one.signal, workflow_id=to, since_time=timestamp(at))
        _add_waiting(groups, coordinator.workflow_id, Waiting.of(machine))
        return groups.result(coordinator.workflow_id, coordinator.run)

    def reasons(self) -> Reasons:
        """For the tasks of one workflow, now."""
        return Reasons(self._context, self._admission)

    def _step(
        self,
        groups: WaitGroups,
        coordinator: Coordinator,
        call: Pending,
        claim: Claim | None,
        reasons: Reasons,
        now_ms: int,
        limits: StuckAfter,
    ) -> None:
        if call.phase is SENT and call.at_ms > now_ms and call.last_failed is not None:
            _retry(groups, call)
        elif call.phase is SENT:
            sent = coordinator.sent.get(call.step)
            run = _run_of(call, sent, claim)
            if run is not None:
                _running(groups, call, run, stuck=0 < run.alive_ms < now_ms - limits.silent_ms)
            else:
                _queued(groups, call, reasons.of(call, sent), now_ms, limits)


class Reasons:
    """Why nobody runs the tasks of one workflow. What is alike for many of them is found out once."""

    def __init__(self, context: NodeContext, admission: Admission) -> None:
        self._context = context
        self._admission = admission
        self._known: dict[tuple[object, ...], Reason] = {}

    def of(self, call: Pending, sent: DispatchedAttempt | None) -> Reason:
        """Why nobody runs a task that is due."""
        agent_id = "" if sent is None else sent.agent_id
        key = (call.capability, call.version, call.options.match, agent_id, sent is None, bool(sent and sent.stream))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(call, sent)
        return found

    def _find(self, call: Pending, sent: DispatchedAttempt | None) -> Reason:
        options = call.options
        requirement = require(call.capability, options.match, call.version)
        choice = self._context.table.pools.explain(requirement).choice
        wanted = ", ".join(f"{key}={value}" for key, value in requirement.match)
        if choice is NOBODY:
            pools = self._context.table.pools
            for candidate in pools.candidates(requirement.capability):
                if why := pools.why_ejected(candidate.agent_id):
                    words = f"{candidate.agent_id} gets no tasks for a while: {why}"
                    return Reason(words, words, unserved=True, agent_id=candidate.agent_id)
            words = f"{choice.why} with {wanted}" if wanted else choice.why
            return Reason(words, words, unserved=True)
        if sent is None:
            return Reason("it is being sent", "sending")
        if sent.agent_id:
            return Reason(f"{sent.agent_id} has not taken it yet", "inbox", agent_id=sent.agent_id)
        if not sent.stream and self._admission.queue_full(requirement):
            return Reason(f"the queue of {requirement.capability} is full (NERVENET_MAX_QUEUED)", "full")
        if choice is ALL_BUSY or choice is BY_POLICY:
            return Reason(choice.why, choice.why)
        return Reason("an agent takes it from the queue", "queue")


def _of_unloaded(one: UnloadedWorkflow) -> pb.WorkflowWaits:
    groups = WaitGroups()
    _add_waiting(groups, one.workflow_id, Waiting.unpacked(one.waiting))
    return groups.result(one.workflow_id, one.run)


def _add_waiting(groups: WaitGroups, workflow_id: str, waiting: Waiting) -> None:
    """People, signals and timers."""
    for asked in waiting.questions:
        groups.add(
            workflow_pb2.WAIT_KIND_HUMAN,
            asked.since_ms,
            asked.step.partition(".")[0],
            step=asked.step,
            capability=asked.capability,
            question=asked.text,
            escalation_id=escalation_id(workflow_id, asked.step, asked.question_number),
            since_time=timestamp(asked.since_ms),
            due_time=timestamp(asked.deadline_ms),
        )
    for name, number, at in waiting.signals:
        kind = workflow_pb2.WAIT_KIND_SIGNAL
        groups.add(kind, at, name, count=number, signal=name, since_time=timestamp(at))
    for number, is_limit, since_ms, due_ms in waiting.timers:
        kind = workflow_pb2.WAIT_KIND_TIME_LIMIT if is_limit else workflow_pb2.WAIT_KIND_SLEEP
        times: dict[str, Any] = {"since_time": timestamp(since_ms), "due_time": timestamp(due_ms)}
        groups.add(kind, due_ms, step=str(number), **times)


def queued_since(call: Pending) -> int:
    """Since when the attempt that is due now waits for an agent."""
    return call.at_ms or (call.last_failed.at_ms if call.last_failed is not None else call.since_ms)


def max_attempts(call: Pending) -> int:
    """How many attempts the step may have; 0 = no limit. Those that were lost with their agents do not count."""
    limit = call.tally.limit
    return 0 if limit is None else max(limit + call.tally.lost, call.attempt)


def blocked_waits(workflow_id: str, run: int, blocked: bytes, note: str) -> pb.WorkflowWaits:
    """Of a BLOCKED workflow, by its head alone."""
    try:
        since = int(json.loads(blocked)["time_ms"])
    except (ValueError, TypeError, KeyError):
        since = 0
    groups = WaitGroups()
    groups.add(workflow_pb2.WAIT_KIND_BLOCKED, 0, reason=note, since_time=timestamp(since), stuck=True)
    return groups.result(workflow_id, run)


def _has_failed(call: Pending) -> bool:
    """Whether it is tried again. An agent that stopped in an orderly way is no failure."""
    return call.last_failed is not None and call.last_failed.failure.code not in _NO_FAILURE


def _task(call: Pending) -> dict[str, Any]:
    failed = call.last_failed if _has_failed(call) else None
    return {
        "step": call.step,
        "capability": call.capability or "",
        "attempt": call.attempt,
        "max_attempts": max_attempts(call),
        "last_failure": None if failed is None else failure_out(failed.failure),
    }


def _queued(groups: WaitGroups, call: Pending, reason: Reason, now_ms: int, limits: StuckAfter) -> None:
    since, kind = queued_since(call), workflow_pb2.WAIT_KIND_QUEUED
    stuck = reason.unserved and now_ms - since > limits.unserved_ms
    alike = (call.capability, reason.group, stuck, _has_failed(call))
    if not groups.counts(kind, since, *alike):
        groups.add(
            kind,
            since,
            *alike,
            agent_id=reason.agent_id,
            reason=reason.words,
            stuck=stuck,
            since_time=timestamp(since),
            **_task(call),
        )


def _retry(groups: WaitGroups, call: Pending) -> None:
    failed = call.last_failed
    assert failed is not None
    what = failed.failure.type or failed.failure.code
    times: dict[str, Any] = {"since_time": timestamp(failed.at_ms), "due_time": timestamp(call.at_ms)}
    groups.add(workflow_pb2.WAIT_KIND_RETRY, call.at_ms, call.capability, what, **_task(call), **times)


def _running(groups: WaitGroups, call: Pending, run: _Run, *, stuck: bool) -> None:
    kind, alike = workflow_pb2.WAIT_KIND_RUNNING, (call.capability, stuck, _has_failed(call))
    if not groups.counts(kind, run.since_ms, *alike):
        groups.add(
            kind,
            run.since_ms,
            *alike,
            agent_id=run.agent_id,
            stuck=stuck,
            since_time=timestamp(run.since_ms),
            alive_time=timestamp(run.alive_ms),
            fraction=run.fraction if run.fraction > 0 else None,  # a claim has no other word for unknown
            **_task(call),
        )


def _run_of(call: Pending, sent: DispatchedAttempt | None, claim: Claim | None) -> _Run | None:
    """Who runs the attempt: by its claim, or by what the last look at it found."""
    if claim is not None and claim.attempt == call.attempt:
        return _Run(claim.agent_id, claim.since_ms, max(claim.since_ms, claim.beat_ms), claim.fraction)
    if sent is not None and sent.claimed_by and sent.dispatch.attempt == call.attempt:
        return _Run(sent.claimed_by, sent.started_ms, 0, 0.0)
    return None
