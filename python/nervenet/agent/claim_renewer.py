# SPDX-License-Identifier: Apache-2.0
"""Renews the claims of running attempts in one loop, and enforces their timeouts with one heap of deadlines.

A claim is renewed every 1.5 s; a new checkpoint is stored at most once a second. The answer *gone* means that the step
is over, given up or cancelled, unless the claim can be taken again because Redis has lost it. Then the handler is
stopped, so a cancel reaches it within two seconds, even without a message. An attempt of less than half a second needs
no timer and no renewal.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from nervenet.agent.running import Running, StopReason
from nervenet.redis_link.faults import LinkError
from nervenet.timing import AGENT_RENEW_EVERY, CHECKPOINT_EVERY, CLAIM_TICK
from nervenet.wire import encode_payload

if TYPE_CHECKING:
    from nervenet.clock import Clock
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.streams.journal import JournalStore

TICK: Final = CLAIM_TICK
RENEW_EVERY: Final = AGENT_RENEW_EVERY - TICK / 2
SAVE_EVERY: Final = CHECKPOINT_EVERY - TICK / 2

_log = logging.getLogger("nervenet.agent")


class ClaimRenewer:
    """`running` are the attempts that hold a claim."""

    def __init__(self, journal: JournalStore, clock: Clock, running: Collection[Running]) -> None:
        self._journal = journal
        self._clock = clock
        self._running = running
        self._heap: list[tuple[float, int, Callable[[Running], None], Running]] = []
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            now = self._clock.monotonic()
            await self.renew([running for running in self._running if _due(running, now)])

    async def renew(self, due: Collection[Running]) -> None:
        """Extend these claims, with their progress and new checkpoints, in one write."""
        now = self._clock.monotonic()
        requests = []
        for running in due:
            saving = running.to_save
            reply = self._journal.renew(
                *running.key,
                running.agent_id,
                fraction=running.fraction,
                checkpoint=None if saving is None else encode_payload(saving),
                beat=running.beat > running.renewed_at,
            )
            running.renewed_at = now
            requests.append((running, saving, reply))
        for running, saving, reply in requests:
            try:
                held = await reply
            except LinkError as error:
                _log.warning("the claim of %s could not be renewed: %s", running.envelope.task_id, error)
                continue
            if not held and not await self._claim_again(running):
                running.cancel(StopReason.GONE)
            elif saving is not None:
                running.saved(saving, now)

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """Redis may have lost the claims: take them again before the owners check them."""
        await self.renew([running for running in self._running if running.started_ms and not running.recorded])

    async def _claim_again(self, running: Running) -> bool:
        """Claim an attempt again whose claim is gone. True if only Redis had lost it; False: the attempt is over."""
        try:
            claimed = await self._journal.claim(*running.key, running.agent_id)
        except LinkError as error:
            _log.warning("%s could not be claimed again: %s", running.envelope.task_id, error)
            return True
        if claimed.status == "run":
            _log.info("%s: Redis had lost its claim; it is claimed again", running.envelope.task_id)
        return claimed.status in ("run", "unknown")  # unknown: its owner writes the head back, or the workflow is gone

    def watch(self, running: Running, stop: Callable[[Running, StopReason], None]) -> None:
        """Enforce the timeouts of an attempt that starts now."""
        envelope, now = running.envelope, self._clock.monotonic()
        running.beat = running.renewed_at = now
        if envelope.attempt_timeout_ms:
            self.at(now + envelope.attempt_timeout_ms / 1000, lambda late: stop(late, StopReason.TIMEOUT), running)
        if envelope.heartbeat_timeout_ms:
            self._watch_heartbeat(running, envelope.heartbeat_timeout_ms / 1000, stop)

    def at(self, due: float, call: Callable[[Running], None], running: Running) -> None:
        """Call `call` at that time, unless the handler has ended by then."""
        if len(self._heap) > 1_000 + 4 * len(self._running):  # drop deadlines of attempts that have ended
            self._heap = [item for item in self._heap if not item[3].ended]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (due, next(self._count), call, running))
        if self._heap[0][3] is running:
            self._set_timer()

    def close(self) -> None:
        self._heap.clear()
        self._set_timer()

    def _watch_heartbeat(self, running: Running, patience: float, stop: Callable[[Running, StopReason], None]) -> None:
        def look(running: Running) -> None:
            if running.beat + patience <= self._clock.monotonic():
                stop(running, StopReason.SILENT)
            else:
                self.at(running.beat + patience, look, running)

        self.at(running.beat + patience, look, running)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = self._loop.call_later(max(0.0, self._heap[0][0] - self._clock.monotonic()), self._run_due)

    def _run_due(self) -> None:
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            _, _, call, running = heapq.heappop(self._heap)
            if not running.ended:
                call(running)
        self._set_timer()


def _due(running: Running, now: float) -> bool:
    if not running.started_ms or running.recorded:
        return False
    if now - running.renewed_at >= RENEW_EVERY:
        return True
    return running.checkpoint_due and now - running.saved_at >= SAVE_EVERY
