# SPDX-License-Identifier: Apache-2.0
"""Ends the streams of callers whose credentials have ended: expired, revoked, or signed with a key that is withdrawn.

    streams = CallerStreams(identity.recheck)
    async for answer in streams.watched(answers): …     # raises Unauthorized soon after the credentials have ended
    await streams.follow()                              # without end: looks at every open stream each second

A stream is interrupted while it waits for its next answer. One that is sending ends when that has been sent, or `STREAM_END_WITHIN` seconds later:
then a caller that reads too slowly loses it without a reason. Streams whose credentials have no end are not watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import RequestError
from nervenet.security.call import current_call
from nervenet.security.caller import Caller
from nervenet.timing import CREDENTIALS_LOOK_EVERY, STREAM_END_WITHIN

__all__ = ["CallerStreams"]

T = TypeVar("T")


class CallerStreams:
    """The open streams of one server.

    Args:
        recheck: Raises RequestError for a caller whose credentials no longer count.
        clock: Of `STREAM_END_WITHIN`.
    """

    def __init__(self, recheck: Callable[[Caller], None], clock: Clock = SYSTEM) -> None:
        self._recheck = recheck
        self._clock = clock
        self._open: set[_Stream] = set()

    def __len__(self) -> int:
        return len(self._open)

    def watched(self, answers: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The answers of a stream of the current call's caller. Raises RequestError when the credentials have ended."""
        caller = current_call().caller
        return self._watched(answers, caller) if _may_end(caller) else answers

    async def _watched(self, answers: AsyncGenerator[T, None], caller: Caller) -> AsyncGenerator[T, None]:
        stream = _Stream(caller)
        self._open.add(stream)
        try:
            stream.wait()
            async with aclosing(answers):
                async for answer in answers:
                    stream.send()
                    yield answer
                    stream.wait()
        except asyncio.CancelledError:
            if stream.interrupted is None:
                raise
            stream.interrupted.uncancel()
            assert stream.why is not None
            raise stream.why from None
        finally:
            self._open.discard(stream)

    async def follow(self) -> None:
        """Look at all streams repeatedly, without end."""
        while True:  # a date has no event
            await asyncio.sleep(CREDENTIALS_LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """End the streams whose callers' credentials no longer count."""
        now = self._clock.monotonic()
        for stream in tuple(self._open):
            if stream.why is not None:
                stream.end_late(now)
                continue
            try:
                self._recheck(stream.caller)
            except RequestError as error:
                stream.end(error, now)


def _may_end(caller: Caller) -> bool:
    """Whether the credentials of a caller may end while a stream of it is open."""
    return caller.expires is not None or caller.means == "token"


class _Stream:
    """One stream: either it waits for its next answer, or it sends one."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.why: RequestError | None = None
        self.interrupted: asyncio.Task[Any] | None = None
        """The task that was cancelled because of `why`."""
        self._task: asyncio.Task[Any] | None = None
        self._is_waiting = False
        self._since = 0.0

    def wait(self) -> None:
        """Raises RequestError where the credentials have ended in the meantime."""
        if self.why is not None:
            raise self.why
        self._task, self._is_waiting = asyncio.current_task(), True

    def send(self) -> None:
        self._is_waiting = False

    def end(self, why: RequestError, now: float) -> None:
        self.why, self._since = why, now
        if self._is_waiting and self._task is not None:
            self.interrupted = self._task
            self._task.cancel()

    def end_late(self, now: float) -> None:
        """Cancel a stream that still sends: its caller does not read."""
        if self.interrupted is None and self._task is not None and now - self._since >= STREAM_END_WITHIN:
            self._task.cancel()
