# SPDX-License-Identifier: Apache-2.0
"""Waiting ends as soon as it can; when it fails, the message says what was awaited and what was there instead."""

from __future__ import annotations

import asyncio

import pytest

from nervenet.errors import Unavailable
from tests.support.waiting import keep_asking, until, wait_until


class Logs:
    def logs(self) -> str:
        return "── node-0.log\nit is tired"


async def test_what_the_condition_returned_is_the_answer() -> None:
    looks = iter((0, None, "", "there"))
    assert await until(lambda: next(looks), "it is there") == "there"
    numbers = iter((0, 7))

    async def look() -> int:
        return next(numbers)

    assert await until(look, "seven") == 7
    looks = iter((False, True))
    assert wait_until(lambda: next(looks), "true") is True


async def test_a_wait_that_fails_says_what_for_how_long_and_shows_the_logs() -> None:
    with pytest.raises(AssertionError) as failed:
        await until(lambda: False, "two nodes serve", 0.05, Logs())
    assert str(failed.value) == "not within 0.05 s: two nodes serve\n── node-0.log\nit is tired"
    with pytest.raises(AssertionError, match=r"not within 0.05 s: it is gone"):
        wait_until(lambda: False, "it is gone", 0.05)


async def test_without_words_the_message_shows_the_condition() -> None:
    nodes: list[str] = []
    with pytest.raises(AssertionError, match=r"not within 0.05 s: await until.lambda: len.nodes. == 2"):
        await until(lambda: len(nodes) == 2, within=0.05)


async def test_a_condition_that_hangs_ends_with_the_deadline() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(AssertionError, match="an answer"):
            await until(asyncio.Event().wait, "an answer", 0.05)


async def test_errors_that_mean_not_yet_are_in_the_message_and_others_are_raised() -> None:
    def refused() -> bool:
        raise ConnectionRefusedError("nobody listens")

    with pytest.raises(AssertionError, match=r"the last look failed: ConnectionRefusedError.'nobody listens'"):
        await until(refused, "somebody listens", 0.05, ignore=(OSError,))
    with pytest.raises(ConnectionRefusedError):
        await until(refused, "somebody listens")


async def test_a_mesh_that_does_not_answer_is_asked_again() -> None:
    asked = 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise Unavailable("no node", code="UNAVAILABLE")
        return "yes"

    assert await keep_asking(ask, 5, every=0.001) == "yes"
    asked = 0
    with pytest.raises(Unavailable):
        await keep_asking(ask, 5, codes=("RESOURCE_EXHAUSTED",))
