# SPDX-License-Identifier: Apache-2.0
"""The attempts of tasks, as coordinators want them: begun when they are due, ended when their time is over, withdrawn.

Every end is an entry of the owner (`attempt:…`, `task:…`). Folding it decides how the step continues.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nervenet.node.workflows.attempt import DispatchedAttempt
from nervenet.records import Attempt, Failure, FailureCode, Outcome
from nervenet.timing import STOPPED_TASK_ASK_AGAIN

if TYPE_CHECKING:
    from nervenet.durable import Dispatch, Withdraw
    from nervenet.node.context import NodeContext
    from nervenet.node.tasks.dispatcher import Dispatcher
    from nervenet.node.workflows.coordinator import Coordinator


class Attempts:
    """One for each node."""

    def __init__(self, context: NodeContext, dispatcher: Dispatcher) -> None:
        self._context = context
        self._dispatcher = dispatcher

    def dispatch(self, coordinator: Coordinator, command: Dispatch) -> None:
        """Send an attempt as soon as it is due, and limit its time."""
        sent = self.follow(coordinator, command)
        if command.attempt > 1:
            self._context.metrics.retries.child(command.capability).add()
        if command.at_ms > sent.sent_ms:
            sent.timers.append(self._context.timers.at(command.at_ms, self._send, coordinator, sent))
        elif not coordinator.dropped:
            self._dispatcher.send(coordinator, sent, now_ms=sent.sent_ms)

    def follow(self, coordinator: Coordinator, command: Dispatch) -> DispatchedAttempt:
        """Limit the time of an attempt."""
        timers, options = self._context.timers, command.options
        sent = coordinator.sent[command.step] = DispatchedAttempt(command, self._context.clock.now_ms())
        if command.total_due_ms is not None:
            sent.timers.append(timers.at(command.total_due_ms, self._out_of_time, coordinator, sent))
        if options.queue_ms is not None:
            sent.timers.append(timers.at(sent.due_ms + options.queue_ms, self._queued_too_long, coordinator, sent))
        return sent

    def _send(self, coordinator: Coordinator, sent: DispatchedAttempt) -> None:
        if not sent.over and not coordinator.dropped:
            self._dispatcher.send(coordinator, sent)

    # ── given up ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _out_of_time(self, coordinator: Coordinator, sent: DispatchedAttempt) -> None:
        if not sent.over:
            words = "the time for all its attempts is over"
            self.give_up(coordinator, sent, FailureCode.TIMEOUT, words, retryable=False)

    def _queued_too_long(self, coordinator: Coordinator, sent: DispatchedAttempt) -> None:
        """Its time in the queue is over: end the attempt unless an agent has claimed it."""
        if not sent.over:
            self._context.spawn(self._end_if_unclaimed(coordinator, sent))

    async def _end_if_unclaimed(self, coordinator: Coordinator, sent: DispatchedAttempt) -> None:
        if not await self._holder(coordinator, sent.dispatch.step) and not sent.over:
            words = f"no agent took it within {sent.dispatch.options.queue_ms} ms"
            self.give_up(coordinator, sent, FailureCode.TIMEOUT, words, retryable=False)

    def give_up(
        self,
        coordinator: Coordinator,
        sent: DispatchedAttempt,
        code: FailureCode,
        message: str,
        *,
        agent_id: str = "",
        retryable: bool | None = None,
        blame_percent: int | None = None,
    ) -> None:
        """Append the failure of an attempt, and have the agent `agent_id` stop it."""
        d, now_ms = sent.dispatch, self._context.clock.now_ms()
        kind = code.title().replace("_", "")
        failure = Failure(code, message, type=kind, retryable=retryable, attempt=d.attempt, agent_id=agent_id)
        body = Attempt(
            failure, None, d.capability, d.digest, agent_id, sent.started_ms, now_ms, blame_percent=blame_percent
        )
        coordinator.record(f"attempt:{d.step}#{d.attempt}", body)
        if agent_id:
            self._dispatcher.tell_to_stop(coordinator, d.step, agent_id, d.attempt, message)

    # ── withdrawn ────────────────────────────────────────────────────────────────────────────────────────────────────

    def withdraw(self, coordinator: Coordinator, command: Withdraw, sent: DispatchedAttempt | None) -> None:
        """The workflow no longer wants the step: append that, and have its agent stop. None: this node sent no attempt."""
        failure = Failure(FailureCode.CANCELED, "the workflow gave it up", "Canceled", attempt=command.attempt)
        capability, digest = ("", b"") if sent is None else (sent.dispatch.capability, sent.dispatch.digest)
        outcome = Outcome(None, failure, capability, digest, command.attempt)
        self._context.spawn(self._withdraw(coordinator, command, sent is not None, outcome))

    async def _withdraw(self, coordinator: Coordinator, command: Withdraw, sent: bool, outcome: Outcome) -> None:
        step, attempt = command.step, command.attempt
        holder = await self._holder(coordinator, step) if sent or command.wait else ""
        if holder and command.wait:
            await self._stopped(coordinator, command, holder, outcome)
        await coordinator.append(f"task:{step}", outcome)
        if holder and not command.wait:
            self._dispatcher.tell_to_stop(coordinator, step, holder, attempt, "canceled")

    async def _stopped(self, coordinator: Coordinator, command: Withdraw, agent_id: str, outcome: Outcome) -> None:
        """Wait until the agent has stopped the task. An agent that can't be asked notices it when it renews its claim."""
        step, attempt = command.step, command.attempt
        while not coordinator.dropped:
            found = await self._dispatcher.stop(coordinator, step, agent_id, attempt, "canceled")
            if found is None:
                failed = Attempt(outcome.failure, None, outcome.capability, outcome.digest)
                await coordinator.append(f"attempt:{step}#{attempt}", failed)
            if found is False or not await self._is_claimed(coordinator, step, attempt):
                return
            await asyncio.sleep(STOPPED_TASK_ASK_AGAIN)

    # ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _holder(self, coordinator: Coordinator, step: str) -> str:
        """The id of the agent that claims a step now; "" if none does."""
        look = await self._context.journal.look(coordinator.workflow_id, (step,))
        claim = look.claims.get(step) if look is not None else None
        return claim.agent_id if claim is not None else ""

    async def _is_claimed(self, coordinator: Coordinator, step: str, attempt: int) -> bool:
        """Whether an agent holds this attempt and has renewed its claim in time."""
        look = await self._context.journal.look(coordinator.workflow_id, (step,))
        claim = look.claims.get(step) if look is not None and step not in look.done else None
        return claim is not None and claim.attempt == attempt and claim.until_ms >= self._context.clock.now_ms()
