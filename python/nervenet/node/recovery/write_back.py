# SPDX-License-Identifier: Apache-2.0
"""Writes one journal back into a Redis that has lost its end, or all of it.

It hides `journal_restore`: which entries are sent and in which parts, when a head is made again, and who the owner is.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from nervenet.node.recovery.remembered import chunks, head_of, lacking
from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.streams.ownership import ClosedWorkflow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nervenet.node.context import NodeContext
    from nervenet.node.recovery.remembered import Remembered
    from nervenet.node.workflows.bookkeeping import CloseBookkeeping
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.records import State
    from nervenet.redis_link.connection import Arg
    from nervenet.streams.answers import Look, RawEntry, Restored

_log = logging.getLogger(__name__)

_W = TypeVar("_W", "Coordinator", "UnloadedWorkflow")

IN_PLACE: Final = frozenset({"whole", "restored", "created", "closed"})
"""Answers of `journal_restore` after which the journal has what this node remembers."""
LEASE_CHECK: Final = 0.25
AT_ONCE: Final = 50
"""Journals that are written back together."""
PAUSE: Final = 0.25
"""Seconds until something is tried again that Redis did not take."""


async def patiently(node_id: str, work: Callable[[], Awaitable[object]]) -> None:
    """Repeat it until Redis takes it."""
    while True:
        try:
            await work()
        except LinkClosed:
            raise
        except LinkError as error:
            _log.warning("%s: not yet written back: %s", node_id, error)
            await asyncio.sleep(PAUSE)
        else:
            return


def is_whole(one: Coordinator | UnloadedWorkflow, look: Look | None, node_id: str) -> bool:
    """Whether Redis has all that was folded of it, and this node as its owner."""
    return look is not None and (look.last, look.run, look.owner) == (one.last_id.encode(), one.run, node_id)


async def put_all_back(
    hosted: HostedWorkflows,
    rest: Sequence[tuple[_W, Look | None]],
    put_back: Callable[[_W, Look | None], Awaitable[None]],
) -> None:
    """`put_back` for each, many at once. An error of one journal does not stop the others; an error of Redis stops all."""
    for i in range(0, len(rest), AT_ONCE):
        part = rest[i : i + AT_ONCE]
        ends = await asyncio.gather(*(put_back(*each) for each in part), return_exceptions=True)
        for (one, _), error in zip(part, ends, strict=True):
            if isinstance(error, LinkError) or (error is not None and not isinstance(error, Exception)):
                raise error
            if error is not None:
                _log.error("%s: not written back: %r", one.workflow_id, error, exc_info=error)
                hosted.forget_any(one)  # the sweep loads what Redis has of it


class WriteBack:
    """One for each node. It counts what was written back."""

    def __init__(self, context: NodeContext, bookkeeping: CloseBookkeeping) -> None:
        self._context = context
        self._bookkeeping = bookkeeping
        self.entries = self.heads = 0

    async def write(self, remembered: Remembered, look: Look | None) -> Restored | None:
        """Send only what the journal lacks; if it is another journal altogether, send all entries.

        `look` is what Redis has of it. Returns None where its head is gone and this node must not make it again.
        """
        entries, found = remembered.entries(), None
        if look is not None and look.run == remembered.run:
            found = await self._write(remembered, lacking(entries, look), None)
        if found is None or found.status in ("gap", "unknown"):
            head = head_of(entries[0], remembered.req)
            if head is not None and not await self.may_make_heads():
                return None
            found = await self._write(remembered, entries, head)
        await self.doubt_news(entries[-1].ms)
        return found

    async def doubt_news(self, *last_ms: int) -> None:
        """Journals have changed: what messages say of entries so far may no longer be so. `last_ms`: where those journals end, since their
        times may be ahead of the clock of a server that was a replica."""
        status = self._context.status
        status.rewritten_ms = max(status.rewritten_ms, await self._context.journal.now_ms(), *last_ms)

    async def _write(
        self, remembered: Remembered, entries: Sequence[RawEntry], head: dict[str, Arg] | None
    ) -> Restored | None:
        context, found = self._context, None
        for part in chunks(entries):
            last = remembered.closed if part[-1] is entries[-1] else None
            found = await self._restore(remembered, part, head, "", last)
            if found.status == "not_owner" and context.status.alive and not context.table.lives(found.owner):
                found = await self._restore(remembered, part, head, found.owner, last)  # my adoption of it was lost
            self.entries += found.written
            self.heads += found.status == "created"
            if found.status not in IN_PLACE:
                break
            head = None
        return found

    async def _restore(
        self,
        remembered: Remembered,
        entries: Sequence[RawEntry],
        head: dict[str, Arg] | None,
        taken_from: str,
        closed: State | None,
    ) -> Restored:
        return await self._context.journal.restore(
            remembered.workflow_id,
            remembered.run,
            self._context.status.node_id,
            entries,
            head,
            taken_from=taken_from,
            closed=closed,
            retention_ms=remembered.own_ms or self._context.config.retention_ms,
            own_retention=remembered.own_ms != 0,
            hold_ms=self._context.config.hold_ms,
        )

    async def may_make_heads(self) -> bool:
        """Only a node with a live session makes a head again: one that was stopped may remember what ended long ago."""
        status, node_id = self._context.status, self._context.status.node_id
        while not status.alive and status.node_id == node_id:  # noqa: ASYNC110 - a lease has no event for that
            await asyncio.sleep(LEASE_CHECK)
        return status.node_id == node_id

    async def write_closed(self, remembered: Remembered) -> bool:
        """A journal that closed here, unless Redis has its end or a later run. Returns whether that is settled."""
        (look,) = await asyncio.gather(self._context.journal.look(remembered.workflow_id, ()))
        if look is not None and (look.run > remembered.run or (look.run == remembered.run and look.closed)):
            return True
        found = await self.write(remembered, look)
        if found is not None and found.written:
            first = remembered.entries()[0]
            closed_ms = remembered.entry_log[1]
            own = (self._context.status.node_id, first.ms, closed_ms, 0, remembered.run, remembered.own_ms)
            self._bookkeeping.finish(ClosedWorkflow(remembered.workflow_id, *own, remembered.definition))
        return True

    async def write_unread(self, remembered: Remembered) -> bool:
        """The journal of the run before one that is not read yet, unless Redis still has a later one. True: that is settled."""
        (look,) = await asyncio.gather(self._context.journal.look(remembered.workflow_id, ()))
        if look is None or look.run <= remembered.run:
            await self.write(remembered, look)
        return True
