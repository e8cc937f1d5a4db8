# SPDX-License-Identifier: Apache-2.0
"""One Connect stream, seen from the node. Whatever is said in one tick of the loop travels in one message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nervenet.errors import RequestError

if TYPE_CHECKING:
    from nervenet.v1 import agent_service_pb2 as pb


class Line:
    """What is still to be said, and whether it is over. Nothing goes out before the welcome."""

    __slots__ = ("_items", "_more", "_open", "error", "over")

    def __init__(self) -> None:
        self._items: list[pb.ConnectResponseItem] = []
        self._more = asyncio.Event()
        self._open = self.over = False
        self.error: Exception | None = None

    def say(self, item: pb.ConnectResponseItem) -> None:
        if not self.over:
            self._items.append(item)
            self._more.set()

    def open(self, welcome: pb.ConnectResponseItem) -> None:
        """The first item; what was said before it follows it."""
        self._items.insert(0, welcome)
        self._open = True
        self._more.set()

    def end(self, error: Exception | None = None) -> None:
        """What was said still goes out (behind a welcome); then the stream ends, with this status. The first end holds."""
        if not self.over:
            self.over, self.error = True, error
            self._more.set()

    @property
    def ended_here(self) -> bool:
        """Whether this node ended it, for a reason that it gave."""
        return isinstance(self.error, RequestError)

    async def take(self) -> list[pb.ConnectResponseItem]:
        """Everything that is to be said; [] when the stream is over."""
        while not (self._items and self._open) and not self.over:
            self._more.clear()
            await self._more.wait()
        items, self._items = self._items, []
        return items if self._open else []
