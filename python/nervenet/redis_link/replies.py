# SPDX-License-Identifier: Apache-2.0
"""Waiting for several commands that were sent together, so that the error of none of them stays unread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from nervenet.redis_link.faults import LinkError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Iterable

__all__ = ["ignore_error", "in_turn", "settled"]

_T = TypeVar("_T")


async def settled(replies: Iterable[Awaitable[_T]]) -> list[_T | LinkError]:
    """The reply of each command, or its `LinkError`, in the order of the commands.

    It awaits one after another: replies arrive in the order of their commands, so all but the first few are there when
    the first one is. `asyncio.gather` hangs a callback on each, which costs more than the commands.
    """
    results: list[_T | LinkError] = []
    for reply in replies:
        try:
            results.append(await reply)
        except LinkError as refused:
            results.append(refused)
    return results


async def in_turn(replies: Iterable[Awaitable[Any]]) -> list[Any]:
    """The replies, in the order of the commands. Raises the first error, once all replies are in."""
    results = await settled(replies)
    for result in results:
        if isinstance(result, LinkError):
            raise result
    return results


def ignore_error(future: asyncio.Future[Any]) -> None:
    """The callback of a command whose loss does no harm: it reads the error, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()
