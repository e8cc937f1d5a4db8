# SPDX-License-Identifier: Apache-2.0
"""Keeps what gateway agents run alive and in time: claims, timeouts, drains, and who has gone silent.

A claim is renewed every second while its agent is heard, a new checkpoint stored at most once a second. The answer *gone*
means that the step is over, given up or cancelled, unless the claim can be taken again (Redis lost it): so a cancel
reaches the agent within two seconds even if nobody tells us. What ends within half a second never appears here.

How an agent is given up depends on how its stream ended. The other side closed it without a goodbye: the agent has
`RECONNECT_WITHIN` to be back, here or at another node; then `lost` is called, which has it declared dead. The node ended
the stream because the agent was silent, or sent it elsewhere: that proves nothing, and its claims run out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from nervenet.errors import Unavailable
from nervenet.node.gateway.guest import Stage
from nervenet.node.gateway.outcome import Stop
from nervenet.redis_link.faults import LinkError
from nervenet.timing import (
    CHECKPOINT_EVERY,
    CLAIM_TICK,
    CLAIM_TTL_MS,
    FORGET_AFTER,
    GATEWAY_RENEW_EVERY,
    HEARD_WITHIN,
    HELLO_COST,
    RECONNECT_WITHIN,
    RETURN_WINDOW,
    SILENT_AFTER,
    TASK_STOP_GRACE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.desk import Desk
    from nervenet.node.gateway.guest import Guest, Held
    from nervenet.redis_link.dial import ServerIdentity

TICK: Final = CLAIM_TICK
RENEW_EVERY: Final = GATEWAY_RENEW_EVERY - TICK / 2
SAVE_EVERY: Final = CHECKPOINT_EVERY - TICK / 2
RENEWED_LATER_MS: Final = 100
"""A renewal that is so much later than the break of our stream is not ours."""

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
    """`lost` is called for an agent whose stream broke and that is not back in time, `gone` when it is to be forgotten."""

    def __init__(
        self,
        context: NodeContext,
        desk: Desk,
        guests: Mapping[str, Guest],
        *,
        lost: Callable[[Guest], object],
        gone: Callable[[Guest], object],
    ) -> None:
        self._context = context
        self._desk = desk
        self._guests = guests
        self._lost = lost
        self._gone = gone
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Renew until cancelled."""
        last = self._loop.time()
        while True:
            await asyncio.sleep(TICK)
            now, before = self._loop.time(), last
            last = now
            if now - before - TICK >= SILENT_AFTER:
                self._stood_still()
                continue
            heard = [guest for guest in self._guests.values() if guest.line and now - guest.heard_at < HEARD_WITHIN]
            await self.renew([held for guest in heard for held in guest.tasks.values() if is_due(held, now)])

    def _stood_still(self) -> None:
        """This process did not run for so long that its agents took it for dead: they are elsewhere, with newer checkpoints."""
        for guest in tuple(self._guests.values()):
            if guest.line is not None:
                words = f"this node stood still for more than {SILENT_AFTER:g} s: connect again"
                guest.line.end(Unavailable(words, code="UNAVAILABLE", reason="AGENT_SILENT"))

    async def keep_time(self) -> None:
        """What happens by the clock alone, whether or not Redis answers."""
        last = self._loop.time()
        while True:
            await asyncio.sleep(TICK / 2)
            now, before = self._loop.time(), last
            last = now
            away = [guest for guest in self._guests.values() if guest.line is None]
            if now - before >= 2 * TICK:  # we were late: hellos may wait to be read, so the windows begin again
                for guest in away:
                    guest.away_since = now
            window = RETURN_WINDOW + HELLO_COST * len(away)
            for guest in tuple(self._guests.values()):
                self._look_at(guest, now, window)

    def _look_at(self, guest: Guest, now: float, window: float) -> None:
        for held in tuple(guest.tasks.values()):
            if (why := overdue(held, now)) is not None:
                self._desk.stop(held, why)
            elif held.stop is not None and held.stage is Stage.PUSHED and now - held.stopped_at >= TASK_STOP_GRACE:
                self._desk.give_up(held)
        if guest.drain_until is not None and now >= guest.drain_until:
            guest.drain_until = None
            self._context.spawn(self.give_back(guest, Stop.DRAINED))
        if guest.line is None:
            if guest.waiting and now - guest.away_since >= RECONNECT_WITHIN:
                self._desk.release_waiting(guest)
            if guest.broke and now - guest.away_since >= window:
                guest.broke = False
                self._lost(guest)
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
            reply = self._context.journal.renew(
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

    async def renewed_elsewhere(self, guest: Guest) -> bool:
        """Whether another node has renewed a claim of this agent since our stream to it broke."""
        for held in tuple(guest.tasks.values()):
            look = await self._context.journal.look(held.envelope.workflow_id, (held.envelope.step,))
            claim = look.claims.get(held.envelope.step) if look is not None else None
            if claim is None or (claim.agent_id, claim.attempt) != (held.agent_id, held.envelope.attempt):
                continue
            if claim.until_ms - CLAIM_TTL_MS > guest.broke_ms + RENEWED_LATER_MS:
                return True
        return False

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """It may have lost our claims: take them back before their owners look."""
        for held in self._desk.tasks.values():
            if held.is_running and held.guest.line is not None:
                self._desk.retake(held)
