# SPDX-License-Identifier: Apache-2.0
"""Workflow definitions given as data: `nn:<ns>:definition:{<name>}` is a hash from version to message, each written
once.

HSETNX is the whole protocol: the first writer of a version succeeds, all others read what it wrote. The set
`nn:<ns>:definitions` has the names. It is written first, so a crash may leave a name without versions, which readers
skip.
"""

from __future__ import annotations

from collections.abc import Sequence

from nervenet.redis_link.link import Link
from nervenet.streams.derived import DerivedKeyCall
from nervenet.streams.keys import Keys

__all__ = ["DefinitionStore"]

_PAGE = 500


class DefinitionStore:
    """The stored definitions of one namespace, as bytes."""

    __slots__ = ("_keys", "_link")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def put(self, name: str, version: int, data: bytes) -> bytes | None:
        """Store a version. Returns None if it was stored now, else the data that was stored under that version
        before."""
        await DerivedKeyCall(self._link, self._keys.definitions, ("SADD", self._keys.definitions, name))
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
        """All versions, the highest first. Empty if there is no such definition."""
        found = await self._link.call("HKEYS", self._keys.definition(name))
        return sorted((int(version) for version in found if version.isdigit()), reverse=True)

    async def names(self) -> list[str]:
        """All names, sorted."""
        found: set[str] = set()
        cursor, key = b"0", self._keys.definitions
        while True:
            cursor, page = await DerivedKeyCall(self._link, key, ("SSCAN", key, cursor, "COUNT", _PAGE))
            names = (self._link.skips.text(name, f"a member of {key.decode()}") for name in page)
            found.update(name for name in names if name is not None)
            if cursor == b"0":
                return sorted(found)
