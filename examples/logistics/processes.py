# SPDX-License-Identifier: Apache-2.0
"""The mesh of `make logistics`: Valkey, etcd, the services outside, two nodes and two agents, each a process with a log of its own.

All of them end with the program that started them, even if that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nervenet.dev.servers import Server, free_port, tied

from .services import ORDERS, SERVICES

ROOT: Final = Path(__file__).parents[2]
APP: Final = "examples.logistics.app"
NODES: Final = 2
AGENTS: Final = {"planner": "route,estimate,check", "messenger": "notify"}
READY_WITHIN_S: Final = 30.0
GRACE_S: Final = 10.0


class ProcessFailed(Exception):
    """A process did not start, or ended before it should; its log says why."""


class Program:
    """A Python module that runs, is killed and is started again. Each start has a log of its own."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._command, self._env, self._folder = command, env, folder
        self._process: asyncio.subprocess.Process | None = None
        self._starts = 0
        self._ready = folder / f"{name}.ready"

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        return self._folder / f"{self.name}-{self._starts}.log"

    async def start(self) -> None:
        """Start it, and return when it serves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ready.unlink(missing_ok=True)
        self._starts += 1
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tied([sys.executable, "-m", *self._command]),
                cwd=ROOT,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the program that started it, which stops the others in order
            )
        until = time.monotonic() + READY_WITHIN_S
        while not await self._is_ready():
            if not self.is_alive or time.monotonic() > until:
                raise self.failed()
            await asyncio.sleep(0.02)

    async def _is_ready(self) -> bool:
        return self._ready.exists()

    def failed(self) -> ProcessFailed:
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return ProcessFailed("\n".join([f"{self.name} does not run; the end of {self.log}:", *lines]))

    async def kill(self) -> None:
        """SIGKILL; return when it is gone."""
        if self._process is not None and self.is_alive:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, after ten seconds SIGKILL."""
        if self._process is not None and self.is_alive:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), GRACE_S)
            await self.kill()


class Role(Program):
    """A node or an agent: it writes a file when it serves."""

    def __init__(self, name: str, arguments: list[str], env: Mapping[str, str], folder: Path) -> None:
        ready = ["--ready-file", str(folder / f"{name}.ready")]
        super().__init__(name, ["nervenet", *arguments, *ready], env, folder)


class OutsideServices(Program):
    """The services outside: ready when the port accepts a connection."""

    def __init__(self, port: int, faults: Path, ledger: Path, folder: Path) -> None:
        self._port = port
        command = ["examples.logistics.outside", str(port), str(faults), str(ledger)]
        super().__init__("outside", command, dict(os.environ), folder)

    async def _is_ready(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True


def _cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


class Mesh:
    """`async with Mesh(…)`: everything that runs beside Valkey and etcd."""

    def __init__(self, redis: Server, etcd: Server, folder: Path) -> None:
        """The folder has the files of the generator. Logs and the ledger of the services outside are written there."""
        self._servers = {"valkey": redis, "etcd": etcd}
        self.folder, self.namespace = folder, "logistics"
        self.ledger = folder / "ledger.jsonl"
        self.ledger.unlink(missing_ok=True)
        logs = folder / "logs"
        for old in logs.glob("*.log"):
            old.unlink()
        outside = free_port()
        self.services = f"127.0.0.1:{outside}"
        ports = [free_port() for _ in range(NODES)]
        self.address = ",".join(f"127.0.0.1:{port}" for port in ports)
        own = {key: value for key, value in os.environ.items() if not key.startswith("NERVENET_")}
        env = own | {
            "NERVENET_REDIS": redis.url,
            "NERVENET_ETCD": etcd.url,
            "NERVENET_NAMESPACE": self.namespace,
            "NERVENET_ADDRESS": self.address,
            "NERVENET_LOG_LEVEL": "warning",
            SERVICES: self.services,
            ORDERS: str(folder / "orders.jsonl"),
        }
        self.outside = OutsideServices(outside, folder / "faults.jsonl", self.ledger, logs)
        self.nodes = [
            Role(f"node-{number}", ["node", APP, "--listen", f"127.0.0.1:{port}"], env, logs)
            for number, port in enumerate(ports, start=1)
        ]
        self.agents = [
            Role(name, ["agent", APP, "--name", name, "--only", only], env, logs) for name, only in AGENTS.items()
        ]

    async def __aenter__(self) -> Mesh:
        try:
            await asyncio.gather(self.outside.start(), *(node.start() for node in self.nodes))
            await asyncio.gather(*(agent.start() for agent in self.agents))
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Agents first, so that no node waits for work of agents that are about to stop."""
        with contextlib.suppress(asyncio.CancelledError):  # a second Ctrl-C must not leave processes running
            await asyncio.gather(*(agent.stop() for agent in self.agents))
        await asyncio.gather(*(program.stop() for program in (*self.nodes, self.outside)))

    def cpu_ms(self) -> dict[str, float]:
        """What each kind of process has used since it started; the callers are this process. Empty where the system does not tell (Linux does)."""
        pids = {
            "callers": [os.getpid()],
            "nodes": [node.pid for node in self.nodes],
            "agents": [agent.pid for agent in self.agents],
            "outside": [self.outside.pid],
            **{name: [server.pid] for name, server in self._servers.items()},
        }
        if not Path("/proc/self/stat").exists():
            return {}
        return {kind: sum(map(_cpu_ms, each)) for kind, each in pids.items()}

    def check(self) -> None:
        """Raises ProcessFailed if a process has ended that nobody kills."""
        for program in (self.outside, *self.agents):
            if not program.is_alive:
                raise program.failed()
