# SPDX-License-Identifier: Apache-2.0
"""Keys and values. Keys are text: ours are paths (`/nervenet/…`); keys with other bytes are converted without loss."""

from __future__ import annotations

from typing import NamedTuple

from nervenet.registry._etcd import etcd_pb2 as pb


class KeyValue(NamedTuple):
    """One key. `mod_revision` orders all writes of the store. `lease` 0: the key exists until it is deleted."""

    key: str
    value: bytes
    lease: int = 0
    mod_revision: int = 0
    create_revision: int = 0
    version: int = 0


class KeyListing(NamedTuple):
    """All keys that begin with a prefix, as of `revision`."""

    kvs: list[KeyValue]
    revision: int


def to_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def as_key_value(kv: pb.KeyValue) -> KeyValue:
    key = kv.key.decode("utf-8", "surrogateescape")
    return KeyValue(key, kv.value, kv.lease, kv.mod_revision, kv.create_revision, kv.version)


def prefix_end(prefix: str) -> bytes:
    """The first key after all keys that begin with `prefix` (`\\0`: the end of the store)."""
    head = to_bytes(prefix).rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else b"\0"
