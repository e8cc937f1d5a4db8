# SPDX-License-Identifier: Apache-2.0
"""Keeps claims alive: one loop renews all that are due, in one write, with progress and new checkpoints.

The answer *gone* means that the step is over, given up or cancelled, unless Redis lost the claim: then it can be taken
again. So a cancel reaches a handler within two seconds even if nobody announces it. Attempts that end within half a second
never appear here.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nervenet.redis_link.faults import LinkError
from nervenet.streams.answers import Claimed
from nervenet.streams.tasks.attempt import TaskAttempt
from nervenet.timing import CHECKPOINT_EVERY, CLAIM_TICK
from nervenet.wire import encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from nervenet.streams.journal import JournalStore

__all__ = ["ClaimRenewer"]

_A = TypeVar("_A", bound=TaskAttempt)

_log = logging.getLogger(__name__)


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
        """Whether its claim is to be renewed, or its checkpoint stored."""
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
