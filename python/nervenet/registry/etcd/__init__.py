# SPDX-License-Identifier: Apache-2.0
"""A thin asyncio client for etcd's v3 API that loses no watch event and knows the outcome of its writes.

    async with Etcd.open("http://a:2379,b:2379") as etcd:
        await etcd.put("/greeting", b"hello")
        async for item in etcd.watch("/"):
            print(item)  # a Snapshot first, then Changes; another Snapshot if history was lost

It hides gRPC, etcd's messages, the rotation of endpoints, login, and the rules about which requests may be repeated.
Why not a published client: one cannot be imported with today's protobuf, two lose events when a connection is cut, the
others are synchronous or cannot attach a lease. The operations are list, watch, put, compare-and-set, and leases.
"""

from nervenet.registry.etcd.address import EtcdAddress, Tls
from nervenet.registry.etcd.client import Etcd, MemberStatus, Swap
from nervenet.registry.etcd.faults import (
    BadEtcdAddress,
    Compacted,
    EtcdError,
    EtcdRefused,
    EtcdUnavailable,
    LeaseNotFound,
)
from nervenet.registry.etcd.keys import KeyListing, KeyValue
from nervenet.registry.etcd.watch import Change, Changes, Snapshot, Watch

__all__ = [
    "BadEtcdAddress",
    "Change",
    "Changes",
    "Compacted",
    "Etcd",
    "EtcdAddress",
    "EtcdError",
    "EtcdRefused",
    "EtcdUnavailable",
    "KeyListing",
    "KeyValue",
    "LeaseNotFound",
    "MemberStatus",
    "Snapshot",
    "Swap",
    "Tls",
    "Watch",
]
