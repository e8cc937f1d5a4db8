# SPDX-License-Identifier: Apache-2.0
"""The proof of a process' death: put a tombstone next to its record, then revoke its lease.

In this order watchers see the tombstone before the record is removed. So they can distinguish a proven death, after
which other processes take over at once, from a lease that expired. The tombstone expires; ids are never used again.
"""

from __future__ import annotations

import json
from typing import Final

from nervenet.registry.etcd import Etcd
from nervenet.registry.layout import Layout

STANDS_FOR: Final = 60
"""Seconds that a tombstone exists: longer than a watcher can be disconnected without a new list."""


async def certify_death(etcd: Etcd, layout: Layout, process_id: str, lease: int, *, reason: str, by: str) -> None:
    """Declare a process dead. Call it only with proof. `lease` is that of its record (`Table.lease`). It may be
    repeated."""
    tombstone = json.dumps({"reason": reason, "by": by}, ensure_ascii=False).encode()
    await etcd.put(layout.tombstone(process_id), tombstone, lease=await etcd.grant(STANDS_FOR))
    await etcd.revoke(lease)
