# SPDX-License-Identifier: Apache-2.0
"""A mesh as a foreign driver would start it: servers, nodes and agents as `python -m nervenet …`, in slots, with cables.

A *slot* is a place for one process: when that is killed, another one comes to the same place under a new id. Every node is
known to the others by a cable in front of it, and reaches Redis and etcd by cables of its own; so does every agent.

Two *settings*, because they promise different things:

- `strict`: one Valkey with `appendfsync always`. What was acknowledged survives `kill -9`, so nothing at all may be lost.
- `replica`: a master, a replica and three sentinels. Replication is asynchronous: what the dead master had acknowledged and
  not sent is gone from the servers, and only living nodes write it back. So no node is hit while a failover is under way
  (`Torture.node_faults`), and no master is hit while its replica is not in step; with that, nothing may be lost. Sentinels name servers by their own addresses, so there
  are no cables to Redis here.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import redis.asyncio

from nervenet.dev.servers import Server, free_port, valkey
from tests.chaos import registry
from tests.support.environment import clean_environment
from tests.support.etcd_servers import cluster
from tests.support.processes import NervenetProcess
from tests.support.redis_servers import Replicated, role_of
from tests.support.running import Running
from tests.support.tcp_proxy import Tamper, TcpProxy

APP = "tests/chaos/app.py"
NAMESPACE = "chaos"
TABLES = """
PRAGMA journal_mode=WAL;
CREATE TABLE effects (key TEXT, workflow TEXT, value INTEGER, at_ms INTEGER);
CREATE INDEX effects_by_key ON effects (key);
CREATE TABLE executions (key TEXT, workflow TEXT, attempt INTEGER, pid INTEGER, at_ms INTEGER);
"""
SKEWS = (0.0, 30.0, -30.0, 10.0)


@dataclass(eq=False)
class Slot:
    """Where a node or an agent stands; `busy` while a fault has it in hand."""

    name: str
    kind: str
    skew: float
    port: int = field(default_factory=free_port)
    front: TcpProxy | None = None
    redis: TcpProxy | None = None
    etcd: list[TcpProxy] = field(default_factory=list)
    role: NervenetProcess | None = None
    busy: bool = False
    lives: int = 0

    @property
    def address(self) -> str:
        """What the registry says of the process in this slot."""
        return f"127.0.0.1:{self.front.port if self.front else self.port}"

    @property
    def cables(self) -> list[TcpProxy]:
        return [one for one in (self.front, self.redis, *self.etcd) if one is not None]

    def kill(self) -> None:
        """SIGKILL; like the kernel, the cable in front refuses from then on."""
        assert self.role is not None
        if self.front is not None:
            self.front.cut()
        self.role.kill()


class Torture(Running):
    """The servers, the slots, and the driver's own door to Redis."""

    def __init__(
        self,
        folder: Path,
        setting: str = "strict",
        *,
        nodes: int = 3,
        agents: int = 4,
        env: dict[str, str] | None = None,
        tamper: Tamper | None = None,
    ) -> None:
        self.folder, self.setting, self.effects = folder, setting, folder / "effects.sqlite"
        self.valkey: Server | None = None
        self.replicated: Replicated | None = None
        self.etcd: list[Server] = []
        self.nodes = [Slot(f"{setting}-n{i}", "node", 0.0) for i in range(nodes)]
        self.agents = [Slot(f"{setting}-a{i}", "agent", SKEWS[i % 4]) for i in range(agents)]
        self.node_faults = asyncio.Lock()
        self._env, self._tamper = env or {}, tamper
        super().__init__()

    async def begin(self) -> None:
        self.folder.mkdir(parents=True)
        with closing(sqlite3.connect(self.effects)) as db:
            db.executescript(TABLES)
        await self._servers()
        self.stack.callback(self._end)
        for slot in self.slots:
            await self._wire(slot)
        await self.bring_up(*self.nodes)
        await self.bring_up(*self.agents)

    @property
    def slots(self) -> list[Slot]:
        return self.nodes + self.agents

    @property
    def addresses(self) -> str:
        return ",".join(slot.address for slot in self.nodes)

    @property
    def redis_port(self) -> int:
        """Of the server that is master now."""
        if self.replicated is not None:
            return self.replicated.master.port
        assert self.valkey is not None
        return self.valkey.port

    def etcd_urls(self) -> list[str]:
        return [member.url for member in self.etcd]

    async def ids(self, slot: Slot) -> set[str]:
        """Under which ids the process in this slot is registered: a lost session gives it a new one."""
        assert slot.role is not None
        found = {slot.role.id}
        with contextlib.suppress(OSError, ValueError):
            there = await asyncio.to_thread(registry.members, self.etcd_urls(), NAMESPACE)
            found |= {one.id for one in there if one.address == slot.address}
        return found

    # ── servers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _servers(self) -> None:
        if self.setting == "replica":
            self.replicated = await self.stack.enter_async_context(Replicated(silence_ms=2_000))
        else:
            self.valkey = valkey(self.folder / "valkey", options={"appendfsync": "always"})
            await self.stack.enter_async_context(self.valkey)
        self.redis = redis.asyncio.Redis(port=self.redis_port, socket_timeout=10)
        self.etcd = await self.stack.enter_async_context(cluster())

    async def in_step(self) -> bool:
        """Whether the replica has what the master has: only then does a failover keep what was acknowledged.

        Sentinels that starve may have changed the roles on their own.
        """
        assert self.replicated is not None
        pair = self.replicated
        with contextlib.suppress(AssertionError, redis.RedisError):
            if await asyncio.to_thread(role_of, pair.replica) == "master":
                pair.master, pair.replica = pair.replica, pair.master
                await self._to_the_master()
            await pair.settled()
            return True
        return False

    async def failover(self, how: signal.Signals) -> None:
        """The master is hit, the replica takes over, the old master comes back as a replica (or does so later)."""
        assert self.replicated is not None
        await self.replicated.failover(how)
        await self._to_the_master()
        with contextlib.suppress(AssertionError):
            await self.replicated.resume_old()

    async def _to_the_master(self) -> None:
        await self.redis.aclose()
        self.redis = redis.asyncio.Redis(port=self.redis_port, socket_timeout=10)

    # ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _wire(self, slot: Slot) -> None:
        if slot.kind == "node":
            slot.front = TcpProxy(slot.port)
            slot.etcd = [TcpProxy(member.port) for member in self.etcd]
        if self.valkey is not None:
            slot.redis = TcpProxy(self.valkey.port, tamper=self._tamper)
        for cable in slot.cables:
            await cable.listen()

    async def bring_up(self, *slots: Slot) -> None:
        for slot in slots:
            if slot.front is not None:
                await slot.front.listen()
            self._spawn(slot)
        for slot in slots:
            assert slot.role is not None
            await slot.role.until_ready(30)

    def _spawn(self, slot: Slot) -> None:
        slot.lives += 1
        env = clean_environment(NERVENET_NAMESPACE=NAMESPACE, NERVENET_ADDRESS=self.addresses, **self._env)
        env |= {"NERVENET_REDIS": self._redis_url(slot), "NERVENET_ADVERTISE": slot.address}
        env |= {"CHAOS_EFFECTS": str(self.effects), "CHAOS_SKEW": str(slot.skew)}
        if slot.kind == "node":
            env["NERVENET_ETCD"] = ",".join(f"http://127.0.0.1:{cable.port}" for cable in slot.etcd)
            if self.valkey is not None:
                env["NERVENET_DURABILITY"] = "strict"
        command = [slot.kind, APP, "--listen", f"127.0.0.1:{slot.port}"]
        slot.role = NervenetProcess(command, env, self.folder / f"{slot.name}-{slot.lives}")

    def _redis_url(self, slot: Slot) -> str:
        if self.replicated is not None:
            return self.replicated.url
        assert slot.redis is not None
        return f"redis://127.0.0.1:{slot.redis.port}"

    def _end(self) -> None:
        for slot in self.slots:
            for cable in slot.cables:
                cable.cut()
            if slot.role is not None:
                slot.role.kill()
