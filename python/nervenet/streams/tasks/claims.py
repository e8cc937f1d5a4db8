# SPDX-License-Identifier: Apache-2.0
"""Claims of tasks: the claim of what was read, what each answer means, and the renewal of what runs.

Only the answer `run` starts an attempt, except where its owner lets it begin first (decision 0064). Whatever breaks in
between leaves a delivery pending under the name of this process: it is read again after a reconnect, and its claim is then
answered `done`.

A renewal carries progress and the newest checkpoint. The answer *gone* means that the step is over, given up or
cancelled, unless Redis lost the claim: then it can be claimed again. So a cancel reaches a handler within two seconds,
even without a message. An attempt of less than half a second needs no renewal.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.replies import ignore_error
from nervenet.streams.answers import Claimed
from nervenet.streams.tasks.attempt import TaskAttempt
from nervenet.timing import CHECKPOINT_EVERY, CLAIM_TICK
from nervenet.wire import encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable

    from nervenet.streams.data_plane import DataPlane
    from nervenet.streams.journal import JournalStore
    from nervenet.streams.tasks.attempt import AttemptKey
    from nervenet.streams.tasks.deliveries import Deliveries
    from nervenet.streams.tasks.outcomes import OutcomeRecorder

__all__ = ["AttemptHost", "ClaimRenewer", "Claims"]

_A = TypeVar("_A", bound=TaskAttempt)
_A_contra = TypeVar("_A_contra", bound=TaskAttempt, contravariant=True)

_log = logging.getLogger(__name__)


class AttemptHost(Protocol[_A_contra]):
    """Where the attempts are: what runs them, or passes them on."""

    def start(self, attempt: _A_contra, checkpoint: bytes | None) -> None:
        """The claim is ours. `checkpoint` is the last one of the attempts before it."""

    def leave(self, attempt: _A_contra) -> None:
        """Somebody else has it, or it is over: it is no longer here, and its slot is free."""

    def wait_for_head(self, attempt: _A_contra) -> None:
        """Its workflow has no head: nodes write back what Redis lost. Claim it again, after `DATA_PLANE_RETRY`."""


class Claims(Generic[_A]):
    """One for each process."""

    def __init__(
        self,
        data_plane: DataPlane,
        deliveries: Deliveries,
        recorder: OutcomeRecorder,
        host: AttemptHost[_A],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._journal = data_plane.journal
        self._queues = data_plane.queues
        self._metrics = data_plane.metrics
        self._deliveries = deliveries
        self._recorder = recorder
        self._host = host
        self._spawn = spawn

    def claim(self, attempts: Iterable[_A]) -> None:
        """Ask for all of them. The host learns the answers."""
        for attempt in attempts:
            reply = self._journal.claim_nowait(*attempt.key, attempt.agent_id)
            reply.add_done_callback(partial(self._answered, attempt))

    def begin(self, attempt: _A, checkpoint: bytes | None = None) -> None:
        """It runs here."""
        self._host.start(attempt, checkpoint)
        if attempt.started_ms:
            self._metrics.claimed(attempt.capability, attempt.started_ms - attempt.enqueue_ms)

    def refuse(self, owner: str, key: AttemptKey, stream: bytes, entry_id: bytes) -> None:
        """Its envelope excludes the agent that read it: tell the owner, which chooses another one."""
        self._queues.refuse_nowait(owner, *key).add_done_callback(ignore_error)
        self._deliveries.drop(stream, entry_id)

    def _answered(self, attempt: _A, reply: asyncio.Future[Any]) -> None:
        try:
            claimed = Claimed.parse(reply.result())
        except LinkError:
            self._spawn(self._claim_patiently(attempt))
        except asyncio.CancelledError:  # the link is closed
            pass
        else:
            self._judge(attempt, claimed)

    async def _claim_patiently(self, attempt: _A) -> None:
        try:
            claimed = await self._journal.claim(*attempt.key, attempt.agent_id)
        except LinkError as error:
            _log.warning("%s could not be claimed: %s", attempt.key.task_id, error)
            self._host.leave(attempt)
            if (
                error.is_of_one_key
            ):  # head or claim hold other data: the owner writes them again and sends the task again
                self._deliveries.drop(attempt.stream, attempt.entry_id)
            else:  # it stays pending here
                self._deliveries.release(attempt.stream, attempt.entry_id)
        else:
            self._judge(attempt, claimed)

    def _judge(self, attempt: _A, claimed: Claimed) -> None:
        if claimed.status == "run":
            self.begin(attempt, claimed.checkpoint)
        elif claimed.status == "unknown" and not self._recorder.is_forgotten(attempt):
            self._host.wait_for_head(attempt)
        else:
            self._metrics.duplicate(claimed.status)
            self._host.leave(attempt)
            if claimed.status == "done":
                self._spawn(self._wake_and_drop(attempt, claimed.owner))
            else:
                self._deliveries.drop(attempt.stream, attempt.entry_id)

    async def _wake_and_drop(self, attempt: _A, owner: str) -> None:
        await self._recorder.wake_again(attempt, owner)
        self._deliveries.drop(attempt.stream, attempt.entry_id)


class ClaimRenewer(Generic[_A]):
    """One for each process.

    Args:
        monotonic: The clock of the attempts' `beat` and `renewed_at`, in seconds.
        every: Seconds between two renewals of a claim.
        gone: Called for an attempt that lost its claim for good: its handler has to stop.
    """

    def __init__(
        self, journal: JournalStore, monotonic: Callable[[], float], every: float, gone: Callable[[_A], object]
    ) -> None:
        self._journal = journal
        self._monotonic = monotonic
        self._renew_after = every - CLAIM_TICK / 2
        self._save_after = CHECKPOINT_EVERY - CLAIM_TICK / 2
        self._gone = gone

    async def run(self, attempts: Callable[[], Iterable[_A]]) -> None:
        """Renew the claims of these attempts, until cancelled."""
        while True:
            await asyncio.sleep(CLAIM_TICK)
            now = self._monotonic()
            await self.renew([attempt for attempt in attempts() if self.is_due(attempt, now)])

    def is_due(self, attempt: TaskAttempt, now: float) -> bool:
        """Whether its claim must be renewed, or its checkpoint stored."""
        if not attempt.is_claimed:
            return False
        if now - attempt.renewed_at >= self._renew_after:
            return True
        return attempt.checkpoint_due and now - attempt.saved_at >= self._save_after

    async def renew(self, due: Collection[_A]) -> None:
        """Extend these claims, with how far they are and their new checkpoints, in one write."""
        now = self._monotonic()
        asked = []
        for attempt in due:
            saving = attempt.latest_checkpoint if attempt.checkpoint_due else None
            reply = self._journal.renew(
                *attempt.key,
                attempt.agent_id,
                fraction=attempt.fraction,
                checkpoint=saving if saving is None or isinstance(saving, bytes) else encode_payload(saving),
                beat=attempt.beat > attempt.renewed_at,
            )
            attempt.renewed_at = now
            asked.append((attempt, saving, reply))
        for attempt, saving, reply in asked:
            try:
                still_ours = await reply
            except LinkError as error:
                _log.warning("the claim of %s could not be renewed: %s", attempt.key.task_id, error)
                continue
            if not still_ours:
                self.retake(attempt)
            elif saving is not None:
                attempt.saved_at = now
                attempt.checkpoint_due = attempt.latest_checkpoint is not saving  # another one may have come meanwhile

    def retake(self, attempt: _A) -> None:
        """Ask for a claim again that may be gone. This also renews one that is not."""
        reply = self._journal.claim_nowait(*attempt.key, attempt.agent_id)
        reply.add_done_callback(partial(self._retaken, attempt))

    def _retaken(self, attempt: _A, reply: asyncio.Future[Any]) -> None:
        if reply.cancelled() or not attempt.is_claimed:
            return
        if (error := reply.exception()) is not None:
            _log.warning("the claim of %s could not be taken back: %s", attempt.key.task_id, error)
        elif Claimed.parse(reply.result()).status not in ("run", "unknown"):  # unknown: the owner writes the head back
            self._gone(attempt)
