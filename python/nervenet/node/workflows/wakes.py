# SPDX-License-Identifier: Apache-2.0
"""News of entries: what arrives for workflows of this node goes to their coordinators, news for other nodes goes out.

A wake carries an entry, or only a hint that there is one. It may get lost: the owner's monitor, or its sweep, finds the
entry anyway.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from nervenet.streams.queues import LOOK, NOT_YOU, OutgoingWake

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows

_log = logging.getLogger(__name__)


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
        load: hosts a workflow of this node that is not hosted yet.
        refused: an agent has left a task in its queue: send it again.
        look_at: looks at the pending steps of workflows now.
    """

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        *,
        load: Callable[[str], Awaitable[object]],
        refused: Callable[[Coordinator, str], None],
        look_at: Callable[[list[Coordinator]], Awaitable[None]],
    ) -> None:
        self._context = context
        self._status = context.status
        self._hosted = hosted
        self._coordinators = hosted.coordinators
        self._load = load
        self._refused = refused
        self._look_at = look_at

    def received(self, workflow_id: str, journal_id: bytes, name: str, data: bytes) -> None:
        """An entry of a workflow that this node owns, or only a hint that there is one."""
        ms, _, n = journal_id.partition(b"-")
        coordinator = self._coordinators.get(workflow_id)
        if coordinator is None:
            if (early := self._hosted.early(workflow_id)) is None:
                self._context.spawn(self._load(workflow_id))
            elif data:
                early.append((int(n), int(ms), name, data))
        elif data:
            coordinator.feed(int(n), int(ms), name, data)
        elif name.startswith(NOT_YOU):
            self._refused(coordinator, name.removeprefix(NOT_YOU))
        elif name == LOOK:
            self._context.spawn(self._look_at([coordinator]))
        elif int(n) > coordinator.applied or not name:
            coordinator.catch_up()

    def tell_owner(self, workflow_id: str, owner: str, run: int, journal_id: bytes, name: str, data: bytes) -> None:
        """Tell the owner of a workflow of an entry that was written here; the owner may be this node."""
        if owner == self._status.node_id:
            self.received(workflow_id, journal_id, name, data)
        else:
            send_wake(self._context, owner, workflow_id, run, journal_id, name, data)
