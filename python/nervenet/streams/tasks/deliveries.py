# SPDX-License-Identifier: Apache-2.0
"""The stream entries of this process's tasks, from reading to deletion: XDEL and XACK, all of one tick in one write.

Call `drop` only after the reply that made a copy unnecessary. An entry that is not acknowledged stays pending under the
name of this process for as long as it lives, so a drop is repeated if the connection breaks.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.replies import ignore_error
from nervenet.streams.queues import GROUP
from nervenet.timing import DATA_PLANE_RETRY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nervenet.redis_link.link import Link
    from nervenet.streams.queues import Delivered

__all__ = ["Deliveries"]


class Deliveries:
    """One for each process. `in_hand` has the stream and id of each entry that was read and is not deleted yet: a
    second reading of it is no news."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self.in_hand: set[tuple[bytes, bytes]] = set()
        self._done: dict[bytes, list[bytes]] = {}
        self._flushing = False

    def __repr__(self) -> str:
        return f"<Deliveries, {len(self.in_hand)} in hand>"

    def unknown(self, stream: bytes, delivered: Iterable[Delivered]) -> list[Delivered]:
        """Those that are not in hand."""
        return [one for one in delivered if (stream, one.id) not in self.in_hand]

    @property
    def single(self) -> bool:
        """Whether there is exactly one in hand: nothing would share a write with its deletion."""
        return len(self.in_hand) == 1

    def release(self, stream: bytes, entry_id: bytes) -> None:
        """Forget an entry without deleting it: it stays pending, and a second reading of it is a new delivery."""
        self.in_hand.discard((stream, entry_id))

    def drop(self, stream: bytes, *ids: bytes) -> None:
        """Delete and acknowledge, together with all others of this tick. Without a stream: nothing."""
        if stream:
            self._done.setdefault(stream, []).extend(ids)
            if not self._flushing:
                self.flush_soon()

    def flush_soon(self) -> None:
        """Flush at the end of this tick. If the caller then sends a command, and drops an entry later in this tick, one
        write carries both: this flush runs before the link's own."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        done, self._done = self._done, {}
        for stream, ids in done.items():
            self._link.send("XDEL", stream, *ids).add_done_callback(ignore_error)
            acknowledged = self._link.send("XACK", stream, GROUP, *ids)
            acknowledged.add_done_callback(partial(self._flushed, stream, ids))

    def _flushed(self, stream: bytes, ids: list[bytes], acknowledged: asyncio.Future[Any]) -> None:
        self.in_hand.difference_update([(stream, one) for one in ids])
        if acknowledged.cancelled():
            return
        error = acknowledged.exception()
        if isinstance(error, LinkError) and error.retry:
            self._loop.call_later(DATA_PLANE_RETRY, self.drop, stream, *ids)
