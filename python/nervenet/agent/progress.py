# SPDX-License-Identifier: Apache-2.0
"""Progress and partial output, on their way to watchers: collected for 50 ms, then one XADD for each attempt.

The live stream of a workflow is best effort, and limited to about 1,000 entries and 1 MiB. Each entry has one or more
fields `p`, each a TaskProgress. The stream expires like a closed run, so that late progress leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from nervenet.wire import encode_progress

if TYPE_CHECKING:
    from nervenet.agent.running import Running
    from nervenet.clock import Clock
    from nervenet.redis_link.link import Link
    from nervenet.streams.keys import Keys

FLUSH_AFTER: Final = 0.05
"""Seconds for which progress is collected."""
LIVE_ENTRIES: Final = 1_000
LIVE_BYTES: Final = 1 << 20


class ProgressPublisher:
    """Publishes the progress of attempts. `announce` may be called from any thread, the rest only from the loop's."""

    def __init__(self, link: Link, keys: Keys, clock: Clock, retention_ms: int) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._retention_ms = retention_ms
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiting: list[Running] = []

    def announce(self, running: Running) -> None:
        """This attempt has new progress."""
        if threading.get_ident() == self._thread:
            self._note(running)
        else:
            self._loop.call_soon_threadsafe(self._note, running)

    def flush(self, running: Running) -> None:
        """Send its progress now. Commands keep their order, so this comes before the entry that is recorded next."""
        running.announce = self.announce  # first: progress that is reported after this line announces itself again
        messages = self._messages(running)
        if not messages:
            return
        running.live_entries += 1
        running.live_bytes += sum(map(len, messages))
        average = running.live_bytes // running.live_entries
        most = max(1, min(LIVE_ENTRIES, LIVE_BYTES // max(1, average)))
        key = self._keys.live(running.envelope.workflow_id)
        fields = [part for message in messages for part in (b"p", message)]
        self._link.send("XADD", key, "MAXLEN", "~", most, "*", *fields).add_done_callback(_ignore_error)
        if running.live_entries == 1:
            self._link.send("PEXPIRE", key, self._retention_ms).add_done_callback(_ignore_error)

    def _note(self, running: Running) -> None:
        if not self._waiting:
            self._loop.call_later(FLUSH_AFTER, self._flush_all)
        self._waiting.append(running)

    def _flush_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for running in waiting:
            if not running.ended:
                self.flush(running)

    def _messages(self, running: Running) -> list[bytes]:
        envelope, now = running.envelope, self._clock.now_ms()
        about = (envelope.step, envelope.attempt, running.agent_id, now)
        messages = []
        while running.parts:
            sequence, part = running.parts.popleft()
            messages.append(encode_progress(*about, partial=part, sequence=sequence))
        if running.news:
            running.news = False
            messages.append(encode_progress(*about, fraction=running.fraction, message=running.message))
        return messages


def _ignore_error(future: asyncio.Future[object]) -> None:
    """Progress is best effort, so an error is ignored."""
    if not future.cancelled():
        future.exception()
