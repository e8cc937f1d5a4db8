# SPDX-License-Identifier: Apache-2.0
"""Two nodes over servers that are there already, in a namespace of their own, and agents started by a command.

Nodes and agents are processes with a log each; all of them die with the suite.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc.aio
import redis.asyncio
from google.protobuf.duration_pb2 import Duration

from nervenet.dev.servers import free_port
from nervenet.v1 import agent_service_pb2_grpc, common_pb2, coordinator_service_pb2, registry_service_pb2
from nervenet.v1 import coordinator_service_pb2_grpc as coordinator_grpc
from nervenet.v1 import registry_service_pb2_grpc as registry_grpc
from nervenet.v1.agent_pb2 import AGENT_STATE_ACTIVE
from tests.support.certificates import Issued
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess, Process
from tests.support.running import Running
from tests.support.waiting import until

DEADLINE = 45.0
"""Seconds that anything may take on a busy machine; every wait is for an event and ends with it."""
GRACE = "3s"
"""How long a candidate lets its tasks run on after SIGTERM."""
OPTIONS = (("grpc.max_receive_message_length", 16 << 20),)


@dataclass(frozen=True)
class Candidate:
    """A command that starts one agent, and how it is connected."""

    name: str
    command: str
    redis: bool = False
    """Whether it reads Redis itself; all others get only the nodes' addresses."""
    conformance: bool = True
    """Whether it must serve the suite's capabilities, or its own."""


class Sealed(NamedTuple):
    """Certificates that everybody shows and is asked for, and the token."""

    issued: Issued
    token: str

    @property
    def env(self) -> dict[str, str]:
        ca, cert, key = map(str, self.issued)
        told = {"TLS": ca, "TLS_CERT": cert, "TLS_KEY": key, "TOKEN": self.token}
        return {f"NERVENET_{name}": value for name, value in told.items()}

    @property
    def credentials(self) -> grpc.ChannelCredentials:
        ca, cert, key = (file.read_bytes() for file in self.issued)
        token = grpc.access_token_call_credentials(self.token)
        return grpc.composite_channel_credentials(grpc.ssl_channel_credentials(ca, key, cert), token)


class Node:
    """A place for a node: killed there, the next one has the same address."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.address = f"127.0.0.1:{free_port()}"
        self.process: NervenetProcess | None = None
        self.channel = mesh.channel(self.address)
        self.coordinator = coordinator_grpc.CoordinatorServiceStub(self.channel)
        self.registry = registry_grpc.RegistryServiceStub(self.channel)
        self.agents = agent_service_pb2_grpc.AgentServiceStub(self.channel)

    async def start(self) -> None:
        """Return when it serves."""
        self.process = self.mesh.processes.node("", "--listen", self.address)
        await self.process.until_ready(DEADLINE)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive

    def kill(self, signum: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.kill(signum)


class Agent(Process):
    """One process of the candidate's; `record` is its entry in the registry once it is there."""

    def __init__(self, mesh: Mesh, candidate: Candidate, name: str, more: Mapping[str, str]) -> None:
        self.mesh, self.name = mesh, name
        env = {**mesh.env, "NERVENET_AGENT_NAME": name, "NERVENET_DRAIN": GRACE, **more}
        if candidate.conformance:
            env["CONFORMANCE"] = "1"
        if not candidate.redis:
            del env["NERVENET_REDIS"]
        del env["NERVENET_ETCD"]
        super().__init__(["/bin/sh", "-c", f"exec {candidate.command}"], mesh.folder / f"{name}.log", env)
        self.record: Any = None

    @property
    def id(self) -> str:
        return str(self.record.agent_id)

    async def registered(self) -> Agent:
        async def there() -> bool:
            assert self.alive, f"{self.name} ended by itself ({self.process.returncode})"
            found = [entry.agent for entry in await self.mesh.agents() if entry.agent.name == self.name]
            self.record = next((one for one in found if one.state == AGENT_STATE_ACTIVE), None)
            return self.record is not None

        await until(there, f"{self.name} is registered and active", DEADLINE, self)
        return self

    async def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.kill(signal.SIGTERM)
        await until(lambda: not self.alive, f"{self.name} ends after SIGTERM")
        return int(self.process.returncode)


