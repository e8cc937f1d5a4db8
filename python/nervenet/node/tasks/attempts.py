# SPDX-License-Identifier: Apache-2.0
"""The attempts of tasks, as coordinators want them: begun when they are due, ended when their time is over, withdrawn.

Every end is an entry of the owner (`attempt:…`, `task:…`). Folding it decides how the step continues.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.node.workflows.attempt import DispatchedAttempt
from nervenet.records import Attempt, Failure, FailureCode, Outcome
from nervenet.redis_link.faults import LinkError
from nervenet.streams.groups import ConsumerGroups
from nervenet.timing import BEGUN_UNCLAIMED_WITHIN_MS, STOPPED_TASK_ASK_AGAIN, UNCLAIMED_WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nervenet.durable import Dispatch, Withdraw
    from nervenet.node.context import NodeContext
    from nervenet.node.tasks.dispatcher import Dispatcher
    from nervenet.node.workflows.coordinator import Coordinator

_log = logging.getLogger(__name__)

STEPS_AT_A_TIME: Final = 50
"""Steps of one workflow that are withdrawn with one look at their claims."""
MOST_BATCHES: Final = 4
"""Batches under way. A fan-out of thousands that is canceled would bring all answers in one turn of the event loop otherwise."""


class _Withdrawal(NamedTuple):
    """A step that a workflow no longer wants, and what its journal will say."""

    coordinator: Coordinator
    command: Withdraw
    sent: DispatchedAttempt | None
    outcome: Outcome


class Attempts:
    """One for each node."""

    def __init__(self, context: NodeContext, dispatcher: Dispatcher) -> None:
        self._context = context
        self._dispatcher = dispatcher
        self._groups = ConsumerGroups(context.link, context.keys)
        self._withdrawals: deque[_Withdrawal] = deque()
        self._batches = 0

    def dispatch(self, coordinator: Coordinator, command: Dispatch) -> None:
        """Send an attempt as soon as it is due, and limit its time."""
        sent = self.follow(coordinator, command)
        if command.attempt > 1:
            self._context.metrics.retries.child(command.capability).add()
        if command.at_ms > sent.sent_ms:
            sent.timers.append(self._context.timers.at(command.at_ms, self._send, coordinator, sent))
        elif not coordinator.dropped:
            self._dispatcher.send(coordinator, sent, first=True, now_ms=sent.sent_ms)

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
            self._dispatcher.send(coordinator, sent, first=True)

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
        if sent.claim_later and await self._is_read(sent):
            return
        if not await self._holder(coordinator, sent.dispatch.step) and not sent.over:
            words = f"no agent took it within {sent.dispatch.options.queue_ms} ms"
            self.give_up(coordinator, sent, FailureCode.TIMEOUT, words, retryable=False)

    async def _is_read(self, sent: DispatchedAttempt) -> bool:
        """Whether its agent has read it, and so has begun it."""
        return bool(sent.entry_id) and (await self._groups.place(sent.stream, sent.entry_id)).kind == "pending"

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
        if command.wait:
            self._context.spawn(self._stop_and_withdraw(coordinator, command, sent, outcome))
            return
        self._withdrawals.append(_Withdrawal(coordinator, command, sent, outcome))
        if self._batches < MOST_BATCHES:
            self._batches += 1
            self._context.spawn(self._withdraw_all())

    async def _withdraw_all(self) -> None:
        try:
            while self._withdrawals:
                await self._withdraw_batch(self._next_batch())
        finally:
            self._batches -= 1

    def _next_batch(self) -> list[_Withdrawal]:
        """The next steps, all of one workflow."""
        waiting = self._withdrawals
        batch = [waiting.popleft()]
        while waiting and len(batch) < STEPS_AT_A_TIME and waiting[0].coordinator is batch[0].coordinator:
            batch.append(waiting.popleft())
        return batch

    async def _withdraw_batch(self, batch: list[_Withdrawal]) -> None:
        coordinator = batch[0].coordinator
        sent = [one.command.step for one in batch if one.sent is not None]
        try:
            holders = await self._holders(coordinator, sent) if sent else {}
        except LinkError as error:
            _log.warning("%s: agents are not told to stop: %s", coordinator.workflow_id, error)
            holders = {}  # they stop when they cannot renew their claims
        ends = (coordinator.append(f"task:{one.command.step}", one.outcome) for one in batch)
        for one, answer in zip(batch, await asyncio.gather(*ends, return_exceptions=True), strict=True):
            step, attempt = one.command.step, one.command.attempt
            if isinstance(answer, LinkError):  # the coordinator repeats it
                _log.warning("%s: %s is withdrawn later: %s", coordinator.workflow_id, step, answer)
            elif isinstance(answer, BaseException):
                _log.error("%s: %s is not withdrawn", coordinator.workflow_id, step, exc_info=answer)
            elif holder := holders.get(step):
                self._dispatcher.tell_to_stop(coordinator, step, holder, attempt, "canceled")
            elif one.sent is not None:  # an agent that has begun it stops when it claims it
                self._dispatcher.take_back(one.sent)

    async def _stop_and_withdraw(
        self, coordinator: Coordinator, command: Withdraw, sent: DispatchedAttempt | None, outcome: Outcome
    ) -> None:
        """The code waits until the agent has stopped."""
        if sent is not None and sent.claim_later:
            self._dispatcher.take_back(sent)
            left = sent.sent_ms + BEGUN_UNCLAIMED_WITHIN_MS - self._context.clock.now_ms()
            await asyncio.sleep(min(max(0, left), UNCLAIMED_WAIT_MS) / 1000)  # who has begun it has claimed it by then
        if holder := await self._holder(coordinator, command.step):
            await self._stopped(coordinator, command, holder, outcome)
        await coordinator.append(f"task:{command.step}", outcome)

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
        return (await self._holders(coordinator, (step,))).get(step, "")

    async def _holders(self, coordinator: Coordinator, steps: Sequence[str]) -> dict[str, str]:
        """The ids of the agents that claim these steps now."""
        look = await self._context.journal.look(coordinator.workflow_id, steps)
        return {} if look is None else {step: claim.agent_id for step, claim in look.claims.items()}

    async def _is_claimed(self, coordinator: Coordinator, step: str, attempt: int) -> bool:
        """Whether an agent holds this attempt and has renewed its claim in time."""
        look = await self._context.journal.look(coordinator.workflow_id, (step,))
        claim = look.claims.get(step) if look is not None and step not in look.done else None
        return claim is not None and claim.attempt == attempt and claim.until_ms >= self._context.clock.now_ms()
