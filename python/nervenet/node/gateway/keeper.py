# SPDX-License-Identifier: Apache-2.0
"""Keeps what gateway agents run alive and in time: claims, timeouts, drains, and who has gone silent.

A claim is renewed every 1.5 s while its agent is heard, a new checkpoint stored at most once a second. The answer *gone*
means that the step is over, given up or cancelled, unless the claim can be taken again (Redis lost it): so a cancel
reaches the agent within two seconds even if nobody tells us. What ends within half a second never appears here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from nervenet.errors import Unavailable
from nervenet.node.gateway.guest import Stage
from nervenet.node.gateway.outcome import Stop
from nervenet.streams.faults import LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from nervenet.node.gateway.desk import Desk
    from nervenet.node.gateway.guest import Guest, Held
    from nervenet.node.hosting import Host
    from nervenet.streams.link import ServerIdentity

TICK: Final = 0.5
RENEW_EVERY: Final = 1.5 - TICK / 2
SAVE_EVERY: Final = 1.0 - TICK / 2
STATUS_INTERVAL: Final = 2.0
HEARD_WITHIN: Final = STATUS_INTERVAL + 1.0
"""An agent's claims are renewed while it was heard so lately; they live six seconds more."""
SILENT_AFTER: Final = 3 * STATUS_INTERVAL
RECONNECT_WITHIN: Final = 3.0
FORGET_AFTER: Final = 15.0
STOP_GRACE: Final = 5.0

_log = logging.getLogger(__name__)


def is_due(held: Held, now: float) -> bool:
    """Whether its claim is to be renewed, or its checkpoint stored."""
    if not held.is_running:
        return False
    return now - held.renewed_at >= RENEW_EVERY or (held.checkpoint_due and now - held.saved_at >= SAVE_EVERY)


def overdue(held: Held, now: float) -> Stop | None:
    """Which of its limits has passed."""
    if held.stage is not Stage.PUSHED or held.stop is not None or not held.envelope.HasField("timeouts"):
        return None
    limits = held.envelope.timeouts
    attempt, silence = limits.attempt.ToMilliseconds() / 1000, limits.heartbeat.ToMilliseconds() / 1000
    if attempt and now - held.started_at >= attempt:
        return Stop.TIMEOUT
    return Stop.SILENT if silence and now - held.beat >= silence else None


class Keeper:
    """`gone` is called for an agent that did not come back."""

    def __init__(self, host: Host, desk: Desk, guests: Mapping[str, Guest], gone: Callable[[Guest], object]) -> None:
        self._host = host
        self._desk = desk
        self._guests = guests
        self._gone = gone
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            now = self._loop.time()
            heard = [guest for guest in self._guests.values() if guest.line and now - guest.heard_at < HEARD_WITHIN]
            await self.renew([held for guest in heard for held in guest.tasks.values() if is_due(held, now)])

    async def keep_time(self) -> None:
        """What happens by the clock alone, whether or not Redis answers."""
        while True:
            await asyncio.sleep(TICK / 2)
            now = self._loop.time()
            for guest in tuple(self._guests.values()):
                self._look_at(guest, now)

    def _look_at(self, guest: Guest, now: float) -> None:
        for held in tuple(guest.tasks.values()):
            if (why := overdue(held, now)) is not None:
                self._desk.stop(held, why)
            elif held.stop is not None and held.stage is Stage.PUSHED and now - held.stopped_at >= STOP_GRACE:
                self._desk.give_up(held)
        if guest.drain_until is not None and now >= guest.drain_until:
            guest.drain_until = None
            self._host.spawn(self.give_back(guest, Stop.DRAINED))
        if guest.line is None:
            if guest.waiting and now - guest.away_since >= RECONNECT_WITHIN:
                self._desk.release_waiting(guest)
            if now - guest.away_since >= FORGET_AFTER:
                self._gone(guest)
        elif now - guest.heard_at >= SILENT_AFTER:
            words = f"{guest.agent_id} said nothing for {SILENT_AFTER:g} s"
            guest.line.end(Unavailable(words, code="UNAVAILABLE", reason="AGENT_SILENT"))

    async def give_back(self, guest: Guest, why: Stop) -> None:
        """Store the last checkpoints, then have the tasks end and go on elsewhere."""
        running = [held for held in guest.tasks.values() if held.stage is Stage.PUSHED and held.stop is None]
        await self.renew([held for held in running if held.checkpoint_due])
        for held in running:
            self._desk.stop(held, why)
            if why is Stop.LEFT:
                self._desk.give_up(held)

    async def renew(self, due: Collection[Held]) -> None:
        """Extend these claims, with how far they are and their new checkpoints, in one write."""
        now = self._loop.time()
        asked = []
        for held in due:
            saving = held.checkpoint if held.checkpoint_due else None
            reply = self._host.journal.renew(
                *held.claim, fraction=held.fraction, checkpoint=saving, beat=held.beat > held.renewed_at
            )
            held.renewed_at = now
            asked.append((held, saving, reply))
        for held, saving, reply in asked:
            try:
                still_ours = await reply
            except LinkError as error:
                _log.warning("the claim of %s could not be renewed: %s", held.envelope.task_id, error)
                continue
            if not still_ours:
                self._desk.retake(held)
            elif saving is not None:
                held.saved_at = now
                held.checkpoint_due = held.checkpoint is not saving

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """It may have lost our claims: take them back before their owners look."""
        for held in self._desk.tasks.values():
            if held.is_running and held.guest.line is not None:
                self._desk.retake(held)
