# SPDX-License-Identifier: Apache-2.0
"""The systems that are compared, started and measured in the same way: callers, coordinating processes, agents, Valkey."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis
from processes import Process, cpu_ms, own_mb, product_environment, rss_mb

from nervenet.dev.servers import Server

NERVENET: Final = "nervenet"
CENTRAL: Final = "central"
NAIVE: Final = "central-naive"
SYSTEMS: Final = (NERVENET, CENTRAL, NAIVE)
SCRIPT: Final = "compared.py"
DELETED_AT_ONCE: Final = 5000
SAMPLED_EVERY_S: Final = 0.1


@dataclass
class Servers:
    """Valkey and etcd, shared by all systems: only one of them works at a time."""

    store: Server
    members: Server

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis(port=self.store.port)


@dataclass
class System:
    """What is asked, and whose CPU and memory count."""

    name: str
    namespace: str
    redis: redis.Redis
    callers: Sequence[Process]
    coordinators: list[int]
    """Process ids; the benchmark kills the first one."""
    node_ids: Sequence[str]
    pids: Mapping[str, list[int]]
    """By role. `coordinator` is the node, or the orchestrator."""
    prefix: str
    open_key: str
    supervisor: Process | None = None
    _pool: ThreadPoolExecutor = field(default_factory=ThreadPoolExecutor)

    def ask(self, **order: Any) -> list[Any]:
        """The answers of all callers, which share the load."""
        for caller in self.callers:
            caller.tell(**order)
        return self.hear()

    def hear(self) -> list[Any]:
        return list(self._pool.map(Process.hear, self.callers))

    def cpu_ms(self) -> dict[str, float]:
        return {role: sum(cpu_ms(pid) for pid in pids) for role, pids in self.pids.items()}

    def coordinator_mb(self) -> float:
        """Resident memory of the largest coordinating process."""
        return max(rss_mb(pid) for pid in self.coordinators)

    def own_mb(self) -> float:
        """Of the same process, without the code of programs and libraries."""
        return max(own_mb(pid) for pid in self.coordinators)

    @contextmanager
    def peak_mb(self) -> Iterator[Callable[[], float]]:
        """The most own memory of the largest coordinating process inside the block."""
        most, over = self.own_mb(), threading.Event()

        def sample() -> None:
            nonlocal most
            while not over.wait(SAMPLED_EVERY_S):
                most = max(most, self.own_mb())

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield lambda: most
        finally:
            over.set()
            thread.join()

    def kill_coordinator(self) -> float:
        """SIGKILL; the moment, by the clock that all processes share."""
        os.kill(self.coordinators[0], signal.SIGKILL)
        return time.monotonic()

    def owned_by_victim(self) -> set[str] | None:
        """Which workflows the process owns that will be killed. None: all, also those that it has not begun yet."""
        if self.name != NERVENET:
            return None
        running: Any = self.redis.zrange(self.open_key, 0, -1)
        ids = [each.decode() for each in running]
        pipe = self.redis.pipeline(transaction=False)
        for workflow_id in ids:
            pipe.hget(f"nn:{self.namespace}:wf:{{{workflow_id}}}", "owner")
        victim = self.node_ids[0].encode()
        return {each for each, owner in zip(ids, pipe.execute(), strict=True) if owner == victim}

    def forget(self) -> None:
        """Delete closed workflows, which would fill Valkey's memory for the next system; wait for the end of all work first."""
        until = time.monotonic() + 30
        while self._is_busy() and time.monotonic() < until:
            time.sleep(0.01)
        for pattern in (f"{self.prefix}wf:*", f"{self.prefix}closed:*"):
            names = list(self.redis.scan_iter(pattern, count=DELETED_AT_ONCE))
            for i in range(0, len(names), DELETED_AT_ONCE):
                self.redis.unlink(*names[i : i + DELETED_AT_ONCE])

    def _is_busy(self) -> bool:
        kind = self.redis.type(self.open_key)
        return bool(self.redis.zcard(self.open_key) if kind == b"zset" else self.redis.scard(self.open_key))


@dataclass(frozen=True)
class Shape:
    """How many processes of each kind. A central system has one coordinating process whatever `nodes` says."""

    nodes: int = 1
    agents: int = 1
    callers: int = 1


def start(
    stack: ExitStack, servers: Servers, name: str, namespace: str, shape: Shape | None = None, steps: Path | None = None
) -> System:
    """All processes of a system, ready. `steps`: the folder in which agents write which step began when."""
    environment = {"BENCH_STEPS": str(steps)} if steps else {}
    begin = _start_product if name == NERVENET else _start_central
    return begin(stack, servers, name, namespace, shape or Shape(), environment)


def _start_product(
    stack: ExitStack, servers: Servers, name: str, namespace: str, shape: Shape, environment: dict[str, str]
) -> System:
    environment = environment | product_environment(servers.store, servers.members, namespace)

    def process(role: str, addresses: Sequence[str] = ()) -> Process:
        env = environment | ({"NERVENET_ADDRESS": ",".join(addresses)} if addresses else {})
        return Process(SCRIPT, role, env=env)

    nodes = _ready(stack, [process("node") for _ in range(shape.nodes)])
    addresses = [node.ready["address"] for node in nodes]
    agents = [process("agent", addresses) for _ in range(shape.agents)]
    callers = [process("client", _from(addresses, i)) for i in range(shape.callers)]
    _ready(stack, [*agents, *callers])
    return System(
        name,
        namespace,
        servers.redis,
        callers,
        [node.pid for node in nodes],
        [node.ready["id"] for node in nodes],
        {
            "client": [each.pid for each in callers],
            "coordinator": [each.pid for each in nodes],
            "agent": [each.pid for each in agents],
            "valkey": [servers.store.pid],
            "etcd": [servers.members.pid],
        },
        f"nn:{namespace}:",
        f"nn:{namespace}:running",
    )


def _ready(stack: ExitStack, processes: Sequence[Process]) -> Sequence[Process]:
    """They were started one after another and come up together."""
    for process in processes:
        stack.enter_context(process)
    return processes


def _from(addresses: Sequence[str], first: int) -> list[str]:
    """Each caller begins with another node, and knows all."""
    at = first % len(addresses)
    return [*addresses[at:], *addresses[:at]]


def _start_central(
    stack: ExitStack, servers: Servers, name: str, namespace: str, shape: Shape, environment: dict[str, str]
) -> System:
    def process(role: str) -> Process:
        return Process(SCRIPT, role, servers.store.url, namespace, env=environment)

    supervisor = process(name)
    workers = [process("worker") for _ in range(shape.agents)]
    callers = [process("central-client") for _ in range(shape.callers)]
    _ready(stack, [supervisor, *workers, *callers])
    orchestrator = int(supervisor.ready)
    return System(
        name,
        namespace,
        servers.redis,
        callers,
        [orchestrator],
        [],
        {
            "client": [each.pid for each in callers],
            "coordinator": [orchestrator],
            "agent": [each.pid for each in workers],
            "valkey": [servers.store.pid],
        },
        f"central:{namespace}:",
        f"central:{namespace}:open",
        supervisor,
    )
