# SPDX-License-Identifier: Apache-2.0
"""Ends the streams of callers whose credentials have ended (expired, revoked, or signed with a key that is withdrawn), and of those
whose right a new policy has taken away.

    streams = CallerStreams(identity.recheck)
    async for answer in streams.watched(answers, standing): …     # raises RequestError soon after the credentials or the right have ended
    await streams.follow()                              # without end: looks at every open stream each second

A stream is interrupted while it waits for its next answer. One that is sending ends when that has been sent, or `STREAM_END_WITHIN` seconds later:
then a caller that reads too slowly loses it without a reason. Streams whose credentials and rights have no end are not watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from contextvars import Context, copy_context
from typing import Any, Final, Protocol, TypeVar

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import RequestError
from nervenet.security.call import current_call
from nervenet.security.caller import Caller
from nervenet.timing import CREDENTIALS_LOOK_EVERY, STREAM_END_WITHIN

__all__ = ["CallerStreams", "Standing"]

T = TypeVar("T")

_JUDGED_AT_ONCE: Final = 50
"""Streams that are judged at the same time: those of callers with limits ask Redis what they are about."""


class Standing(Protocol):
    """What a stream was allowed by."""

    def is_due(self) -> bool:
        """Whether the rules have changed since it was judged."""
        ...

    async def judge(self) -> None:
        """Judge again, in the context of the call. Raises RequestError: the stream must end."""
        ...


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

    def watched(self, answers: AsyncGenerator[T, None], standing: Standing | None = None) -> AsyncGenerator[T, None]:
        """The answers of a stream of the current call's caller.

        Args:
            answers: Those of the method.
            standing: What it is allowed by. None: by rules that never change.

        Raises:
            RequestError: The credentials have ended, or the right has.
        """
        caller = current_call().caller
        if standing is None and not _may_end(caller):
            return answers
        return self._watched(answers, _Stream(caller, standing))

    async def _watched(self, answers: AsyncGenerator[T, None], stream: _Stream) -> AsyncGenerator[T, None]:
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
        at_once = asyncio.Semaphore(_JUDGED_AT_ONCE)
        async with asyncio.TaskGroup() as judging:
            while True:  # a date has no event
                await asyncio.sleep(CREDENTIALS_LOOK_EVERY)
                for stream, standing in self.look():
                    judging.create_task(self._judge(stream, standing, at_once), context=stream.context)

    def look(self) -> list[tuple[_Stream, Standing]]:
        """End the streams whose callers' credentials no longer count. Returns those that must be judged again."""
        now = self._clock.monotonic()
        due = []
        for stream in tuple(self._open):
            if stream.why is not None:
                stream.end_late(now)
                continue
            try:
                self._recheck(stream.caller)
            except RequestError as error:
                stream.end(error, now)
            else:
                if stream.standing is not None and stream.standing.is_due():
                    due.append((stream, stream.standing))
        return due

    async def _judge(self, stream: _Stream, standing: Standing, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            try:
                await standing.judge()
            except RequestError as error:
                if stream in self._open and stream.why is None:
                    stream.end(error, self._clock.monotonic())


def _may_end(caller: Caller) -> bool:
    """Whether the credentials of a caller may end while a stream of it is open."""
    return caller.expires is not None or caller.means == "token"


class _Stream:
    """One stream: either it waits for its next answer, or it sends one."""

    def __init__(self, caller: Caller, standing: Standing | None) -> None:
        self.caller = caller
        self.standing = standing
        self.context: Context = copy_context()
        """The call's, for who judges it."""
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
