# SPDX-License-Identifier: Apache-2.0
"""Peers that run: their servers and processes, started one after another, asked and measured like the systems of the table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis
from environments import Missing, environment, version
from processes import HOME, Process, product_environment, rss_mb, tree_cpu_ms, tree_of

from nervenet.dev.servers import Server, etcd, valkey

from .peer import Backing, Peer
from .postgres import create_database, postgres

DELETED_AT_ONCE: Final = 5000
SCRIPT: Final = "peer_process.py"


@dataclass
class Backings:
    """The servers that the systems share, since only one of them works at a time. Each is started when the first system needs it."""

    stack: ExitStack
    folder: Path
    _started: dict[Backing, Server | Missing] = field(default_factory=dict)

    def valkey(self) -> Server:
        """It appends to a file and syncs it each second. No rewrite of that file disturbs one system and not another."""
        options = {"auto-aof-rewrite-percentage": "0"}
        return self._get("valkey", lambda: valkey(self.folder / "valkey", options=options))

    def etcd(self) -> Server:
        return self._get("etcd", etcd)

    def postgres(self, python: Path) -> Server:
        return self._get("postgres", lambda: postgres(python, self.folder))

    def _get(self, name: Backing, make: Any) -> Server:
        if name not in self._started:
            try:
                self._started[name] = self.stack.enter_context(make())
            except Missing as reason:  # every system that needs it is skipped for this reason
                self._started[name] = reason
        found = self._started[name]
        if isinstance(found, Missing):
            raise found
        return found


@contextmanager
def backings() -> Iterator[Backings]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-peers-"))
        yield Backings(stack, Path(folder))


@dataclass
class Running:
    """What is asked, and whose CPU and memory count."""

    name: str
    callers: Sequence[Process]
    pids: Mapping[str, list[int]]
    """Column of the CPU → process ids, each with all that it has started."""
    coordinator: str
    store: redis.Redis | None
    garbage: Sequence[str]
    _pool: ThreadPoolExecutor = field(default_factory=ThreadPoolExecutor)

    def ask(self, **order: Any) -> list[Any]:
        for caller in self.callers:
            caller.tell(**order)
        return list(self._pool.map(Process.hear, self.callers))

    def cpu_ms(self) -> dict[str, float]:
        return {role: sum(map(tree_cpu_ms, pids)) for role, pids in self.pids.items()}

    def coordinator_mb(self) -> float:
        """Resident memory of the coordinating process with what it has started."""
        return sum(rss_mb(each) for pid in self.pids[self.coordinator] for each in tree_of(pid))

    def forget(self) -> None:
        """Delete what ended work has left in Valkey, which all systems share."""
        for pattern in self.garbage:
            assert self.store is not None
            names = list(self.store.scan_iter(pattern, count=DELETED_AT_ONCE))
            for i in range(0, len(names), DELETED_AT_ONCE):
                self.store.unlink(*names[i : i + DELETED_AT_ONCE])


@dataclass
class Installed:
    """A peer whose environment is there. `environments.Missing` is raised where it cannot be installed."""

    peer: Peer
    python: Path
    version: str

    @classmethod
    def of(cls, peer: Peer) -> Installed:
        python = environment(peer.environment)
        return cls(peer, python, ", ".join(filter(None, (version(python, *peer.distributions), peer.also))))


def start(stack: ExitStack, servers: Backings, installed: Installed) -> Running:
    """All processes of a peer, ready."""
    peer, python = installed.peer, installed.python
    env, pids = _settings(servers, installed)
    if peer.program:
        folder = servers.folder / peer.name
        folder.mkdir()
        program = stack.enter_context(peer.program(python, folder))
        env |= {"BENCH_ADDRESS": program.url, "BENCH_FOLDER": str(folder)}
        pids[peer.coordinator] = [program.pid]
    process = None
    for function, role in peer.processes.items():
        process = stack.enter_context(Process(SCRIPT, peer.module, function, env=env, python=python))
        pids.setdefault(role, []).append(process.pid)
        if isinstance(process.ready, dict):
            env["BENCH_ADDRESS"] = env["NERVENET_ADDRESS"] = process.ready["address"]
    assert process is not None
    for backing in peer.servers:
        pids[backing] = [getattr(servers, backing)(*[python][: backing == "postgres"]).pid]
    store = redis.Redis(port=servers.valkey().port) if "valkey" in peer.servers else None
    return Running(peer.name, [process], pids, peer.coordinator, store, peer.garbage)


def _settings(servers: Backings, installed: Installed) -> tuple[dict[str, str], dict[str, list[int]]]:
    """What its processes find in their environment: addresses of servers, a namespace or a database of their own."""
    peer = installed.peer
    namespace = peer.name.replace("-", "_")
    env = {"PYTHONPATH": str(HOME / "python"), "BENCH_NAMESPACE": namespace, **peer.settings}
    env["PATH"] = f"{installed.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    if "valkey" in peer.servers:
        env["BENCH_VALKEY"] = servers.valkey().local_url
    if "etcd" in peer.servers:
        env |= product_environment(servers.valkey(), servers.etcd(), namespace)
        env["NERVENET_REDIS"] = servers.valkey().local_url
    if "postgres" in peer.servers:
        server = servers.postgres(installed.python)
        env["BENCH_POSTGRES"] = create_database(installed.python, server, namespace)
    return env, {}
