# SPDX-License-Identifier: Apache-2.0
"""Proof of death, told to everybody: a tombstone beside the record, then the dead one's lease revoked at once.

In this order, so that whoever watches sees the tombstone before the record goes, and can tell death, which sends its
work elsewhere at once, from a lease that merely expired. The tombstone expires by itself; ids are never used again.
"""

from __future__ import annotations

import json
from typing import Final

from nervenet.registry.etcd import Etcd
from nervenet.registry.layout import Layout

STANDS_FOR: Final = 60
"""Seconds: longer than any watcher is away without reading the whole table again."""


async def certify_death(etcd: Etcd, layout: Layout, process_id: str, lease: int, *, reason: str, by: str) -> None:
    """Only with proof. `lease` is the one that the record was put with (`Table.lease`); doing it twice is harmless."""
    tombstone = json.dumps({"reason": reason, "by": by}, ensure_ascii=False).encode()
    await etcd.put(layout.tombstone(process_id), tombstone, lease=await etcd.grant(STANDS_FOR))
    await etcd.revoke(lease)
