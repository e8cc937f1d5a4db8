# SPDX-License-Identifier: Apache-2.0
"""The lists in which a closed workflow is moved: one set of commands for all that close within some milliseconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nervenet.streams.ownership import ClosedWorkflow

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext

TOGETHER_S = 0.02
"""Nobody waits for these lists, and three commands for twenty workflows are cheaper than for two."""


class CloseBookkeeping:
    """One for each node."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._finished: list[ClosedWorkflow] = []

    def finish(self, workflow_id: str, owner: str, created_ms: int, closed_ms: int, score: int = 0) -> None:
        """It has closed: move it from the open workflows to the closed ones, soon."""
        if not self._finished:
            self._loop.call_later(TOGETHER_S, self.flush)
        self._finished.append(ClosedWorkflow(workflow_id, owner, created_ms, closed_ms, score))

    def flush(self) -> None:
        """Write now what waits."""
        closed, self._finished = self._finished, []
        if closed:
            self._context.spawn(self._context.ownership.finish(closed, self._context.config.retention_ms))
