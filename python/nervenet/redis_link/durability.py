# SPDX-License-Identifier: Apache-2.0
"""The check for `durability="strict"`: Redis must write to its disk before it acknowledges, or the link is not used.

It checks the server's settings, not each write. WAITAOF is no alternative: on Valkey 9.1 it replies before the fsync
(75 of 80 times), while `appendfsync always` syncs before it replies, with one sync for all commands that have arrived
meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nervenet.redis_link.faults import RedisRefused, UnfitServer

if TYPE_CHECKING:
    from nervenet.redis_link.link import Link

WANTED: Final = {"appendonly": "yes", "appendfsync": "always"}


async def check_strict(link: Link) -> None:
    """Raise UnfitServer if a crash could lose acknowledged writes, or if the settings cannot be read."""
    for setting, wanted in WANTED.items():
        try:
            replies = await link.everywhere("CONFIG", "GET", setting)
        except RedisRefused as refused:
            raise UnfitServer(
                f"durability is strict, but Redis at {link.address} does not tell its {setting} ({refused}): allow our "
                f"user CONFIG GET, or set NERVENET_DURABILITY=normal"
            ) from refused
        found = next((value for reply in replies if (value := _value(reply)) != wanted), wanted)
        if found != wanted:
            raise UnfitServer(
                f"durability is strict, which needs `{setting} {wanted}`, but Redis at {link.address} has "
                f"`{setting} {found}`: a crash could take back what it acknowledged. Set it in the server's "
                f"configuration, or NERVENET_DURABILITY=normal"
            )


def _value(reply: list[bytes]) -> str:
    return reply[1].decode() if reply else "unknown"
