# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Turn:
    role: str
    text: str


class Stream:
    """A model's answer as it comes; it says in the end what it took."""

    model = "parrot-1"

    def __init__(self, text: str) -> None:
        self.text = ""
        self.tokens_in = self.tokens_out = 0
        self._coming = text

    async def __aiter__(self) -> AsyncIterator[str]:
        for token in self._coming.split():
            self.text += f"{token} "
            self.tokens_out += 1
            yield token


class Chat:
    """It says what it heard, and is done at the third turn."""

    def stream(self, turns: list[Turn]) -> Stream:
        return Stream(f"{'FINAL:' if len(turns) > 2 else 'Hm:'} {turns[0].text}")


@asynccontextmanager
async def open_chat() -> AsyncGenerator[Chat]:
    yield Chat()
