# SPDX-License-Identifier: Apache-2.0
"""Pauses between tries: doubling, bounded, and random, so that many processes do not try at the same moment."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["Backoff"]

_FIRST: Final = 0.02


class Backoff:
    """`next()` gives the seconds to wait: 20 ms, doubling up to `longest`, each between half of it and the whole."""

    __slots__ = ("_chance", "_longest", "_seconds")

    def __init__(self, chance: random.Random | None = None, longest: float = 0.5) -> None:
        self._chance = chance or random.Random()
        self._longest = longest
        self._seconds = _FIRST

    def next(self) -> float:
        seconds, self._seconds = self._seconds, min(self._seconds * 2, self._longest)
        return seconds * self._chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._seconds = _FIRST
