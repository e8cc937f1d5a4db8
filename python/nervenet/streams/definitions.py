# SPDX-License-Identifier: Apache-2.0
"""Workflows as data, stored: `nn:<ns>:definition:{<name>}`, a hash from version to the message, each written once.

HSETNX is the whole protocol: the first writer of a version wins, everybody else reads what he wrote. The names stand in a
set of their own, `nn:<ns>:definitions`, written first: what a crash leaves in it is a name without versions, which no
reader shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from nervenet.streams.keys import Keys
from nervenet.streams.link import Link

__all__ = ["Definitions"]

_PAGE = 500


class Definitions:
    """The stored definitions of one namespace, as bytes."""

    __slots__ = ("_keys", "_link")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def put(self, name: str, version: int, data: bytes) -> bytes | None:
        """None: it is stored. Else what is stored under that name and version already."""
        await self._link.call("SADD", self._keys.definitions, name)
        if await self._link.call("HSETNX", self._keys.definition(name), version, data):
            return None
        return await self.get(name, version)

    async def get(self, name: str, version: int) -> bytes | None:
        found: bytes | None = await self._link.call("HGET", self._keys.definition(name), version)
        return found

    async def some(self, name: str, versions: Sequence[int]) -> list[bytes]:
        found = await self._link.call("HMGET", self._keys.definition(name), *versions) if versions else ()
        return [data for data in found if data is not None]

    async def versions(self, name: str) -> list[int]:
        """The highest first; empty: no such definition."""
        return sorted(map(int, await self._link.call("HKEYS", self._keys.definition(name))), reverse=True)

    async def names(self) -> list[str]:
        """In order."""
        found: set[bytes] = set()
        cursor = b"0"
        while True:
            cursor, page = await self._link.call("SSCAN", self._keys.definitions, cursor, "COUNT", _PAGE)
            found.update(page)
            if cursor == b"0":
                return sorted(name.decode() for name in found)
