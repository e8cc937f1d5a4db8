# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand (RFC 9113), for what no library lets one send."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW: Final = 4
"""The setting of that number."""
CANCEL: Final = struct.pack(">I", 8)


def frame(kind: int, flags: int = 0, stream: int = 0, body: bytes = b"", *, length: int | None = None) -> bytes:
    """A frame. `length` lies about the size of the body."""
    return (
        struct.pack(">I", len(body) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + body
    )


def settings(**values: int) -> bytes:
    """A SETTINGS frame: `settings(INITIAL_WINDOW=0)`."""
    return frame(SETTINGS, body=b"".join(struct.pack(">HI", globals()[name], value) for name, value in values.items()))


def packed(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers, each as a literal that is not indexed (RFC 7541, 6.2.2)."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def call_headers(path: str, authority: str = "node") -> bytes:
    """The headers of a gRPC call."""
    own = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority))
    return packed((*own, ("te", "trailers"), ("content-type", "application/grpc")))


def message(data: bytes) -> bytes:
    """A message as gRPC frames it within DATA."""
    return b"\0" + struct.pack(">I", len(data)) + data


def _text(text: str) -> bytes:
    data, length = text.encode(), len(text.encode())
    if length < 127:
        return bytes([length]) + data
    rest, out = length - 127, bytearray([127])
    while rest >= 128:
        out.append(rest % 128 | 128)
        rest //= 128
    return bytes([*out, rest]) + data
