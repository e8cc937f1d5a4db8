# SPDX-License-Identifier: Apache-2.0
"""The first key of a command, and its slot: one of the 16,384 of a Redis Cluster.

All keys of a command are in one slot, so the first one is enough. Its position is known here for each command that the
data plane uses: asking the server (COMMAND GETKEYS) would cost a round trip for each command.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Final

__all__ = ["SLOTS", "key_of", "slot_of"]

SLOTS: Final = 16_384

_SCRIPTS: Final = frozenset({"EVALSHA", "EVAL", "EVALSHA_RO", "EVAL_RO"})
_STREAM_READS: Final = frozenset({"XREADGROUP", "XREAD"})
_SECOND: Final = frozenset({"XGROUP", "XINFO", "OBJECT", "MEMORY"})
_KEYLESS: Final = frozenset(
    {"PING", "ECHO", "TIME", "INFO", "SCAN", "SCRIPT", "CLIENT", "CONFIG", "CLUSTER", "PUBLISH", "DBSIZE", "WAIT"}
)


def key_of(args: Sequence[bytes | str | float]) -> bytes | None:
    """The first key of a command. None: it has none, so any server can execute it."""
    command = args[0]
    if command in _SCRIPTS:
        place = 3 if args[2] not in (0, "0", b"0") else 0
    elif command in _STREAM_READS:
        place = args.index("STREAMS") + 1
    elif command in _SECOND:
        place = 2
    else:
        place = 0 if command in _KEYLESS else 1
    if not 0 < place < len(args):
        return None
    key = args[place]
    return key if isinstance(key, bytes) else str(key).encode()


def slot_of(key: bytes) -> int:
    """CRC16 (XMODEM) of the text between the first braces, or of the whole key."""
    start = key.find(b"{") + 1
    if start:
        end = key.find(b"}", start)
        if end > start:
            key = key[start:end]
    return crc_hqx(key, 0) % SLOTS
