# SPDX-License-Identifier: Apache-2.0
"""A stream whose messages are calls: what is under way at once, in which order answers come, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nervenet.rpc.stream_of_calls import MOST_AT_ONCE, StreamOfCalls
from tests.support.waiting import until


class Calls:
    """Messages are numbers; each is answered when the test says so."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[int | None] = asyncio.Queue()
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.answers: dict[int, asyncio.Event] = {}
        self.heard: list[int] = []
        self.stopping = asyncio.Event()
        self.stream = StreamOfCalls(self._answer, self.stopping)
        self.task = asyncio.create_task(self._listen())

    async def _messages(self) -> AsyncIterator[int]:
        while (message := await self.messages.get()) is not None:
            if message < 0:
                raise ValueError("that is no message")
            yield message

    async def _answer(self, number: int) -> Any:
        self.begun.append(number)
        try:
            await self.answers.setdefault(number, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return number

    async def _listen(self) -> None:
        async for answer in self.stream.run(self._messages()):
            self.heard.append(answer)

    def say(self, *numbers: int | None) -> None:
        for number in numbers:
            self.messages.put_nowait(number)

    def answer(self, *numbers: int) -> None:
        for number in numbers:
            self.answers.setdefault(number, asyncio.Event()).set()


async def test_answers_come_when_they_are_ready_and_it_ends_after_the_last() -> None:
    calls = Calls()
    calls.say(1, 2, 3, None)
    await until(lambda: len(calls.begun) == 3, "all are under way")
    calls.answer(3)
    await until(lambda: calls.heard == [3], "the third is answered first")
    assert not calls.task.done()
    calls.answer(1, 2)
    await calls.task
    assert sorted(calls.heard) == [1, 2, 3]


async def test_a_stream_has_a_limited_number_under_way() -> None:
    calls = Calls()
    calls.say(*range(MOST_AT_ONCE + 5))
    await until(lambda: len(calls.begun) == MOST_AT_ONCE, "as many as may be")
    calls.answer(0)
    await until(lambda: len(calls.begun) == MOST_AT_ONCE + 1, "one more, since one is answered")
    assert calls.heard == [0]
    calls.say(None)
    calls.answer(*range(MOST_AT_ONCE + 5))
    await calls.task
    assert len(calls.heard) == MOST_AT_ONCE + 5


async def test_when_the_server_stops_it_reads_no_more_and_answers_what_is_under_way() -> None:
    calls = Calls()
    calls.say(1)
    await until(lambda: calls.begun == [1], "one is under way")
    calls.stopping.set()
    calls.say(2)
    calls.answer(1, 2)
    await calls.task
    assert (calls.begun, calls.heard) == ([1], [1])


async def test_what_is_under_way_ends_with_a_stream_that_breaks() -> None:
    calls = Calls()
    calls.say(1)
    await until(lambda: calls.begun == [1], "one is under way")
    calls.say(-1)
    with pytest.raises(ValueError, match="no message"):
        await calls.task
    await until(lambda: calls.cancelled == [1], "nobody waits for it any more")
