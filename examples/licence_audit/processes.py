# SPDX-License-Identifier: Apache-2.0
"""The demo's mesh: two nodes and five agents, each a process started by the command line as anybody would.

Every process logs into a file of its own and dies with the demo, even at a kill -9 of it. Nothing here is special to
the demo's machine: the same commands on several hosts make the same mesh.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nervenet.dev.servers import free_port, tied

from . import effects

ROOT = Path(__file__).parents[2]
APP = "examples.licence_audit.app:mesh"
READY_WITHIN = 30.0
GRACE = 10.0


class AgentPlan(NamedTuple):
    name: str
    serves: str
    slots: int


NODES = 2
AGENTS = (
    AgentPlan("classify-large", "classify", 2),
    AgentPlan("classify-small", "classify", 1),  # the same capability, served by unequals
    AgentPlan("extract", "extract", 4),
    AgentPlan("validate", "validate", 4),
    AgentPlan("summarize", "summarize", 4),
)


class ProcessFailed(Exception):
    """A process of the demo's mesh did not start, or died; its log says why."""


class Part:
    """One process of the mesh, its log and, for a node, its addresses."""

    def __init__(
        self, name: str, arguments: list[str], env: Mapping[str, str], log: Path, address: str = "", http: str = ""
    ) -> None:
        self.name, self.address, self.http = name, address, http
        self._arguments, self._env, self._log = arguments, env, log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tied([sys.executable, "-m", "nervenet", *self._arguments]),
                cwd=ROOT,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the demo, which then stops the others in order
            )

    async def serving(self) -> None:
        """Return when the port accepts connections."""
        host, _, port = self.address.rpartition(":")
        deadline = time.monotonic() + READY_WITHIN
        while self.alive and time.monotonic() < deadline:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
        raise self.failed()

    def failed(self) -> ProcessFailed:
        lines = self._log.read_text(errors="replace").splitlines()[-12:]
        return ProcessFailed("\n".join([f"{self.name} did not come up; the end of {self._log}:", *lines]))

    def kill(self, signum: int) -> None:
        if self._process is not None and self.alive:
            self._process.send_signal(signum)

    async def stop(self) -> None:
        if self._process is None:
            return
        self.kill(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), GRACE)
        except TimeoutError:
            self.kill(signal.SIGKILL)
            await self._process.wait()


class Mesh:
    """`async with Mesh(…)`: nodes first, since agents announce themselves to them; stopped the other way round."""

    def __init__(
        self,
        redis: str,
        etcd: str,
        namespace: str,
        folder: Path,
        *,
        code: bool = True,
        dashboard: bool = False,
        app: str = APP,
        agents: Sequence[AgentPlan] = AGENTS,
    ) -> None:
        """Without `code` the nodes have none: their workflow is data. With `dashboard` they serve one. `app` and `agents` are
        another form of the audit.
        """
        self._app, self._agents_app = [app] if code else [], app
        self.namespace, self.folder = namespace, folder
        own = {key: value for key, value in os.environ.items() if not key.startswith("NERVENET_")}
        ports = [free_port() for _ in range(NODES)]
        self.address = ",".join(f"127.0.0.1:{port}" for port in ports)
        settings = {
            "NERVENET_REDIS": redis,
            "NERVENET_ETCD": etcd,
            "NERVENET_NAMESPACE": namespace,
            "NERVENET_ADDRESS": self.address,
            effects.PATH: str(self.effects),
        }
        self.env = {**own, **settings}
        self.nodes = [self._node(n, port, dashboard) for n, port in enumerate(ports, start=1)]
        self.agents = [self._agent(plan) for plan in agents]

    @property
    def effects(self) -> Path:
        return self.folder / "effects.sqlite"

    @property
    def dashboard(self) -> str:
        """The address of the page; "" where no node serves one."""
        return next((f"http://{node.http}/" for node in self.nodes if node.alive and node.http), "")

    def _node(self, number: int, port: int, dashboard: bool) -> Part:
        address, http = f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}" if dashboard else ""
        env = {"NERVENET_HTTP": http} if http else {}
        return self._part(f"node-{number}", ["node", *self._app, "--listen", address], env, address, http)

    def _agent(self, plan: AgentPlan) -> Part:
        arguments = ["agent", self._agents_app, "--name", plan.name, "--only", plan.serves, "--slots", str(plan.slots)]
        return self._part(plan.name, arguments, {effects.AGENT: plan.name})

    def _part(self, name: str, arguments: list[str], env: Mapping[str, str], address: str = "", http: str = "") -> Part:
        return Part(name, arguments, {**self.env, **env}, self.folder / "logs" / f"{name}.log", address, http)

    async def __aenter__(self) -> Mesh:
        try:
            await asyncio.gather(*(node.start() for node in self.nodes))
            await asyncio.gather(*(node.serving() for node in self.nodes))
            await asyncio.gather(*(agent.start() for agent in self.agents))
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Agents first, so that no node waits for the work of those that are about to go."""
        with contextlib.suppress(asyncio.CancelledError):  # a second Ctrl-C must not leave processes behind
            await asyncio.gather(*(part.stop() for part in self.agents))
        await asyncio.gather(*(part.stop() for part in self.nodes))

    def check(self, spared: Part | None) -> None:
        """Raise when a process died that nobody killed."""
        for part in (*self.nodes, *self.agents):
            if part is not spared and not part.alive:
                raise part.failed()

    def victim(self, kind: str) -> Part:
        """Whom `KILL=node` or `KILL=agent` means: the one that is busiest."""
        return self.nodes[0] if kind == "node" else self.agents[0]
