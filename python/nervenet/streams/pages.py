# SPDX-License-Identifier: Apache-2.0
"""The records of the last seconds, packed: a Redis that came back may have lost them, and else nobody ever reads them.

A busy process remembers tens of thousands. As objects they would lie among the short-lived ones: the collector looks at
each of them, and memory that is still in the cache is not used again. So some at a time become the bytes of a page, which
goes as a whole, when its last record is old enough.
"""

from __future__ import annotations

import marshal
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AT_ONCE: Final = 8
"""Eight closed workflows of some KB are still in the cache, and what they pack to is below malloc's limit for mapped blocks."""
IN_PLACE: Final = 2
"""The format of marshal that writes each value where it stands; later ones look for equal objects first."""
LONG_AGO: Final = float("-inf")

Record: TypeAlias = tuple[Any, ...]
"""Of numbers, str, bytes, and tuples and lists of them."""
Page: TypeAlias = tuple[float, int, bytes]
"""The time of its last record, what all of them were said to weigh, and they. A bare tuple: the collector lets go of those."""


class Pages:
    """`span`: how much later than the first the last record of a page may be, in whatever the caller's times count."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._full: deque[Page] = deque()
        self._fresh: list[Record] = []
        self._fresh_size = 0
        self._until = self._latest = LONG_AGO
        self.size = 0

    def put(self, now: float, record: Record, size: int) -> bool:
        """Whether that began a page: a good time to forget. Times never go back."""
        turned = now > self._until or len(self._fresh) == AT_ONCE
        if turned:
            self._turn()
            self._until = now + self._span
        self._fresh.append(record)
        self._fresh_size += size
        self.size += size
        self._latest = now
        return turned

    def _turn(self) -> None:
        if self._fresh:
            self._full.append((self._latest, self._fresh_size, marshal.dumps(self._fresh, IN_PLACE)))
            self._fresh, self._fresh_size, self._until = [], 0, LONG_AGO

    def forget(self, before: float) -> None:
        """The pages that have no later record."""
        while self._full and self._full[0][0] < before:
            self.forget_oldest()
        if self._fresh and self._latest < before:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        """One page, where there is one."""
        if not self._full:
            self._turn()
        if self._full:
            self.size -= self._full.popleft()[1]

    def records(self) -> Iterator[Record]:
        """All of now, the oldest first, whatever happens to the pages meanwhile."""
        return _unpacked(tuple(self._full), tuple(self._fresh))


def _unpacked(pages: Iterable[Page], fresh: Iterable[Record]) -> Iterator[Record]:
    for _, _, packed in pages:
        yield from marshal.loads(packed)  # noqa: S302  # this process has packed it
    yield from fresh
