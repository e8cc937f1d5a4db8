# SPDX-License-Identifier: Apache-2.0
"""The three objects of a batch, and their names.

    runs/date=2026-11-28/<first>-<last>-<digest>.jsonl.gz    the lines, in the order in which the runs closed
    list/date=2026-11-28/<first>-<last>-<digest>.jsonl.gz    what lists need of each run
    index/0/<count>-<digest>.idx                             in which block of the lines each run is

`first` and `last` are when the first and the last run closed, in milliseconds; the digest is that of the batch's runs. So the
same batch always has the same names, whichever node writes it. The name of a table has the digest of its rows: a node of another release may have
cut the blocks elsewhere and died, and its table stays beside the right one. Lines are compressed in blocks of about 64 KiB, each a gzip member: a
reader of one run fetches one block, and every tool reads the whole object as one gzip file.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from nervenet.archive.index import Place, Table, hash_of
from nervenet.streams.archive import WaitingRun
from nervenet.streams.ownership import day_of

__all__ = ["BLOCK", "Objects", "SegmentName", "Writer", "unpacked"]

BLOCK: Final = 64 << 10
LEVEL: Final = 1
"""Of ISA-L, which has 0 to 3."""
_GZIP: Final = 31


class SegmentName(NamedTuple):
    """The part of their names that the objects of a batch share."""

    first_ms: int
    last_ms: int
    digest: int

    @classmethod
    def of(cls, runs: Sequence[WaitingRun]) -> SegmentName:
        times = [run.closed_ms for run in runs]
        told = "\n".join(sorted(f"{run.closed_ms} {run.member}" for run in runs)).encode()
        digest = int.from_bytes(hashlib.blake2b(told, digest_size=8).digest())
        return cls(min(times), max(times), digest)

    @classmethod
    def parse(cls, name: str) -> SegmentName:
        """From the name of an object. Raises ValueError."""
        first, last, digest = name.rpartition("/")[2].removesuffix(".jsonl.gz").split("-")
        return cls(int(first), int(last), int(digest, 16))

    @classmethod
    def at(cls, place: Place) -> SegmentName:
        return cls(place.first_ms, place.first_ms + place.span_ms, place.digest)

    def path(self, kind: str) -> str:
        base = f"{self.first_ms:013d}-{self.last_ms:013d}-{self.digest:016x}"
        return f"{kind}/date={day_of(self.first_ms)}/{base}.jsonl.gz"


class Objects(NamedTuple):
    """What a batch becomes: names and contents, in the order in which they are written."""

    name: SegmentName
    runs: int
    lines_bytes: int
    objects: tuple[tuple[str, bytes], ...]


class Writer:
    """Collects the lines of a batch. What it holds is compressed."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._ids: list[str] = []
        self._open = 0
        self._full: list[tuple[list[str], list[bytes]]] = []
        self._packed: list[bytes] = []
        self._offset = 0
        self._blocks: list[tuple[list[str], int, int]] = []
        self._summaries: list[bytes] = []
        self.written: list[WaitingRun] = []
        self.raw_bytes = 0

    def add(self, run: WaitingRun, line: bytes, summary: bytes) -> bool:
        """Add a run. True: a block is full, call `pack` before long."""
        self.written.append(run)
        self._lines.append(line)
        self._ids.append(run.workflow_id)
        self._summaries.append(summary + b"\n")
        self.raw_bytes += len(line)
        self._open += len(line)
        if self._open >= BLOCK:
            self._close()
        return bool(self._full)

    def _close(self) -> None:
        if self._lines:
            self._full.append((self._ids, self._lines))
            self._lines, self._ids, self._open = [], [], 0

    def pack(self) -> None:
        """Compress the full blocks. It takes a millisecond or more: call it in a thread."""
        full, self._full = self._full, []
        for ids, lines in full:
            packed = _gzip(lines)
            self._blocks.append((ids, self._offset, len(packed)))
            self._packed.append(packed)
            self._offset += len(packed)

    def finish(self, name: SegmentName) -> Objects:
        """The objects, after the last block. In a thread too."""
        self._close()
        self.pack()
        span = name.last_ms - name.first_ms
        places = sorted(
            Place(hash_of(each), name.first_ms, span, name.digest, offset, length).packed()
            for ids, offset, length in self._blocks
            for each in ids
        )
        rows = b"".join(places)
        objects = (
            (name.path("list"), _gzip(self._summaries)),
            (Table.named(0, len(places), rows).name, rows),
            (name.path("runs"), b"".join(self._packed)),  # last: where the lines are, the rest is
        )
        return Objects(name, len(self.written), self.raw_bytes, objects)


def _gzip(lines: Iterable[bytes]) -> bytes:
    """A gzip member without a time. Intel's ISA-L needs a third of zlib's CPU, for as few bytes."""
    from isal import isal_zlib  # only nodes with an archive have it

    packer = isal_zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(b"".join(lines)) + packer.flush()


def unpacked(data: bytes) -> bytes:
    """The text of one or more gzip members. Raises ValueError."""
    parts: list[bytes] = []
    while data:
        reader = zlib.decompressobj(_GZIP)
        try:
            parts.append(reader.decompress(data))
        except zlib.error as error:
            raise ValueError(f"no gzip data: {error}") from None
        if not reader.eof:
            raise ValueError("its end is missing")
        data = reader.unused_data
    return b"".join(parts)
