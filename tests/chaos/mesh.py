# SPDX-License-Identifier: Apache-2.0
"""A mesh as a foreign driver would start it: Valkey, etcd, nodes and agents as `python -m nervenet …`, in slots.

A *slot* is a place for one process: when that is killed, another one comes to the same place under a new id. Valkey runs
with `appendfsync always`: what was acknowledged survives kill -9, so the checker may claim that nothing is lost.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import redis.asyncio

from nervenet.dev.servers import Server, etcd, valkey
from tests.chaos.processes import Role, free_port

APP = "tests/chaos/app.py"
NAMESPACE = "chaos"
TABLES = """
PRAGMA journal_mode=WAL;
CREATE TABLE effects (key TEXT, workflow TEXT, value INTEGER, at_ms INTEGER);
CREATE INDEX effects_by_key ON effects (key);
CREATE TABLE executions (key TEXT, workflow TEXT, attempt INTEGER, pid INTEGER, at_ms INTEGER);
"""


class Slot:
    """Where a node or an agent stands; `busy` while a fault has it in hand."""

    def __init__(self, name: str, kind: str, skew: float) -> None:
        self.name, self.kind, self.skew = name, kind, skew
        self.port = free_port()
        self.role: Role | None = None
        self.busy = False
        self.lives = 0


class Torture:
    """The servers, the slots, and the driver's own door to Redis."""

    def __init__(self, folder: Path, *, nodes: int = 3, agents: int = 4, env: dict[str, str] | None = None) -> None:
        self.folder, self.effects = folder, folder / "effects.sqlite"
        self.valkey: Server = valkey(folder / "valkey", options={"appendfsync": "always"})
        self.etcd: Server = etcd(folder / "etcd", options={"unsafe-no-fsync": "true"})
        skews = (0.0, 30.0, -30.0, 10.0)
        self.nodes = [Slot(f"n{i}", "node", 0.0) for i in range(nodes)]
        self.agents = [Slot(f"a{i}", "agent", skews[i % 4]) for i in range(agents)]
        self._env = env or {}

    async def __aenter__(self) -> Self:
        try:
            with closing(sqlite3.connect(self.effects)) as db:
                db.executescript(TABLES)
            self.valkey.start()
            self.etcd.start()
            self.redis = redis.asyncio.Redis(port=self.valkey.port, socket_timeout=10)
            await self.bring_up(*self.nodes)
            await self.bring_up(*self.agents)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in self.slots:
            if slot.role is not None:
                slot.role.kill()
        self.etcd.stop()
        self.valkey.stop()

    @property
    def slots(self) -> list[Slot]:
        return self.nodes + self.agents

    @property
    def addresses(self) -> str:
        return ",".join(f"127.0.0.1:{slot.port}" for slot in self.nodes)

    async def bring_up(self, *slots: Slot) -> None:
        for slot in slots:
            self._spawn(slot)
        for slot in slots:
            assert slot.role is not None
            await slot.role.ready()

    def _spawn(self, slot: Slot) -> None:
        slot.lives += 1
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NERVENET_", "OTEL_"))}
        env = kept | {
            "NERVENET_REDIS": self.valkey.url,
            "NERVENET_ETCD": self.etcd.url,
            "NERVENET_NAMESPACE": NAMESPACE,
            "NERVENET_ADDRESS": self.addresses,
            "CHAOS_EFFECTS": str(self.effects),
            "CHAOS_SKEW": str(slot.skew),
            **self._env,
        }
        listen = ["--listen", f"127.0.0.1:{slot.port if slot.kind == 'node' else 0}"]
        slot.role = Role(slot.kind, [APP, *listen], self.folder / f"{slot.name}-{slot.lives}", env)
