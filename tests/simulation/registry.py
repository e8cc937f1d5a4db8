# SPDX-License-Identifier: Apache-2.0
"""etcd as far as the registry uses it: keys with leases, compare-and-set, and watches that come late.

Each watcher hears everything, in order, with a delay of its own: so a node's table is the past, and two nodes disagree.
A process may be cut off from it for a while (`away`): its lease runs out while it lives and works on, a zombie.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Self

from nervenet.metrics import Family, catalog
from nervenet.registry.etcd import Change, Changes, EtcdUnavailable, KeyListing, KeyValue, LeaseNotFound, Snapshot, Swap
from tests.simulation.loop import PROCESS, Process
from tests.simulation.network import Network


class Registry:
    """The one etcd of a schedule."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.loop = network.loop
        self.keys: dict[str, KeyValue] = {}
        self.leases: dict[int, float] = {}
        self.away: dict[Process | None, float] = {}
        self.revision = 1
        self.watchers: list[Watcher] = []
        self.old_news = 0.1
        self._ttls: dict[int, int] = {}
        self._number = 0

    def grant(self, ttl: int) -> int:
        self._number += 1
        lease = self._number
        self._ttls[lease] = ttl
        self.renew(lease, fresh=True)
        return lease

    def renew(self, lease: int, *, fresh: bool = False) -> int:
        ttl = self._ttls.get(lease, 0)
        if not fresh and lease not in self.leases:
            raise LeaseNotFound(f"requested lease not found: {lease}")
        self.leases[lease] = until = self.loop.now + ttl
        self.loop.call_at(until, self._expire, lease, until, context=self.network.nobody)
        return ttl

    def _expire(self, lease: int, until: float) -> None:
        if self.leases.get(lease) == until:
            self.revoke(lease)

    def revoke(self, lease: int) -> None:
        if self.leases.pop(lease, None) is not None:
            self.remove([key for key, kv in self.keys.items() if kv.lease == lease])

    def put(self, key: str, value: bytes, lease: int) -> KeyValue:
        if lease and lease not in self.leases:
            raise LeaseNotFound(f"requested lease not found: {lease}")
        self.revision += 1
        kv = self.keys[key] = KeyValue(key, value, lease, self.revision)
        self._tell([Change(kv, False)])
        return kv

    def remove(self, keys: list[str]) -> None:
        if keys:
            self.revision += 1
            for key in keys:
                del self.keys[key]
            self._tell([Change(KeyValue(key, b"", 0, self.revision), True) for key in keys])

    def _tell(self, changes: list[Change]) -> None:
        for watcher in self.watchers:
            watcher.tell(Changes(changes, self.revision))

    def reachable(self, process: Process | None) -> bool:
        return self.away.get(process, 0.0) <= self.loop.now

    def dead(self, process: Process) -> None:
        self.watchers = [watcher for watcher in self.watchers if watcher.process is not process]


class Watcher:
    """Iterate it, as the product's `Watch`."""

    def __init__(self, registry: Registry, process: Process | None) -> None:
        self.process = process
        self._registry = registry
        self._news: deque[Changes] = deque()
        self._heard = asyncio.Event()
        self._last = 0.0
        self._listed = False

    @property
    def live(self) -> bool:
        return self._listed and self._registry.reachable(self.process)

    def tell(self, changes: Changes) -> None:
        network = self._registry.network
        old = network.chance.random() < self._registry.old_news
        delay = network.chance.random() * 3.0 if old else network.latency()
        self._last = max(self._last, network.loop.now + delay, self._registry.away.get(self.process, 0.0))
        network.loop.call_at(self._last, self._hear, changes, context=network.nobody)

    def _hear(self, changes: Changes) -> None:
        self._news.append(changes)
        self._heard.set()

    async def __aiter__(self) -> AsyncIterator[Snapshot | Changes]:
        await asyncio.sleep(self._registry.network.latency())
        self._registry.watchers.append(self)
        self._listed = True
        yield Snapshot(list(self._registry.keys.values()), self._registry.revision)
        while True:
            self._heard.clear()
            while self._news:
                yield self._news.popleft()
            await self._heard.wait()


class Etcd:
    """In place of `nervenet.registry.etcd.Etcd`: a process' client."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.calls = Family.of_histograms(catalog.RPC_CLIENT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def _reach(self, patience: float = 5.0) -> None:
        registry, process = self._registry, PROCESS.get()
        await asyncio.sleep(registry.network.latency())
        if not registry.reachable(process):
            back = registry.away[process] - registry.loop.now
            await asyncio.sleep(min(patience, back))
            if back > patience:
                raise EtcdUnavailable("the simulated etcd is out of reach", sent=False)

    async def grant(self, ttl: int) -> int:
        await self._reach()
        return self._registry.grant(ttl)

    async def keep_alive(self, lease: int, *, patience: float = 5.0) -> int:
        await self._reach(patience)
        ttl = self._registry.renew(lease)
        await asyncio.sleep(self._registry.network.latency())
        return ttl

    async def revoke(self, lease: int, *, patience: float | None = None) -> None:
        await self._reach(patience or 5.0)
        self._registry.revoke(lease)

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        await self._reach()
        return self._registry.put(key, value, lease).mod_revision

    async def get(self, key: str) -> KeyValue | None:
        await self._reach()
        return self._registry.keys.get(key)

    async def range(self, prefix: str) -> KeyListing:
        await self._reach()
        found = [kv for key, kv in self._registry.keys.items() if key.startswith(prefix)]
        return KeyListing(found, self._registry.revision)

    async def delete(self, key: str) -> None:
        await self._reach()
        self._registry.remove([key] if key in self._registry.keys else [])

    async def compare_and_set(self, key: str, value: bytes, *, expected: int, lease: int = 0) -> Swap:
        await self._reach()
        current = self._registry.keys.get(key)
        if (current.mod_revision if current else 0) != expected:
            ours = current is not None and (current.value, current.lease) == (value, lease)
            return Swap(ours, current)
        return Swap(True, self._registry.put(key, value, lease))

    def watch(self, prefix: str) -> Watcher:
        return Watcher(self._registry, PROCESS.get())

    def __repr__(self) -> str:
        return "<simulated etcd>"


class Patched:
    """`Etcd.open` for the modules of the product, while a schedule runs."""

    registry: Registry | None = None

    @classmethod
    def open(cls, *_: Any, **__: Any) -> Etcd:
        assert cls.registry is not None
        return Etcd(cls.registry)
