# SPDX-License-Identifier: Apache-2.0
"""A mesh of real processes over a Valkey that these tests may break, and the check that all its workflows end right.

async with broken_mesh(folder, etcd, data=True) as mesh:
    load = await mesh.load(40)
    await mesh.server.restart()
    await load.right()
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from nervenet import Client, WorkflowHandle
from nervenet.dev.servers import Server, valkey
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from tests.recovery import redis_app
from tests.support.data_plane import DataPlane
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

APP = "tests/recovery/redis_app.py"
PATIENCE = 90.0


def expected(n: int, told: int) -> int:
    """What `mixed` gives."""
    return 12 * n + 16 + told


def torn(server: Server, seed: int, most: int = 4096) -> int:
    """Cut a random piece off the end of the append-only file of a dead server; how many bytes it was."""
    file = max(server.data.rglob("*.aof"), key=lambda path: path.stat().st_mtime)
    size = file.stat().st_size
    cut = random.Random(seed).randrange(1, min(most, size))
    with file.open("r+b") as opened:
        opened.truncate(size - cut)
    return cut


class RedisMesh(DataPlane):
    """Two nodes and two agents; `server` is theirs alone."""

    def __init__(self, host: ProcessMesh, server: Server, client: Client, link: Link) -> None:
        super().__init__(link, host.namespace)
        self.host, self.server, self.client = host, server, client
        self.folder, self.nodes, self.effects = host.folder, host.nodes, host.effects

    async def load(self, count: int, first: int = 0) -> Load:
        """So many `mixed` workflows, started and on their way, each node owning its share."""
        runs: dict[str, WorkflowHandle[int]] = {}
        for i, node in enumerate(self.nodes):
            mine = {f"mixed-{n}": n for n in range(first + i, first + count, len(self.nodes))}
            async with self.host.client(at=node) as client:
                runs |= await client.start_many(redis_app.mixed, mine)
        return Load(self, {workflow_id: self.client.handle(workflow_id, redis_app.mixed) for workflow_id in runs})

    async def under_way(self, lines: int, within: float = 30) -> None:
        """Wait until agents have done this many tasks (since the beginning)."""
        await until(lambda: len(self.host.lines()) >= lines, f"{lines} tasks", within, self.host)

    async def entry(self, workflow_id: str, name: str) -> None:
        """Wait until the journal has it."""

        async def there() -> bool:
            return bool(await self.link.call("HEXISTS", self.keys.head(workflow_id), f"e:{name}"))

        await until(there, f"{workflow_id}: {name}", 30, self.host)

    def has_questions(self, count: int) -> Callable[[], Awaitable[bool]]:
        """Whether this many are open, as people see them."""

        async def there() -> bool:
            return len([question async for question in self.client.escalations()]) == count

        return there


class Load:
    """Workflows under way; each gets its signal, and all have to end right."""

    def __init__(self, mesh: RedisMesh, runs: dict[str, WorkflowHandle[int]]) -> None:
        self.mesh = mesh
        self.runs = runs
        self._told = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        await asyncio.gather(*(run.signal(redis_app.go, 1) for run in self.runs.values()))

    async def told(self) -> None:
        """All have been told: while Redis knows no workflow, a signal is answered NOT_FOUND."""
        await self._told

    async def right(self) -> None:
        """Each ends with its own result; its journal is whole: every step once, and all of them."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._told
                for workflow_id, run in self.runs.items():
                    n = int(workflow_id.partition("-")[2])
                    assert await run.result() == expected(n, 1), workflow_id
        except TimeoutError:
            raise AssertionError(f"not all has ended:\n{self.mesh.host.logs()}") from None
        for workflow_id in self.runs:
            names = await self.mesh.names(workflow_id)
            tasks = sorted(name for name in names if name.startswith("task:"))
            wanted = ["task:add", *(f"task:add.{k}" for k in range(2, 8)), "task:part"]
            assert (tasks, names[-1]) == (wanted, "close"), f"{workflow_id}: {names}"
            assert sum(name.startswith("signal:") for name in names) == 1
            assert len(set(names)) == len(names), f"{workflow_id}: {names}"


@asynccontextmanager
async def broken_mesh(
    folder: Path,
    etcd: str,
    *,
    data: bool = True,
    options: dict[str, str] | None = None,
    over: Server | None = None,
    via: str = "",
    **env: str,
) -> AsyncIterator[RedisMesh]:
    """Nodes and agents as `nervenet node|agent` starts them, on a Valkey of their own, or on `over` at the address `via`."""
    async with AsyncExitStack() as stack:
        server = over or await stack.enter_async_context(valkey(folder / "valkey" if data else None, options=options))
        with ProcessMesh(folder, via or server.url, etcd, app=APP) as host:
            host.env |= env
            await asyncio.to_thread(host.start, 2, 2)
            link = await open_link(server.url, name="test", patience=60)
            async with host.client() as client:
                yield RedisMesh(host, server, client, link)
            await link.close()
