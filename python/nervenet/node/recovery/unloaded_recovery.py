# SPDX-License-Identifier: Apache-2.0
"""Redis came back: writes back what it lost of workflows that are out of memory.

As `RedisRecovery` does it for those in memory, with what is packed of their entries. It is simpler: they take no news, so nothing has
to be held back. Where a journal has more than they remember, or people must see something of them again, they are loaded.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nervenet.node.recovery.remembered import Remembered
from nervenet.node.recovery.write_back import IN_PLACE, is_whole, patiently, put_all_back

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nervenet.node.context import NodeContext
    from nervenet.node.recovery.read_again import ReadAgain
    from nervenet.node.recovery.remembered import RememberedWrites
    from nervenet.node.recovery.write_back import WriteBack
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.redis_link.faults import Unreadable
    from nervenet.streams.answers import Look

_log = logging.getLogger(__name__)


class UnloadedRecovery:
    """See the module. One for each node.

    Args:
        turn: how often another server has answered so far: what an earlier one said does not count.
        load: hosts a workflow again, or with a second argument adopts that of a node that is gone.
        load_soon: loads a workflow that is out of memory.
    """

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        remembered: RememberedWrites,
        write_back: WriteBack,
        read_again: ReadAgain,
        turn: Callable[[], int],
        *,
        load: Callable[..., Awaitable[object]],
        load_soon: Callable[[str], None],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._remembered = remembered
        self._write_back = write_back
        self._read_again = read_again
        self._turn = turn
        self._load = load
        self._load_soon = load_soon
        self._comparing: set[str] = set()

    def __repr__(self) -> str:
        return f"<UnloadedRecovery {len(self._comparing)} under way>"

    def reload(self, unloaded: UnloadedWorkflow, why: str) -> None:
        """Its journal is not what this node remembers: write back what it lacks, then load it."""
        if not unloaded.dropped and unloaded.workflow_id not in self._comparing:
            _log.warning("%s: read again: %s", unloaded.workflow_id, why)
            self._comparing.add(unloaded.workflow_id)
            self._context.spawn(self._reconcile(unloaded))

    async def mend(self, unloaded: UnloadedWorkflow, why: Unreadable) -> None:
        """Its head or journal is unreadable: make it again from memory, if its beginning is there."""
        context, remembered = self._context, Remembered.of_unloaded(unloaded)
        if unloaded.dropped or self._remembered.being_written_back:
            return
        if remembered is None or not await self._write_back.may_make_heads():
            context.link.skips.skip(why.where, why)
            return
        if await context.journal.is_damaged(unloaded.workflow_id):
            _log.error("%s: %s; made again from memory", unloaded.workflow_id, why)
            await patiently(context.status.node_id, lambda: context.journal.discard(unloaded.workflow_id))
            await self._reconcile(unloaded)

    async def _reconcile(self, unloaded: UnloadedWorkflow) -> None:
        context = self._context
        try:
            await patiently(context.status.node_id, lambda: self.compare([unloaded]))
        finally:
            self._comparing.discard(unloaded.workflow_id)
        if not unloaded.dropped:
            self._load_soon(unloaded.workflow_id)

    async def compare(self, unloaded: Sequence[UnloadedWorkflow]) -> None:
        """Write back what Redis lacks of these, and list them again."""
        context, turn = self._context, self._turn()
        there = [one for one in unloaded if not one.dropped]
        looks = [context.journal.look(one.workflow_id, ()) for one in there]
        found = [(one, await look) for one, look in zip(there, looks, strict=True)]
        await self._write_back.doubt_news(*(one.applied_ms for one in there))
        if turn != self._turn():
            return
        rest = [
            (one, look) for one, look in found if not is_whole(one, look, context.status.node_id) and not one.dropped
        ]
        await put_all_back(self._hosted, rest, self._put_back)
        hosted = {one.workflow_id: one.created_ms for one in there if not one.dropped}
        if hosted:
            await context.ownership.relist(context.status.node_id, hosted)

    async def _put_back(self, unloaded: UnloadedWorkflow, look: Look | None) -> None:
        remembered = Remembered.of_unloaded(unloaded)
        if remembered is None:
            self._without_memory(unloaded, look)
            return
        found = await self._write_back.write(remembered, look)
        if unloaded.dropped:
            return
        if found is not None and found.status in IN_PLACE:
            shows = unloaded.has_view or bool(unloaded.listed_questions)
            if found.last != unloaded.last_id.encode() or (found.status == "created" and shows):
                self._load_soon(unloaded.workflow_id)  # it has news, or people must see it again
            return
        self._hosted.forget_unloaded(unloaded)
        self._read_again.leave(unloaded.workflow_id, remembered, found)

    def _without_memory(self, unloaded: UnloadedWorkflow, look: Look | None) -> None:
        """There was no memory for its entries, so what Redis has of it counts."""
        status = self._context.status
        self._hosted.forget_unloaded(unloaded)
        if look is None:
            self._read_again.leave(unloaded.workflow_id, None, None)
        elif look.owner == status.node_id:
            self._context.spawn(self._load(unloaded.workflow_id))
        elif not self._context.table.lives(look.owner) and status.alive and not status.draining:
            self._context.spawn(self._load(unloaded.workflow_id, look.owner))
