# SPDX-License-Identifier: Apache-2.0
"""What servers, nodes and proxies that run together have in common: they end together, in reverse order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Self


class Running:
    """`async with` runs `begin`, which starts things on `stack`; all of them end with the block, and where `begin` fails."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()

    async def begin(self) -> None:
        """Start what belongs to it."""

    async def __aenter__(self) -> Self:
        try:
            await self.begin()
        except BaseException:
            await self.stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()
