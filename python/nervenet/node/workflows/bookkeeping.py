# SPDX-License-Identifier: Apache-2.0
"""The lists in which a closed workflow is moved: one set of commands for all that close within some milliseconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nervenet.streams.ownership import ClosedWorkflow

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.streams.heads import Head

TOGETHER_S = 0.02
"""Nobody waits for these lists, and three commands for twenty workflows are cheaper than for two."""


class CloseBookkeeping:
    """One for each node."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._finished: list[ClosedWorkflow] = []

    def finish(self, closed: ClosedWorkflow) -> None:
        """It has closed: move it from the open workflows to the closed ones, soon."""
        if not self._finished:
            self._loop.call_later(TOGETHER_S, self.flush)
        self._finished.append(closed)

    def finish_by_head(self, workflow_id: str, head: Head, *, owner: str = "", score: int = 0) -> None:
        """The same for one that was found closed. `owner`: whose set has it, if that is not the owner in its head."""
        self.finish(
            ClosedWorkflow(
                workflow_id,
                owner or head.owner,
                head.created_ms,
                head.closed_ms,
                score,
                head.run,
                head.retention_ms,
                head.definition,
            )
        )

    def flush(self) -> None:
        """Write now what waits."""
        closed, self._finished = self._finished, []
        if closed:
            config = self._context.config
            self._context.spawn(self._context.ownership.finish(closed, config.retention_ms, config.hold_ms))
