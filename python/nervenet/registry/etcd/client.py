# SPDX-License-Identifier: Apache-2.0
"""The client: keys, leases, watches. A method that returns has succeeded; otherwise its error has the outcome.

A write without an answer may have happened. `put` and `compare_and_set` then read the key: if it has our value and our
lease, the write has happened. So a lost reply is not reported as a lost race.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from types import TracebackType
from typing import Final, NamedTuple, Self

from nervenet.clock import SYSTEM, Clock, Entropy
from nervenet.metrics import Family, Histogram
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

KEYS_PER_PAGE: Final = 500
CALL_PATIENCE: Final = 5.0


class Swap(NamedTuple):
    """Whether a compare-and-set took effect, and the key as it is now (None: it does not exist)."""

    done: bool
    current: KeyValue | None


class MemberStatus(NamedTuple):
    """The answer of one endpoint, or its error."""

    endpoint: str
    version: str = ""
    leader: bool = False
    seconds: float = 0.0
    error: str = ""
    bytes: int = 0
    alarms: tuple[str, ...] = ()


class Etcd:
    """A client for any number of users. It connects at the first use. Close it, or use it as an async context
    manager."""

    def __init__(self, transport: Transport, entropy: Entropy = os.urandom) -> None:
        self._transport, self._entropy = transport, entropy
        self._leases = KeepAlives(transport)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        tls: Tls | None = None,
        patience: float = CALL_PATIENCE,
        clock: Clock = SYSTEM,
        chance: random.Random | None = None,
    ) -> Self:
        """A client for `http(s)://user:password@a:2379,b:2379`. `tls`: instead of the files in the URL. `patience`: seconds for which a call tries the
        members."""
        address = EtcdAddress.parse(url)
        return cls(Transport(address, tls or address.tls, patience=patience, clock=clock, chance=chance))

    def __repr__(self) -> str:
        return f"<Etcd {self.endpoints} at {self._transport.current.name}>"

    @property
    def endpoints(self) -> str:
        """The members that it knows, for people: `etcd-1:2379,etcd-2:2379`."""
        return ",".join(self._transport.address.endpoints)

    @property
    def calls(self) -> Family[Histogram]:
        """How long its calls took, for the exporters."""
        return self._transport.calls

    async def get(self, key: str) -> KeyValue | None:
        answer = await self._transport.call(_RANGE, pb.RangeRequest(key=to_bytes(key)), repeat=True)
        return as_key_value(answer.kvs[0]) if answer.kvs else None

    async def get_at(self, key: str, revision: int) -> KeyValue | None:
        """The key as of that revision. Raises Compacted if the revision is too old, or in the future."""
        request = pb.RangeRequest(key=to_bytes(key), revision=revision)
        answer = await self._transport.call(_RANGE, request, repeat=True)
        return as_key_value(answer.kvs[0]) if answer.kvs else None

    async def range(self, prefix: str) -> KeyListing:
        """All keys that begin with `prefix`, as of one revision, read in pages."""
        while True:
            try:
                return await self._pages(prefix)
            except Compacted:  # between two pages
                continue

    async def _pages(self, prefix: str) -> KeyListing:
        request = pb.RangeRequest(key=to_bytes(prefix), range_end=prefix_end(prefix), limit=KEYS_PER_PAGE)
        kvs: list[KeyValue] = []
        while True:
            answer = await self._transport.call(_RANGE, request, repeat=True)
            request.revision = request.revision or answer.header.revision
            kvs += map(as_key_value, answer.kvs)
            if not answer.more:
                return KeyListing(kvs, request.revision)
            request.key = answer.kvs[-1].key + b"\0"

    async def put(self, key: str, value: bytes, *, lease: int = 0, patience: float | None = None) -> int:
        """Put a key; returns its revision. Raises LeaseNotFound if the lease is gone.

        A put that was given up may still arrive much later, when a suspended member continues, and undo a newer one.
        For a key whose value changes use `compare_and_set`, as `Session.put` does.
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
        """Put (key, value, lease), at most 128, all or none. For values that are replaced often, so that a late put
        does no harm. Raises LeaseNotFound if one of the leases is gone.
        """
        request = pb.TxnRequest(
            success=[
                pb.RequestOp(request_put=pb.PutRequest(key=to_bytes(key), value=value, lease=lease))
                for key, value, lease in puts
            ]
        )
        await self._transport.call(_TXN, request, repeat=False, patience=patience)

    async def compare_and_set(self, key: str, value: bytes, *, expected: int, lease: int = 0) -> Swap:
        """Put the key if its mod_revision is `expected` (0: if it does not exist). Each writer must have its own
        values.

        It may be repeated: after a success the second try fails, finds our value, and returns success.
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
        """Delete the key, if it exists."""
        await self._transport.call(_DELETE, pb.DeleteRangeRequest(key=to_bytes(key)), repeat=True)

    def watch(self, prefix: str) -> Watch:
        """A watch: iterate over it for a Snapshot, then Changes."""
        return Watch(self._transport, self.range, self.get_at, prefix)

    async def grant(self, ttl: int) -> int:
        """Grant a lease of `ttl` seconds (etcd has a minimum of about two); returns its id."""
        lease = int.from_bytes(self._entropy(8), "big") >> 1 or 1  # chosen by the client, so a lost reply does no harm
        try:
            return (await self._transport.call(_GRANT, pb.LeaseGrantRequest(ttl=ttl, id=lease), repeat=True)).id
        except EtcdRefused as refusal:
            if "lease already exists" not in str(refusal):
                raise
            return lease

    async def keep_alive(self, lease: int, *, patience: float = CALL_PATIENCE) -> int:
        """Renew a lease; returns the seconds that it lives, from the time of sending. Raises LeaseNotFound."""
        return await self._leases.renew(lease, patience)

    async def revoke(self, lease: int, *, patience: float | None = None) -> None:
        """Revoke a lease, if it exists, and delete all its keys."""
        try:
            await self._transport.call(_REVOKE, pb.LeaseRevokeRequest(id=lease), repeat=True, patience=patience)
        except LeaseNotFound:
            pass

    async def time_to_live(self, lease: int) -> int:
        """The whole seconds that a lease still lives, so 0 in its last second; -1: it is gone."""
        answer = await self._transport.call(_TIME_TO_LIVE, pb.LeaseTimeToLiveRequest(id=lease), repeat=True)
        return answer.ttl

    async def keys_of(self, lease: int, *, patience: float | None = None) -> list[str]:
        """The keys under a lease; none if it is gone."""
        request = pb.LeaseTimeToLiveRequest(id=lease, keys=True)
        answer = await self._transport.call(_TIME_TO_LIVE, request, repeat=True, patience=patience)
        return [key.decode(errors="replace") for key in answer.keys]

    async def status(self, *, patience: float = 1.0) -> list[MemberStatus]:
        """The answer of each configured endpoint: its version, whether it leads the cluster, how long it took, the size of
        its database, and what it complains about."""
        clock, rows = self._transport.clock, []
        for endpoint in self._transport.endpoints:
            began = clock.monotonic()
            try:
                answer = await self._transport.once(endpoint, _STATUS, pb.StatusRequest(), patience)
            except EtcdError as fault:
                rows.append(MemberStatus(endpoint.name, error=str(fault)))
            else:
                leader = answer.leader == answer.header.member_id
                took, alarms = clock.monotonic() - began, tuple(answer.errors)
                rows.append(
                    MemberStatus(endpoint.name, answer.version, leader, took, bytes=answer.db_size, alarms=alarms)
                )
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
