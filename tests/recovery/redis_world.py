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
from nervenet.streams.keys import Keys
from tests.recovery import redis_app
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

APP = "tests/recovery/redis_app.py"
PATIENCE = 90.0

__all__ = ["Load", "RedisMesh", "broken_mesh", "expected", "torn"]


def expected(n: int, told: int) -> int:
    """What `mixed` gives."""
    one = n + 1
    two = one + n
    return one + two + sum(n + k for k in range(4)) + (n + 1) + told + 4 * n + 7


def torn(server: Server, seed: int, most: int = 4096) -> int:
    """Cut a random piece off the end of the append-only file of a dead server; how many bytes it was."""
    file = max(server.data.rglob("*.aof"), key=lambda path: path.stat().st_mtime)
    size = file.stat().st_size
    cut = random.Random(seed).randrange(1, min(most, size))
    with file.open("r+b") as opened:
        opened.truncate(size - cut)
    return cut


class RedisMesh:
    """Two nodes and two agents; `server` is theirs alone."""

    def __init__(self, host: ProcessMesh, server: Server, client: Client, link: Link) -> None:
        self.host, self.server, self.client, self.link = host, server, client, link
        self.folder = host.folder
        self.keys = Keys(host.namespace)

    @property
    def nodes(self) -> list[NervenetProcess]:
        return self.host.nodes

    async def load(self, count: int, first: int = 0) -> Load:
        """So many `mixed` workflows, started and on their way, each node owning its share."""
        runs: dict[str, WorkflowHandle[int]] = {}
        for i, node in enumerate(self.nodes):
            mine = {f"mixed-{n}": n for n in range(first + i, first + count, len(self.nodes))}
            async with self.host.client(at=node) as client:
                runs |= await client.start_many(redis_app.mixed, mine)
        return Load(self, {workflow_id: self.client.handle(workflow_id, redis_app.mixed) for workflow_id in runs})

    async def under_way(self, lines: int, within: float = 30) -> None:
        """Wait until agents have done so many tasks (since the beginning)."""
        effects = self.host.folder / "effects"
        await until(
            lambda: effects.exists() and effects.read_text().count("\n") >= lines, f"{lines} tasks", within, self.host
        )

    async def steps(self, workflow_id: str) -> list[str]:
        """The names of a journal's entries; checked on the way: no gap, none twice."""
        rows = await self.link.call("XRANGE", self.keys.journal(workflow_id), "-", "+")
        numbers = [int(row[0].partition(b"-")[2]) for row in rows]
        names = [row[1][1].decode() for row in rows]
        assert numbers == list(range(1, len(rows) + 1)), f"{workflow_id}: {numbers}"
        assert len(set(names)) == len(names), f"{workflow_id}: {names}"
        return names

    async def entry(self, workflow_id: str, name: str) -> None:
        """Wait until the journal has it."""

        async def there() -> bool:
            return bool(await self.link.call("HEXISTS", self.keys.head(workflow_id), f"e:{name}"))

        await until(there, f"{workflow_id}: {name}", 30, self.host)

    def has_questions(self, count: int) -> Callable[[], Awaitable[bool]]:
        """Whether so many are open, as people see them."""

        async def there() -> bool:
            return len([question async for question in self.client.escalations()]) == count

        return there

    def effects(self, workflow_id: str) -> list[str]:
        return self.host.effects(workflow_id)


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

    async def right(self, *, complete: bool = True) -> None:
        """Each ends with its own result; its journal is whole: every step once, and all of them."""
        async with asyncio.timeout(PATIENCE):
            try:
                await self._told
                for workflow_id, run in self.runs.items():
                    n = int(workflow_id.partition("-")[2])
                    assert await run.result() == expected(n, 1), workflow_id
            except TimeoutError:
                raise AssertionError(f"not all has ended:\n{self.mesh.host.logs()}") from None
        for workflow_id in self.runs if complete else ():
            names = await self.mesh.steps(workflow_id)
            tasks = sorted(name for name in names if name.startswith("task:"))
            wanted = ["task:add", *(f"task:add.{k}" for k in range(2, 8)), "task:part"]
            assert (tasks, names[-1]) == (wanted, "close"), f"{workflow_id}: {names}"
            assert sum(name.startswith("signal:") for name in names) == 1


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
        if over is None:
            own = valkey(folder / "valkey" if data else None, options=options)
            server = await stack.enter_async_context(own)
        else:
            server = over
        with ProcessMesh(folder, via or server.url, etcd) as host:
            host.env |= env
            await asyncio.to_thread(host.up, *(host.node(APP) for _ in range(2)))
            await asyncio.to_thread(host.up, *(host.agent(app=APP) for _ in range(2)))
            link = await open_link(server.url, name="test", patience=60)
            async with host.client() as client:
                yield RedisMesh(host, server, client, link)
            await link.close()
