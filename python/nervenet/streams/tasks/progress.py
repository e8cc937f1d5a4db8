# SPDX-License-Identifier: Apache-2.0
"""News of running attempts on their way to watchers: one XADD for each attempt that has some, 50 ms apart at least.

What is said after a silence is sent at once; what follows within 50 ms is collected. A hint goes with each XADD, so that
watchers read the stream when there is something in it. The live stream of a workflow is best effort and limited (about
1,000 entries and 1 MiB); each of its entries holds one or more fields `p`, each a TaskProgress. It expires like a closed
run, so that what an agent says too late leaves no litter.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from nervenet.redis_link.replies import ignore_error
from nervenet.streams.script import packaged_scripts
from nervenet.timing import PROGRESS_EVERY
from nervenet.wire import encode_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.streams.data_plane import DataPlane
    from nervenet.streams.tasks.attempt import TaskAttempt

__all__ = ["ProgressPublisher"]

LIVE_ENTRIES: Final = 1_000
LIVE_BYTES: Final = 1 << 20


class ProgressPublisher:
    """One for each process. Any thread may call `announce`; only the thread of the loop calls `flush`."""

    def __init__(self, data_plane: DataPlane, now_ms: Callable[[], int], retention_ms: int) -> None:
        self._link = data_plane.link
        self._keys = data_plane.keys
        self._now_ms = now_ms
        self._retention_ms = retention_ms
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiting: dict[TaskAttempt, None] = {}
        self._not_before = 0.0
        self._hint = next(script.sha for script in packaged_scripts() if script.name == "progress_hint")

    def announce(self, attempt: TaskAttempt) -> None:
        """This attempt has news. Nothing happens if it announced them before and they are not published yet."""
        if attempt.announced:
            return
        attempt.announced = True
        if threading.get_ident() == self._thread:
            self._note(attempt)
        else:
            self._loop.call_soon_threadsafe(self._note, attempt)

    def flush(self, attempt: TaskAttempt) -> None:
        """Publish its news now: commands keep their order, so before whatever is recorded next."""
        if not attempt.announced:
            return
        attempt.announced = False  # before the look: what comes after it is announced again
        messages = self._messages(attempt)
        if not messages:
            return
        attempt.live_entries += 1
        attempt.live_bytes += sum(map(len, messages))
        average = attempt.live_bytes // attempt.live_entries
        most = max(1, min(LIVE_ENTRIES, LIVE_BYTES // max(1, average)))
        key = self._keys.live(attempt.key.workflow_id)
        fields = [part for message in messages for part in (b"p", message)]
        self._link.send("XADD", key, "MAXLEN", "~", most, "*", *fields).add_done_callback(ignore_error)
        if attempt.live_entries == 1:
            self._link.send("PEXPIRE", key, self._retention_ms).add_done_callback(ignore_error)
        head = self._keys.head(attempt.key.workflow_id)
        self._link.send("EVALSHA", self._hint, 1, head).add_done_callback(ignore_error)

    def _note(self, attempt: TaskAttempt) -> None:
        if not self._waiting:
            self._loop.call_at(self._not_before, self._flush_all)
        self._waiting[attempt] = None

    def _flush_all(self) -> None:
        self._not_before = self._loop.time() + PROGRESS_EVERY
        waiting, self._waiting = self._waiting, {}
        for attempt in waiting:
            self.flush(attempt)

    def _messages(self, attempt: TaskAttempt) -> list[bytes]:
        about = (attempt.key.step, attempt.key.attempt, attempt.agent_id, self._now_ms())
        messages = []
        while attempt.parts:
            sequence, part = attempt.parts.popleft()
            messages.append(encode_progress(*about, partial=part, sequence=sequence))
        if attempt.news:
            attempt.news = False
            messages.append(encode_progress(*about, fraction=attempt.fraction, message=attempt.message))
        return messages
