# SPDX-License-Identifier: Apache-2.0
"""From a URL to a link: one server, a master that sentinels watch, or a Redis Cluster.

It imports `link` and `cluster`, the two kinds of links, which is why opening is no method of either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nervenet.redis_link.address import ClusterAddress, ServerAddress, parse
from nervenet.redis_link.cluster import ClusterLink
from nervenet.redis_link.faults import ClusterMember
from nervenet.redis_link.link import Link

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nervenet.redis_link.script import LuaScript

__all__ = ["open_link"]


async def open_link(
    url: str, *, name: str = "nervenet", scripts: Iterable[LuaScript] = (), wait: float = 5.0, patience: float = 30.0
) -> Link:
    """Connect to Redis.

    Args:
        url: See `address` for its forms.
        name: What `CLIENT LIST` and the log call the connections.
        scripts: Loaded by each new connection, before anything else may use it.
        wait: Seconds for which the first connection is tried.
        patience: Seconds for which `call` repeats a command while its error may pass.

    Raises:
        BadAddress, AuthenticationFailed, UnfitServer: At once: the configuration or the server must change.
        ConnectionLost: No server answered within `wait` seconds.
    """
    address, known = parse(url), tuple(scripts)
    if isinstance(address, ClusterAddress):
        return await ClusterLink.meet(address, name, known, wait, patience)
    link = Link(address, name, known, patience)
    try:
        await link.begin(wait)
    except ClusterMember:
        if not isinstance(address, ServerAddress):
            raise
        seed = replace(address, member=True)
        return await ClusterLink.meet(ClusterAddress((seed,)), name, known, wait, patience)
    return link
