# SPDX-License-Identifier: Apache-2.0
"""Results on their way into the journal, and the news of them to the owners of their workflows.

One append, one reply, no task; only what is not `new` at the first try gets a coroutine of its own, which insists.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nervenet.clock import SYSTEM
from nervenet.node.gateway.drops import heard
from nervenet.node.gateway.guest import Stage
from nervenet.node.gateway.live import Live
from nervenet.node.gateway.outcome import same_result
from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.streams.answers import Appended
from nervenet.streams.queues import OutgoingWake
from nervenet.streams.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.guest import Held
    from nervenet.node.gateway.outcome import Verdict
    from nervenet.node.workflows.wakes import Wakes

ASK_AGAIN: Final = 1.0
REFUSALS: Final = 10
"""Times that an outcome is offered to a workflow whose head or journal is damaged: its owner may make it again."""

_log = logging.getLogger(__name__)


def is_forgotten(context: NodeContext, held: Held) -> bool:
    """Whether the workflow is gone for good: its closed run would have expired by now."""
    return context.clock.now_ms() - held.envelope.enqueue_time.ToMilliseconds() > context.config.retention_ms


class Recorder:
    """One for each gateway."""

    def __init__(self, context: NodeContext, wakes: Wakes) -> None:
        self._context = context
        self._wakes = wakes
        self._journal = context.journal
        self._queues = context.queues
        self.live = Live(context)
        self.recent = Recent(context.journal, context.queues, SYSTEM)

    def record(self, held: Held, verdict: Verdict, then: Callable[[Held, bool], None]) -> None:
        """Append it; `then` hears whether it stands there now, or something else was there first."""
        held.stage = Stage.RECORDING
        self.live.flush(held)
        workflow_id, run, _, _, _ = held.claim
        reply = self._journal.append_nowait(workflow_id, run, verdict.name, verdict.entry)
        reply.add_done_callback(partial(self._appended, held, verdict, then))

    def _appended(
        self, held: Held, verdict: Verdict, then: Callable[[Held, bool], None], reply: asyncio.Future[Any]
    ) -> None:
        if reply.cancelled():
            return
        appended = Appended.parse(reply.result()) if reply.exception() is None else None
        if appended is not None and appended.status == "new":
            self._recorded(held, verdict, appended)
            then(held, True)
        else:
            self._context.spawn(self._append_patiently(held, verdict, then))

    async def _append_patiently(self, held: Held, verdict: Verdict, then: Callable[[Held, bool], None]) -> None:
        workflow_id, run, _, attempt, agent_id = held.claim
        try:
            appended = await self._insist(held, verdict)
        except LinkClosed:
            return
        except LinkError:  # what stands under its workflow's keys is damaged: its agent is free all the same
            then(held, False)
            return
        recorded = appended.status == "new"
        if recorded:
            self._recorded(held, verdict, appended)
        elif appended.recorded:
            stands = await self._journal.entry(workflow_id, appended.id)
            recorded = stands is not None and same_result(stands[1], agent_id, attempt)
            if stands is not None and appended.owner:
                self._wake(OutgoingWake(appended.owner, workflow_id, run, appended.id, *stands))
        then(held, recorded)

    async def _insist(self, held: Held, verdict: Verdict) -> Appended:
        """Until Redis takes it, and the workflow's owner has written back the head that Redis lost."""
        workflow_id, run, _, _, _ = held.claim
        tries = REFUSALS
        while True:
            try:
                appended = await self._journal.append(workflow_id, run, verdict.name, verdict.entry)
                if appended.status != "unknown" or is_forgotten(self._context, held):
                    return appended
                _log.warning("%s: Redis does not know its workflow (yet)", held.envelope.task_id)
            except LinkClosed:
                raise
            except LinkError as error:
                _log.warning("%s: its outcome waits for Redis: %s", held.envelope.task_id, error)
                if error.is_of_one_key and (tries := tries - 1) == 0:
                    raise
            await asyncio.sleep(ASK_AGAIN)

    def _recorded(self, held: Held, verdict: Verdict, appended: Appended) -> None:
        workflow_id, run, _, _, _ = held.claim
        self.recent.recorded(workflow_id, run, verdict.name, verdict.entry)
        held.guest.ended(self._context.clock.now_ms() - held.started_ms, verdict.failed)
        self._wake(OutgoingWake(appended.owner, workflow_id, run, appended.id, verdict.name, verdict.entry))

    def _wake(self, news: OutgoingWake) -> None:
        if news.owner == self._context.status.node_id:  # it is ours: no detour
            self._wakes.received(news.workflow_id, news.journal_id, news.name, news.entry)
        else:
            self._queues.wake_nowait(news).add_done_callback(heard)

    async def tell_again(self, held: Held, owner: str) -> None:
        """The outcome is in the journal, whoever wrote it; its owner may have missed the news."""
        workflow_id, run, step, _, _ = held.claim
        at = await self._journal.outcome_id(workflow_id, step)
        if at and owner and (stands := await self._journal.entry(workflow_id, at)) is not None:
            self._wake(OutgoingWake(owner, workflow_id, run, at, *stands))
