# SPDX-License-Identifier: Apache-2.0
"""The messages between an agent and its pool processes: frames of four bytes of length and one marshalled tuple.

`marshal` is the fastest way to send bytes, numbers and strings between two processes of the same Python. It cannot send
objects, so no user object is ever pickled. It is never used for files, or between hosts.

To the worker   ("setup", sys.path, agents, payload limit) · ("run", envelope, agent id, started, checkpoint or None)
                · ("cancel",) · ("close",)
From the worker ("ready",) · ("broken", text) · ("alive",) · ("progress", fraction or None, words)
                · ("emit", form, data) · ("checkpoint", form, data) · ("done", entry's name, entry, failed)
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import Any


def pack(*frame: Any) -> bytes:
    data = marshal.dumps(frame)
    return len(data).to_bytes(4, "big") + data


class Unpacker:
    """Takes bytes in any portions, and returns complete frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 4:
            end = 4 + int.from_bytes(buffer[:4], "big")
            if len(buffer) < end:
                return
            frame: tuple[Any, ...] = marshal.loads(buffer[4:end])  # noqa: S302 - both ends are ours, see above
            del buffer[:end]
            yield frame
