# SPDX-License-Identifier: Apache-2.0
"""News of entries: what arrives for workflows of this node goes to their coordinators, news for other nodes goes out.

A wake carries an entry, or only a hint that there is one. It may get lost: the owner's monitor, or its sweep, finds the
entry anyway.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from nervenet.redis_link.faults import LinkError, RedisRefused
from nervenet.streams.queues import LOOK, NOT_YOU, OutgoingWake, Wake, parse_wakes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.redis_link.reader import Reader

_log = logging.getLogger(__name__)

WAKES = 1_000
"""Entries that are read at a time."""
WAKES_AT_A_TIME = 50
"""Entries that are folded without a pause: a few milliseconds."""
TRIM_AT = 32
"""Entries that were read are deleted this many at a time, or when nothing new has come within `BLOCK_MS`."""
BLOCK_MS = 2_000
"""Longest time of one read."""


def send_wake(
    context: NodeContext, owner: str, workflow_id: str, run: int, journal_id: bytes, name: str, data: bytes = b""
) -> None:
    """Tell another node of an entry of its workflow."""
    context.queues.wake_nowait(OutgoingWake(owner, workflow_id, run, journal_id, name, data)).add_done_callback(_sent)


def _sent(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.debug("a wake was not sent: %s", error)


class Wakes:
    """One for each node.

    Args:
        load_soon: hosts a workflow of this node that is not hosted yet, or is out of memory.
        refused: an agent has left a task in its queue: send it again.
        look_at: looks at the pending steps of workflows now.
    """

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        *,
        load_soon: Callable[[str], None],
        refused: Callable[[Coordinator, str], None],
        look_at: Callable[[list[Coordinator]], Awaitable[None]],
    ) -> None:
        self._context = context
        self._status = context.status
        self._hosted = hosted
        self._coordinators = hosted.coordinators
        self._load_soon = load_soon
        self._refused = refused
        self._look_at = look_at

    def received(self, workflow_id: str, journal_id: bytes, name: str, data: bytes) -> None:
        """An entry of a workflow that this node owns, or only a hint that there is one."""
        ms, _, n = journal_id.partition(b"-")
        coordinator = self._coordinators.get(workflow_id)
        if coordinator is None:
            if (early := self._hosted.early(workflow_id)) is None:
                self._load_soon(workflow_id)
            elif data:
                early.append((int(n), int(ms), name, data))
        elif data:
            coordinator.hear(int(n), int(ms), name, data)
        elif name.startswith(NOT_YOU):
            self._refused(coordinator, name.removeprefix(NOT_YOU))
        elif name == LOOK:
            self._context.spawn(self._look_at([coordinator]))
        elif int(n) > coordinator.applied or not name:
            coordinator.catch_up()

    def tell_owner(self, workflow_id: str, owner: str, run: int, journal_id: bytes, name: str, data: bytes) -> bool:
        """Tell the owner of a workflow of an entry that was written here; the owner may be this node.

        Returns whether this node has folded it, and so remembers it with its workflow.
        """
        if owner != self._status.node_id:
            send_wake(self._context, owner, workflow_id, run, journal_id, name, data)
            return False
        self.received(workflow_id, journal_id, name, data)
        coordinator = self._coordinators.get(workflow_id)
        if coordinator is None or coordinator.awaiting_reconciliation:  # then another entry may have had that number
            return False
        return coordinator.applied >= int(journal_id.partition(b"-")[2])


FORBIDDEN: Final = frozenset({"NOPERM", "NOAUTH"})
"""What Redis answers to a user whose permission was taken away."""


def _was_lost(sent: asyncio.Future[Any] | None) -> bool:
    """Whether a command has failed, as when its connection broke."""
    return sent is not None and sent.done() and not sent.cancelled() and sent.exception() is not None


class WakeReader:
    """Reads the wake stream of this node, from its beginning after every connect. Known entries are dropped by their number."""

    def __init__(self, context: NodeContext, wakes: Wakes) -> None:
        self._context = context
        self._wakes = wakes
        self._reader: Reader | None = None

    def id_changed(self) -> None:
        """The node has a new id: end the read that waits for news of the old one."""
        if self._reader is not None:
            self._reader.interrupt("the node has another id")

    async def _not_read(self, error: LinkError, mine: str) -> None:
        """A read has failed. Raises the error where it does not help to wait: the node reports then that it cannot work, and ends if
        that lasts."""
        _log.debug("%s: %s", mine, error)
        if isinstance(error, RedisRefused):
            if error.code in FORBIDDEN:
                raise error
            if error.wrong_type:
                await self._context.queues.make_wake(mine)
        await asyncio.sleep(0.1)

    async def run(self) -> None:
        """For as long as the node lives."""
        context, status, received = self._context, self._context.status, self._wakes.received
        reader = self._reader = await context.link.dedicated()
        last, connects, mine, read = b"0", 0, "", 0
        trimming: asyncio.Future[Any] | None = None
        while True:
            if (reader.connects, status.node_id) != (connects, mine):
                connects, mine, last = reader.connects, status.node_id, b"0"
            try:
                wakes = parse_wakes(await reader.read(*context.queues.read_wakes(mine, last, WAKES, BLOCK_MS)))
            except LinkError as error:
                if status.node_id == mine:
                    await self._not_read(error, mine)
                last = b"0"
                continue
            for i, wake in enumerate(wakes, 1):
                if i % WAKES_AT_A_TIME == 0:
                    await asyncio.sleep(0)  # the rest of the node goes on
                if type(wake) is not Wake:
                    context.link.skips.skip(f"an entry of the wake of {mine}", "it has other fields")
                    continue
                try:
                    received(wake.workflow_id, wake.journal_id, wake.name, wake.entry or b"")
                except Exception:  # noqa: BLE001 - one piece of news costs the workflow that it belongs to, not the others'
                    _log.exception("%s: news %r of %s", mine, wake.name, wake.workflow_id)
            if wakes:
                newest = wakes[-1]
                last = newest.id if isinstance(newest, Wake) else newest
                read += len(wakes)
            if read >= TRIM_AT or not wakes:
                if last != b"0" and (read or _was_lost(trimming)):
                    trimming = context.queues.trim_wakes_nowait(mine, last)
                read = 0
            context.link.flush()
