# SPDX-License-Identifier: Apache-2.0
"""How long to wait before the next try: doubling, bounded, and spread out so that a mesh does not try as one."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["Backoff"]

_FIRST: Final = 0.02
_LONGEST: Final = 0.5


class Backoff:
    """`next()` gives seconds: 20 ms, doubling up to half a second, each between half of it and the whole."""

    __slots__ = ("_chance", "_seconds")

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()
        self._seconds = _FIRST

    def next(self) -> float:
        seconds, self._seconds = self._seconds, min(self._seconds * 2, _LONGEST)
        return seconds * self._chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._seconds = _FIRST
