# SPDX-License-Identifier: Apache-2.0
"""A mesh as an operator would start it: `nervenet node` and `nervenet agent`, each a process with a log of its own.

    with ProcessMesh(folder, redis_url, etcd_url) as mesh:
        a, b = mesh.up(mesh.node(), mesh.node())
        mesh.up(mesh.agent("--only", "say"))
        mesh.run("start", "talk", '"x"', at=a).stdout

It uses only the public face: command lines, ready files, the environment. All its processes end with the block.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from nervenet import Client, WorkflowHandle, WorkflowInfo
from nervenet.dev.servers import etcd, valkey
from nervenet.streams.permissions import RedisRole
from tests.support.environment import Result, clean_environment, nervenet
from tests.support.permissions import user_of
from tests.support.processes import NervenetProcess
from tests.support.story import FOLDER, Story
from tests.support.waiting import until

STORIES = "tests/mesh/stories.py"


class ProcessMesh(Story):
    """A namespace of its own on shared servers, and the processes started in it.

    Args:
        folder: Where logs and ready files go, and what handlers write (`tests.support.story`).
        redis: URL of Redis.
        etcd: URL of etcd.
        app: What nodes and agents run unless told otherwise.
        namespace: "" for one that nobody else has.
        **env: The environment of every process, beside a clean one.
    """

    def __init__(
        self,
        folder: Path,
        redis: str,
        etcd: str,
        *,
        app: str = STORIES,
        namespace: str = "",
        **env: str,
    ) -> None:
        super().__init__(folder)
        self.app, self.namespace = app, namespace or f"mesh-{uuid.uuid4().hex[:12]}"
        self.redis = redis
        """As the administrator, who may do everything."""
        self._agents = dict[str, str]()
        self.let_agents("agent")
        tenants = env.get("NERVENET_NAMESPACES", self.namespace).split(",")
        node = user_of(redis, "node", *tenants)
        servers = {"NERVENET_REDIS": node, "NERVENET_ETCD": etcd, "NERVENET_NAMESPACE": self.namespace}
        self.env = clean_environment(**servers, **{FOLDER: str(folder)}, **env)
        self.processes: list[NervenetProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()

    # ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def let_agents(self, *roles: RedisRole) -> None:
        """What agents that start from now on may do in Redis, where the server is shared (`tests.support.permissions`)."""
        self._agents = {"NERVENET_REDIS": user_of(self.redis, roles, self.namespace)}

    def node(self, app: str = "", *flags: str, **env: str) -> NervenetProcess:
        """Start a node, at a free port unless the flags say where; do not wait for it."""
        return self._start(["node", app or self.app, *(flags or ("--listen", "127.0.0.1:0"))], env)

    def agent(self, *flags: str, app: str = "", **env: str) -> NervenetProcess:
        """Start an agent, which registers with the nodes that serve now; do not wait for it."""
        return self._start(
            ["agent", app or self.app, *flags], {"NERVENET_ADDRESS": self.addresses} | self._agents | env
        )

    def up(self, *processes: NervenetProcess) -> tuple[NervenetProcess, ...]:
        """Wait until all of them are ready."""
        return tuple(process.ready() for process in processes)

    def start(self, nodes: int, agents: int, *flags: str) -> None:
        """Start this number of nodes, then this number of agents with these flags; return when all are ready."""
        self.up(*(self.node() for _ in range(nodes)))
        self.up(*(self.agent(*flags) for _ in range(agents)))

    @property
    def nodes(self) -> list[NervenetProcess]:
        """Those that have been awaited and still run."""
        return [one for one in self.processes if one.kind == "node" and one.was_awaited and one.alive]

    @property
    def addresses(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def _start(self, command: list[str], env: dict[str, str]) -> NervenetProcess:
        stem = self.folder / f"{command[0]}-{len(self.processes)}"
        self.processes.append(process := NervenetProcess(command, {**self.env, **env}, stem))
        return process

    def logs(self) -> str:
        """The end of every log, for a message."""
        return "\n".join(process.logs() for process in self.processes)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, *arguments: str, at: NervenetProcess | str = "", stdin: str | None = None) -> Result:
        """`nervenet …` to its end, asking the node `at` (any of them)."""
        address = at.address if isinstance(at, NervenetProcess) else at or self.addresses
        return nervenet(*arguments, env=self.env | {"NERVENET_ADDRESS": address}, stdin=stdin)

    def client(self, at: NervenetProcess | None = None) -> Client:
        return Client(at.address if at else self.addresses, namespace=self.namespace)


class Supervised:
    """Processes that are started again when they end, each in its place. `codes` are the exit codes of those that ended."""

    def __init__(self, *starts: Callable[[], NervenetProcess]) -> None:
        self._starts = starts
        self.standing = [start() for start in starts]
        self.codes: list[int] = []

    def tend(self) -> None:
        """Look at all of them once."""
        for i, process in enumerate(self.standing):
            if (code := process.process.poll()) is not None:
                self.codes.append(code)
                self.standing[i] = self._starts[i]()


@contextmanager
def mesh_alone(app: str, folder: Path | None = None, **env: str) -> Iterator[ProcessMesh]:
    """A mesh with a Valkey and an etcd of its own, in `folder` or a temporary one: for programs outside of pytest."""
    with tempfile.TemporaryDirectory(prefix="nervenet-test-") as temporary, valkey() as redis, etcd() as registry:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        with ProcessMesh(place, redis.url, registry.url, app=app, **env) as mesh:
            yield mesh


async def settled(run: WorkflowHandle[Any], state: str, mesh: ProcessMesh, within: float = 20) -> WorkflowInfo:
    """Wait until the workflow is in this state."""

    async def info_if_there() -> WorkflowInfo | None:
        info = await run.info()
        return info if info.state == state else None

    found: WorkflowInfo = await until(info_if_there, f"{run.id} is {state}", within, mesh)
    return found


async def claimed(run: WorkflowHandle[Any], mesh: ProcessMesh, within: float = 20) -> None:
    """Wait until an agent has claimed a step of it: it runs for a tenth of a second, and everybody knows who runs it."""

    async def somebody_runs_it() -> bool:
        return any(wait.HasField("alive_time") for wait in (await run.info()).message.waits)

    await until(somebody_runs_it, f"an agent has claimed a step of {run.id}", within, mesh)


async def owner_of(run: WorkflowHandle[Any], nodes: list[NervenetProcess]) -> NervenetProcess:
    """The node that runs it."""
    node_id = (await run.info()).node_id
    return next(node for node in nodes if node.id == node_id)
