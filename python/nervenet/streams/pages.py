# SPDX-License-Identifier: Apache-2.0
"""The records of the last seconds, packed: a Redis that came back may have lost them, and else nobody ever reads them.

A busy process remembers tens of thousands. As objects they would lie among the short-lived ones: the collector looks at
each of them, and memory that is still in the cache is not used again. So a record becomes bytes on a page at once, and the page
goes as a whole, when its last record is old enough.
"""

from __future__ import annotations

import io
import marshal
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE_BYTES: Final = 256 * 1024
IN_PLACE: Final = 2
"""The format of marshal that writes each value where it stands; later ones look for equal objects first."""
LONG_AGO: Final = float("-inf")

Record: TypeAlias = tuple[Any, ...]
"""Of numbers, str, bytes, and tuples and lists of them."""


class Pages:
    """`span`: how much later than the first the last record of a page may be, in whatever the caller's times count."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._full: deque[tuple[float, bytearray]] = deque()
        self._page = bytearray()
        self._end = 0
        self._until = self._latest = LONG_AGO
        self.size = 0

    def put(self, now: float, record: Record) -> None:
        """Times never go back."""
        packed = marshal.dumps(record, IN_PLACE)
        size = len(packed)
        if now > self._until or self._end + size > len(self._page):
            self._turn()
            self._page, self._until = bytearray(max(size, PAGE_BYTES)), now + self._span
        begin, self._end = self._end, self._end + size
        self._page[begin : self._end] = packed
        self._latest = now
        self.size += size

    def _turn(self) -> None:
        if self._end:
            del self._page[self._end :]
            self._full.append((self._latest, self._page))
            self._page, self._end, self._until = bytearray(), 0, LONG_AGO

    def forget(self, before: float) -> None:
        """The pages that have no later record."""
        while self._full and self._full[0][0] < before:
            self.forget_oldest()
        if self._end and self._latest < before:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        """One page, where there is one."""
        if not self._full:
            self._turn()
        if self._full:
            self.size -= len(self._full.popleft()[1])

    def records(self) -> Iterator[Record]:
        """All of now, the oldest first, whatever happens to the pages meanwhile."""
        return _unpacked([*(page for _, page in self._full), self._page[: self._end]])


def _unpacked(pages: Iterable[bytearray]) -> Iterator[Record]:
    for page in pages:
        file = io.BytesIO(page)
        while file.tell() < len(page):
            yield marshal.load(file)  # noqa: S302  # this process has packed it
