# SPDX-License-Identifier: Apache-2.0
"""A long-lived part that fails is reported and repeated; it never ends unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from nervenet.supervision import Ended, supervise


class Refused(Exception):
    """An error that no repetition cures."""


async def _supervised(*tries: Callable[[], Awaitable[None]]) -> list[str]:
    """What the owner hears while a part goes through these tries, of which the last one goes on until it is cancelled."""
    heard: list[str] = []
    left = list(tries)
    well = asyncio.Event()

    def on_change(error: Exception | None) -> None:
        heard.append(repr(error))
        if error is None:
            well.set()

    task = asyncio.create_task(supervise("part", lambda: left.pop(0)(), on_change=on_change, stable=0.2))
    async with asyncio.timeout(10):
        await well.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not left
    return heard


async def _fails() -> None:
    raise ValueError("entry 7")


async def _returns() -> None:
    await asyncio.sleep(0)


async def _is_cancelled_from_inside() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def _lives() -> None:
    await asyncio.Event().wait()


def test_a_part_that_raises_returns_or_is_cancelled_from_inside_is_run_again_and_its_owner_hears_of_each() -> None:
    heard = asyncio.run(_supervised(_fails, _returns, _is_cancelled_from_inside, _lives))
    assert heard[0] == repr(ValueError("entry 7"))
    assert [Ended.__name__ in one for one in heard[1:3]] == [True, True]
    assert heard[3:] == ["None"]  # it lives again


def test_a_fatal_error_is_the_owners() -> None:
    async def refused() -> None:
        raise Refused

    with pytest.raises(Refused):
        asyncio.run(supervise("part", refused, fatal=(Refused,)))
