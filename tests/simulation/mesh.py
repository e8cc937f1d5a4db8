# SPDX-License-Identifier: Apache-2.0
"""Real nodes and real agents as simulated processes, and the borders of the product that are exchanged for them.

Exchanged are the places where it reaches outside: the socket to Redis, the client of etcd, time, chance, an agent's
gRPC (its server, and registration through a node), and the end of the process. Everything behind those is the product.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from nervenet import backoff, clock, supervision
from nervenet.agent import runtime as agent_runtime
from nervenet.agent.runtime import AgentRuntime
from nervenet.agent.service import AgentPort
from nervenet.config import Config
from nervenet.errors import Unavailable
from nervenet.node import node as node_module
from nervenet.node import process_parts
from nervenet.node import registration as node_registration
from nervenet.node.archiving import archiver
from nervenet.node.node import Node
from nervenet.node.served import Served
from nervenet.node.tasks import pending_monitor
from nervenet.payloads import Codec
from nervenet.redis_link import link, opening
from nervenet.redis_link.address import ServerAddress
from nervenet.redis_link.faults import ConnectionLost
from nervenet.registry import table
from nervenet.registry.etcd import EtcdUnavailable, LeaseNotFound
from nervenet.streams import archive, groups, journal, listing, ownership
from nervenet.streams.tasks import progress
from nervenet.timing import AGENT_LEASE
from nervenet.wire import to_json
from tests.simulation.archive import SimulatedSink
from tests.simulation.flows import mesh
from tests.simulation.loop import PROCESS, Process, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.registry import Etcd, Patched, Registry
from tests.simulation.store import SCRIPTS

NAMESPACE = "simulated"
CONFIG = Config.load(environ={}, redis="redis://simulated", etcd="http://simulated", namespace=NAMESPACE)
ARCHIVED = Config.load(
    environ={}, redis="redis://simulated", etcd="http://simulated", namespace=NAMESPACE, archive="file:///simulated"
)
UNREACHABLE = (EtcdUnavailable, LeaseNotFound, ConnectionLost)
"""What a process may end with that reaches no server while it starts."""
ADDRESS = ServerAddress.parse("redis://simulated")
VERSION = node_registration.version("nervenet")
SCHEMA = functools.cache(Codec.schema)


class Surroundings:
    """What the product finds outside while a schedule runs."""

    def __init__(self, loop: VirtualLoop, network: Network, registry: Registry, chance: random.Random) -> None:
        self.loop, self.network, self.registry, self.chance = loop, network, registry, chance
        self.broken: list[str] = []
        self.sink: SimulatedSink | None = None

    def patches(self) -> Iterator[Any]:
        seeded = SimpleNamespace(Random=lambda *_: self.chance)
        yield mock.patch.object(clock, "time", self)
        yield mock.patch.object(clock.Clock, "monotonic", staticmethod(self.monotonic))  # it is time's own function
        yield mock.patch.object(link, "Connection", self.network.connection)
        yield mock.patch.object(link, "dial", self.network.dial)
        yield mock.patch.object(backoff, "random", seeded)
        yield mock.patch.object(table, "random", seeded)
        yield mock.patch.object(supervision, "random", seeded)
        yield mock.patch.object(process_parts, "Etcd", Patched)
        yield from self._quicker()
        yield mock.patch.object(process_parts, "Watchdog", NoWatchdog)
        yield mock.patch.object(node_module, "os", SimpleNamespace(_exit=self._exit))
        yield mock.patch.object(agent_runtime, "AgentPort", Port)
        yield mock.patch.object(agent_runtime, "Registration", Registration)
        yield mock.patch.object(agent_runtime, "LoopLag", NoWatchdog)
        for module in (archive, journal, ownership, groups, listing, progress, process_parts, agent_runtime):
            yield mock.patch.object(module, "packaged_scripts", SCRIPTS.values)
        yield mock.patch.object(asyncio, "to_thread", _here)  # there is one thread
        yield mock.patch.object(archiver, "ARCHIVE_LINGER_MS", 1_000)
        yield mock.patch.object(archiver, "MERGE_EVERY", 1)
        yield mock.patch.object(archiver, "FAN", 2)  # or no schedule had enough tables for a merge
        Patched.registry = self.registry

    def _quicker(self) -> Iterator[Any]:
        """What always comes out the same, and took half of a schedule's time."""
        yield mock.patch.object(node_registration, "version", _version)
        yield mock.patch.object(opening, "parse", _parse)
        yield mock.patch.object(Codec, "schema", SCHEMA)
        yield mock.patch.object(
            pending_monitor, "PENDING_MONITOR_TICK", 0.4
        )  # whether anything is due: four fifths of a node's timers
        yield mock.patch.object(
            pending_monitor, "IDLE_WORKFLOW_CHECK_MS", 2_000
        )  # a node that lost a workflow which left its memory sees it then, not a minute after the story

    def time_ns(self) -> int:
        return int(self.loop.now * 1e9)

    def monotonic(self) -> float:
        return self.loop.now

    def entropy(self, count: int) -> bytes:
        return self.chance.randbytes(count)

    def _exit(self, code: int) -> None:
        process = PROCESS.get()
        error = sys.exc_info()[1]
        self.broken.append(f"{process} ended itself with {code}: {error!r}")
        if process is not None:
            process.kill()


