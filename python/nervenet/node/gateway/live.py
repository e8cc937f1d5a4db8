# SPDX-License-Identifier: Apache-2.0
"""Progress and partial output of gateway agents on their way to watchers: as `agent/live.py` does for the others.

Collected for 50 ms, then one XADD for each task that spoke, and at once before its result is recorded. Best effort.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nervenet.wire import encode_progress, payload_in

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.guest import Held

PERIOD: Final = 0.05
MOST_ENTRIES: Final = 1_000
MOST_BYTES: Final = 1 << 20


class Live:
    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Held, None] = {}

    def announce(self, held: Held) -> None:
        """This task has news."""
        if not self._waiting:
            self._loop.call_later(PERIOD, self._flush_all)
        self._waiting[held] = None

    def flush(self, held: Held) -> None:
        """Send what it has to say, now: in the order of calls, so before whatever is recorded next."""
        self._waiting.pop(held, None)
        messages = self._messages(held)
        if not messages:
            return
        average = sum(map(len, messages)) // len(messages)
        most = max(1, min(MOST_ENTRIES, MOST_BYTES // max(1, average)))
        key = self._context.keys.live(held.envelope.workflow_id)
        fields = [part for message in messages for part in (b"p", message)]
        self._context.link.send("XADD", key, "MAXLEN", "~", most, "*", *fields).add_done_callback(_heard)
        self._context.link.send("PEXPIRE", key, self._context.config.retention_ms).add_done_callback(_heard)

    def _flush_all(self) -> None:
        for held in tuple(self._waiting):
            self.flush(held)

    def _messages(self, held: Held) -> list[bytes]:
        envelope = held.envelope
        about = (envelope.step, envelope.attempt, held.agent_id, self._context.clock.now_ms())
        parts, held.parts = held.parts, []
        messages = [encode_progress(*about, partial=payload_in(part), sequence=n) for n, part in parts]
        if held.news:
            held.news = False
            messages.append(encode_progress(*about, fraction=held.fraction, message=held.message))
        return messages


def _heard(future: asyncio.Future[object]) -> None:
    """Best effort: an error is no news."""
    if not future.cancelled():
        future.exception()
