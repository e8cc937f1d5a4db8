# SPDX-License-Identifier: Apache-2.0
"""Outcomes of attempts on their way into the journal, and the wake of the owners of their workflows.

One script appends the entry and puts it into the owner's wake, where one server has both and the workflow's owner is still
the node that sent the task (decision 0050). If the process has nothing else in hand, the script also deletes the delivery.
Everywhere else the order of a completion is law (docs/architecture.md, Complete): the journal's reply first, then the slot is
free, then the wake, XDEL and XACK in one write.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from nervenet.backoff import Backoff
from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.redis_link.replies import ignore_error
from nervenet.streams.answers import Appended
from nervenet.streams.queues import OutgoingWake
from nervenet.streams.recent import WAITING, OutcomeOfTask, RecentWrites
from nervenet.timing import BLOBS_RETRY, DATA_PLANE_RETRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.clock import Clock
    from nervenet.streams.data_plane import DataPlane
    from nervenet.streams.tasks.attempt import OutcomeEntry, TaskAttempt
    from nervenet.streams.tasks.deliveries import Deliveries

__all__ = ["OutcomeRecorder"]

GAPS: Final = 6
"""Times that an outcome is offered to a journal that lacks what came before it: who remembers that has five seconds to write it back."""
REFUSALS: Final = 10
"""Times that an outcome is offered to a workflow whose head or journal is damaged: its owner may write them again."""

_log = logging.getLogger(__name__)


class OutcomeRecorder:
    """One for each process.

    Args:
        now_ms: Redis' time, or an estimate of it.
        retention_ms: How long a closed run is kept.
        wake_here: Takes a wake if its owner is in this process, and returns whether it did. Such a process appends and
            wakes apart: most of its owners are in it, and need no message through Redis.
    """

    def __init__(
        self,
        data_plane: DataPlane,
        deliveries: Deliveries,
        clock: Clock,
        now_ms: Callable[[], int],
        retention_ms: int,
        wake_here: Callable[[OutgoingWake], bool] | None = None,
    ) -> None:
        self._journal = data_plane.journal
        self._queues = data_plane.queues
        self._metrics = data_plane.metrics
        self._blobs = data_plane.blobs
        self._deliveries = deliveries
        self._now_ms = now_ms
        self._retention_ms = retention_ms
        self._wake_here = wake_here
        self._link = data_plane.link
        self._in_one_step = data_plane.link.in_order and wake_here is None
        self.recent = RecentWrites(data_plane.journal, data_plane.queues, clock)

    def is_forgotten(self, attempt: TaskAttempt) -> bool:
        """Whether a workflow without a head is gone for good: its closed run would have expired by now."""
        return self._now_ms() - attempt.enqueue_ms > self._retention_ms

    def append_nowait(self, attempt: TaskAttempt, outcome: OutcomeEntry) -> asyncio.Future[Any]:
        """Append it, one try. If `Appended.parse` of the reply says `new`, call `confirm`, else `record`."""
        workflow_id, run, _, number = attempt.key
        reply_to = attempt.reply_to
        if not (self._in_one_step and reply_to):
            return self._journal.append_nowait(workflow_id, run, outcome.name, outcome.entry)
        alone = attempt.stream and self._deliveries.single
        reply = self._journal.complete_nowait(
            workflow_id,
            run,
            outcome.name,
            outcome.entry,
            reply_to,
            (attempt.stream, attempt.entry_id) if alone else None,
            has_checkpoint=number > 1 or attempt.latest_checkpoint is not None,
        )
        if alone:
            self._link.flush()
        return reply

    def confirm(self, attempt: TaskAttempt, outcome: OutcomeEntry, appended: Appended) -> None:
        """The journal has it. Drop the attempt's delivery in the same tick, so that one write carries both."""
        workflow_id, run, _, _ = attempt.key
        self._metrics.recorded(attempt.capability, outcome, self._now_ms() - (attempt.started_ms or self._now_ms()))
        self.recent.recorded(workflow_id, run, outcome.name, outcome.entry, attempt.after_entry_id)
        if appended.dropped:
            self._deliveries.release(attempt.stream, attempt.entry_id)
            attempt.stream = b""
        if appended.woken:
            return
        wake = OutgoingWake(appended.owner, workflow_id, run, appended.id, outcome.name, outcome.entry)
        if self._wake_here is None or not self._wake_here(wake):
            self._deliveries.flush_soon()
            self._queues.wake_nowait(wake).add_done_callback(ignore_error)

    async def record(self, attempt: TaskAttempt, outcome: OutcomeEntry) -> bytes | None:
        """Append it, and wake the owner. Waits until Redis takes it.

        Returns the data of the entry that the journal has now: `outcome.entry` itself, or that of an earlier outcome.
        None: it has none, or it could not be read. Raises `LinkError` if head or journal hold other data, after
        `REFUSALS` tries: that is no reason to keep a slot.
        """
        given, appended = outcome, None
        if self.is_large(outcome):
            outcome = await self._stored(attempt, outcome)
        try:
            if not attempt.outlived_loss:
                appended = Appended.parse(await self.append_nowait(attempt, outcome))
        except LinkError:
            pass  # the patient way says more about it
        if appended is None or appended.status == "unknown":
            appended = await self._append_patiently(attempt, outcome)
        if appended.status == "new":
            self.confirm(attempt, outcome, appended)
            return given.entry
        self._metrics.duplicate("outcome" if appended.recorded else appended.status)
        return await self.wake_again(attempt, appended.owner, appended.id) if appended.recorded else None

    def is_large(self, outcome: OutcomeEntry) -> bool:
        """Whether it has a value that goes to the blob store first, which only `record` does."""
        return self._blobs is not None and self._blobs.is_large(outcome.entry)

    async def _stored(self, attempt: TaskAttempt, outcome: OutcomeEntry) -> OutcomeEntry:
        """The outcome, with its large values in the blob store. Waits until that takes them."""
        assert self._blobs is not None
        backoff = Backoff(longest=BLOBS_RETRY)
        while True:
            try:
                entry = await self._blobs.store_entry(attempt.key.workflow_id, attempt.key.run, outcome.entry)
                return outcome._replace(entry=entry)
            except LinkError as error:
                _log.warning("%s: its outcome waits: %s", attempt.key.task_id, error)
            await asyncio.sleep(backoff.next())

    async def _append_patiently(self, attempt: TaskAttempt, outcome: OutcomeEntry) -> Appended:
        """Until Redis takes it, and the workflow's owner has written back what Redis lost. Where nobody writes back what came before it,
        it is dropped: the step runs again."""
        key = attempt.key
        one = OutcomeOfTask(key.workflow_id, key.run, outcome.name, outcome.entry, attempt.after_entry_id)
        tries, gaps = REFUSALS, GAPS
        while True:
            try:
                appended = await self.recent.append(one)
                if appended.status == "gap" and (gaps := gaps - 1) == 0:
                    _log.warning("%s: its outcome is dropped: Redis has lost what came before it", key.task_id)
                    return appended
                if appended.status not in WAITING or (appended.status == "unknown" and self.is_forgotten(attempt)):
                    return appended
                _log.warning("%s: Redis does not know its workflow, or what came before it (yet)", key.task_id)
            except LinkClosed:
                raise
            except LinkError as error:
                _log.warning("%s: its outcome waits for Redis: %s", key.task_id, error)
                if error.is_of_one_key and (tries := tries - 1) == 0:
                    raise
            await asyncio.sleep(DATA_PLANE_RETRY)

    async def wake_again(self, attempt: TaskAttempt, owner: str, journal_id: bytes = b"") -> bytes | None:
        """The journal has an earlier outcome. Its owner may have missed the wake, so wake it again, with that outcome.

        `journal_id` is the id of that entry; b"": of the step's outcome. Returns its data, None if there is none.
        """
        workflow_id, run, step, _ = attempt.key
        present = None
        try:
            journal_id = journal_id or await self._journal.outcome_id(workflow_id, step)
            present = await self._journal.entry(workflow_id, journal_id) if journal_id else None
            if present is not None and owner:
                wake = OutgoingWake(owner, workflow_id, run, journal_id, *present)
                if self._wake_here is None or not self._wake_here(wake):
                    await self._queues.wake(wake)
        except LinkError as error:
            _log.warning("%s: its owner was not woken: %s", attempt.key.task_id, error)
        return present[1] if present is not None else None