async def _here(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def _version(_: str) -> str:
    return VERSION


def _parse(_: str) -> ServerAddress:
    return ADDRESS


class NoWatchdog:
    """Time does not move while workflow code runs here."""

    def __init__(self, _: Any) -> None: ...

    def __enter__(self) -> NoWatchdog:
        return self

    def __exit__(self, *_: object) -> None: ...

    def enter(self, _: Any) -> None: ...

    def leave(self) -> None: ...


class Port(AgentPort):
    """An agent's control port that nobody can reach: what it would be told, its claims tell it."""

    async def start(self) -> None:
        self.address = "simulated:1"

    async def close(self) -> None: ...


class Deaf:
    """The same, seen from a node."""

    async def cancel_task(self, *_: object) -> bool:
        raise Unavailable("simulated agents hear nothing", code="UNAVAILABLE")


class Registration:
    """In place of `nervenet.agent.registration.Registration`: the lease without the node between."""

    def __init__(self, agent_id: str, port: Any, load: Any, config: Config, clock: clock.Clock) -> None:
        assert Patched.registry is not None
        self.agent_id = agent_id
        self.registered = asyncio.Event()
        self.node_id = ""
        self._port, self._clock, self._lease, self._until = port, clock, 0, 0.0
        self._etcd = Etcd(Patched.registry)

    @property
    def alive(self) -> bool:
        return self._clock.monotonic() < self._until

    def changed(self) -> None: ...

    async def leave(self) -> None:
        await self._etcd.revoke(self._lease)

    async def run(self) -> None:
        while True:
            sent = self._clock.monotonic()
            try:
                if not self._lease:
                    self._lease = await self._etcd.grant(AGENT_LEASE)
                    record = to_json(self._port.record(self.agent_id))
                    await self._etcd.put(f"/nervenet/{NAMESPACE}/agents/{self.agent_id}", record, lease=self._lease)
                    self.registered.set()
                else:
                    await self._etcd.keep_alive(self._lease, patience=1.0)
                self._until = sent + AGENT_LEASE
            except LeaseNotFound:
                self._until = 0.0
                return
            except EtcdUnavailable:
                continue
            await asyncio.sleep(1.5)


@asynccontextmanager
async def deaf(_: Node) -> AsyncIterator[Served]:
    yield Served("simulated:2", Deaf())


class Member:
    """A node or an agent: its process, and the product's object in it once it is up."""

    def __init__(self, surroundings: Surroundings, kind: str, number: int) -> None:
        self.kind = kind
        self.process = Process(surroundings.loop, f"{kind}{number}")
        self.thing: Any = None
        self.up = asyncio.Event()
        self.leaving = asyncio.Event()
        self.replaced = False
        self._surroundings = surroundings
        self.life = self.process.run(self._live())

    def __repr__(self) -> str:
        return f"<{self.process} {self.thing}>"

    @property
    def alive(self) -> bool:
        return self.process.alive and not self.life.done()

    @property
    def staying(self) -> bool:
        return self.alive and not self.leaving.is_set()

    @property
    def gave_up(self) -> bool:
        """It ended by itself while it started: its supervisor starts another."""
        return self.process.alive and self.life.done() and not self.up.is_set()

    async def settled(self) -> None:
        """Return once it is up, or has given up."""
        up = asyncio.ensure_future(self.up.wait())
        await asyncio.wait((up, self.life), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()

    @property
    def able(self) -> bool:
        return self.alive and self.up.is_set() and not self.process.stopped

    @property
    def error(self) -> BaseException | None:
        """What ended it, if it was not told to leave. One that reaches no etcd or no Redis while it starts may say so and end."""
        error = self.life.exception() if self.life.done() and not self.life.cancelled() else None
        return None if not self.up.is_set() and isinstance(error, UNREACHABLE) else error

    async def _live(self) -> None:
        entropy: Callable[[int], bytes] = self._surroundings.entropy
        if self.kind == "node":
            sink = self._surroundings.sink
            config = CONFIG if sink is None else ARCHIVED
            async with Node.open(mesh.workflows, config, serve=deaf, entropy=entropy, sink=sink) as node:
                self.thing = node
                self.up.set()
                await self.leaving.wait()
                await node.drain()
        else:
            agents = mesh.agents.values()
            async with AgentRuntime.open(agents, CONFIG, name="agent", slots=2, entropy=entropy) as agent:
                self.thing = agent
                self.up.set()
                await self.leaving.wait()

    def kill(self, *, proven: bool) -> None:
        """SIGKILL. `proven`: a peer notices the closed port, and the lease goes at once with a tombstone."""
        self.process.kill()
        surroundings = self._surroundings
        surroundings.network.process_died(self.process)
        surroundings.registry.dead(self.process)
        if proven and self.thing is not None:
            delay = surroundings.chance.random() * 0.3
            identity = self.thing.node_id if self.kind == "node" else self.thing.agent_id
            surroundings.loop.call_later(delay, self._certify, identity, context=surroundings.network.nobody)

    def _certify(self, identity: str) -> None:
        registry = self._surroundings.registry
        stand = f"/nervenet/{NAMESPACE}/tombstones/{identity}"
        found = registry.keys.get(f"/nervenet/{NAMESPACE}/{self.kind}s/{identity}")
        if found is not None:
            registry.put(stand, b"{}", registry.grant(60))
            registry.revoke(found.lease)


logging.getLogger("nervenet").setLevel(logging.CRITICAL)
