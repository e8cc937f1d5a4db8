# SPDX-License-Identifier: Apache-2.0
"""Repair of keys that are derived from journals and heads: they may be deleted and made again.

After a mistake of some program a set, list or stream may hold another type of value. Redis then refuses each command on
that key, which would stop all starts, or one queue, for the whole mesh. Such a key is deleted, and the processes fill
it again: nodes list their workflows, agents make their inbox.

Heads and journals are never deleted here: they are the only record of a workflow.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any

from nervenet.redis_link.faults import RedisRefused

if TYPE_CHECKING:
    from nervenet.redis_link.connection import Arg
    from nervenet.redis_link.link import Link

__all__ = ["DerivedKeyCall"]

_log = logging.getLogger(__name__)


class DerivedKeyCall:
    """A command on a derived key. It has already been sent; awaiting it returns the reply.

    If the key holds another type, the key is deleted and the command is repeated. It is no coroutine, because Python
    warns of a coroutine that is never awaited.
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
        _log.error("%s held another type of value: it was deleted and will be filled again", self._key.decode())
        await self._link.call("DEL", self._key)
        return await self._link.call(*self._words)
