# SPDX-License-Identifier: Apache-2.0
"""Keys and what stands under them. Keys are text here: ours are paths (`/nervenet/…`); other bytes survive the trip."""

from __future__ import annotations

from typing import NamedTuple

from nervenet.registry._etcd import etcd_pb2 as pb


class KeyValue(NamedTuple):
    """One key as it stands. `mod_revision` orders all writes of the store; `lease` 0 = it stays until deleted."""

    key: str
    value: bytes
    lease: int = 0
    mod_revision: int = 0
    create_revision: int = 0
    version: int = 0


class KeyListing(NamedTuple):
    """Everything under a prefix, all of it as of `revision`."""

    kvs: list[KeyValue]
    revision: int


def to_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def as_key_value(kv: pb.KeyValue) -> KeyValue:
    key = kv.key.decode("utf-8", "surrogateescape")
    return KeyValue(key, kv.value, kv.lease, kv.mod_revision, kv.create_revision, kv.version)


def prefix_end(prefix: str) -> bytes:
    """The first key after all that begin with `prefix` (`\\0`: to the end of the store)."""
    head = to_bytes(prefix).rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else b"\0"
