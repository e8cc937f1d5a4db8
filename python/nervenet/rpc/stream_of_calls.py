# SPDX-License-Identifier: Apache-2.0
"""A stream whose messages are calls: each is answered on its own, with its number, when its answer is ready.

    async for answer in StreamOfCalls(answer_one, stopping).run(messages): …

A message costs a quarter of a call: gRPC has nothing to set up or to tear down. `answer_one` turns a message into its answer and
never raises. At most `MOST_AT_ONCE` messages are under way, and none may have more than `LARGEST` bytes, because the limits of bodies
(`nervenet.rpc.bodies`) are about calls: so a stream holds 4 MiB at most.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

__all__ = ["LARGEST", "MOST_AT_ONCE", "StreamOfCalls"]

MOST_AT_ONCE: Final = 64
LARGEST: Final = 64 << 10


class StreamOfCalls:
    """One stream of one client.

    Args:
        answer: Answers a message. It runs in a task of its own.
        stopping: Is set when the server stops. The stream then ends, once what is under way is answered.
    """

    def __init__(self, answer: Callable[[Any], Awaitable[Any]], stopping: asyncio.Event) -> None:
        self._answer_to = answer
        self._stopping = stopping
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: list[Any] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._error: BaseException | None = None
        self._ended = False

    async def run(self, messages: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Until the client has said all and heard all, or the server stops. Raises what `messages` raises."""
        own = [asyncio.create_task(self._read(messages)), asyncio.create_task(self._stop())]
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._answers:
                    yield self._answers.pop(0)
                if self._error is not None:
                    raise self._error
                if self._ended and not self._tasks and not self._answers:
                    return
        finally:
            for task in (*own, *self._tasks):
                task.cancel()

    async def _stop(self) -> None:
        await self._stopping.wait()
        self._ended = True
        self._news.set()

    async def _read(self, messages: AsyncIterator[Any]) -> None:
        try:
            async for message in messages:
                if self._stopping.is_set():
                    return
                task = asyncio.create_task(self._answer(message))
                self._tasks.add(task)
                while len(self._tasks) >= MOST_AT_ONCE:
                    self._room.clear()
                    await self._room.wait()
            self._ended = True
        except Exception as error:  # noqa: BLE001  # whatever ends the reading ends the stream, with that error
            self._error = error
        self._news.set()

    async def _answer(self, message: Any) -> None:
        answer = await self._answer_to(message)
        self._tasks.discard(asyncio.current_task())
        self._answers.append(answer)
        self._news.set()
        self._room.set()
