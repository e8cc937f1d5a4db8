# SPDX-License-Identifier: Apache-2.0
"""The client: keys, leases, watches. Every method either did what it says or raises what became of it.

A write that was sent and got no answer may have happened. `put` and `compare_and_set` then look: a value that stands
there with our lease is ours. So a lost reply is not reported as a lost race.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from types import TracebackType
from typing import Final, NamedTuple, Self

from nervenet.clock import SYSTEM, Clock, Entropy
from nervenet.registry._etcd import etcd_pb2 as pb
from nervenet.registry.etcd.address import EtcdAddress, Tls
from nervenet.registry.etcd.faults import Compacted, EtcdError, EtcdRefused, EtcdUnavailable, LeaseNotFound
from nervenet.registry.etcd.keepalive import KeepAlives
from nervenet.registry.etcd.keys import KeyListing, KeyValue, as_key_value, prefix_end, to_bytes
from nervenet.registry.etcd.transport import EtcdMethod, Transport
from nervenet.registry.etcd.watch import Watch

_RANGE: Final = EtcdMethod[pb.RangeRequest, pb.RangeResponse]("/etcdserverpb.KV/Range", pb.RangeResponse)
_PUT: Final = EtcdMethod[pb.PutRequest, pb.PutResponse]("/etcdserverpb.KV/Put", pb.PutResponse)
_DELETE: Final = EtcdMethod[pb.DeleteRangeRequest, pb.DeleteRangeResponse](
    "/etcdserverpb.KV/DeleteRange", pb.DeleteRangeResponse
)
_TXN: Final = EtcdMethod[pb.TxnRequest, pb.TxnResponse]("/etcdserverpb.KV/Txn", pb.TxnResponse)
_GRANT: Final = EtcdMethod[pb.LeaseGrantRequest, pb.LeaseGrantResponse](
    "/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse
)
_REVOKE: Final = EtcdMethod[pb.LeaseRevokeRequest, pb.LeaseRevokeResponse](
    "/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse
)
_TIME_TO_LIVE: Final = EtcdMethod[pb.LeaseTimeToLiveRequest, pb.LeaseTimeToLiveResponse](
    "/etcdserverpb.Lease/LeaseTimeToLive", pb.LeaseTimeToLiveResponse
)
_STATUS: Final = EtcdMethod[pb.StatusRequest, pb.StatusResponse]("/etcdserverpb.Maintenance/Status", pb.StatusResponse)
_MEMBERS: Final = EtcdMethod[pb.MemberListRequest, pb.MemberListResponse](
    "/etcdserverpb.Cluster/MemberList", pb.MemberListResponse
)

PAGE: Final = 500
PATIENCE: Final = 5.0


class Swap(NamedTuple):
    """Whether a compare-and-set took effect, and what stands there now (None: no such key)."""

    done: bool
    current: KeyValue | None


class MemberStatus(NamedTuple):
    """One endpoint as it answered, or the error that it gave instead."""

    endpoint: str
    version: str = ""
    leader: bool = False
    seconds: float = 0.0
    error: str = ""


class Etcd:
    """One client, any number of users; connects on first use. Close it, or use it as an async context manager."""

    def __init__(self, transport: Transport, entropy: Entropy = os.urandom) -> None:
        self._transport, self._entropy = transport, entropy
        self._leases = KeepAlives(transport)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        tls: Tls | None = None,
        patience: float = PATIENCE,
        clock: Clock = SYSTEM,
        chance: random.Random | None = None,
    ) -> Self:
        """`http(s)://user:password@a:2379,b:2379`. `patience`: seconds that a call goes on trying the members."""
        return cls(Transport(EtcdAddress.parse(url), tls or Tls(), patience=patience, clock=clock, chance=chance))

    def __repr__(self) -> str:
        return f"<Etcd {','.join(self._transport.address.endpoints)} at {self._transport.current.name}>"

    async def get(self, key: str) -> KeyValue | None:
        answer = await self._transport.call(_RANGE, pb.RangeRequest(key=to_bytes(key)), repeat=True)
        return as_key_value(answer.kvs[0]) if answer.kvs else None

    async def get_at(self, key: str, revision: int) -> KeyValue | None:
        """The key as it stood at that revision. Raises Compacted where that is no longer, or not yet, history."""
        request = pb.RangeRequest(key=to_bytes(key), revision=revision)
        answer = await self._transport.call(_RANGE, request, repeat=True)
        return as_key_value(answer.kvs[0]) if answer.kvs else None

    async def range(self, prefix: str) -> KeyListing:
        """Everything under `prefix`, as of one revision, read in pages."""
        while True:
            try:
                return await self._pages(prefix)
            except Compacted:  # while we turned the pages
                continue

    async def _pages(self, prefix: str) -> KeyListing:
        request = pb.RangeRequest(key=to_bytes(prefix), range_end=prefix_end(prefix), limit=PAGE)
        kvs: list[KeyValue] = []
        while True:
            answer = await self._transport.call(_RANGE, request, repeat=True)
            request.revision = request.revision or answer.header.revision
            kvs += map(as_key_value, answer.kvs)
            if not answer.more:
                return KeyListing(kvs, request.revision)
            request.key = answer.kvs[-1].key + b"\0"

    async def put(self, key: str, value: bytes, *, lease: int = 0, patience: float | None = None) -> int:
        """→ the revision at which it stands. Raises LeaseNotFound when the lease is gone.

        One that was given up may still arrive, late (a frozen member thaws), and undo a newer one: where the value of a
        key changes, use `compare_and_set` (`Session.put` does).
        """
        request = pb.PutRequest(key=to_bytes(key), value=value, lease=lease)
        patience = self._transport.patience if patience is None else patience
        deadline = self._transport.clock.monotonic() + patience
        while True:
            try:
                return (await self._transport.call(_PUT, request, repeat=False, patience=patience)).header.revision
            except EtcdUnavailable as fault:
                if not fault.sent or self._transport.clock.monotonic() >= deadline:
                    raise
            found = await self.get(key)
            if found is not None and (found.value, found.lease) == (value, lease):
                return found.mod_revision

    async def put_many(self, puts: Iterable[tuple[str, bytes, int]], *, patience: float | None = None) -> None:
        """(key, value, lease), at most 128, all or none in one call: for values of which any later one is as good.

        Raises LeaseNotFound when one of the leases is gone.
        """
        request = pb.TxnRequest(
            success=[
                pb.RequestOp(request_put=pb.PutRequest(key=to_bytes(key), value=value, lease=lease))
                for key, value, lease in puts
            ]
        )
        await self._transport.call(_TXN, request, repeat=False, patience=patience)

    async def compare_and_set(self, key: str, value: bytes, *, expected: int, lease: int = 0) -> Swap:
        """Put it if the key's mod_revision is `expected` (0: if there is no such key). Values must tell writers apart.

        Repeating it is safe: what happened once fails the second time, and is then found to be ours.
        """
        name = to_bytes(key)
        request = pb.TxnRequest(
            compare=[pb.Compare(target=pb.Compare.MOD, key=name, mod_revision=expected)],
            success=[pb.RequestOp(request_put=pb.PutRequest(key=name, value=value, lease=lease))],
            failure=[pb.RequestOp(request_range=pb.RangeRequest(key=name))],
        )
        answer = await self._transport.call(_TXN, request, repeat=True)
        if answer.succeeded:
            return Swap(True, KeyValue(key, value, lease, answer.header.revision))
        kvs = answer.responses[0].response_range.kvs
        if not kvs:
            return Swap(False, None)
        current = as_key_value(kvs[0])
        ours = (current.value, current.lease) == (value, lease) and current.mod_revision > expected
        return Swap(ours, current)

    async def delete(self, key: str) -> None:
        """Gone afterwards, whether or not it was there."""
        await self._transport.call(_DELETE, pb.DeleteRangeRequest(key=to_bytes(key)), repeat=True)

    def watch(self, prefix: str) -> Watch:
        """A Snapshot, then Changes, for as long as it is iterated."""
        return Watch(self._transport, self.range, self.get_at, prefix)

    async def grant(self, ttl: int) -> int:
        """A new lease of `ttl` seconds (etcd gives at least its own least, about two) → its id."""
        lease = int.from_bytes(self._entropy(8), "big") >> 1 or 1  # ours to choose: so a lost reply costs nothing
        try:
            return (await self._transport.call(_GRANT, pb.LeaseGrantRequest(ttl=ttl, id=lease), repeat=True)).id
        except EtcdRefused as refusal:
            if "lease already exists" not in str(refusal):
                raise
            return lease

    async def keep_alive(self, lease: int, *, patience: float = PATIENCE) -> int:
        """→ the seconds that it lives from when this was sent. Raises LeaseNotFound when it is gone."""
        return await self._leases.renew(lease, patience)

    async def revoke(self, lease: int, *, patience: float | None = None) -> None:
        """The lease and all its keys are gone afterwards, whether or not it was there."""
        try:
            await self._transport.call(_REVOKE, pb.LeaseRevokeRequest(id=lease), repeat=True, patience=patience)
        except LeaseNotFound:
            pass

    async def time_to_live(self, lease: int) -> int:
        """Whole seconds left, so 0 in the last one; -1: it is gone."""
        answer = await self._transport.call(_TIME_TO_LIVE, pb.LeaseTimeToLiveRequest(id=lease), repeat=True)
        return answer.ttl

    async def members(self) -> list[str]:
        """The client URLs that the members of the cluster announce."""
        answer = await self._transport.call(_MEMBERS, pb.MemberListRequest(), repeat=True)
        return [url for member in answer.members for url in member.client_urls]

    async def status(self, *, patience: float = 1.0) -> list[MemberStatus]:
        """Every configured endpoint asked by itself: for `doctor`."""
        clock, rows = self._transport.clock, []
        for endpoint in self._transport.endpoints:
            began = clock.monotonic()
            try:
                answer = await self._transport.once(endpoint, _STATUS, pb.StatusRequest(), patience)
            except EtcdError as fault:
                rows.append(MemberStatus(endpoint.name, error=str(fault)))
            else:
                leader = answer.leader == answer.header.member_id
                rows.append(MemberStatus(endpoint.name, answer.version, leader, clock.monotonic() - began))
        return rows

    async def close(self) -> None:
        await self._leases.close()
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
