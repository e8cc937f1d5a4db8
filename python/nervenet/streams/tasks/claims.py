# SPDX-License-Identifier: Apache-2.0
"""Claims of tasks that were read: all of one tick in one write, and what each answer means.

Only the answer `run` starts an attempt. Whatever breaks in between leaves a delivery pending under the name of this
process: it is read again after a reconnect, and its claim is then answered `done`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.replies import ignore_error
from nervenet.streams.answers import Claimed
from nervenet.streams.tasks.attempt import TaskAttempt

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable

    from nervenet.streams.data_plane import DataPlane
    from nervenet.streams.tasks.attempt import AttemptKey
    from nervenet.streams.tasks.deliveries import Deliveries
    from nervenet.streams.tasks.outcomes import OutcomeRecorder

__all__ = ["AttemptHost", "Claims"]

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
        self._deliveries = deliveries
        self._recorder = recorder
        self._host = host
        self._spawn = spawn

    def claim(self, attempts: Iterable[_A]) -> None:
        """Ask for all of them. The host learns the answers."""
        for attempt in attempts:
            reply = self._journal.claim_nowait(*attempt.key, attempt.agent_id)
            reply.add_done_callback(partial(self._answered, attempt))

    def refuse(self, owner: str, key: AttemptKey, stream: bytes, entry_id: bytes) -> None:
        """Its envelope excludes the agent that read it: tell the owner, which chooses another one."""
        self._queues.refuse_nowait(owner, *key).add_done_callback(ignore_error)
        self._deliveries.drop(stream, entry_id)

    def _answered(self, attempt: _A, reply: asyncio.Future[Any]) -> None:
        if reply.cancelled():
            return
        if reply.exception() is not None:
            self._spawn(self._claim_patiently(attempt))
        else:
            self._judge(attempt, Claimed.parse(reply.result()))

    async def _claim_patiently(self, attempt: _A) -> None:
        try:
            claimed = await self._journal.claim(*attempt.key, attempt.agent_id)
        except LinkError as error:
            _log.warning("%s could not be claimed: %s", attempt.key.task_id, error)
            self._host.leave(attempt)
            if (
                error.is_of_one_key
            ):  # head or claim hold other data: the owner writes them again, and sends the task again
                self._deliveries.drop(attempt.stream, attempt.entry_id)
            else:  # it stays pending here
                self._deliveries.release(attempt.stream, attempt.entry_id)
        else:
            self._judge(attempt, claimed)

    def _judge(self, attempt: _A, claimed: Claimed) -> None:
        if claimed.status == "run":
            self._host.start(attempt, claimed.checkpoint)
        elif claimed.status == "unknown" and not self._recorder.is_forgotten(attempt):
            self._host.wait_for_head(attempt)
        else:
            self._host.leave(attempt)
            if claimed.status == "done":
                self._spawn(self._wake_and_drop(attempt, claimed.owner))
            else:
                self._deliveries.drop(attempt.stream, attempt.entry_id)

    async def _wake_and_drop(self, attempt: _A, owner: str) -> None:
        await self._recorder.wake_for_present_entry(attempt, owner)
        self._deliveries.drop(attempt.stream, attempt.entry_id)
