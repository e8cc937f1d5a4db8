# SPDX-License-Identifier: Apache-2.0
"""A Redis Cluster of three masters, if wanted with a replica of the first; a test can move its slots and kill its masters.

async with Clustered(replica=True) as redis:
    link = await open_link(redis.url)
    await redis.move(range(0, 1000), redis.masters[0], redis.masters[1])
    await redis.failover()        # kills the first master; returns once its replica has its slots
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable
from typing import Any

import pytest

from nervenet.dev.servers import Server, ServerFailed, free_port, valkey
from nervenet.redis_link.slots import SLOTS
from tests.support.redis_servers import fact, reached, revive, role_of, say
from tests.support.running import Running


class Clustered(Running):
    """`masters` in the order of their slots; `replica` replicates the first one."""

    def __init__(self, *, replica: bool = False, silence_ms: int = 1_500) -> None:
        self._silence_ms = silence_ms
        super().__init__()
        self.masters = [self._member() for _ in range(3)]
        self.replica = self._member() if replica else None

    def _member(self) -> Server:
        options = {"cluster-enabled": "yes", "cluster-port": str(free_port()), "repl-diskless-sync-delay": "0"}
        return valkey(options=options | {"cluster-node-timeout": str(self._silence_ms)})

    @property
    def url(self) -> str:
        """Two of the members: the others are found."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{one.port}' for one in self.masters[1:])}"

    @property
    def members(self) -> list[Server]:
        return [*self.masters, *([self.replica] if self.replica else [])]

    async def begin(self) -> None:
        try:
            for one in self.members:
                await self.stack.enter_async_context(one)
        except ServerFailed as error:
            if "cluster-port" in str(error):
                pytest.skip("Redis 7 is the first that may choose the port of its cluster bus")
            raise
        first, share = self.masters[0], SLOTS // 3
        bounds = [0, share, 2 * share, SLOTS]
        for n, one in enumerate(self.masters):
            say(one, "CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            say(one, "CLUSTER", "ADDSLOTSRANGE", bounds[n], bounds[n + 1] - 1)
        for one in self.members[1:]:
            say(one, "CLUSTER", "MEET", "127.0.0.1", first.port, say(first, "CONFIG", "GET", "cluster-port")[1])
        await reached(self._all_known, "all members know each other")
        if self.replica:
            say(self.replica, "CLUSTER", "REPLICATE", id_of(first))
            await reached(lambda: self.replica and fact(self.replica, "master_link_status") == "up", "a replica")
        await reached(lambda: all(self._fine(one) for one in self.members), "the cluster is up")

    def _all_known(self) -> bool:
        return all(
            len(_lines(one)) == len(self.members) and "handshake" not in str(_lines(one)) for one in self.members
        )

    def _fine(self, one: Server) -> bool:
        slaves = sum("slave" in line[2] for line in _lines(one))
        return "cluster_state:ok" in say(one, "CLUSTER", "INFO") and slaves == (1 if self.replica else 0)

    # ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def move(self, slots: range, source: Server, target: Server) -> None:
        """Give slots with all their keys to another master, one after another, as resharding tools do."""
        for slot in slots:
            await asyncio.to_thread(self._move, slot, source, target)

    async def give_away(self, slots: Iterable[int]) -> None:
        """Move each of these slots from the master that has it to the next one."""
        for slot in slots:
            owner = await asyncio.to_thread(self._owner, slot)
            await self.move(range(slot, slot + 1), self.masters[owner], self.masters[(owner + 1) % 3])

    def _owner(self, slot: int) -> int:
        served = say(self.masters[0], "CLUSTER", "SLOTS")
        port = next(master[1] for first, last, master, *_ in served if first <= slot <= last)
        return [one.port for one in self.masters].index(port)

    def _move(self, slot: int, source: Server, target: Server) -> None:
        say(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", id_of(source))
        say(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", id_of(target))
        while keys := say(source, "CLUSTER", "GETKEYSINSLOT", slot, 3):
            say(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
        for one in (target, source, *self.masters):
            say(one, "CLUSTER", "SETSLOT", slot, "NODE", id_of(target))

    async def failover(self, how: signal.Signals = signal.SIGKILL) -> float:
        """Hit the first master and wait until its replica has its slots; the seconds that took. They swap their roles."""
        assert self.replica is not None
        began, heir = time.monotonic(), self.replica
        self.masters[0].kill(how)
        await reached(lambda: role_of(heir) == "master", "the replica is master")
        await reached(
            lambda: all("cluster_state:ok" in say(one, "CLUSTER", "INFO") for one in self.masters[1:]), "all is well"
        )
        self.masters[0], self.replica = heir, self.masters[0]
        return time.monotonic() - began

    async def resume_old(self) -> float:
        """Continue (or start again) what was the first master; the seconds until it replicates from its heir."""
        assert self.replica is not None
        began, old = time.monotonic(), self.replica
        await revive(old)
        await reached(
            lambda: role_of(old) == "slave" and fact(old, "master_link_status") == "up", "the old one follows"
        )
        await reached(lambda: all(self._fine(one) for one in self.members), "the cluster is up")
        return time.monotonic() - began


def id_of(server: Server) -> str:
    return str(say(server, "CLUSTER", "MYID"))


def _lines(server: Server) -> list[list[str]]:
    text: Any = say(server, "CLUSTER", "NODES")
    return [line.split() for line in text.splitlines()]