class Mesh(Running):
    """`async with Mesh(…)`: two nodes; `agent(name)` starts the candidate once more."""

    def __init__(
        self,
        candidate: Candidate,
        redis_url: str,
        etcd_url: str,
        namespace: str,
        folder: Path,
        sealed: Sealed | None = None,
        app: str = "tests/conformance/app.py",
    ) -> None:
        super().__init__()
        self.candidate, self.namespace, self.folder, self.sealed = candidate, namespace, folder, sealed
        self.nodes: list[Node] = []
        secrets = sealed.env if sealed else {}
        self.processes = ProcessMesh(folder, redis_url, etcd_url, app=app, namespace=namespace, **secrets)
        self.env = self.processes.env
        self.redis = redis.asyncio.Redis.from_url(redis_url)
        self.started: list[Agent] = []
        self._count = 0

    async def begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)  # what another run left would look ready
        self.folder.mkdir(parents=True)
        self.stack.push_async_callback(self.redis.aclose)
        self.nodes = [Node(self) for _ in range(2)]
        for node in self.nodes:
            self.stack.push_async_callback(node.channel.close)
        self.stack.enter_context(self.processes)
        self.stack.callback(self._kill_agents)
        self.env["NERVENET_ADDRESS"] = ",".join(node.address for node in self.nodes)
        await asyncio.gather(*(node.start() for node in self.nodes))

    async def agent(self, name: str, candidate: Candidate | None = None) -> Agent:
        return await self.launch(name, candidate).registered()

    def launch(self, name: str, candidate: Candidate | None = None, **env: str) -> Agent:
        """Start one, without waiting for it."""
        agent = Agent(self, candidate or self.candidate, name, env)
        self.started.append(agent)
        return agent

    async def stop_agents(self, within: float = 6) -> None:
        """Those that still run leave in order, if they can: the dead stay registered until their lease is over."""
        for agent in self.started:
            agent.kill(signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            await until(lambda: not any(agent.alive for agent in self.started), "they left", within)
        self._kill_agents()

    def _kill_agents(self) -> None:
        for agent in self.started:
            agent.kill()
        self.started.clear()

    def channel(self, address: str) -> grpc.aio.Channel:
        if self.sealed is None:
            return grpc.aio.insecure_channel(address, options=OPTIONS)
        return grpc.aio.secure_channel(address, self.sealed.credentials, options=OPTIONS)

    @property
    def node(self) -> Node:
        """One that lives."""
        return next(node for node in self.nodes if node.alive)

    # ── what the suite asks the mesh ─────────────────────────────────────────────────────────────────────────────────

    async def agents(self) -> list[Any]:
        answer = await self.node.registry.ListAgents(registry_service_pb2.ListAgentsRequest(), timeout=DEADLINE)
        return list(answer.agents)

    async def until_agents(self, fits: Callable[[list[Any]], Any], what: str, within: float = 20) -> None:
        """Wait until that is true of what the registry says of the agents; while no node answers, it is not."""

        async def there() -> Any:
            return fits(await self.agents())

        await until(there, what, within, ignore=(grpc.aio.AioRpcError,))

    async def run(self, capability: str, payload: Any, *, wait: float = DEADLINE, **options: Any) -> Any:
        """RunTask, and the workflow as it is when it ends or the wait is over. A node's death is no answer: ask again."""
        self._count += 1
        request = coordinator_service_pb2.RunTaskRequest(
            request_id=options.pop("request_id", f"t{self._count}"),
            capability=capability,
            input=payload,
            payload_format=common_pb2.PAYLOAD_FORMAT_RAW,
            **options,
        )
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            request.wait.CopyFrom(Duration(nanos=1_000_000) if not wait else milliseconds(left * 1000))
            try:
                answer = await self.node.coordinator.RunTask(request, timeout=left + 10)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > end:
                    raise
                await asyncio.sleep(0.1)
                continue
            if answer.workflow.HasField("close_time") or time.monotonic() >= end:
                return answer.workflow


def milliseconds(ms: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(ms))
    return duration
