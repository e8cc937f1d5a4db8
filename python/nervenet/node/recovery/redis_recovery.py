# SPDX-License-Identifier: Apache-2.0
"""Redis came back: writes back what it has lost and this node remembers, before anything else happens.

Redis may forget. With `appendfsync everysec` a crash loses the last second, a failover what was not yet replicated, a
FLUSHALL everything. `remembered.py` says what a node still knows, `write_back.py` writes one journal.

The order matters more than the entries: code that is replayed must meet them in the order in which it met them before. So
from the moment in which the connection is there again, before any reply of the other server is read, no coordinator takes
news until its journal is compared. `journal_restore` puts what others appended meanwhile behind what was lost.

A server that lost everything without a restart is detected by its answers: an open workflow has no head, or the node has
no wake.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from nervenet.node.recovery.read_again import ReadAgain
from nervenet.node.recovery.remembered import Remembered
from nervenet.node.recovery.unloaded_recovery import UnloadedRecovery
from nervenet.node.recovery.write_back import IN_PLACE, PAUSE, is_whole, patiently, put_all_back
from nervenet.records import Mismatch
from nervenet.redis_link.faults import LinkClosed
from nervenet.timing import CLAIM_TAKEN_BACK_MS, FLUSHED_CLAIM_TAKEN_BACK_MS, WRITTEN_BACK_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from nervenet.node.context import NodeContext
    from nervenet.node.recovery.remembered import RememberedWrites
    from nervenet.node.recovery.write_back import WriteBack
    from nervenet.node.tasks.dispatcher import Dispatcher
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.definitions import StoredDefinitions
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.redis_link.faults import Unreadable
    from nervenet.streams.answers import Look

_log = logging.getLogger(__name__)

PAGE: Final = 500
TRIES: Final = 20


class RedisRecovery:
    """See the module. One for each node.

    Args:
        load: hosts a workflow again, or with a second argument adopts that of a node that is gone.
        load_soon: loads a workflow that is out of memory.
        look_at: looks at the pending steps of workflows now.
        record_again: appends a fact of somebody's workflow once more, and tells its owner.
    """

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        remembered: RememberedWrites,
        write_back: WriteBack,
        dispatcher: Dispatcher,
        stored: StoredDefinitions,
        *,
        load: Callable[..., Awaitable[object]],
        load_soon: Callable[[str], None],
        look_at: Callable[[list[Coordinator]], Awaitable[None]],
        record_again: Callable[[str, int, str, bytes], Awaitable[bool]],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._remembered = remembered
        self._write_back = write_back
        self._dispatcher = dispatcher
        self._stored = stored
        self._load = load
        self._look_at = look_at
        self.claims_return_ms = 0
        self.times = 0
        self._read_again = ReadAgain(context, write_back, load, remembered.remember, record_again)
        self.unloaded = UnloadedRecovery(
            context,
            hosted,
            remembered,
            write_back,
            self._read_again,
            lambda: self.times,
            load=load,
            load_soon=load_soon,
        )

    def __repr__(self) -> str:
        back = self._write_back
        return f"<RedisRecovery {back.entries} entries and {back.heads} heads written back>"

    @property
    def is_under_way(self) -> bool:
        """Whether something is still compared with what Redis has, so what Redis says of it counts for nothing."""
        return self._remembered.being_written_back

    def suspect(self, one: Coordinator | UnloadedWorkflow) -> None:
        """An open workflow has no head, or that of an earlier run: Redis has lost something, perhaps everything."""
        if not self.is_under_way and not one.dropped:
            _log.error("%s: the head of its run is gone", one.workflow_id)
            self._remembered.hold()
            self._context.spawn(self.came_back())

    async def keep_wake(self) -> None:
        """Check once per lease that the wake exists. Only this node deletes it, so without it Redis has lost everything."""
        context = self._context
        if not self._remembered.being_written_back and not await context.queues.has_wake(context.status.node_id):
            _log.error("%s: its wake is gone", context.status.node_id)
            await self.came_back()

    async def came_back(self) -> None:
        """Compare everything that is hosted here and write back what is missing. Until then no coordinator takes news.

        May be cancelled when the connection breaks again: suspended coordinators stay suspended until the next call.
        """
        context = self._context
        self._remembered.forget_past(context.clock.seen_ms)  # an idle node may remember things that have expired
        self._remembered.hold()
        context.status.doubted_until_ms = context.clock.now_ms() + WRITTEN_BACK_MS
        self.times += 1
        turn = self.times
        coordinators = [c for c in self._hosted.coordinators.values() if not c.dropped]
        for coordinator in coordinators:
            coordinator.suspend()
        unloaded = list(self._hosted.unloaded.items().values())  # nothing is loaded before this is over
        try:
            await self._write_all_back(turn, coordinators, unloaded)
        except asyncio.CancelledError:
            raise  # the link calls again as soon as it is connected: until then nothing is loaded
        except BaseException:
            self._is_over(turn)
            raise
        self._is_over(turn)

    def _is_over(self, turn: int) -> None:
        """Done, unless another server has answered meanwhile: then the call for that server counts."""
        if turn == self.times:
            self._remembered.release()

    async def _write_all_back(
        self, turn: int, coordinators: list[Coordinator], unloaded: list[UnloadedWorkflow]
    ) -> None:
        context, back = self._context, self._write_back
        entries, heads = back.entries, back.heads
        self._dispatcher.forget_queues()
        await patiently(context.status.node_id, lambda: context.queues.make_wake(context.status.node_id))
        await patiently(context.status.node_id, self._stored.write_back)
        for i in range(0, len(coordinators), PAGE):
            page = coordinators[i : i + PAGE]
            await patiently(context.status.node_id, lambda page=page: self._compare(page))  # type: ignore[misc]
        for i in range(0, len(unloaded), PAGE):
            some = unloaded[i : i + PAGE]
            await patiently(context.status.node_id, lambda some=some: self.unloaded.compare(some))  # type: ignore[misc]
        recent = self._recent()
        while turn == self.times and (again := list(itertools.islice(recent, PAGE))):
            await asyncio.gather(*map(self._settled, again))
        if turn != self.times:
            return
        entries, heads = back.entries - entries, back.heads - heads
        self.claims_return_ms = context.clock.now_ms() + (FLUSHED_CLAIM_TAKEN_BACK_MS if heads else CLAIM_TAKEN_BACK_MS)
        context.spawn(self._look_later(coordinators))
        _log.warning(
            "%s: Redis came back; of %d workflows, %d entries and %d heads were written back",
            context.status.node_id,
            len(coordinators) + len(unloaded),
            entries,
            heads,
            extra={"entries_back": entries, "heads_back": heads},
        )

    def _recent(self) -> Iterator[Callable[[], Awaitable[bool]]]:
        closed, facts = self._remembered.closed_lately(), self._remembered.facts()
        yield from (partial(self._write_back.write_closed, one) for one in closed)
        yield from self._read_again.unread()
        yield from facts

    async def _look_later(self, coordinators: list[Coordinator]) -> None:
        """Look at every pending step, after agents have had time to take back the claims that Redis lost."""
        await asyncio.sleep(max(0, self.claims_return_ms - self._context.clock.now_ms()) / 1000)
        await patiently(self._context.status.node_id, lambda: self._look_at(coordinators))

    async def reclaim(self, workflow_id: str, owner: str) -> None:
        """Its head names a node that does not exist. This node has it in memory and adopts it without waiting for the sweep."""
        if self._context.status.alive and not self._context.status.draining:
            await self._load(workflow_id, owner)

    async def mend(self, coordinator: Coordinator, why: Unreadable) -> None:
        """Its head or journal is unreadable: make it again from memory. If the beginning is no longer in memory, block the run.

        No other node can have adopted it: an unreadable head names no owner.
        """
        context = self._context
        remembered = Remembered.of(coordinator)
        whole = remembered is not None and remembered.entries()[0].name == "start"
        if coordinator.awaiting_reconciliation or coordinator.dropped or self._remembered.being_written_back:
            return
        if not whole or not await self._write_back.may_make_heads():
            context.link.skips.skip(why.where, why)
            if coordinator.machine.blocked is None:
                coordinator.block(
                    Mismatch("", "", detail=f"{why}. Its beginning is no longer in memory", unreadable=True)
                )
            return
        if not await context.journal.is_damaged(coordinator.workflow_id):
            return
        _log.error("%s: %s; made again from memory", coordinator.workflow_id, why)
        coordinator.suspend()
        await patiently(context.status.node_id, lambda: context.journal.discard(coordinator.workflow_id))
        await self.reconcile(coordinator)

    def reload(self, coordinator: Coordinator, why: str) -> None:
        """The journal is not what this machine has folded: write back what it lacks, else drop it and read again."""
        if not coordinator.awaiting_reconciliation and not coordinator.dropped:
            _log.warning("%s: read again: %s", coordinator.workflow_id, why)
            coordinator.suspend()
            self._context.spawn(self.reconcile(coordinator))

    async def reconcile(self, coordinator: Coordinator) -> None:
        """Compare one coordinator whose journal is not what it has folded."""
        await patiently(self._context.status.node_id, lambda: self._compare([coordinator]))

    async def _settled(self, again: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(TRIES):
            settled = False

            async def once() -> None:
                nonlocal settled
                settled = await again()

            try:
                await patiently(self._context.status.node_id, once)
            except LinkClosed:
                raise
            except Exception:  # noqa: BLE001 - one fact that can't be written back keeps no other from it
                _log.exception("%s: a fact can't be written back", self._context.status.node_id)
                return
            if settled:
                return
            await asyncio.sleep(PAUSE)
        _log.error("%s: a fact was not written back in %d tries", self._context.status.node_id, TRIES)

    # ── one journal ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _compare(self, coordinators: Sequence[Coordinator]) -> None:
        context, turn = self._context, self.times
        doubted = [c for c in coordinators if c.awaiting_reconciliation and not c.dropped]
        looks = [context.journal.look(c.workflow_id, ()) for c in doubted]
        found = [(c, await look) for c, look in zip(doubted, looks, strict=True)]
        # an earlier call may have changed one, and its answer was lost
        await self._write_back.doubt_news(*(c.applied_ms for c in doubted))
        if turn != self.times:  # yet another server: the answers of this one no longer count
            return
        whole = [c for c, look in found if is_whole(c, look, context.status.node_id)]
        for coordinator in whole:
            coordinator.resume()
        rest = [(c, look) for c, look in found if c.awaiting_reconciliation]
        await put_all_back(self._hosted, rest, self._put_back)
        hosted = {c.workflow_id: c.created_ms for c in doubted if not c.dropped}
        if hosted:
            await context.ownership.relist(context.status.node_id, hosted)

    async def _put_back(self, coordinator: Coordinator, look: Look | None) -> None:
        remembered = Remembered.of(coordinator)
        found = await self._write_back.write(remembered, look) if remembered is not None else None
        if coordinator.dropped:
            return
        if found is not None and found.status in IN_PLACE:
            coordinator.resume()
            if found.status == "created":
                coordinator.show()
            return
        self._hosted.forget(coordinator)
        self._read_again.leave(coordinator.workflow_id, remembered, found)
