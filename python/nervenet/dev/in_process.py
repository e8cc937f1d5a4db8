# SPDX-License-Identifier: Apache-2.0
"""`running`: a whole mesh within this process and loop, for tests and notebooks; only the servers are processes.

Settings of the environment and of `nervenet.toml` do not count here: a test must not reach somebody's real mesh.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nervenet.config import Config
from nervenet.dev.folder import locked
from nervenet.dev.servers import Server, backing
from nervenet.imports import refuse_here
from nervenet.mesh import Mesh
from nervenet.process.together import serving

if TYPE_CHECKING:
    from nervenet.client.client import Client

T = TypeVar("T")


@asynccontextmanager
async def running(*meshes: Mesh, data: Path | None = None) -> AsyncIterator[Client]:
    """A client of these meshes, served by one node and one agent on embedded servers until the block is left.

    With `data` workflows outlive the block: a later one on the same folder continues them.
    """
    refuse_here("a mesh")
    if not meshes:
        raise ValueError("running() needs a mesh: async with nervenet.dev.running(mesh) as client: …")
    whole = Mesh(meshes[0].name)
    whole.include(*meshes)
    async with AsyncExitStack() as stack:
        if data is not None:
            stack.enter_context(locked(data))
            shutil.rmtree(data / "etcd", ignore_errors=True)  # nobody of before is alive, see supervisor
        redis, etcd = await stack.enter_async_context(backing(data))
        config = isolated(redis, etcd)
        yield await stack.enter_async_context(serving(whole, config, node=True, agents=True))


def isolated(redis: Server, etcd: Server, **more: Any) -> Config:
    """Settings of a mesh on these servers that nothing outside can change."""
    return Config.load(
        environ={},
        directory=redis.data,
        redis=redis.url,
        etcd=etcd.url,
        listen="127.0.0.1:0",
        drain="5s",
        replay_check=True,
        **more,
    )


@asynccontextmanager
async def in_one_task(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave it in the same task, whoever enters and leaves this: pytest's async fixtures begin in one task and
    end in another, which lifespans with cancel scopes or timeouts in them do not survive."""
    entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def hold() -> None:
        async with context as value:
            entered.set_result(value)
            await leave.wait()

    holding = asyncio.create_task(hold())
    await asyncio.wait((holding, entered), return_when=asyncio.FIRST_COMPLETED)
    try:
        if entered.done():
            yield entered.result()
    finally:
        leave.set()
        await holding
