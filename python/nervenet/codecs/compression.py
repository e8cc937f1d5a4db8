# SPDX-License-Identifier: Apache-2.0
"""`gzip`: compression, alone or before encryption.

What is decoded is limited, because a few bytes can decompress to gigabytes. A value that does not become smaller is left as
it is. Compressed length depends on content: where an attacker can choose a part of a value and see its size, do not compress.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from typing import Final

from nervenet.codecs.layout import CodecError

LARGEST: Final = 64 << 20
"""Bytes that a value may have when it is decompressed."""
LEAST: Final = 256
"""Bytes below which nothing is compressed: the header costs more than it saves."""
_LEVEL: Final = 1
_GZIP_FORMAT: Final = 31


class Gzip:
    """See the module."""

    name = "gzip"

    def encode(self, data: bytes) -> tuple[str, bytes] | None:
        """The compressed bytes; None: they are better left as they are."""
        if len(data) < LEAST:
            return None
        small = gzip.compress(data, _LEVEL, mtime=0)
        return ("", small) if len(small) < len(data) else None

    def decode(self, parameters: str, data: bytes) -> bytes:
        """The bytes that were compressed. Raises CodecError."""
        reader = zlib.decompressobj(_GZIP_FORMAT)
        try:
            found = reader.decompress(data, LARGEST)
        except zlib.error as error:
            raise CodecError(f"it does not decompress: {error}") from None
        if reader.unconsumed_tail or not reader.eof:
            raise CodecError(f"it does not decompress: it is cut short, or has more than {LARGEST >> 20} MiB")
        return found

    def digests(self, data: bytes) -> Sequence[bytes]:
        """None of its own: what hides nothing needs no key."""
        return ()
