# SPDX-License-Identifier: Apache-2.0
"""What could not be written back: another node has it now, or Redis has another journal of it, or nobody has it.

Another journal (a later run, or one that begins otherwise) is read. Redis may lose that one too before it is read. So what this node
remembers is kept until then, and written back by the next recovery if Redis has nothing later.

What another node has now may lack a signal or a cancel that only this node recorded: Redis has lost it, and the other node continues
from another journal. Somebody was told of these, and code takes them at any time. So they are appended again, under their names.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from nervenet.node.recovery.write_back import patiently
from nervenet.node.workflows.wakes import send_wake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from nervenet.node.context import NodeContext
    from nervenet.node.recovery.remembered import Remembered
    from nervenet.node.recovery.write_back import WriteBack
    from nervenet.streams.answers import Restored

_log = logging.getLogger(__name__)


class ReadAgain:
    """One for each node.

    Args:
        load: hosts a workflow of this node again.
        remember: keeps a write for some seconds, to be repeated if Redis loses it.
        record_again: appends a fact of somebody's workflow once more, and tells its owner.
    """

    def __init__(
        self,
        context: NodeContext,
        write_back: WriteBack,
        load: Callable[[str], Awaitable[object]],
        remember: Callable[[Callable[[], Awaitable[bool]]], None],
        record_again: Callable[[str, int, str, bytes], Awaitable[bool]],
    ) -> None:
        self._context = context
        self._write_back = write_back
        self._load = load
        self._remember = remember
        self._record_again = record_again
        self._waiting: dict[str, Remembered] = {}

    def __repr__(self) -> str:
        return f"<ReadAgain {len(self._waiting)} waiting>"

    def leave(self, workflow_id: str, remembered: Remembered | None, found: Restored | None) -> None:
        """This node no longer hosts it. `found`: what `WriteBack.write` answered for what is remembered."""
        if remembered is None or found is None or found.status == "unknown":
            _log.error("%s is lost: Redis has forgotten it, and its beginning is not in memory", workflow_id)
        elif found.status == "not_owner":
            send_wake(self._context, found.owner, workflow_id, remembered.run, found.last, "")
            for entry in remembered.entries():
                if entry.name == "cancel" or entry.name.startswith("signal:"):
                    again = partial(self._record_again, workflow_id, remembered.run, entry.name, entry.data)
                    self._remember(again)
                    self._context.spawn(patiently(self._context.status.node_id, again))
        else:
            _log.warning("%s: another journal is there (%s), read again", workflow_id, found.status)
            self._waiting[workflow_id] = remembered
            self._context.spawn(self._read(remembered))

    async def _read(self, remembered: Remembered) -> None:
        workflow_id = remembered.workflow_id

        async def load() -> None:
            await self._load(workflow_id)

        try:
            await patiently(self._context.status.node_id, load)
        finally:
            if self._waiting.get(workflow_id) is remembered:
                del self._waiting[workflow_id]

    def unread(self) -> Iterator[Callable[[], Awaitable[bool]]]:
        """Write back what was there before each journal that is not read yet."""
        return (partial(self._write_back.write_unread, one) for one in tuple(self._waiting.values()))
