# SPDX-License-Identifier: Apache-2.0
"""Deliveries that are in our hands, and how they leave them: deleted and acknowledged, all of one tick in one write.

Only called after the reply of what made a copy needless. One try and then, while the connection is broken, another: what is
pending under our name would stay so for as long as we live.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nervenet.redis_link.faults import LinkError
from nervenet.streams.queues import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nervenet.redis_link.link import Link
    from nervenet.streams.queues import Delivered

AGAIN: Final = 1.0


class Drops:
    """One for each gateway."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._known: set[tuple[bytes, bytes]] = set()
        self._done: dict[bytes, list[bytes]] = {}
        self._tidying = False

    def __repr__(self) -> str:
        return f"<Drops, {len(self._known)} deliveries in hand>"

    def __contains__(self, delivery: tuple[bytes, bytes]) -> bool:
        return delivery in self._known

    def hold(self, stream: bytes, entry_id: bytes) -> None:
        """It is here: a second reading of it is no news."""
        self._known.add((stream, entry_id))

    def let_go(self, stream: bytes, entry_id: bytes) -> None:
        """It is here no longer, whatever becomes of it in Redis."""
        self._known.discard((stream, entry_id))

    def unknown(self, stream: bytes, delivered: Iterable[Delivered]) -> list[Delivered]:
        """Those that are not in our hands."""
        return [one for one in delivered if (stream, one.id) not in self._known]

    def drop(self, stream: bytes, *ids: bytes) -> None:
        """Delete and acknowledge, together with all others that this tick is done with. Without a stream: nothing."""
        if not stream:
            return
        self._done.setdefault(stream, []).extend(ids)
        if not self._tidying:
            self._tidying = True
            self._loop.call_soon(self._tidy)

    def _tidy(self) -> None:
        self._tidying = False
        done, self._done = self._done, {}
        for stream, ids in done.items():
            self._link.send("XDEL", stream, *ids).add_done_callback(heard)
            acknowledged = self._link.send("XACK", stream, GROUP, *ids)
            acknowledged.add_done_callback(partial(self._tidied, stream, ids))

    def _tidied(self, stream: bytes, ids: list[bytes], acknowledged: asyncio.Future[Any]) -> None:
        self._known.difference_update((stream, one) for one in ids)
        if acknowledged.cancelled():
            return
        error = acknowledged.exception()
        if isinstance(error, LinkError) and error.retry:
            self._loop.call_later(AGAIN, self.drop, stream, *ids)


def heard(future: asyncio.Future[Any]) -> None:
    """Best effort: what got lost is found by the owner's watch, or pending under our name."""
    if not future.cancelled():
        future.exception()
