# SPDX-License-Identifier: Apache-2.0
"""Looks, while much is remembered, which of it a crash of Redis can no longer take back, so that it is forgotten.

A busy node closes thousands of workflows within the ten seconds for which it remembers them, and Redis has most of these on its
disk, and its replicas have them too, after about two. `redis_link/persistence.py` says how that is seen. Nothing
is asked while little is remembered. A server that does not tell, or keeps nothing on a disk, changes nothing: ten seconds count.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from nervenet.node.recovery.remembered import Mark
from nervenet.redis_link.faults import LinkClosed, LinkError, RedisRefused
from nervenet.redis_link.persistence import DurableMarks, look
from nervenet.timing import DURABILITY_LOOK_AGAIN, DURABILITY_LOOK_EVERY

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.recovery.remembered import RememberedWrites

_log = logging.getLogger(__name__)


class DurabilityWatch:
    """One for each node. `looks` counts its questions."""

    def __init__(self, context: NodeContext, remembered: RememberedWrites) -> None:
        self._context = context
        self._remembered = remembered
        self._durable = DurableMarks[Mark](fails_over=context.link.fails_over)
        self.looks = 0

    async def run(self) -> None:
        """For as long as the node lives."""
        while True:
            await self._remembered.are_many()
            await asyncio.sleep(DURABILITY_LOOK_EVERY if await self.look() else DURABILITY_LOOK_AGAIN)

    async def look(self) -> bool:
        """Ask once. Returns whether it is worth asking again soon."""
        remembered, link = self._remembered, self._context.link
        mark, losses, at = remembered.mark(), remembered.losses, asyncio.get_running_loop().time()
        self.looks += 1
        try:
            states = await look(link)
        except LinkClosed:
            raise
        except LinkError as error:
            _log.debug("%s: not known what Redis has on its disk: %s", self._context.status.node_id, error)
            self._durable.forget()
            return not isinstance(error, RedisRefused)
        if remembered.being_written_back or remembered.losses != losses:
            self._durable.forget()  # another server than was asked, or one that has lost something
            return True
        durable = self._durable.look(mark, at, states)
        if durable is not None:
            remembered.is_durable(durable)
        return all(state.policy for state in states)
