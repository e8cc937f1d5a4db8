# SPDX-License-Identifier: Apache-2.0
"""The records of the last seconds, packed into bytes. They are only read when Redis is back and may have lost them.

A busy process remembers tens of thousands of records. As Python objects they would cost time: the garbage collector
visits each of them, and they keep memory that is in the CPU cache from being used again. So a few records at a time
become the bytes of a page, and a page is forgotten as a whole, when its last record is old enough.
"""

from __future__ import annotations

import marshal
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RECORDS_A_PAGE: Final = 8
"""Records of a page. Eight closed workflows of a few KB each are still in the CPU cache, and their packed bytes are
below malloc's limit for mapped blocks."""
MARSHAL_VERSION: Final = 2
"""The version of marshal's format. Later versions search for equal objects first, which takes time."""
NEVER: Final = float("-inf")

Record: TypeAlias = tuple[Any, ...]
"""Numbers, str, bytes, and tuples and lists of them."""
Page: TypeAlias = tuple[float, int, int, bytes]
"""The time and the number of the last record, the size of all records as the caller gave it, and their bytes. It is a plain
tuple because the garbage collector stops tracking tuples of such values."""


class Pages:
    """`span`: how much later than the first record of a page its last one may be, in the unit of the caller's times.

    `count` is the number of records that were ever added: the first has the number 1.
    """

    def __init__(self, span: float) -> None:
        self._span = span
        self._full: deque[Page] = deque()
        self._fresh: list[Record] = []
        self._fresh_size = 0
        self._until = self._latest = NEVER
        self.size = self.count = 0

    def put(self, now: float, record: Record, size: int) -> bool:
        """Add a record. True if it began a new page, which is a good moment to call `forget`. Times must not
        decrease."""
        finished = now > self._until or len(self._fresh) == RECORDS_A_PAGE
        if finished:
            self._finish_page()
            self._until = now + self._span
        self._fresh.append(record)
        self._fresh_size += size
        self.size += size
        self.count += 1
        self._latest = now
        return finished

    def _finish_page(self) -> None:
        if self._fresh:
            packed = marshal.dumps(self._fresh, MARSHAL_VERSION)
            self._full.append((self._latest, self.count, self._fresh_size, packed))
            self._fresh, self._fresh_size, self._until = [], 0, NEVER

    def forget(self, before: float) -> None:
        """Drop the pages whose last record is older than `before`."""
        while self._full and self._full[0][0] < before:
            self.forget_oldest()
        if self._fresh and self._latest < before:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        """Drop the oldest page, if there is one."""
        if not self._full:
            self._finish_page()
        if self._full:
            self.size -= self._full.popleft()[2]

    @property
    def oldest(self) -> int:
        """The number of the last record that `forget_oldest` drops; 0 if there is none."""
        return self._full[0][1] if self._full else self.count if self._fresh else 0

    def records(self) -> Iterator[Record]:
        """All present records, the oldest first. Later changes do not affect the iterator."""
        return _unpacked(tuple(self._full), tuple(self._fresh))


def _unpacked(pages: Iterable[Page], fresh: Iterable[Record]) -> Iterator[Record]:
    for _, _, _, packed in pages:
        yield from marshal.loads(packed)  # noqa: S302  # this process has packed it
    yield from fresh
