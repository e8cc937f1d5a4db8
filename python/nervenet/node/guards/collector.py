# SPDX-License-Identifier: Apache-2.0
"""Python's garbage collector does not run in a turn of the event loop in which workflow code runs, but in the next one.

A workflow that makes thousands of calls in one callback makes tens of thousands of objects that stay. The collector would go
through all of them, several times, in the same turn: it was a third of that turn, in which the node does nothing else.
"""

from __future__ import annotations

import asyncio
import gc
from types import TracebackType
from typing import Self


class CollectorPause:
    """One for each process. `hold` before workflow code runs; it ends on its own. A context manager, whose end ends it too."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.held = False

    def __repr__(self) -> str:
        return f"<CollectorPause{' held' if self.held else ''}>"

    def hold(self) -> None:
        """Keep the collector away until the next turn. For the hottest path: it is called for every entry."""
        if not self.held and gc.isenabled():
            self.held = True
            gc.disable()
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        if self.held:
            self.held = False
            gc.enable()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
