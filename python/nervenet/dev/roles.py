# SPDX-License-Identifier: Apache-2.0
"""The role processes of a development mesh: nodes and agents, kept alive, and replaced together on a reload.

Nodes start first and stop last, because agents register with them. A role that dies starts again on its own port after a
pause that grows; a role whose configuration or code is wrong (exit code 2) waits for the next change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nervenet.clock import SYSTEM
from nervenet.config import split_host_port
from nervenet.dev.child_process import KILL_AFTER, ChildProcess, environment, how
from nervenet.errors import NervenetError

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
STABLE_AFTER = 10.0
"""Seconds of life after which a death is no longer one of a series."""
USAGE = 2


class RoleEnded(NervenetError):
    """A role ended before it served, and has printed why. `code` is its exit code."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} {how(code)}")
        self.code = code if code > 0 else 1


@dataclass(slots=True)
class Role:
    """A place in the mesh, filled by one process after another."""

    name: str
    arguments: Callable[[], Sequence[str]]
    environment: dict[str, str]
    ready_file: Path
    child: ChildProcess | None = None
    address: str = ""
    http: str | None = None
    metrics: str | None = None
    served: asyncio.Event = field(default_factory=asyncio.Event)


class Roles:
    """The roles of one mesh. `settings` come from the servers and the command line; `say` prints what happens. Every node
    serves all `namespaces`; each namespace has agents of its own.
    """

    def __init__(
        self,
        app: str,
        folder: Path,
        settings: dict[str, str | None],
        *,
        namespaces: Sequence[str],
        nodes: int,
        port: int,
        http: str | None,
        drain: float,
        reload: bool,
        say: Callable[[str], None],
        on_change: Callable[[], None],
    ) -> None:
        self._app, self._folder, self._settings = app, folder, settings
        self._namespaces = namespaces
        self._patience = drain + KILL_AFTER
        self._reload = reload
        self._say, self._on_change = say, on_change
        self._ports = [port, *[0] * (nodes - 1)]
        self._http_host, self._http_ports = "", [0] * nodes
        if http is not None:
            self._http_host, self._http_ports[0] = split_host_port(http)
        self._nodes: list[Role] = []
        self._agents: list[Role] = []
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def addresses(self) -> list[str]:
        return [role.address for role in self._nodes]

    @property
    def http(self) -> list[str]:
        """Where each node serves HTTP."""
        return [role.http for role in self._nodes if role.http is not None]

    @property
    def metrics(self) -> list[str]:
        """Where each role shows its metrics."""
        return [role.metrics for role in (*self._nodes, *self._agents) if role.metrics is not None]

    def pids(self) -> dict[str, list[int]]:
        """The process ids of the live processes."""
        places = {"nodes": self._nodes, "agents": self._agents}
        return {kind: [r.child.pid for r in roles if r.child and r.child.alive] for kind, roles in places.items()}

    async def start(self, *, agents: bool) -> None:
        """Start every role and wait until it serves. Raises RoleEnded when one ends before that."""
        common = environment(**self._settings, namespaces=",".join(self._namespaces))
        self._nodes = [
            Role(f"node-{at + 1}", lambda at=at: self._node(at), common, self._folder / f"node-{at + 1}.json")  # type: ignore[misc]
            for at in range(len(self._ports))
        ]
        await self._begin(self._nodes)
        self._ports = [_port(role.address) for role in self._nodes]  # the same ones after a restart
        self._http_ports = [_port(role.http or ":0") for role in self._nodes]
        if agents:
            self._agents = [self._agents_of(namespace) for namespace in self._namespaces]
            await self._begin(self._agents)

    def _agents_of(self, namespace: str) -> Role:
        dialing = {"address": ",".join(self.addresses), "namespace": namespace, "namespaces": None}
        name = "agents" if len(self._namespaces) == 1 else f"agents-{namespace}"
        return Role(name, self._agent, environment(**{**self._settings, **dialing}), self._folder / f"{name}.json")

    async def _begin(self, roles: Sequence[Role]) -> None:
        keepers = [asyncio.create_task(self._keep(role), name=role.name) for role in roles]
        self._keepers += keepers
        serving = asyncio.create_task(_all_serve(roles))
        try:
            await asyncio.wait([serving, *keepers], return_when=asyncio.FIRST_COMPLETED)
            self.check()
        finally:
            serving.cancel()

    def check(self) -> None:
        """Raise the error that ended a keeper, if one did."""
        for keeper in self._keepers:
            if keeper.done():
                keeper.result()

    def _node(self, at: int) -> list[str]:
        listens = ["--listen", f"127.0.0.1:{self._ports[at]}"]
        if self._http_host:
            host = f"[{self._http_host}]" if ":" in self._http_host else self._http_host
            listens += ["--http", f"{host}:{self._http_ports[at]}"]
        return ["node", self._app, "--quiet", *listens]

    def _agent(self) -> list[str]:
        return ["agent", self._app, "--quiet", "--listen", "127.0.0.1:0"]

    async def _keep(self, role: Role) -> None:
        """Fill the place for ever; what ends it before it ever served is raised."""
        pause = FIRST_PAUSE
        while True:
            began = SYSTEM.monotonic()
            role.child = ChildProcess(role.arguments(), role.environment, role.ready_file)
            role.child.start()
            if await role.child.ready():
                role.address = role.child.facts["address"]
                role.http = role.child.facts.get("http")
                role.metrics = role.child.facts["metrics"]
                role.served.set()
                self._on_change()
            code = await role.child.ended()
            if not role.served.is_set() or (code == USAGE and not self._reload):
                raise RoleEnded(role.name, code)
            if SYSTEM.monotonic() - began > STABLE_AFTER:
                pause = FIRST_PAUSE
            self._on_change()
            if code == USAGE:
                self._say(f"{role.name} cannot run with this code: it starts again when you save a file")
                return
            self._say(f"{role.name} {how(code)}: it starts again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def stop(self) -> None:
        """Drain the agents, then the nodes."""
        self._cancel_keepers()
        for roles in (self._agents, self._nodes):
            children = [role.child for role in roles if role.child is not None]
            await asyncio.gather(*(child.stop(self._patience) for child in children))
        self._nodes, self._agents, self._keepers = [], [], []

    def kill(self) -> None:
        """Kill every process at once."""
        self._cancel_keepers()
        for role in (*self._agents, *self._nodes):
            if role.child is not None:
                role.child.kill()

    def _cancel_keepers(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


async def _all_serve(roles: Sequence[Role]) -> None:
    for role in roles:
        await role.served.wait()
