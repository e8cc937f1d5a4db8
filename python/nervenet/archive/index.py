# SPDX-License-Identifier: Apache-2.0
"""Which object has a workflow, and where in it: tables of fixed rows, sorted by a hash of the id.

Each batch has a table of its own. When eight tables of one level are there, they become one of the next level, up to `MOST_ROWS`
rows. A row is a fact that never changes, so tables may overlap: two nodes that merge at once, or a crash before the
merged ones are deleted, leave facts twice, and none is lost.

Hashes are spread evenly, so the place of a row in its table can be computed: one read of a few kilobytes finds it or
shows that it is not there. For 1,000,000 runs `benchmarks/archive_sizes.py` makes 20 tables of 36 MB in all.
Rejected: a small object for each workflow, which is a million requests, or a million small files.
"""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_left
from typing import Final, NamedTuple

__all__ = ["FAN", "MOST_ROWS", "ROW", "Place", "Table", "hash_of", "merged", "range_of", "rows_in"]

_ROW: Final = struct.Struct(">QQIQII")
ROW: Final = _ROW.size
FAN: Final = 8
MOST_ROWS: Final = 250_000
"""A merge of this size took 0.4 s of CPU on a busy machine (`benchmarks/archive_sizes.py`), in a thread."""
SPREAD: Final = 4.0
"""How many √rows a row may be from where it is expected: eight standard deviations."""


class Place(NamedTuple):
    """Where a line is: its object (by the times of its first and last run, and a digest) and the block in it."""

    hash: int
    first_ms: int
    span_ms: int
    digest: int
    offset: int
    length: int

    def packed(self) -> bytes:
        return _ROW.pack(*self)


class Table(NamedTuple):
    """A table's name says its level, its number of rows and what it was made of."""

    level: int
    rows: int
    name: str

    @classmethod
    def parse(cls, name: str) -> Table:
        """From `index/<level>/<count>-<digest>.idx`. Raises ValueError."""
        _, level, last = name.rsplit("/", 2)
        return cls(int(level), int(last.partition("-")[0]), name)

    @classmethod
    def named(cls, level: int, count: int, made_of: bytes) -> Table:
        digest = hashlib.blake2b(made_of, digest_size=8).hexdigest()
        return cls(level, count, f"index/{level}/{count:09d}-{digest}.idx")


def hash_of(workflow_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(workflow_id.encode(), digest_size=8).digest())


def range_of(count: int, wanted: int) -> tuple[int, int]:
    """The rows of a table of `count` rows among which those of that hash are."""
    expected = wanted * count >> 64
    width = math.ceil(SPREAD * math.sqrt(count)) + 8
    return max(0, expected - width), min(count, expected + width)


def rows_in(part: bytes, wanted: int) -> tuple[list[Place], bool]:
    """The rows of that hash in a part of a table, and whether the part surely had all of them."""
    count = len(part) // ROW
    at = first = bisect_left(range(count), wanted, key=lambda n: int.from_bytes(part[n * ROW : n * ROW + 8]))
    found = []
    while at < count and int.from_bytes(part[at * ROW : at * ROW + 8]) == wanted:
        found.append(Place(*_ROW.unpack_from(part, at * ROW)))
        at += 1
    return found, first > 0 and at < count


def merged(tables: list[bytes]) -> bytes:
    """One table with the rows of all of these, each once."""
    rows = sorted({table[at : at + ROW] for table in tables for at in range(0, len(table), ROW)})
    return b"".join(rows)
