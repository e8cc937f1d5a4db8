# SPDX-License-Identifier: Apache-2.0
"""Everything that Redis and etcd have of a namespace, as far as it only changes when somebody does something."""

from __future__ import annotations

import asyncio
from typing import Any

from nervenet.redis_link.opening import open_link
from nervenet.registry.etcd import Etcd
from tests.support.waiting import until
from tests.tenants.world import Tenancy

_BUSY = (b"owner_seen", b"c:", b"watch")
"""Fields of a head that change by themselves."""


async def settled(namespace: str, tenancy: Tenancy) -> dict[str, Any]:
    """`everything_of`, as soon as it stays as it is."""
    seen: dict[str, Any] = {}

    async def is_settled() -> bool:
        before, now = dict(seen), await everything_of(namespace, tenancy)
        seen.clear()
        seen.update(now)
        await asyncio.sleep(0.1)
        return before == now

    await until(is_settled, f"nothing changes in {namespace}")
    return seen


async def everything_of(namespace: str, tenancy: Tenancy) -> dict[str, Any]:
    """By key. Loads, records of nodes and signs of life are left out."""
    config = tenancy.config(namespace)
    found: dict[str, Any] = {}
    link = await open_link(config.require("redis", "a test"))
    try:
        async for keys in link.scan(f"nn:{namespace}:*"):
            for key in keys:
                if b":wake:" in key:  # news for a node, gone as soon as it has read them
                    continue
                found[key.decode()] = await _value(link, key)
    finally:
        await link.close()
    async with Etcd.open(config.require("etcd", "a test")) as etcd:
        for kv in (await etcd.range(f"/nervenet/{namespace}/")).kvs:
            if "/load/" not in kv.key:
                found[kv.key] = (kv.lease, b"DRAINING" in kv.value)
    return found


async def _value(link: Any, key: bytes) -> Any:
    kind = (await link.call("TYPE", key)).decode()
    if kind == "stream":
        return (await link.call("XINFO", "STREAM", key))[:2]  # its length
    if kind == "hash":
        fields = await link.call("HGETALL", key)
        return {
            name: value for name, value in zip(fields[::2], fields[1::2], strict=True) if not name.startswith(_BUSY)
        }
    if kind == "zset":
        return await link.call("ZRANGE", key, 0, -1)
    if kind == "set":
        return sorted(await link.call("SMEMBERS", key))
    return await link.call("GET", key)
