# SPDX-License-Identifier: Apache-2.0
"""Keys that are derived from journals or heads may be thrown away and made again; this is where it is done.

Sets, lists and streams that only carry (docs/architecture.md, Law 3) can hold another type of value after somebody wrote there by
mistake. Every command on such a key is refused from then on, which would stop starts, or a queue, for the whole mesh.
What is derived is deleted then, and whoever owns its content lists it again: nodes their workflows, agents their inbox.

Heads and journals are never touched here: they are the truth of one workflow.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any

from nervenet.streams.faults import RedisRefused

if TYPE_CHECKING:
    from nervenet.streams.connection import Arg
    from nervenet.streams.link import Link

__all__ = ["Derived"]

_log = logging.getLogger(__name__)


class Derived:
    """A command on a derived key, which has been issued: awaiting it gives the reply.

    If the key turns out to hold another type it is deleted and the command repeated. Not a coroutine, because one that
    nobody came to await would be warned of.
    """

    __slots__ = ("_key", "_link", "_reply", "_words")

    def __init__(self, link: Link, key: bytes, words: tuple[Arg, ...], reply: Awaitable[Any] | None = None) -> None:
        self._link = link
        self._key = key
        self._words = words
        self._reply = link.call(*words) if reply is None else reply

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._repaired().__await__()

    async def _repaired(self) -> Any:
        try:
            return await self._reply
        except RedisRefused as refused:
            if not refused.wrong_type:
                raise
        _log.error("%s held another type of value: deleted, what belongs there is listed again", self._key.decode())
        await self._link.call("DEL", self._key)
        return await self._link.call(*self._words)
