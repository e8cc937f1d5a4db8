# SPDX-License-Identifier: Apache-2.0
"""Facts from outside a workflow (a signal, a cancel, the end of a child): appended by any node, told to the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.wire import encode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.wakes import Wakes
    from nervenet.records import Body
    from nervenet.streams.answers import Appended


class Facts:
    """One for each node. `remember` keeps a write for some seconds, to be repeated if Redis loses it."""

    def __init__(
        self, context: NodeContext, wakes: Wakes, remember: Callable[[Callable[[], Awaitable[bool]]], None]
    ) -> None:
        self._context = context
        self._wakes = wakes
        self._remember = remember

    async def record(self, workflow_id: str, run: int, name: str, body: Body, actor: str) -> Appended:
        """Append a fact, then wake the owner, also when the caller has left."""
        return await self._context.background.run_to_end(self._record(workflow_id, run, name, body, actor))

    async def _record(self, workflow_id: str, run: int, name: str, body: Body, actor: str) -> Appended:
        data = encode_entry(body, actor)
        if (blobs := self._context.blobs) is not None and blobs.is_large(data):
            data = await blobs.store_entry(workflow_id, run, data)
        answer = await self._context.journal.append(workflow_id, run, name, data)
        if answer.status in ("new", "exists"):
            news = data if answer.status == "new" else b""
            folded = self._wakes.tell_owner(workflow_id, answer.owner, answer.run, answer.id, name, news)
            if not folded:
                self._remember(lambda: self.record_again(workflow_id, run, name, data))
        return answer

    async def record_again(self, workflow_id: str, run: int, name: str, data: bytes) -> bool:
        """Append a fact that Redis may have lost, as it was stored. Returns whether that is settled."""
        answer = await self._context.journal.append(workflow_id, run, name, data)
        if answer.status == "new":
            self._wakes.tell_owner(workflow_id, answer.owner, answer.run, answer.id, name, data)
        return answer.status != "unknown" and answer.run >= run
