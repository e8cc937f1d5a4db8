# SPDX-License-Identifier: Apache-2.0
"""Sends attempts to agents: selects an agent and appends the envelope to its inbox, or to the queue of the requirement.

It hides selection, envelopes and what happens when an inbox no longer exists. Nothing is written to the journal before or
after. The pending monitor finds a copy that was lost, and the claim turns a second copy away; the first copy of a first
attempt may begin before it is claimed (decision 0064). One command per attempt, no task, no await: the reply comes to a
callback that stores the entry's id.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from nervenet.durable.retry import LOST_LIMIT
from nervenet.errors import NervenetError, detail
from nervenet.node.timers import Round
from nervenet.redis_link.faults import LinkError, RedisRefused
from nervenet.registry.selection import require
from nervenet.telemetry import producer
from nervenet.timing import (
    BLAME_SEPARATE_MS,
    BLOBS_RETRY_MS,
    DISPATCH_RETRY_MS,
    FULL_QUEUE_RETRY_MS,
    QUEUE_NAME_AGAIN_MS,
    QUEUED_HINT_EVERY_MS,
)
from nervenet.wire import Envelope, encode_common, encode_envelope, encode_varying, task_id

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from nervenet.blobs import Blobs
    from nervenet.node.context import NodeContext
    from nervenet.node.tasks.blame import Blame
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.attempt import DispatchedAttempt
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.records import Trace
    from nervenet.registry.selection import Requirement

_log = logging.getLogger(__name__)

MOST_KNOWN = 10_000
"""Limit of remembered requirements: workflows choose the labels, so there can be any number."""


class Dispatcher:
    """One for each node."""

    def __init__(self, context: NodeContext, blame: Blame, admission: Admission) -> None:
        self._context = context
        self._status = context.status
        self._blame = blame
        self._admission = admission
        self._pools = context.table.pools
        self._queues = context.queues
        self._requirements: dict[tuple[str, Any, str | None], Requirement] = {}
        self._inboxes: dict[str, bytes] = {}
        self._made: set[Requirement] = set()
        self._named: dict[Requirement, int] = {}
        self._announced: dict[str, int] = {}
        self._accepting: dict[int, Round[tuple[Coordinator, DispatchedAttempt, int]]] = {}

    def send(
        self,
        coordinator: Coordinator,
        sent: DispatchedAttempt,
        avoid: tuple[str, ...] = (),
        *,
        first: bool = False,
        now_ms: int | None = None,
    ) -> None:
        """Select an agent and send. Called again for the same attempt when its copy is lost. `first`: nobody can have sent this attempt
        before. `now_ms`: for a caller who has just asked the clock."""
        dispatch = sent.dispatch
        options = dispatch.options
        requirement = self._requirement(dispatch.capability, options.match, dispatch.version)
        others = bool(dispatch.avoid) and self._pools.others(requirement, dispatch.avoid)
        policy = "least_loaded" if others and options.policy == "queue" else options.policy
        apart = self._blame.keep_apart(coordinator, sent) if dispatch.attempt >= LOST_LIMIT else None
        if apart is not None:
            policy, avoid = "least_loaded" if policy == "queue" else policy, avoid + apart
        choice = self._pools.choose(requirement, policy, avoid=dispatch.avoid + avoid, sticky_key=options.sticky_key)
        if sent.agent_id:
            self.release(sent)
        sent.claim_later = False
        now = sent.sent_ms = self._context.clock.now_ms() if now_ms is None else now_ms
        apart = apart if now < sent.due_ms + BLAME_SEPARATE_MS else None
        waits = apart and (choice.agent is None or choice.agent.agent_id in apart)
        if waits or coordinator.awaiting_reconciliation:  # then Redis may have lost what asks for it
            sent.entry_id = sent.stream = b""
            sent.timers.append(self._context.timers.at(now + DISPATCH_RETRY_MS, self._again, coordinator, sent, now))
            return
        agent = choice.agent
        agent_id = sent.agent_id = agent.agent_id if agent is not None else ""
        sent.entry_id = b""
        if agent is None and self._admission.queue_full(requirement):
            sent.stream = b""
            self._context.timers.at(now + FULL_QUEUE_RETRY_MS, self._again, coordinator, sent, now)
            return
        # the node of a gateway claims at once: its agents may need the checkpoint
        sent.claim_later = first and agent is not None and agent.stream == agent_id and dispatch.attempt == 1
        envelope = self._envelope(coordinator, sent, now, dispatch.avoid if others else ())
        if agent is not None:
            sent.stream = self._inbox(agent.stream)
            self._pools.assign(agent_id, dispatch.capability, now)
        else:
            sent.stream = self._context.keys.queue(dispatch.capability, requirement.hash)
        if (blobs := self._context.blobs) is not None and blobs.is_large(envelope):
            self._context.spawn(self._place_large(blobs, coordinator, sent, requirement, envelope, avoid))
        else:
            self._place(coordinator, sent, requirement, envelope, avoid)

    async def _place_large(
        self,
        blobs: Blobs,
        coordinator: Coordinator,
        sent: DispatchedAttempt,
        requirement: Requirement,
        envelope: bytes,
        avoid: tuple[str, ...],
    ) -> None:
        """Its input goes to the blob store first. The same attempt may be sent again meanwhile: then that one counts."""
        at_ms = sent.sent_ms
        try:
            envelope = await blobs.store_envelope(coordinator.workflow_id, coordinator.run, envelope)
        except LinkError as error:
            if not sent.over and sent.sent_ms == at_ms:
                _log.warning("%s of %s waits: %s", sent.dispatch.step, coordinator.workflow_id, error)
                due = self._context.clock.now_ms() + BLOBS_RETRY_MS
                sent.timers.append(self._context.timers.at(due, self._again, coordinator, sent, at_ms))
        else:
            if not sent.over and sent.sent_ms == at_ms:
                self._place(coordinator, sent, requirement, envelope, avoid)

    def _place(
        self,
        coordinator: Coordinator,
        sent: DispatchedAttempt,
        requirement: Requirement,
        envelope: bytes,
        avoid: tuple[str, ...],
    ) -> None:
        """Into the inbox or the queue of `sent.stream`."""
        metrics, capability, now = self._context.metrics, sent.dispatch.capability, sent.sent_ms
        if sent.agent_id:
            future = self._context.link.send("XADD", sent.stream, "NOMKSTREAM", "*", "e", envelope)
            if sent.dispatch.options.accept_ms is not None:
                self.expect_acceptance(coordinator, sent, sent.dispatch.options.accept_ms)
        else:
            if requirement not in self._made:
                metrics.sent.child(capability, "queue").add()
                self._context.spawn(self._make(coordinator, sent, requirement, envelope))
                return
            future = self._queues.send_queue_nowait(capability, envelope, requirement.hash)
            self._announce(capability, now)
        metrics.sent.child(capability, "inbox" if sent.agent_id else "queue").value += 1
        future.add_done_callback(partial(self._placed, coordinator, sent, now, avoid))

    def expect_acceptance(self, coordinator: Coordinator, sent: DispatchedAttempt, within_ms: int) -> None:
        """An agent's inbox has it: if the agent has not claimed it by then, another agent gets it."""
        within_ms = rounded(within_ms)
        expected = self._accepting.get(within_ms)
        if expected is None:
            expected = self._accepting[within_ms] = Round(self._context.clock, within_ms)
        sent.timers.append(expected.put((coordinator, sent, sent.sent_ms), sent.sent_ms))

    def not_accepted(self, most: int) -> Iterator[dict[Coordinator, None]]:
        """The workflows with attempts that no agent has claimed in time, at most `most` for each accept timeout."""
        for expected in tuple(self._accepting.values()):  # while the caller looks, a send may add a time
            due = expected.due(most)
            yield dict.fromkeys(c for c, sent, at in due if not sent.over and sent.sent_ms == at and sent.agent_id)

    def _inbox(self, process_id: str) -> bytes:
        found = self._inboxes.get(process_id)
        if found is None:
            if len(self._inboxes) >= MOST_KNOWN:
                self._inboxes.clear()
            found = self._inboxes[process_id] = self._context.keys.inbox(process_id)
        return found

    def _envelope(self, coordinator: Coordinator, sent: DispatchedAttempt, now: int, avoid: tuple[str, ...]) -> bytes:
        """The message to the agent. Most of them have no limits of time, hints or labels of their own: those are encoded straight,
        with what all steps of a run have in common encoded once."""
        dispatch, agent_id, reply_to = sent.dispatch, sent.agent_id, self._status.node_id
        options = dispatch.options
        plain = not (avoid or dispatch.hint or options.labels) and coordinator.story is None
        if plain and dispatch.total_due_ms is None and options.attempt_ms is None and options.heartbeat_ms is None:
            common = coordinator.envelope_part
            if common is None or common[0] != reply_to:
                encoded = encode_common(
                    coordinator.workflow_id, coordinator.run, reply_to, coordinator.labels, coordinator.trace
                )
                common = coordinator.envelope_part = (reply_to, encoded)
            step, workflow_id, run = dispatch.step, coordinator.workflow_id, coordinator.run
            return common[1] + encode_varying(
                f"{workflow_id}/{step}" if run == 1 else task_id(workflow_id, run, step),
                step,
                dispatch.capability,
                dispatch.attempt,
                dispatch.input,
                dispatch.digest,
                agent_id,
                now,
                coordinator.last_id,
                sent.claim_later,
            )
        return encode_envelope(
            Envelope(
                workflow_id=coordinator.workflow_id,
                run=coordinator.run,
                step=dispatch.step,
                capability=dispatch.capability,
                attempt=dispatch.attempt,
                input=dispatch.input,
                digest=dispatch.digest,
                reply_to=reply_to,
                agent_id=agent_id,
                trace=self._trace(coordinator, dispatch.step, dispatch.capability, dispatch.attempt),
                deadline_ms=dispatch.total_due_ms,
                attempt_timeout_ms=options.attempt_ms,
                heartbeat_timeout_ms=options.heartbeat_ms,
                enqueue_ms=now,
                after_entry_id=coordinator.last_id,
                hint=dispatch.hint,
                labels={**coordinator.labels, **options.labels} if options.labels else coordinator.labels,
                avoid=avoid,
                claim_later=sent.claim_later,
            )
        )

    def _trace(self, coordinator: Coordinator, step: str, capability: str, attempt: int) -> Trace:
        trace = coordinator.trace
        if coordinator.story is None:  # not traced: pass the caller's context on as it is
            return trace
        coordinator.story.sent(step, attempt, capability, self._context.clock.now_ms())
        return producer(trace, task_id(coordinator.workflow_id, coordinator.run, step), attempt)

    async def _make(
        self, coordinator: Coordinator, sent: DispatchedAttempt, requirement: Requirement, envelope: bytes
    ) -> None:
        """The first task of a requirement: write the name of its queue and make its group first."""
        await self._name(requirement)
        if len(self._made) >= MOST_KNOWN:
            self.forget_queues()  # making a queue again changes nothing
        self._made.add(requirement)
        if not sent.over:
            sent.entry_id = await self._queues.send_queue(requirement.capability, envelope, requirement.hash)
            self._announce(requirement.capability, self._context.clock.now_ms())

    def _announce(self, capability: str, now_ms: int) -> None:
        """A task went to a queue of this capability: tell those who start agents for it, a few times a second at most."""
        if now_ms - self._announced.get(capability, 0) >= QUEUED_HINT_EVERY_MS:
            if len(self._announced) >= MOST_KNOWN:
                self._announced.clear()
            self._announced[capability] = now_ms
            self._context.spawn(self._queues.announce(capability))

    def name_again(self, sent: DispatchedAttempt) -> None:
        """A task waits in its queue: make the queue again, in case its requirement was changed, or Redis has lost it and then got the task."""
        dispatch, now = sent.dispatch, self._context.clock.now_ms()
        requirement = self._requirement(dispatch.capability, dispatch.options.match, dispatch.version)
        if now - self._named.get(requirement, 0) >= QUEUE_NAME_AGAIN_MS:
            if len(self._named) >= MOST_KNOWN:
                self._named.clear()
            self._named[requirement] = now
            self._context.spawn(self._name(requirement))

    async def _name(self, requirement: Requirement) -> None:
        says = json.dumps({"match": dict(requirement.match), "version": requirement.version}, separators=(",", ":"))
        await self._queues.make_queue(requirement.capability, requirement.hash, says.encode())

    def queued_capabilities(self) -> set[str]:
        """The capabilities for which this node has sent tasks to a shared queue."""
        return {requirement.capability for requirement in self._made}

    def forget_queues(self) -> None:
        """Redis may have lost the queues: make each one again before its next task."""
        self._made.clear()
        self._named.clear()

    def _requirement(self, capability: str, match: Any, version: str | None) -> Requirement:
        key = (capability, match, version)
        found = self._requirements.get(key)
        if found is None:
            if len(self._requirements) >= MOST_KNOWN:
                self._requirements.clear()
            found = self._requirements[key] = require(capability, match, version)
        return found

    def _placed(
        self,
        coordinator: Coordinator,
        sent: DispatchedAttempt,
        at_ms: int,
        avoid: tuple[str, ...],
        reply: asyncio.Future[Any],
    ) -> None:
        if sent.over or sent.sent_ms != at_ms or reply.cancelled():
            return
        error = reply.exception()
        if error is not None:
            _log.debug("%s not sent: %s", sent, error)
            self._context.metrics.resent.child("unsent").add()
            if isinstance(error, RedisRefused) and error.wrong_type:
                self._made.clear()  # the queue is made again before its next task
            due = self._context.clock.now_ms() + DISPATCH_RETRY_MS
            sent.timers.append(self._context.timers.at(due, self._again, coordinator, sent, at_ms))
        elif (entry_id := reply.result()) is None:  # that inbox no longer exists: another agent
            self.send(coordinator, sent, (*avoid, sent.agent_id))
        else:
            sent.entry_id = entry_id

    def _again(self, coordinator: Coordinator, sent: DispatchedAttempt, at_ms: int) -> None:
        if not sent.over and sent.sent_ms == at_ms:
            self.send(coordinator, sent)

    def refused(self, coordinator: Coordinator, which: str) -> None:
        """An agent that a task avoids has read `<step>#<attempt>` from a queue and left it to others: send it again.

        Not at once: an agent that has no room now may have some then. When no others are left, any agent gets it.
        """
        step, _, attempt = which.rpartition("#")
        sent = coordinator.sent.get(step)
        if sent is None or sent.over or sent.agent_id or str(sent.dispatch.attempt) != attempt:
            return
        self._context.metrics.resent.child("refused").add()
        sent.sent_ms = now = self._context.clock.now_ms()
        sent.stream = sent.entry_id = b""
        sent.timers.append(self._context.timers.at(now + DISPATCH_RETRY_MS, self._again, coordinator, sent, now))

    def release(self, sent: DispatchedAttempt) -> None:
        """The task is no longer with the agent that we assigned it to."""
        if sent.agent_id:
            self._pools.release(sent.agent_id, sent.dispatch.capability, sent.sent_ms)
            sent.agent_id = ""

    # ── stopping what runs ───────────────────────────────────────────────────────────────────────────────────────────

    def recall(self, coordinator: Coordinator, sent: DispatchedAttempt, reason: str) -> None:
        """Its run is over: its agent stops it, or does not get it."""
        self.take_back(sent)
        self.tell_to_stop(coordinator, sent.dispatch.step, sent.agent_id, sent.dispatch.attempt, reason)

    def take_back(self, sent: DispatchedAttempt) -> None:
        """Delete the copy of a step that is over: its agent would begin it without a claim."""
        if sent.claim_later and sent.entry_id:
            self._context.spawn(self._take_back(sent.stream, sent.entry_id))

    async def _take_back(self, stream: bytes, entry_id: bytes) -> None:
        with suppress(LinkError):  # its agent claims it later, or has claimed it
            await self._queues.drop(stream, entry_id)

    def tell_to_stop(self, coordinator: Coordinator, step: str, agent_id: str, attempt: int, reason: str) -> None:
        """Have an agent stop a task now. Without this the agent stops when it cannot renew its claim."""
        self._context.spawn(self.stop(coordinator, step, agent_id, attempt, reason))

    async def stop(self, coordinator: Coordinator, step: str, agent_id: str, attempt: int, reason: str) -> bool | None:
        """Ask an agent to stop a task. Whether it ran there; None: the agent can't be asked."""
        agent = self._context.table.agents.get(agent_id)
        if agent is None or not agent.control_endpoint or (served := self._status.served) is None:
            return None
        endpoint = agent.control_endpoint
        task = task_id(coordinator.workflow_id, coordinator.run, step)
        try:
            return await served.control.cancel_task(endpoint, agent_id, task, coordinator.run, attempt, reason)
        except NervenetError as error:
            _log.debug("%s was not told to stop %s: %s", agent_id, task, detail(error))
            return None


@lru_cache(maxsize=256)
def rounded(ms: int) -> int:
    """At most an eighth later, so that there are a few hundred different times, whatever times callers choose."""
    step = 1 << max(0, ms.bit_length() - 4)
    return -(-ms // step) * step
